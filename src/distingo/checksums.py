"""Checksums inside the files that distingo writes, so that a damaged one is never used without a word.

CRC-32: it finds every changed byte and every burst of up to 32 bits, misses one random change in four billion, and
reads more than a gigabyte a second. It protects against disks and cables, not against people.

- JSON files end with the member ``checksum``, over all bytes before it. A file that a program has written anew in
  another form has no such end, and is read like one of an older version.
- safetensors files carry ``checksum`` in their metadata, over all bytes with eight zeros in its place.
- Other files (tables, exported models) are recorded in ``checksums.json`` next to them (`distingo.files`).
"""

from __future__ import annotations

import json
import mmap
import re
import zlib
from collections.abc import Iterable

CHECKSUM = "checksum"
TENSOR_PLACE = "00000000"
"""Stands in a safetensors file's metadata until `seal_tensors` knows the checksum."""

_JSON_END = re.compile(rb',?\n  "checksum": "([0-9a-f]{8})"\n}\n\Z')
_TENSOR_SEAL = re.compile(rb'"checksum" ?: ?"([0-9a-f]{8})"')


def compute_checksum(parts: Iterable[bytes | memoryview]) -> str:
    """CRC-32 of the parts one after another, as eight hexadecimal digits."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return f"{value:08x}"


def seal_json(text: str) -> str:
    """Add the member ``checksum`` to a JSON object that `json.dumps` wrote with an indent of two spaces."""
    if not text.endswith("\n}\n"):
        return text
    head = text.removesuffix("\n}\n")
    return f'{head},\n  "{CHECKSUM}": "{compute_checksum([head.encode("utf-8")])}"\n}}\n'


def is_json_intact(content: bytes) -> bool:
    """Whether a JSON file has the checksum it was written with; one without any counts as intact."""
    found = _JSON_END.search(content, max(0, len(content) - 40))
    return found is None or compute_checksum([memoryview(content)[: found.start()]]) == found[1].decode()


def seal_tensors(content: bytes) -> bytes:
    """Fill in the checksum of a safetensors file that was made with `TENSOR_PLACE` in its metadata.

    Its metadata are sorted by name: the library's order differs from one writing to the next.

    Raises:
        ValueError: There is no place for it.
    """
    content = _sort_metadata(content)
    found = _find_tensor_seal(content)
    if found is None or found[1] != TENSOR_PLACE.encode():
        raise ValueError("no place for a checksum in the metadata")
    start, end = found.span(1)
    view = memoryview(content)
    checksum = compute_checksum([view])
    return b"".join([view[:start], checksum.encode(), view[end:]])


def are_tensors_intact(content: bytes | memoryview | mmap.mmap) -> bool:
    """Whether a safetensors file has the checksum it was written with; one without any counts as intact."""
    found = _find_tensor_seal(content)
    if found is None:
        return True
    start, end = found.span(1)
    view = memoryview(content)
    return compute_checksum([view[:start], TENSOR_PLACE.encode(), view[end:]]) == found[1].decode()


def _sort_metadata(content: bytes) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header: dict[str, object] = json.loads(content[8 : 8 + size])
    if isinstance(metadata := header.get("__metadata__"), dict):
        header["__metadata__"] = dict(sorted(metadata.items()))
    ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8").ljust(size)
    return content if len(ordered) != size else b"".join([content[:8], ordered, memoryview(content)[8 + size :]])


def _find_tensor_seal(content: bytes | memoryview | mmap.mmap) -> re.Match[bytes] | None:
    size = int.from_bytes(content[:8], "little")
    return _TENSOR_SEAL.search(content, 8, min(8 + size, len(content)))
