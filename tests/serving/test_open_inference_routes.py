from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import numpy as np
import open_inference_schemas as published
import pytest
from PIL import Image
from served_runs import Server, picture, running

import distingo


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"cnn": tiny_runs["small-cnn"]}, max_pictures=4, max_pixels=10_000) as started:
        yield started


def infer(server: Server, tensor: dict[str, Any], path: str = "/v2/models/cnn/infer", **more: Any) -> httpx2.Response:
    return httpx2.post(server.url + path, json={"inputs": [tensor], **more}, timeout=20)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v2", published.SERVER),
        ("/v2/", published.SERVER),
        ("/v2/health/live", published.HEALTH),
        ("/v2/health/ready", published.HEALTH),
        ("/v2/models/cnn", published.MODEL),
        ("/v2/models/cnn/ready", published.MODEL_READY),
        ("/v2/models/cnn/versions/{version}", published.MODEL),
        ("/v2/models/cnn/versions/{version}/ready", published.MODEL_READY),
    ],
)
def test_descriptions_have_the_published_shape(server: Server, path: str, schema: dict[str, Any]) -> None:
    version = server.models.get("cnn").version
    answer = httpx2.get(server.url + path.format(version=version))
    assert answer.status_code == 200
    jsonschema.validate(answer.json(), schema)


def test_a_tensor_of_pixels_gets_the_probabilities_of_its_pictures(server: Server, tiny_runs: dict[str, Path]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (3, 20, 30, 3), np.uint8)
    tensor = {"name": "pictures", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
    version = server.models.get("cnn").version
    said = infer(server, tensor, f"/v2/models/cnn/versions/{version}/infer", id="42").json()
    jsonschema.validate(said, published.INFERENCE)
    assert (said["model_name"], said["model_version"], said["id"]) == ("cnn", version, "42")
    described = httpx2.get(server.url + "/v2/models/cnn").json()
    assert [(each["name"], each["datatype"]) for each in said["outputs"]] == [
        (each["name"], each["datatype"]) for each in described["outputs"]
    ]
    predictor = distingo.load(tiny_runs["small-cnn"])
    expected = [
        [dict(zip(each.labels, each.probabilities, strict=True))[name] for name in predictor.classes]
        for each in predictor.predict(list(pixels))
    ]
    outputs = {each["name"]: each for each in said["outputs"]}
    found = np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert outputs["label"]["data"] == [predictor.classes[best] for best in found.argmax(axis=1)]
    assert np.reshape(outputs["given"]["data"], found.shape).sum(axis=1).tolist() == [1, 1, 1]


def test_floats_nested_lists_and_files_say_the_same_as_pixels(server: Server) -> None:
    pixels = np.array(Image.open(io.BytesIO(picture(5, form="PNG"))))[None]
    shape = list(pixels.shape)
    files = [base64.b64encode(picture(5, form="PNG")).decode()]
    tensors = [
        {"datatype": "UINT8", "shape": shape, "data": pixels.tolist()},
        {"datatype": "FP32", "shape": shape, "data": (pixels / 255.0).ravel().tolist()},
        {"datatype": "BYTES", "shape": [1], "data": files},
    ]
    wanted = [{"name": "probabilities"}]
    found = [infer(server, {"name": "pictures", **each}, outputs=wanted).json()["outputs"] for each in tensors]
    assert len(found[0]) == 1 and found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("tensor", "status"),
    [
        ({"name": "images"}, 422),
        ({"datatype": "INT64"}, 422),
        ({"shape": [1, 2, 2]}, 422),
        ({"shape": [1, 2, 2, 4]}, 422),
        ({"shape": [0, 2, 2, 3]}, 422),
        ({"shape": [5, 2, 2, 3]}, 413),
        ({"shape": [1, -2, -2, 3]}, 422),
        ({"shape": [1, 2**30, 2**30, 3]}, 422),
        ({"shape": "1"}, 422),
        ({"data": [1, 2]}, 422),
        ({"data": [[1], [2, 3]]}, 422),
        ({"data": ["a"] * 12}, 422),
        ({"data": [256] * 12}, 422),
        ({"data": [-1] * 12}, 422),
        ({"data": [0.5] * 12}, 422),
        ({"data": None}, 422),
        ({"datatype": "FP32", "data": [2] * 12}, 422),
        ({"datatype": "BYTES", "shape": [1], "data": ["***"]}, 422),
        ({"datatype": "BYTES", "shape": [2], "data": [""]}, 422),
        ({"shape": [1, 101, 100, 1], "data": [0] * 10_100}, 413),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_in_the_protocols_words(
    server: Server, tensor: dict[str, Any], status: int
) -> None:
    whole = {"name": "pictures", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12, **tensor}
    answer = infer(server, whole)
    assert answer.status_code == status, answer.text
    jsonschema.validate(answer.json(), published.ERROR)


def test_an_unknown_model_version_or_output_is_refused(server: Server) -> None:
    tensor = {"name": "pictures", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
    for path in ("/v2/models/dog/infer", "/v2/models/cnn/versions/1/infer"):
        answer = infer(server, tensor, path)
        assert answer.status_code == 404
        jsonschema.validate(answer.json(), published.ERROR)
    assert infer(server, tensor, outputs=[{"name": "features"}]).status_code == 422
    assert infer(server, tensor, id=3).status_code == 422
