from __future__ import annotations

import base64
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from huggingface_hub import InferenceClient
from PIL import Image
from served_runs import Server, image, running

import distingo


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    runs = {"cnn": tiny_runs["small-cnn"], "描述 1": tiny_runs["descriptors"]}
    with running(runs, max_images=8, max_upload=2_000_000, max_pixels=1_000_000) as started:
        yield started


@pytest.fixture(scope="module")
def label_server(tiny_label_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"shapes": tiny_label_runs["descriptors"]}) as started:
        yield started


def post(server: Server, path: str, **request: object) -> httpx2.Response:
    return httpx2.post(server.url + path, timeout=20, **request)


def test_raw_bytes_get_the_probabilities_that_the_predictor_gives(server: Server, tiny_runs: dict[str, Path]) -> None:
    answer = post(server, "/predict?model=cnn", content=image(1), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    expected = distingo.load(tiny_runs["small-cnn"]).predict(Image.open(io.BytesIO(image(1))))[0]
    entry = said["predictions"][0]
    assert said["model"]["name"] == "cnn" and len(said["model"]["version"]) == 12 and said["task"] == "single-label"
    assert [score["label"] for score in entry["scores"]] == list(expected.labels[:5])
    found = [score["probability"] for score in entry["scores"]]
    np.testing.assert_allclose(found, expected.probabilities[:5], atol=2e-3)
    assert entry["label"] == expected.label and entry["labels"] == [expected.label] and entry["known"]
    assert entry["set"] is None and entry["explanation"] is None and entry["error"] is None


def test_a_form_of_several_images_keeps_their_order_and_names_what_is_wrong_with_one(server: Server) -> None:
    files = [("images", (f"猫 {n}.jpg", image(n), "image/jpeg")) for n in range(3)]
    files.insert(1, ("images", ("broken.jpg", image(9)[:200], "image/jpeg")))
    files.insert(2, ("images", ("page.html", b"<!doctype html><html></html>", "image/jpeg")))
    entries = post(server, "/predict?model=cnn", files=files, data={"top_k": "1"}).json()["predictions"]
    assert [entry["image"] for entry in entries] == ["猫 0.jpg", "broken.jpg", "page.html", "猫 1.jpg", "猫 2.jpg"]
    assert [entry["error"] and entry["error"]["status"] for entry in entries] == [None, 422, 415, None, None]
    assert [len(entry["scores"]) for entry in entries] == [1, 0, 0, 1, 1]


def test_json_and_form_and_raw_bytes_say_the_same(server: Server) -> None:
    one = image(4)
    raw = post(server, "/predict?model=cnn&top_k=2", content=one).json()["predictions"][0]["scores"]
    form = post(server, "/predict", files={"images": ("a", one)}, data={"model": "cnn", "top_k": 2}).json()
    said = {"images": [{"name": "a", "data": base64.b64encode(one).decode()}], "top_k": 2, "model": "cnn"}
    as_json = post(server, "/predict", json=said).json()
    for other in (form, as_json):
        assert [score["label"] for score in other["predictions"][0]["scores"]] == [score["label"] for score in raw]
    assert len(raw) == 2


def test_a_threshold_turns_an_unsure_answer_into_not_known(server: Server) -> None:
    said = post(server, "/predict?model=cnn&threshold=1", content=image(5)).json()["predictions"][0]
    assert said["known"] is False and said["labels"] == [] and said["label"]
    said = post(server, "/predict?model=cnn&threshold=0", content=image(5)).json()["predictions"][0]
    assert said["known"] is True and said["labels"] == [said["label"]]


def test_a_wanted_coverage_gives_a_set(server: Server) -> None:
    said = post(server, "/predict?model=cnn&coverage=0.5", content=image(5)).json()["predictions"][0]
    assert isinstance(said["set"], list)
    refused = post(server, "/predict?model=cnn&coverage=0.9999", content=image(5))
    assert refused.status_code == 422 and "calibration pictures can hold" in refused.json()["error"]["reason"]


def test_several_labels_are_held_against_their_thresholds(label_server: Server) -> None:
    model = httpx2.get(label_server.url + "/models").json()["models"][0]
    assert model["task"] == "multi-label" and set(model["thresholds"]) == set(model["classes"])
    entry = post(label_server, "/predict", content=image(2, size=(64, 64))).json()["predictions"][0]
    for score in entry["scores"]:
        assert score["threshold"] == pytest.approx(model["thresholds"][score["label"]])
        assert score["given"] == (score["probability"] >= score["threshold"]) == (score["label"] in entry["labels"])
    everything = post(label_server, "/predict?threshold=0&top_k=1", content=image(2)).json()["predictions"][0]
    assert sorted(everything["labels"]) == sorted(model["classes"]) and len(everything["scores"]) == 1


def test_an_explanation_comes_as_data_addresses(server: Server) -> None:
    answer = post(server, "/predict?model=cnn&explain=true", content=image(3))
    explanation = answer.json()["predictions"][0]["explanation"]
    assert explanation["class"] == answer.json()["predictions"][0]["label"]
    assert explanation["heat_map"] is None or explanation["heat_map"].startswith("data:image/")
    for neighbor in explanation["neighbors"]:
        content = base64.b64decode(neighbor["image"].partition(",")[2])
        assert Image.open(io.BytesIO(content)).format == "JPEG"
    assert explanation["neighbors"][0]["distance"] <= explanation["neighbors"][-1]["distance"]


@pytest.mark.parametrize(
    ("path", "request_", "status"),
    [
        ("/predict", {"content": image()}, 422),  # two models and none named
        ("/predict?model=dog", {"content": image()}, 404),
        ("/predict?model=cnn", {"content": b""}, 422),
        ("/predict?model=cnn", {"content": b"GIF89a"}, 422),
        ("/predict?model=cnn", {"content": b"%PDF-1.4"}, 415),
        ("/predict?model=cnn", {"content": image(), "headers": {"Content-Type": "text/plain"}}, 415),
        ("/predict?model=cnn", {"content": image(), "headers": {"Content-Encoding": "br"}}, 415),
        ("/predict?model=cnn", {"content": image(), "headers": {"Content-Encoding": "gzip"}}, 400),
        ("/predict?model=cnn&top_k=0", {"content": image()}, 422),
        ("/predict?model=cnn&topk=1", {"content": image()}, 422),
        ("/predict?model=cnn", {"json": {"images": [{"data": ""}], "wish": 1}}, 422),
        ("/predict?model=cnn", {"files": [("images", ("a", image()))], "data": {"topk": "1"}}, 422),
        ("/predict?model=cnn&top_k=x", {"content": image()}, 422),
        ("/predict?model=cnn&threshold=nan", {"content": image()}, 422),
        ("/predict?model=cnn&abstain=0", {"content": image()}, 422),
        ("/predict?model=cnn&explain=perhaps", {"content": image()}, 422),
        ("/predict?model=cnn", {"json": []}, 400),
        ("/predict?model=cnn", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("/predict?model=cnn", {"json": {"images": []}}, 422),
        ("/predict?model=cnn", {"json": {"images": [1]}}, 422),
        ("/predict?model=cnn", {"json": {"images": [{"data": "***"}]}}, 422),
        ("/predict?model=cnn", {"json": {"images": [{"data": "http://127.0.0.1/a.jpg"}]}}, 422),
        ("/predict?model=cnn", {"json": {"images": [{"data": ""}] * 9}}, 413),
        ("/predict?model=cnn", {"files": [("images", ("a", image()))] * 9}, 413),
        ("/predict?model=cnn", {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        (
            "/predict?model=cnn",
            {"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
        ),
        ("/predict?model=cnn", {"content": image(size=(1001, 1000), form="PNG")}, 413),
        ("/models/dog", {"content": image()}, 404),
        ("/models/cnn", {"json": {"inputs": 3}}, 422),
        ("/models/cnn", {"json": {"inputs": "", "parameters": 3}}, 422),
        ("/elsewhere", {"content": image()}, 404),
    ],
)
def test_what_can_not_be_answered_is_refused_with_a_reason(
    server: Server, path: str, request_: dict[str, object], status: int
) -> None:
    answer = post(server, path, **request_)
    said = answer.json()["error"]
    assert (answer.status_code, said["status"]) == (status, status), answer.text
    assert said["reason"] and "Traceback" not in answer.text and str(Path(__file__).parents[2]) not in answer.text


def test_a_file_may_be_in_a_field_of_any_name(server: Server) -> None:
    one, other = image(4), image(5)
    expected = post(server, "/predict?model=cnn", files=[("images", ("a", one)), ("images", ("b", other))]).json()
    for first, second in (("file", "file"), ("image", "images[]"), ("top_k", "")):
        found = post(server, "/predict?model=cnn", files=[(first, ("a", one)), (second, ("b", other))])
        assert found.json() == expected
    empty = post(server, "/predict?model=cnn", content=_form_without_a_chosen_file(one), headers=_FORM)
    assert empty.json()["predictions"][0]["scores"] == expected["predictions"][0]["scores"]
    assert len(empty.json()["predictions"]) == 1


_FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def _form_without_a_chosen_file(one: bytes) -> bytes:
    """What a browser sends for two file fields of which one was left empty."""
    parts = (
        b'Content-Disposition: form-data; name="second"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n',
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + one,
    )
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


def test_base64_comes_wrapped_or_with_the_alphabet_of_addresses(server: Server) -> None:
    one = next(each for each in map(image, range(20)) if {43, 47} <= set(base64.b64encode(each)))
    texts = (
        base64.b64encode(one).decode(),
        base64.encodebytes(one).decode(),
        base64.encodebytes(one).decode().replace("\n", "\r\n  "),
        base64.urlsafe_b64encode(one).decode().rstrip("="),
        "data:image/jpeg;base64," + base64.encodebytes(one).decode(),
        "DATA:image/jpeg;base64," + base64.b64encode(one).decode().replace("+", "%2B").replace("=", "%3D"),
    )
    images = [{"name": "a", "data": text} for text in texts]
    found = post(server, "/predict?model=cnn", json={"images": images}).json()["predictions"]
    assert found == [found[0]] * len(texts) and found[0]["error"] is None


def test_a_compressed_body_holds_the_same_image(server: Server) -> None:
    one = image(4)
    plain = post(server, "/predict?model=cnn", content=one).json()
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(one[:99]) + gzip.compress(one[99:]),
        "deflate": zlib.compress(one),
        "Deflate": raw.compress(one) + raw.flush(),
    }
    for encoding, body in packed.items():
        found = post(server, "/predict?model=cnn", content=body, headers={"Content-Encoding": encoding})
        assert found.json() == plain, encoding


def test_a_wrong_method_is_405(server: Server) -> None:
    answer = httpx2.put(server.url + "/predict")
    assert answer.status_code == 405 and answer.json()["error"]["status"] == 405


def test_the_hugging_face_client_classifies(server: Server) -> None:
    client = InferenceClient(model=f"{server.url}/models/cnn")
    everything = client.image_classification(image(6))
    assert everything[0].score >= everything[-1].score
    best = client.image_classification(image(6), top_k=1)
    assert len(best) == 1 and best[0].label == everything[0].label
    assert len(post(server, "/models/cnn?top_k=2", content=image(6)).json()) == 2


def test_a_strip_of_one_pixel_by_a_million_is_answered(server: Server) -> None:
    encoded = io.BytesIO()
    Image.new("L", (1_000_000, 1), 90).save(encoded, "PNG")
    assert post(server, "/predict?model=cnn", content=encoded.getvalue()).status_code == 200


def test_a_image_lies_as_its_camera_says(server: Server) -> None:
    turned = Image.new("RGB", (40, 20), "red")
    turned.paste((0, 0, 255), (0, 0, 20, 20))
    plain, exif = io.BytesIO(), Image.Exif()
    turned.transpose(Image.Transpose.ROTATE_270).save(plain, "PNG")
    exif[0x0112] = 6
    marked = io.BytesIO()
    turned.save(marked, "PNG", exif=exif)
    answers = [post(server, "/predict?model=cnn", content=each.getvalue()).json() for each in (plain, marked)]
    assert answers[0]["predictions"] == answers[1]["predictions"]
