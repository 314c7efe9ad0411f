"""Tracking on a real MLflow server with its SQLite store, on loopback."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pytest

import distingo
from distingo.errors import ResourceError, UsageError
from distingo.tracking import mlflow as tracking
from raising import raises
from tiny_datasets import draw_classes

SMALL = {"model": "small-cnn", "image_size": 8, "epochs": 2, "batch_size": 16}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("flask", reason="the whole of mlflow is not installed")
    place, port = tmp_path_factory.mktemp("mlflow"), free_port()
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += [
        "--backend-store-uri",
        f"sqlite:///{place}/store.sqlite3",
        "--artifacts-destination",
        str(place / "files"),
    ]
    log = (place / "log.txt").open("wb")
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, cwd=place, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(address, process, place / "log.txt")
        yield address
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def client(server: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server)


def runs_of(server: str, experiment: str) -> list[Any]:
    found = client(server).get_experiment_by_name(experiment)
    return list(client(server).search_runs([found.experiment_id]))


@pytest.mark.slow
def test_a_run_comes_back_through_the_client(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    data = draw_classes(tmp_path / "colours")
    trained = distingo.train(data, tmp_path / "first", track="mlflow", **SMALL)
    (run,) = runs_of(server, "colours")
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert {name: run.data.params[name] for name in ("model", "epochs", "height", "train_pictures")} == {
        "model": "small-cnn",
        "epochs": "2",
        "height": "8",
        "train_pictures": "39",
    }
    history = client(server).get_metric_history(run.info.run_id, "validation_loss")
    assert [metric.step for metric in history] == [1, 2]
    score = trained.evaluation.scores["accuracy"]
    for name, value in (("test_accuracy", score.value), ("test_accuracy_low", score.low)):
        assert run.data.metrics[name] == pytest.approx(value)
    place = Path(client(server).download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert (place / "report.html").read_bytes() == trained.report.read_bytes()
    assert (place / "plots" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "back").mkdir()
    (place / "model").rename(tmp_path / "back" / "model")
    image = next((data / "red").iterdir())
    assert distingo.load(tmp_path / "back").predict([image]) == distingo.load(trained.path).predict([image])
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/classifier")
    (row,) = model.predict(pd.DataFrame({"image": [image.read_bytes()]})).to_dict("records")
    (expected,) = distingo.load(trained.path).predict([image])  # in bfloat16 where the processor has it
    assert (row["label"], row["probability"]) == (expected.label, pytest.approx(expected.confidence, abs=1e-2))


@pytest.mark.slow
def test_a_server_that_goes_away_harms_no_training(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    data, begin = draw_classes(tmp_path / "far-away"), tracking.MlflowRun.begin

    def begin_and_lose(self: tracking.MlflowRun, records: Any, known: str) -> str:
        told = begin(self, records, known)
        self._client = client(f"http://127.0.0.1:{free_port()}")
        return told

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "distingo"):
        patch.setattr(tracking.MlflowRun, "begin", begin_and_lose)
        trained = distingo.train(data, tmp_path / "run", track="mlflow", track_to=server, **SMALL)
    assert trained.evaluation.n == 12
    assert [message.startswith("not tracked in MLflow at http://127") for message in caplog.messages] == [True, True]
    (run,) = runs_of(server, "far-away")
    assert (run.info.status, "test_accuracy" in run.data.metrics) == ("RUNNING", False)

    distingo.train(output=trained.path, resume=True, track="mlflow", track_to=server)
    (run,) = runs_of(server, "far-away")
    assert (run.info.status, "test_accuracy" in run.data.metrics) == ("FINISHED", True)
    notes = json.loads((trained.path / "tracking.json").read_text())["tracked"]
    assert list(notes.values()) == [{"id": run.info.run_id, "epochs": 2}]


def test_a_server_that_is_not_there_is_reported_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://anna:secret@127.0.0.1:{free_port()}"
    with raises(ResourceError, code="tracker_unavailable", parameter="track") as raised:
        distingo.train(draw_classes(tmp_path / "data"), tmp_path / "run", track="mlflow", track_to=address, **SMALL)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_without_an_address_it_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with raises(UsageError, code="missing_setting", parameter="track_to"):
        distingo.train(tmp_path, tmp_path / "run", track="mlflow")
