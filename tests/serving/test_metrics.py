from __future__ import annotations

from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from served_runs import image, running

from distingo.serving.metrics import LEAST


def read(url: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    answer = httpx2.get(url + "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_what_the_server_does_is_counted(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}) as server:
        labels = []
        with httpx2.Client() as client:
            for number in range(5):
                said = client.post(server.url + "/predict", content=image(number)).json()
                labels.append(said["predictions"][0]["label"])
            client.post(server.url + "/predict", content=b"%PDF")
            client.post(server.url + "/predict?threshold=1", content=image())
            client.get(server.url + "/some/where/else")
        found = read(server.url)
        version = server.models.get("cnn").version
    given = {dict(key)["label"]: value for key, value in found["distingo_predicted_total"].items()}
    assert given == {label: labels.count(label) for label in set(labels)}
    assert found["distingo_requests_total"][("method", "POST"), ("route", "/predict"), ("status", "200")] == 6
    assert found["distingo_refused_total"] == {(("status", "404"),): 1, (("status", "415"),): 1}
    assert found["distingo_unread_pictures_total"][("model", "cnn"), ("status", "415")] == 1
    assert found["distingo_unknown_total"][("model", "cnn"), ("version", version)] == 1
    assert found["distingo_batch_pictures_sum"][(("model", "cnn"),)] == 6
    assert found["distingo_request_seconds_count"][(("route", "/predict"),)] == 7
    assert found["distingo_pictures_in_flight"] == {(): 0}
    assert not any("else" in str(key) for name in found for key in found[name])


def test_drift_is_told_once_there_are_enough_answers(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}, max_images=64) as server:
        assert not read(server.url).get("distingo_score_drift")
        files = [("images", ("a", image(1)))] * 50
        for _ in range(LEAST // 50):
            assert httpx2.post(server.url + "/predict", files=files, timeout=30).status_code == 200
        found = read(server.url)
        calibration_set = server.models.get("cnn").predictor.model.calibration_set
    assert calibration_set is not None
    if len(calibration_set.confidences) >= 20:
        key = next(iter(found["distingo_score_drift"]))
        assert found["distingo_score_drift"][key] > found["distingo_score_drift_limit"][key] > 0
    else:
        assert "distingo_score_drift" not in found
