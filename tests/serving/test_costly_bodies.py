"""Small or cheap bodies that once took gigabytes: what each takes now, measured in a server of this process."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from served_runs import Server, image, running

from distingo.serving.http.access import RefusedError
from distingo.serving.requests import decode_base64
from distingo.serving.tensors import NestingError, NotNumbersError, read_nested, shape_of

MEBI = 2**20
JSON = "application/json"


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"cnn": tiny_runs["small-cnn"]}) as started:
        yield started


def infer(count: int, data: bytes) -> bytes:
    return (
        b'{"inputs": [{"name": "images", "shape": [1, 1, %d, 1], "datatype": "UINT8", "data": [' % count
        + data
        + b"]}]}"
    )


ONES_AND_TEXT = b"1," * 25_000 + b'"' + b"x" * 30_000 + b'"'
BODIES = {
    "a CSV of a million columns": ("/invocations", "text/csv", b"1," * MEBI + b"1\n", 413),
    "a CSV of 100,000 columns": ("/invocations", "text/csv", b"1," * 100_000 + b"1\n", 413),
    "a CSV of two million rows": ("/invocations", "text/csv", b"1\n" * (2 * MEBI), 413),
    "a CSV of empty lines in a cell": ("/invocations", "text/csv", b'image\n"' + b"\r" * (4 * MEBI) + b'"', 413),
    "a CSV of characters of four bytes": (
        "/invocations", "text/csv", b"image\n" + b"A" * (4 * MEBI) + "😀".encode(), 422,
    ),
    "numbers and a text": ("/invocations", JSON, b'{"instances": [[' + ONES_AND_TEXT + b"]]}", 422),
    "numbers and a text of one row": ("/invocations", JSON, b'{"instances": [[[' + ONES_AND_TEXT + b"]]]}", 422),
    "a tensor of numbers and a text": ("/v2/models/cnn/infer", JSON, infer(25_001, ONES_AND_TEXT), 422),
    "a tensor of other contents": ("/v2/models/cnn/infer", JSON, infer(1, ONES_AND_TEXT), 422),
    "escapes": ("/predict", JSON, b'{"images": [{"data": "data:,' + b"%41" * (2 * MEBI) + b'"}]}', 422),
    "JSON in other case": ("/invocations", "Application/Json", b'{"instances": [' + b"[]," * (3 * MEBI) + b"1]}", 413),
    "JSON in capitals": ("/predict", "APPLICATION/JSON", b'{"images": [' + b"[]," * (3 * MEBI) + b"1]}", 413),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_what_a_body_takes_is_bounded_by_its_length(server: Server, name: str) -> None:
    path, kind, body, status = BODIES[name]
    httpx2.post(server.url + "/predict", content=image(1), headers={"Content-Type": "image/jpeg"})
    tracemalloc.start()
    try:
        answer = httpx2.post(server.url + path, content=body, headers={"Content-Type": kind}, timeout=60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == status, answer.text
    # Numbers take 36 bytes for each of their two characters.
    assert peak < 18 * len(body) + 2 * MEBI, peak


def test_a_text_of_characters_of_four_bytes_counts_as_such(server: Server) -> None:
    """Two of them at once would take more than all JSON may."""
    bodies = server.models.settings.max_upload
    long = b'{"images": [{"name": "\\ud83d\\ude00", "data": "' + base64.b64encode(image(1)) + b'"}]}'
    assert bodies == 32 * MEBI
    answer = httpx2.post(server.url + "/predict", content=long, headers={"Content-Type": JSON})
    assert (answer.status_code, answer.json()["predictions"][0]["image"]) == (200, "😀")


def test_base64_in_addresses_keeps_its_escapes() -> None:
    content = bytes(range(256))
    text = base64.b64encode(content).decode()
    assert "+" in text and "/" in text and text.endswith("=")
    for upper in (True, False):
        escaped = text
        for character in "+/=":
            code = f"%{ord(character):02X}"
            escaped = escaped.replace(character, code if upper else code.lower())
        for written in (escaped, escaped[:8] + "%0d%0A%20" + escaped[8:]):
            assert decode_base64(f"data:image/png;base64,{written}", "x") == content
        with pytest.raises(RefusedError, match="no valid base64"):
            decode_base64(escaped, "x")
    for shift in range(6):  # wherever a long text is cut apart
        long = "A" * shift + "%2B" * 200_000 + "A" * (8 - shift)
        assert decode_base64(f"data:,{long}", "x") == decode_base64(long.replace("%2B", "+"), "x")
    for wrong in ("%41AAA", "%252B", "AA%", "AAA%3", "%2%2BB="):
        with pytest.raises(RefusedError, match="no valid base64"):
            decode_base64(f"data:,{wrong}", "x")


@pytest.mark.parametrize(
    ("nested", "shape", "kind"),
    [
        ([1, 2], (2,), "i"),
        ([[1, 2.5], [3, 4]], (2, 2), "f"),
        ([[[True], [False]]], (1, 2, 1), "b"),
        ([2**64 - 1], (1,), "u"),
        ([2**64 - 1, -1], (2,), "f"),
        ([[], []], (2, 0), "f"),
        ([[[[7]]]], (1, 1, 1, 1), "i"),
    ],
)
def test_nested_numbers_become_what_numpy_makes_of_them(nested: list[Any], shape: tuple[int, ...], kind: str) -> None:
    found = read_nested(nested, {bool, int, float})
    assert (found.shape, found.dtype.kind, shape_of(nested)) == (shape, kind, shape)
    np.testing.assert_array_equal(found, np.asarray(nested))


@pytest.mark.parametrize("nested", [[[1], [2, 3]], [[1], 2], [1, [2]], [[[[[1]]]]], [[1, 2], [3, [4]]], [[], [1]]])
def test_uneven_lists_are_told_apart(nested: list[Any]) -> None:
    with pytest.raises(NestingError):
        read_nested(nested, {int})


@pytest.mark.parametrize("nested", [["1"], [1, "a"], [None], [{}], [1.5], [True], [[1], [None]]])
def test_what_is_no_wanted_number_is_told_apart(nested: list[Any]) -> None:
    with pytest.raises(NotNumbersError):
        read_nested(nested, {int})
