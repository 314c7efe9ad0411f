from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st

from distingo.serving.http.access import RefusedError
from distingo.serving.http.bodies import Decompressor, find_encoding
from distingo.serving.http.guard import pack_answer


def unpack(encoding: str, parts: list[bytes]) -> bytes:
    unpacker = Decompressor(encoding)
    whole = b"".join(piece for part in parts for piece in unpacker.unpack(part))
    unpacker.check_end()
    return whole


@given(st.binary(max_size=2000), st.integers(1, 50), st.sampled_from(["gzip", "deflate"]))
def test_what_was_packed_comes_back_in_whatever_parts_it_comes(content: bytes, step: int, encoding: str) -> None:
    packed = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    assert unpack(encoding, [packed[at : at + step] for at in range(0, len(packed), step)]) == content


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", b""),
        ("gzip", gzip.compress(b"x" * 100, mtime=0)[:-1]),
        ("gzip", gzip.compress(b"x" * 100, mtime=0) + b"more"),
        ("gzip", gzip.compress(b"x" * 100, mtime=0)[:-8] + bytes(8)),
        ("deflate", b"\xff\xff\xff"),
        ("deflate", zlib.compress(b"x") + b"more"),
        ("deflate", zlib.compress(b"x" * 100)[:-2]),
    ],
)
def test_a_damaged_body_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        unpack(encoding, [body])
    assert refused.value.status == 400 and refused.value.closes


def test_a_bomb_comes_in_pieces_and_takes_no_memory_of_its_own() -> None:
    bomb = gzip.compress(bytes(256 * 2**20))
    assert len(bomb) < 2**19
    tracemalloc.start()
    sizes = [len(piece) for piece in Decompressor("gzip").unpack(bomb)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(sizes) == 256 * 2**20 and max(sizes) <= 2**18
    assert peak < 4 * 2**20


def test_known_encodings_are_found() -> None:
    assert [find_encoding(each) for each in ("", "identity", "GZIP", " x-gzip ", "deflate")] == [
        None,
        None,
        "gzip",
        "gzip",
        "deflate",
    ]
    for other in ("br", "zstd", "gzip, gzip"):
        with pytest.raises(RefusedError) as refused:
            find_encoding(other)
        assert refused.value.status == 415


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("br, identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0", None),
        ("*", "gzip"),
        ("gzip;q=x", None),
    ],
)
def test_an_answer_is_packed_as_the_client_likes_it(accepted: str, encoding: str | None) -> None:
    whole = json.dumps([0.5] * 500).encode()
    answer = pack_answer(Response(whole, media_type="application/json"), accepted)
    assert answer.headers.get("content-encoding") == encoding
    assert int(answer.headers["content-length"]) == len(answer.body)
    unpacked = {None: bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}[encoding](bytes(answer.body))
    assert unpacked == whole


def test_an_answer_that_would_grow_is_left() -> None:
    answer = pack_answer(Response(b"[1]"), "gzip")
    assert answer.body == b"[1]" and "content-encoding" not in answer.headers
