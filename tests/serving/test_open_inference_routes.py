from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import numpy as np
import open_inference_schemas as published
import pytest
from PIL import Image
from served_runs import Server, image, running

import distingo
from distingo.serving import tensors


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"cnn": tiny_runs["small-cnn"]}, max_images=4, max_pixels=10_000) as started:
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
        ("/v2/models/stats", published.STATISTICS),
        ("/v2/models/cnn/stats", published.STATISTICS),
        ("/v2/models/cnn/versions/{version}/stats", published.STATISTICS),
        ("/v2/models/cnn/versions/{version}", published.MODEL),
        ("/v2/models/cnn/versions/{version}/ready", published.MODEL_READY),
    ],
)
def test_descriptions_have_the_published_shape(server: Server, path: str, schema: dict[str, Any]) -> None:
    version = server.models.get("cnn").version
    answer = httpx2.get(server.url + path.format(version=version))
    assert answer.status_code == 200
    jsonschema.validate(answer.json(), schema)


def test_a_tensor_of_pixels_gets_the_probabilities_of_its_images(server: Server, tiny_runs: dict[str, Path]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (3, 20, 30, 3), np.uint8)
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
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


def test_floats_nested_lists_and_files_give_the_same_as_pixels(server: Server) -> None:
    pixels = np.array(Image.open(io.BytesIO(image(5, form="PNG"))))[None]
    shape = list(pixels.shape)
    files = [base64.b64encode(image(5, form="PNG")).decode()]
    tensors = [
        {"datatype": "UINT8", "shape": shape, "data": pixels.tolist()},
        {"datatype": "FP32", "shape": shape, "data": (pixels / 255.0).ravel().tolist()},
        {"datatype": "BYTES", "shape": [1], "data": files},
    ]
    wanted = [{"name": "probabilities"}]
    found = [infer(server, {"name": "images", **each}, outputs=wanted).json()["outputs"] for each in tensors]
    assert len(found[0]) == 1 and found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("tensor", "status"),
    [
        ({"name": "photos"}, 422),
        ({"datatype": "STRING"}, 422),
        ({"datatype": "BF16"}, 422),
        ({"datatype": "INT16", "data": [256] * 12}, 422),
        ({"datatype": "BOOL"}, 422),
        ({"shape": [1, 2, 2]}, 422),
        ({"shape": [1, 2, 2, 4]}, 422),
        ({"shape": [0, 2, 2, 3]}, 422),
        ({"shape": [5, 2, 2, 3]}, 413),
        ({"shape": [1, -2, -2, 3]}, 422),
        ({"shape": [1, 2**30, 2**30, 3]}, 413),
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
    whole = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12, **tensor}
    answer = infer(server, whole)
    assert answer.status_code == status, answer.text
    jsonschema.validate(answer.json(), published.ERROR)


def test_an_unknown_model_version_or_output_is_refused(server: Server) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
    for path in ("/v2/models/dog/infer", "/v2/models/cnn/versions/1/infer"):
        answer = infer(server, tensor, path)
        assert answer.status_code == 404
        jsonschema.validate(answer.json(), published.ERROR)
    assert infer(server, tensor, outputs=[{"name": "features"}]).status_code == 422
    assert infer(server, tensor, id=3).status_code == 422


NUMBERS = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")


def post_binary(server: Server, tensor: dict[str, Any], content: bytes, **more: Any) -> httpx2.Response:
    head = json.dumps({"inputs": [tensor], **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return httpx2.post(server.url + "/v2/models/cnn/infer", content=head + content, headers=headers, timeout=20)


@pytest.mark.parametrize("datatype", [*NUMBERS, "BF16"])
def test_every_datatype_of_numbers_is_taken_as_bytes_and_as_json(server: Server, datatype: str) -> None:
    """Pixels of black and white, which every datatype can hold; INT8 ends at 127."""
    black_or_white = np.random.default_rng(3).integers(0, 2, (1, 6, 5, 3))
    white = {"BOOL": 1, "INT8": 127}.get(datatype, 1 if datatype.startswith(("FP", "BF")) else 255)
    seen = black_or_white * (255 if white == 1 else white)
    values = black_or_white * white
    if datatype == "BF16":
        content = (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    else:
        content = values.astype(tensors.NUMBERS[datatype]).tobytes()
    tensor = {"name": "images", "datatype": datatype, "shape": [1, 6, 5, 3]}
    size = {"parameters": {"binary_data_size": len(content)}}
    binary = post_binary(server, {**tensor, **size}, content)
    reference = infer(server, {**tensor, "datatype": "UINT8", "data": seen.ravel().tolist()})
    assert binary.json()["outputs"] == reference.json()["outputs"]
    if datatype != "BF16":
        listed = values.astype(tensors.NUMBERS[datatype]).tolist()
        assert infer(server, {**tensor, "data": listed}).json()["outputs"] == reference.json()["outputs"]


def test_files_come_as_bytes_with_their_lengths(server: Server) -> None:
    files = [image(5, form="PNG"), image(6)]
    content = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    size = {"binary_data_size": len(content)}
    texts = [base64.b64encode(file).decode() for file in files]
    for shape in ([2], [2, 1]):
        tensor = {"name": "images", "datatype": "BYTES", "shape": shape}
        binary = post_binary(server, {**tensor, "parameters": size}, content)
        assert binary.json()["outputs"] == infer(server, {**tensor, "data": texts}).json()["outputs"]


def test_outputs_come_as_bytes_where_they_are_asked_for_so(server: Server) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 2, 2, 3], "data": [7] * 12 + [200] * 12}
    as_json = {each["name"]: each for each in infer(server, tensor).json()["outputs"]}
    answer = infer(server, tensor, parameters={"binary_data_output": True})
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    described, tail = json.loads(answer.content[:length])["outputs"], answer.content[length:]
    assert [each["parameters"]["binary_data_size"] for each in described] == [
        24,
        6,
        8 + sum(map(len, as_json["label"]["data"])),
    ]
    assert all("data" not in each for each in described)
    np.testing.assert_array_equal(np.frombuffer(tail[:24], "<f4"), np.float32(as_json["probabilities"]["data"]))
    assert list(tail[24:30]) == as_json["given"]["data"]
    label = as_json["label"]["data"][0].encode()
    assert tail[30:].startswith(len(label).to_bytes(4, "little") + label)
    mixed = infer(
        server, tensor, parameters={"binary_data_output": True},
        outputs=[{"name": "label", "parameters": {"binary_data": False}}, {"name": "given"}],
    )  # fmt: skip
    length = int(mixed.headers["inference-header-content-length"])
    described = json.loads(mixed.content[:length])["outputs"]
    assert described[0] == as_json["label"] and described[1]["parameters"] == {"binary_data_size": 6}
    assert list(mixed.content[length:]) == as_json["given"]["data"]


def test_classes_come_as_value_index_and_label(server: Server) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 2, 2, 3], "data": [7] * 12 + [200] * 12}
    classes = httpx2.get(server.url + "/v2/models/cnn").json()["parameters"]["classes"]
    whole = infer(server, tensor, outputs=[{"name": "probabilities"}]).json()["outputs"][0]
    rows = np.reshape(whole["data"], whole["shape"])
    for count in (1, 2, 99):
        asked = [{"name": "probabilities", "parameters": {"classification": count}}]
        (found,) = infer(server, tensor, outputs=asked).json()["outputs"]
        best = np.argsort(-rows, axis=1)[:, :count]
        assert found == {
            "name": "probabilities",
            "datatype": "BYTES",
            "shape": list(best.shape),
            "data": [f"{rows[row, index]:f}:{index}:{classes[index]}" for row in range(2) for index in best[row]],
        }


@pytest.mark.parametrize(
    ("tensor", "content", "status"),
    [
        ({"parameters": {"binary_data_size": 12}}, bytes(11), 400),
        ({"parameters": {"binary_data_size": 11}}, bytes(12), 400),
        ({"parameters": {"binary_data_size": -1}}, bytes(12), 422),
        ({"parameters": {"binary_data_size": True}}, bytes(12), 422),
        ({"parameters": {"binary_data_size": 12}, "data": [0] * 12}, bytes(12), 422),
        ({"parameters": {"binary_data_size": 11}, "datatype": "FP16"}, bytes(11), 422),
        ({"parameters": {"binary_data_size": 12}, "shape": [1, 2, 2, 1]}, bytes(12), 422),
        ({"parameters": {"binary_data_size": 12}, "shape": [1, 100_000, 100_000, 3]}, bytes(12), 413),
        ({"parameters": {"binary_data_size": 12}, "datatype": "FP32", "shape": [1, 1, 1, 3]}, b"\xff" * 12, 422),
        ({"parameters": {"binary_data_size": 3}, "datatype": "BYTES", "shape": [1]}, bytes(3), 400),
        ({"parameters": {"binary_data_size": 8}, "datatype": "BYTES", "shape": [1]}, b"\xff" * 8, 400),
        ({"parameters": {"binary_data_size": 4}, "datatype": "BYTES", "shape": [2]}, bytes(4), 422),
        ({"parameters": {"shared_memory_region": "a"}}, b"", 422),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(
    server: Server, tensor: dict[str, Any], content: bytes, status: int
) -> None:
    whole = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], **tensor}
    answer = post_binary(server, whole, content)
    assert answer.status_code == status, answer.text
    jsonschema.validate(answer.json(), published.ERROR)


@pytest.mark.parametrize("length", ["", "x", "-1", "99999", "9" * 30, "1.5"])
def test_a_length_of_the_json_that_can_not_be_is_refused(server: Server, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    assert httpx2.post(server.url + "/v2/models/cnn/infer", content=b"{}", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "output",
    [
        {"name": "label", "parameters": {"classification": 1}},
        {"name": "probabilities", "parameters": {"classification": "2"}},
        {"name": "probabilities", "parameters": {"binary_data": 1}},
        {"name": "probabilities", "parameters": {"shared_memory_region": "a"}},
        {"name": 3},
        3,
    ],
)
def test_an_output_that_can_not_be_given_is_refused(server: Server, output: Any) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
    assert infer(server, tensor, outputs=[output]).status_code == 422


# Triton's own message refuses what it does not know. In a process of its own: kserve's messages have the same names.
PARSE_CONFIG = """
import sys
from google.protobuf.json_format import Parse
from tritonclient.grpc.model_config_pb2 import ModelConfig
Parse(sys.stdin.read(), ModelConfig())
"""


def test_the_configuration_has_the_shapes_of_the_metadata(server: Server) -> None:
    config = httpx2.get(server.url + "/v2/models/cnn/config").json()
    described = httpx2.get(server.url + "/v2/models/cnn").json()
    checked = subprocess.run(
        [sys.executable, "-c", PARSE_CONFIG], input=json.dumps(config), capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert config["max_batch_size"] == 4
    for ours, theirs in (("inputs", "input"), ("outputs", "output")):
        assert [[-1, *each["dims"]] for each in config[theirs]] == [each["shape"] for each in described[ours]]
    assert config["parameters"]["classes"]["string_value"].split("\n") == described["parameters"]["classes"]


def test_statistics_count_requests_images_and_batches(tiny_runs: dict[str, Path]) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [3, 2, 2, 3], "data": [0] * 36}
    damaged = {"name": "images", "datatype": "BYTES", "shape": [1], "data": [""]}
    with running({"cnn": tiny_runs["small-cnn"]}) as server:
        for _ in range(2):
            assert infer(server, tensor).status_code == 200
        assert infer(server, damaged).status_code == 422
        (found,) = httpx2.get(server.url + "/v2/models/cnn/stats").json()["model_stats"]
        version = server.models.get("cnn").version
        assert httpx2.get(server.url + "/v2/models/dog/stats").status_code == 404
    stats = found["inference_stats"]
    assert (found["name"], found["version"], found["inference_count"]) == ("cnn", version, 6)
    assert found["execution_count"] == sum(each["compute_infer"]["count"] for each in found["batch_stats"]) >= 2
    counts = {name: stats[name]["count"] for name in ("success", "fail", "queue", "compute_input", "compute_infer")}
    assert counts == {"success": 2, "fail": 1, "queue": 6, "compute_input": 6, "compute_infer": 6}
    assert stats["success"]["ns"] > stats["compute_infer"]["ns"] > 0
    assert abs(found["last_inference"] / 1000 - time.time()) < 60


def test_the_repository_lists_loads_and_keeps_its_models(server: Server) -> None:
    version = server.models.get("cnn").version
    index = httpx2.post(server.url + "/v2/repository/index", json={"ready": True})
    assert index.json() == [{"name": "cnn", "version": version, "state": "READY", "reason": ""}]
    load = server.url + "/v2/repository/models/cnn/load"
    assert httpx2.post(load).status_code == httpx2.post(load, json={}).status_code == 200
    assert httpx2.post(load, json={"parameters": {"config": "{}"}}).status_code == 422
    assert httpx2.post(load.replace("cnn", "dog")).status_code == 404
    assert httpx2.post(load.replace("/load", "/unload")).status_code == 409
