"""The chunks of a PNG file that Pillow doesn't hand on."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class PngFacts:
    """What a PNG's chunks before its pixels tell.

    Attributes:
        depth: Bits per stored sample.
        bits: Significant bits of a sample, from the sBIT chunk; None where there is none.
        cicp: The four bytes of the cICP chunk (color primaries, transfer, matrix, range); None where there is none.
    """

    depth: int
    bits: int | None = None
    cicp: bytes | None = None


def read_png_facts(data: bytes) -> PngFacts:
    """Read the chunks before the pixels.

    Args:
        data: The file's content.

    Returns:
        What they tell; a depth of 0 where the file is damaged.
    """
    depth, bits, cicp = 0, None, None
    for name, content in _chunks(data):
        if name == b"IHDR" and len(content) >= 13:
            depth = content[8]
        elif name == b"sBIT" and content:
            bits = max(content[:3])
        elif name == b"cICP" and len(content) == 4:
            cicp = content
    return PngFacts(depth, bits if bits and 0 < bits < depth else None, cicp)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk up to the pixels."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in {b"IDAT", b"IEND"}:
            return
        yield name, data[at + 8 : at + 8 + length]
        at += length + 12
