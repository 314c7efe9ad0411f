"""TIFF files written tag by tag, for what no library writes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Tags = Mapping[int, tuple[str, Sequence[float] | bytes]]
_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "R": 5, "b": 6, "h": 8, "i": 9, "f": 11, "d": 12, "Q": 16}
_SIZES = {"B": 1, "s": 1, "H": 2, "I": 4, "R": 8, "b": 1, "h": 2, "i": 4, "f": 4, "d": 8, "Q": 8}


def raw_tiff(*pages: tuple[Tags, Sequence[bytes]], order: str = "<", big: bool = False) -> bytes:
    """Pages of tags and segments to a file; StripOffsets and the like are filled in, tags given are kept.

    A segment that is ``b""`` is written as a missing one: offset and size 0.
    """
    mark = b"II" if order == "<" else b"MM"
    word = "Q" if big else "I"
    out = bytearray(mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0)))
    link = 8 if big else 4
    for given, segments in pages:
        offsets = []
        for segment in segments:
            offsets.append(len(out) if segment else 0)
            out += segment
            out += b"\0" * (len(out) % 2)
        tiled = 322 in given
        tags = {
            (324 if tiled else 273): (word, offsets),
            (325 if tiled else 279): (word, [len(segment) for segment in segments]),
            **given,
        }
        entries = []
        for tag, (kind, values) in sorted(tags.items()):
            packed, count = _pack(kind, values, order)
            if len(packed) <= (8 if big else 4):
                place = packed.ljust(8 if big else 4, b"\0")
            else:
                place = struct.pack(order + word, len(out))
                out += packed + b"\0" * (len(packed) % 2)
            entries.append(struct.pack(f"{order}HH{word}", tag, _TYPES[kind], count) + place)
        struct.pack_into(order + word, out, link, len(out))
        out += struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries)
        link = len(out)
        out += struct.pack(order + word, 0)
    return bytes(out)


def _pack(kind: str, values: Sequence[float] | bytes, order: str) -> tuple[bytes, int]:
    if isinstance(values, bytes):
        return values, len(values) // _SIZES[kind]
    if kind == "R":
        return b"".join(struct.pack(f"{order}II", round(each * 10000), 10000) for each in values), len(values)
    return struct.pack(f"{order}{len(values)}{kind}", *values), len(values)


def gray_tags(width: int, height: int, bits: int = 8, photometric: int = 1, **more: int) -> dict:
    """The tags of an uncompressed gray page in one strip."""
    return {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits]),
        259: ("H", [1]),
        262: ("H", [photometric]),
        277: ("H", [1]),
        278: ("I", [height]),
    }
