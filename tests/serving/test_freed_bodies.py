"""What a request brought is freed with its answer, without the garbage collector: refused, damaged, failed or answered.

The collector may not come for long, and a few megabytes are one object to it.
"""

from __future__ import annotations

import base64
import gc
import http.client
import json
import struct
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from served_runs import Command, Server, command, image, running, wait_until

from distingo.prediction.naming import ModelOutput
from distingo.serving.http.access import RefusedError, free_frames

MEBI = 2**20
JSON = "application/json"
FORM = "multipart/form-data; boundary=b"
JUNK = b"a" * (2 * MEBI)
TEXT = base64.b64encode(JUNK)


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kept = tmp_path_factory.mktemp("kept") / "corrections.sqlite"
    with running({"cnn": tiny_runs["small-cnn"]}, max_upload=8 * MEBI, max_pixels=10_000, corrections=kept) as started:
        yield started


def post(port: int, path: str, kind: str, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": kind, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()


def form(*files: bytes, name: bytes = b"image") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="' + name + b'"; filename="a"\r\n\r\n'
    labels = b'--b\r\nContent-Disposition: form-data; name="labels"\r\n\r\nred\r\n'
    return labels * (name == b"image") + b"".join(head + file + b"\r\n" for file in files) + b"--b--\r\n"


def binary() -> tuple[bytes, dict[str, str]]:
    tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(JUNK) + 4}}
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + struct.pack("<I", len(JUNK)) + JUNK, {"Inference-Header-Content-Length": str(len(head))}


INFER = "/v2/models/cnn/infer"
TIFF = b"II*\x00\x08\x00\x00\x00" + JUNK
REQUESTS = {
    "bytes": ("/predict", "image/png", JUNK, 415),
    "form": ("/predict", FORM, form(JUNK, name=b"a"), 415),
    "form of two": ("/predict", FORM, form(JUNK[:MEBI], JUNK[:MEBI], name=b"a"), 200),
    "JSON": ("/predict", JSON, b'{"images": [{"data": "' + TEXT + b'"}]}', 415),
    "JSON that breaks off": ("/predict", JSON, b'{"images": [{"data": "' + TEXT, 400),
    "no base64": ("/predict", JSON, b'{"images": [{"data": "' + b"%41" * MEBI + b'"}]}', 422),
    "form that breaks off": ("/predict", FORM, form(JUNK, name=b"a")[:-5], 400),
    "other type": ("/predict", "text/plain", JUNK, 415),
    "too long": ("/predict", "image/png", JUNK * 5, 413),
    "unusual and damaged": ("/predict", "image/tiff", TIFF, 422),
    "damaged": ("/predict", "image/jpeg", image(1)[:300] + JUNK, 422),
    "too many pixels": ("/predict", "image/jpeg", image(1, size=(300, 200)) + JUNK, 413),
    "answered": ("/predict", "image/jpeg", image(1) + JUNK, 200),
    "no such model": ("/predict?model=dog", "image/jpeg", image(1) + JUNK, 404),
    "Hugging Face": ("/models/cnn", "image/png", JUNK, 415),
    "Hugging Face JSON": ("/models/cnn", JSON, b'{"inputs": "' + TEXT + b'"}', 415),
    "CSV": ("/invocations", "text/csv", b"image\n" + TEXT + b"\n", 415),
    "CSV that breaks off": ("/invocations", "text/csv", b'image\n"' + TEXT, 415),
    "CSV of lines": ("/invocations", "text/csv", b"\n" * MEBI, 413),
    "SageMaker": ("/invocations", "application/x-image", JUNK, 415),
    "MLflow": ("/invocations", JSON, b'{"dataframe_records": [{"image": "' + TEXT + b'"}]}', 415),
    "uneven pixels": ("/invocations", JSON, b'{"instances": [[[1],[' + b"1," * (MEBI // 2) + b"1]]]}", 422),
    "pixels and a text": ("/invocations", JSON, b'{"instances": [[[' + b"1," * 9000 + b'"' + TEXT + b'"]]]}', 422),
    "KServe": ("/v1/models/cnn:predict", JSON, b'{"instances": [{"b64": "' + TEXT + b'"}]}', 415),
    "a tensor": (
        INFER, JSON,
        b'{"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["' + TEXT + b'"]}]}', 415,
    ),
    "a tensor of bytes": (INFER, "application/octet-stream", binary()[0], 415),
    "a correction": ("/corrections", FORM, form(JUNK), 415),
    "an unusual correction": ("/corrections", FORM, form(TIFF), 422),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_body_is_freed_with_its_answer(server: Server, name: str) -> None:
    path, kind, body, status = REQUESTS[name]
    headers = binary()[1] if name == "a tensor of bytes" else {}
    with without_collector():
        for _ in range(2):
            assert post(server.port, path, kind, body, **headers) == status
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(6):
            assert post(server.port, path, kind, body, **headers) == status
        wait_until(lambda: tracemalloc.get_traced_memory()[0] - before < MEBI)


def test_a_fault_of_ours_frees_the_body_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rows: np.ndarray) -> ModelOutput:
        raise ValueError("a fault of the model")

    monkeypatch.setattr(server.models.get("cnn").batcher, "_predict_rows", broken)
    with without_collector():
        assert post(server.port, "/predict", "image/jpeg", image(1) + JUNK) == 500
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(6):
            assert post(server.port, "/predict", "image/jpeg", image(1) + JUNK) == 500
        wait_until(lambda: tracemalloc.get_traced_memory()[0] - before < MEBI)


def test_frames_are_freed_and_lines_of_faults_stay() -> None:
    def fail(error: Exception) -> Exception:
        held = [0]
        try:
            try:
                raise KeyError(*held)
            except KeyError as cause:
                raise error from cause
        except Exception as failed:
            return failed

    refusal = fail(RefusedError(415, "no picture"))
    free_frames(refusal)
    assert (refusal.__traceback__, refusal.__cause__, refusal.__context__) == (None, None, None)
    fault = fail(ValueError("a fault"))
    free_frames(fault)
    assert fault.__traceback__ is not None and fault.__traceback__.tb_frame.f_locals == {}
    assert fault.__cause__ is not None and fault.__cause__.__traceback__ is not None


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_two_hundred_refused_bodies_leave_no_memory_behind(tiny_runs: dict[str, Path]) -> None:
    from attacked_server import resident

    body = form(b"a" * (31 * MEBI), name=b"a")
    with command(f"cnn={tiny_runs['small-cnn']}") as started:
        port = int(started.url.rpartition(":")[2])
        assert _refused(started, port, body, 10) == [415] * 10
        before = resident(started.process.pid)
        assert _refused(started, port, body, 200) == [415] * 200
        assert resident(started.process.pid) - before < 4 * len(body)


def _refused(started: Command, port: int, body: bytes, times: int) -> list[int]:
    return [post(port, "/predict", FORM, body) for _ in range(times)]
