"""The model logged to MLflow, loaded with MLflow's loader and served by its scoring server."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server
from mlflow.types import DataType
from PIL import Image

import distingo
from distingo.errors import ErrorCode, UsageError
from distingo.runs.contents import read_run
from distingo.runtime import Runtime
from distingo.runtime.mlflow_model import MlflowClassifier
from distingo.tracking.mlflow import save_pyfunc
from raising import raises


def drawn(seed: int) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture(scope="module")
def saved(tiny_network_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: save_pyfunc(read_run(tiny_network_runs[name]), tmp_path_factory.mktemp(name))
        for name in ("one label", "several labels")
    }


@pytest.mark.parametrize("name", ["one label", "several labels"])
def test_mlflow_loads_a_network_as_an_export(
    saved: dict[str, Path], tiny_network_runs: dict[str, Path], name: str
) -> None:
    model = mlflow.pyfunc.load_model(str(saved[name]))
    predictor, exported = distingo.load(tiny_network_runs[name]), Runtime(saved[name] / "data" / "export")
    assert model.metadata.flavors["python_function"]["loader_module"] == "distingo.runtime.mlflow_model"
    assert model.metadata.metadata["classes"] == list(predictor.classes)
    assert [(each.name, each.type) for each in model.metadata.signature.inputs] == [("image", DataType.binary)]
    images = [drawn(1), drawn(2)]
    found = model.predict(pd.DataFrame({"image": images}))
    assert list(found.columns) == model.metadata.signature.outputs.input_names()
    expected = exported.predict(images, topk=len(predictor.classes))
    assert [each.label for each in expected] == [each.label for each in predictor.predict(images, topk=1)]
    for row, each in zip(found.to_dict("records"), expected, strict=True):
        assert row["probabilities"] == pytest.approx(dict(zip(each.labels, each.probabilities, strict=True)), abs=1e-6)
        assert (row["label"], row["known"]) == (each.label, True)
        assert row["labels"] == list(each.given if each.given is not None else [each.label])
        assert row["probability"] == row["probabilities"][row["label"]]


def test_the_example_is_one_that_the_model_answers(saved: dict[str, Path]) -> None:
    model = mlflow.pyfunc.load_model(str(saved["one label"]))
    example = model.input_example
    assert Image.open(io.BytesIO(example["image"][0])).size == (64, 64)
    assert len(model.predict(example)) == 1


def test_mlflows_scoring_server_answers_as_ours_does(
    saved: dict[str, Path], tiny_network_runs: dict[str, Path]
) -> None:
    model = mlflow.pyfunc.load_model(str(saved["one label"]))
    texts = [base64.b64encode(each).decode() for each in (drawn(1), b"GIF89a")]
    with TestClient(scoring_server.init(model)) as client:
        answer = client.post(
            "/invocations", json={"dataframe_split": {"columns": ["image"], "data": [[t] for t in texts]}}
        )
    assert answer.status_code == 200, answer.text
    good, bad = answer.json()["predictions"]
    (expected,) = distingo.load(tiny_network_runs["one label"]).predict([drawn(1)])
    assert good["label"] == expected.label and good["error"] is None
    assert (bad["label"], bad["probability"], bad["labels"]) == (None, None, []) and bad["error"]


def test_a_model_that_can_not_be_exported_goes_as_it_is(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    folder = save_pyfunc(read_run(tiny_runs["descriptors"]), tmp_path)
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.metadata.flavors["python_function"]["loader_module"] == "distingo.tracking.mlflow"
    (expected,) = distingo.load(tiny_runs["descriptors"]).predict([drawn(3)])
    (row,) = model.predict(pd.DataFrame({"image": [drawn(3)]})).to_dict("records")
    assert (row["label"], row["probability"]) == (expected.label, pytest.approx(expected.confidence))


def test_it_is_loaded_and_used_without_torch(saved: dict[str, Path]) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import mlflow.pyfunc
model = mlflow.pyfunc.load_model({str(saved["one label"])!r})
print(model.predict(model.input_example)["label"][0])
"""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


class Echo:
    classes = ("a", "b")
    task = "single-label"

    def predict(self, images: Any, *, topk: int | None = None) -> list[Any]:
        self.seen = list(images)
        return []


def test_images_come_in_every_form_that_tables_have() -> None:
    echo = Echo()
    model = MlflowClassifier(echo)  # type: ignore[arg-type]
    pixels = np.zeros((2, 3, 3), np.uint8)
    text = base64.encodebytes(b"\xff\xef" * 60).decode()
    for given in (
        pd.DataFrame({"other": [1], "image": [b"\xff\xef" * 60]}),
        pd.DataFrame({"only": [text]}),
        [bytearray(b"\xff\xef" * 60)],
        [text.replace("+", "-").replace("/", "_").rstrip("=\n")],
        ["data:image/png;base64," + text],
    ):
        model.predict(given)
        assert echo.seen == [b"\xff\xef" * 60]
    model.predict(pixels[None])
    assert echo.seen[0] is not None and np.array_equal(echo.seen[0], pixels)
    assert "label" in model.predict([]).columns
    wrong: tuple[tuple[Any, ErrorCode], ...] = (
        ([3], "invalid_type"),
        (["***"], "invalid_value"),
        ([pixels.astype(float)], "invalid_type"),
        (pd.DataFrame({"a": [b""], "b": [b""]}), "unknown_column"),
    )
    for given, code in wrong:
        with raises(UsageError, code=code):
            model.predict(given)
    with raises(UsageError, code="unknown_option"):
        model.predict([b""], {"topk": 1})
