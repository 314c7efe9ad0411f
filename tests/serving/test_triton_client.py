"""NVIDIA's own client against `distingo serve` in a process of its own, with the client's defaults: binary data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served_runs import Command, command, image
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

import distingo


@pytest.fixture(scope="module")
def served(tiny_runs: dict[str, Path]) -> Iterator[Command]:
    with command(
        f"cnn={tiny_runs['small-cnn']}", f"words={tiny_runs['descriptors']}", "--max-upload", "1MB"
    ) as started:
        yield started


@pytest.fixture(scope="module")
def client(served: Command) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(served.url.removeprefix("http://")) as opened:
        yield opened


def pixels_input(pixels: np.ndarray, datatype: str, *, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("images", list(pixels.shape), datatype)
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (3, 20, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(tiny_runs: dict[str, Path], pixels: np.ndarray) -> np.ndarray:
    predictor = distingo.load(tiny_runs["small-cnn"])
    rows = [dict(zip(each.labels, each.probabilities, strict=True)) for each in predictor.predict(list(pixels))]
    return np.array([[row[name] for name in predictor.classes] for row in rows])


def test_server_and_models_describe_themselves(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("cnn") and not client.is_model_ready("dog")
    assert {"binary_tensor_data", "classification", "statistics"} <= set(client.get_server_metadata()["extensions"])
    metadata = client.get_model_metadata("cnn")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    version = metadata["versions"][0]
    assert client.is_model_ready("cnn", version) and not client.is_model_ready("cnn", "1")
    assert client.get_model_config("cnn", version)["max_batch_size"] == 64
    index = client.get_model_repository_index()
    assert [(each["name"], each["state"]) for each in index] == [("cnn", "READY"), ("words", "READY")]
    assert index[0]["version"] == version
    client.load_model("cnn")
    with pytest.raises(InferenceServerException, match="until the server ends"):
        client.unload_model("cnn")


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_pixels_get_the_probabilities_of_the_model(
    client: triton.InferenceServerClient, pixels: np.ndarray, expected: np.ndarray, binary_in: bool, binary_out: bool
) -> None:
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("probabilities", "given", "label")
    ]
    found = client.infer("cnn", [pixels_input(pixels, "UINT8", binary=binary_in)], outputs=outputs, request_id="7")
    probabilities = found.as_numpy("probabilities")
    assert probabilities.dtype == np.float32 and found.get_response()["id"] == "7"
    np.testing.assert_allclose(probabilities, expected, atol=2e-3)
    np.testing.assert_array_equal(found.as_numpy("given").argmax(axis=1), expected.argmax(axis=1))
    classes = client.get_model_metadata("cnn")["parameters"]["classes"]
    labels = [each.decode() if isinstance(each, bytes) else each for each in found.as_numpy("label")]
    assert labels == [classes[best] for best in expected.argmax(axis=1)]


def test_without_named_outputs_all_come_as_bytes(
    client: triton.InferenceServerClient, pixels: np.ndarray, expected: np.ndarray
) -> None:
    found = client.infer("cnn", [pixels_input(pixels, "UINT8")])
    assert all("binary_data_size" in each["parameters"] for each in found.get_response()["outputs"])
    np.testing.assert_allclose(found.as_numpy("probabilities"), expected, atol=2e-3)


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
def test_compressed_requests_and_answers_are_the_same(
    client: triton.InferenceServerClient, pixels: np.ndarray, expected: np.ndarray, packed: str
) -> None:
    found = client.infer(
        "cnn",
        [pixels_input(pixels, "UINT8")],
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
    )
    np.testing.assert_allclose(found.as_numpy("probabilities"), expected, atol=2e-3)


def test_files_go_as_bytes(client: triton.InferenceServerClient, tiny_runs: dict[str, Path]) -> None:
    files = [image(3), image(4, form="PNG")]
    tensor = triton.InferInput("images", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(files, object))
    predictor = distingo.load(tiny_runs["small-cnn"])
    asked = [triton.InferRequestedOutput("probabilities")]
    found = client.infer("cnn", [tensor], outputs=asked).as_numpy("probabilities").max(axis=1)
    np.testing.assert_allclose(found, [each.confidence for each in predictor.predict(files)], atol=2e-3)


@pytest.mark.parametrize("binary", [True, False])
def test_the_best_classes_come_as_texts(
    client: triton.InferenceServerClient, pixels: np.ndarray, expected: np.ndarray, binary: bool
) -> None:
    asked = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    found = client.infer("cnn", [pixels_input(pixels, "UINT8")], outputs=asked).as_numpy("probabilities")
    assert found.shape == (3, 2)
    classes = client.get_model_metadata("cnn")["parameters"]["classes"]
    for row, probabilities in zip(found, expected, strict=True):
        texts = [text.decode() if isinstance(text, bytes) else text for text in row]
        for text, index in zip(texts, np.argsort(-probabilities)[:2], strict=True):
            value, number, label = text.split(":")
            assert (int(number), label) == (index, classes[index])
            assert float(value) == pytest.approx(probabilities[index], abs=2e-3) and len(value) == len("0.123456")


def test_statistics_count_what_was_asked(client: triton.InferenceServerClient, pixels: np.ndarray) -> None:
    before = client.get_inference_statistics("cnn")["model_stats"][0]
    client.infer("cnn", [pixels_input(pixels, "UINT8")])
    after = client.get_inference_statistics("cnn")["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 1
    both = client.get_inference_statistics()["model_stats"]
    assert [each["name"] for each in both] == ["cnn", "words"] and both[1]["inference_count"] == 0


def test_refusals_reach_the_client_as_sentences(client: triton.InferenceServerClient, pixels: np.ndarray) -> None:
    with pytest.raises(InferenceServerException, match="an unknown output"):
        client.infer("cnn", [pixels_input(pixels, "UINT8")], outputs=[triton.InferRequestedOutput("features")])
    with pytest.raises(InferenceServerException, match="out of range"):
        client.infer("cnn", [pixels_input(pixels.astype(np.float32), "FP32")])
    bomb = np.zeros((1, 1000, 1100, 3), np.uint8)  # 3.3 MB that pack to 3 KB, where 1 MB is taken
    with pytest.raises(InferenceServerException, match="longer than the 1,048,576 bytes"):
        client.infer("cnn", [pixels_input(bomb, "UINT8")], request_compression_algorithm="gzip")
