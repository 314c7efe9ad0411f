"""Compressed bodies: unpacked piece by piece, so that a limit holds before memory is taken; and answers packed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from fastapi import Response

from distingo.serving.refused import RefusedError

ENCODINGS = ("gzip", "deflate")
_PIECE = 256 * 1024
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_LEVEL = 1


class Decompressor:
    """Unpacks one body.

    Args:
        encoding: ``gzip``, of which several members may follow each other, or ``deflate``: a zlib stream as HTTP has it
            (RFC 9110), or the bare one that some clients send.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
        self._has_begun = False

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """What the next part of a body holds, in pieces of 256 KiB at most.

        Raises:
            RefusedError: It is not packed so, or something follows its end (400).
        """
        while packed:
            if self._unpacker.eof:
                if self._encoding == "deflate":
                    raise RefusedError(400, "bytes after the end of the deflated body", closes=True)
                self._unpacker = zlib.decompressobj(_WINDOW_BITS["gzip"])
            piece = self._step(packed)
            packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            if piece:
                yield piece

    def check_end(self) -> None:
        """Refuse a body that breaks off.

        Raises:
            RefusedError: Its end is missing (400).
        """
        if not self._unpacker.eof:
            raise RefusedError(400, f"the {self._encoding} body breaks off before its end", closes=True)

    def _step(self, packed: bytes) -> bytes:
        began, self._has_begun = self._has_begun, True
        try:
            return self._unpacker.decompress(packed, _PIECE)
        except zlib.error as error:
            if self._encoding == "deflate" and not began:
                self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
                return self._step(packed)
            raise RefusedError(400, f"the body is no valid {self._encoding}", closes=True) from error


def find_encoding(said: str) -> str | None:
    """Which of `ENCODINGS` a ``Content-Encoding`` names; None for none.

    Raises:
        RefusedError: It names another, or several (415).
    """
    name = said.strip().lower()
    if name in {"", "identity"}:
        return None
    name = name.removeprefix("x-")
    if name not in ENCODINGS:
        raise RefusedError(
            415, f"a body in another encoding; send it as it is, or as {' or '.join(ENCODINGS)}", closes=True
        )
    return name


def pack_answer(answer: Response, accepted: str) -> Response:
    """Pack an answer in the encoding that the client likes best, where that makes it smaller.

    Args:
        answer: With its whole body.
        accepted: The request's ``Accept-Encoding``.
    """
    answer.headers["Vary"] = "Accept-Encoding"
    encoding = _preferred(accepted)
    if encoding is None:
        return answer
    whole = bytes(answer.body)
    packed = gzip.compress(whole, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(whole, _LEVEL)
    if len(packed) < len(whole):
        answer.body = packed
        answer.headers["Content-Encoding"] = encoding
        answer.headers["Content-Length"] = str(len(packed))
    return answer


def _preferred(accepted: str) -> str | None:
    """The accepted encoding of the greatest weight, gzip before deflate (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for entry in accepted[:1024].lower().split(","):
        name, _, weight = entry.partition(";")
        weights[name.strip().removeprefix("x-")] = _weight(weight)
    known = [(weights.get(name, weights.get("*", 0.0)), name) for name in ENCODINGS]
    best, name = max(known, key=lambda pair: pair[0])
    return name if best > 0 else None


def _weight(said: str) -> float:
    name, _, value = said.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
