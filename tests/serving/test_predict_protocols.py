"""KServe v1, MLflow's scoring protocol and SageMaker's; the first two with their own clients."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import numpy as np
import pandas as pd
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from PIL import Image
from served_runs import Command, Server, command, image, running

import distingo
from distingo.scores import Prediction


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"cnn": tiny_runs["small-cnn"]}, max_images=4, max_pixels=10_000) as started:
        yield started


@pytest.fixture(scope="module")
def served(tiny_runs: dict[str, Path]) -> Iterator[Command]:
    with command(f"cnn={tiny_runs['small-cnn']}") as started:
        yield started


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [image(3, form="PNG"), image(4, form="PNG")]


@pytest.fixture(scope="module")
def expected(tiny_runs: dict[str, Path], images: list[bytes]) -> list[Prediction]:
    return distingo.load(tiny_runs["small-cnn"]).predict(images)


def check(rows: list[dict[str, Any]], expected: list[Prediction]) -> None:
    assert [row["label"] for row in rows] == [each.label for each in expected]
    for row, each in zip(rows, expected, strict=True):
        assert set(row) == {"label", "probability", "labels", "known", "probabilities", "error"}
        assert row["probabilities"] == pytest.approx(dict(zip(each.labels, each.probabilities, strict=True)), abs=2e-3)
        assert row["probability"] == row["probabilities"][row["label"]]
        assert (row["labels"], row["known"], row["error"]) == ([each.label], True, None)


def texts(images: list[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in images]


def pixels(images: list[bytes]) -> list[np.ndarray]:
    return [np.array(Image.open(io.BytesIO(each))) for each in images]


def test_kserves_client_of_version_1(served: Command, images: list[bytes], expected: list[Prediction]) -> None:
    async def ask() -> None:
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
            assert await client.is_model_ready(served.url, "cnn")
            for instances in (
                [{"b64": text} for text in texts(images)],
                [{"image": {"b64": text}} for text in texts(images)],
                [{"image_bytes": text, "key": str(at)} for at, text in enumerate(texts(images))],
                [each.tolist() for each in pixels(images)],
                [(each / 255).tolist() for each in pixels(images)],
            ):
                found = await client.infer(served.url, {"instances": instances}, model_name="cnn")
                check(found["predictions"], expected)
            with pytest.raises(httpx.HTTPStatusError, match="none is opened"):
                await client.infer(served.url, {"instances": ["https://example.org/a.jpg"]}, model_name="cnn")
            with pytest.raises(httpx.HTTPStatusError, match="no model of this name"):
                await client.is_model_ready(served.url, "dog")

    asyncio.run(ask())


@pytest.mark.parametrize("binary", [True, False])
def test_kserves_client_of_version_2(
    served: Command, images: list[bytes], expected: list[Prediction], binary: bool
) -> None:
    stacked = np.stack(pixels(images))
    tensor = InferInput("images", list(stacked.shape), "UINT8")
    tensor.set_data_from_numpy(stacked, binary_data=binary)
    files = InferInput("images", [2], "BYTES")
    files.set_data_from_numpy(np.array(images, object))

    async def ask() -> None:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(served.url) and await client.is_server_ready(served.url)
            assert await client.is_model_ready(served.url, "cnn")
            assert not await client.is_model_ready(served.url, "dog")
            for each in (tensor, files):
                asked = InferRequest("cnn", [each], request_id="a", parameters={"binary_data_output": binary})
                found = await client.infer(served.url, asked, model_name="cnn")
                outputs = {output.name: output.as_numpy() for output in found.outputs}
                labels = [text.decode() if isinstance(text, bytes) else text for text in outputs["label"]]
                assert (found.id, labels) == ("a", [prediction.label for prediction in expected])
                best = [prediction.confidence for prediction in expected]
                np.testing.assert_allclose(outputs["probabilities"].max(axis=1), best, atol=2e-3)

    asyncio.run(ask())


def test_mlflows_client(served: Command, images: list[bytes], expected: list[Prediction]) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    client = ScoringServerClient(host, port)
    client.ping()
    frames = [
        pd.DataFrame({"image": texts(images)}),
        pd.DataFrame({"number": [1, 2], "image": [base64.encodebytes(each).decode() for each in images]}),
        np.stack(pixels(images)),
    ]
    for frame in frames:
        check(client.invoke(frame).get_predictions().to_dict("records"), expected)
    (one, _) = client.invoke(frames[0], params={"top_k": 1}).get_predictions().to_dict("records")
    assert list(one["probabilities"]) == [expected[0].label]


def test_rows_come_in_every_form(server: Server, images: list[bytes], expected: list[Prediction]) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["image"], *([base64.encodebytes(each).decode()] for each in images)])
    bodies: list[dict[str, Any]] = [
        {"json": {"dataframe_records": [{"image": text} for text in texts(images)]}},
        {"json": {"dataframe_split": {"columns": ["a"], "index": [0, 1], "data": [[text] for text in texts(images)]}}},
        {"json": {"inputs": texts(images)}},
        {"json": {"inputs": {"image": texts(images)}}},
        {"json": {"instances": texts(images)}},
        {"content": table.getvalue(), "headers": {"Content-Type": "text/csv; charset=utf-8"}},
        {"content": "\n".join(texts(images)), "headers": {"Content-Type": "text/csv"}},
        {"files": [("upload", ("a", each)) for each in images]},
    ]
    for body in bodies:
        answer = httpx2.post(server.url + "/invocations", **body)
        assert answer.status_code == 200, answer.text
        check(answer.json()["predictions"], expected)


@pytest.mark.parametrize("kind", ["image/png", "application/x-image", "application/octet-stream"])
def test_an_images_own_bytes_are_one_row(
    server: Server, images: list[bytes], expected: list[Prediction], kind: str
) -> None:
    """As SageMaker's clients send it."""
    assert httpx2.get(server.url + "/ping").status_code == 200
    answer = httpx2.post(server.url + "/invocations", content=images[0], headers={"Content-Type": kind})
    check(answer.json()["predictions"], expected[:1])


def test_one_image_that_can_not_be_read_has_its_reason_in_its_row(server: Server, images: list[bytes]) -> None:
    one, other = texts([b"GIF89a", images[0]])
    answer = httpx2.post(server.url + "/v1/models/cnn:predict", json={"instances": [one, other]})
    bad, good = answer.json()["predictions"]
    assert (bad["label"], bad["probability"], bad["known"], bad["probabilities"]) == (None, None, False, {})
    assert bad["error"] and good["error"] is None
    alone = httpx2.post(server.url + "/v1/models/cnn:predict", json={"instances": [one]})
    assert alone.status_code == 422 and isinstance(alone.json()["error"], str)


SMALL = [[[0, 0, 0]] * 2] * 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"instances": [], "inputs": []}, 422),
        ({"instances": []}, 422),
        ({"instances": "a"}, 422),
        ({"instances": [SMALL] * 5}, 413),
        ({"instances": [[[0] * 101] * 100]}, 413),
        ({"instances": [3]}, 422),
        ({"instances": [None]}, 422),
        ({"instances": [{}]}, 422),
        ({"instances": [{"a": {"b": {"c": {"d": "AAAA"}}}}]}, 422),
        ({"instances": [{"a": "", "b": ""}]}, 422),
        ({"instances": [[1, 2]]}, 422),
        ({"instances": [[[1], [2, 3]]]}, 422),
        ({"instances": [[[[0, 0]]]]}, 422),
        ({"instances": [[[256]]]}, 422),
        ({"instances": [[[1.5]]]}, 422),
        ({"instances": [[["a"]]]}, 422),
        ({"instances": [SMALL], "params": 3}, 422),
        ({"instances": [SMALL], "params": {"topk": 1}}, 422),
        ({"instances": [SMALL], "params": {"explain": True}}, 422),
        ({"instances": [SMALL], "params": {"coverage": 0.99999}}, 422),
        ({"dataframe_split": []}, 422),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [["", ""]]}}, 422),
        ({"dataframe_split": {"columns": ["image"], "data": [["", ""]]}}, 422),
        ({"dataframe_records": {}}, 422),
        ({"inputs": {}}, 422),
        ({"inputs": 3}, 422),
    ],
)
def test_rows_that_can_not_be_read_are_refused(server: Server, body: dict[str, Any], status: int) -> None:
    answer = httpx2.post(server.url + "/invocations", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["reason"]


def test_other_bodies_are_refused(server: Server) -> None:
    for kind, body, status in (
        ("text/plain", b"x", 415),
        ("text/csv", b"", 422),
        ("text/csv", b"a,b\n1,2\n", 422),
        ("text/csv", b"image\n1\n", 422),
        ("text/csv", b"\xff\xfe\x00", 422),
    ):
        answer = httpx2.post(server.url + "/invocations", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, (body, answer.text)


def test_the_models_of_version_1_are_listed(server: Server) -> None:
    assert httpx2.get(server.url + "/v1/models").json() == {"models": ["cnn"]}
    assert httpx2.get(server.url + "/v1/models/cnn").json() == {"name": "cnn", "ready": True}
    missing = httpx2.get(server.url + "/v1/models/dog")
    assert missing.status_code == 404 and isinstance(missing.json()["error"], str)
