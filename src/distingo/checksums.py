"""Checksums inside the files that distingo writes, so that a damaged file is never used silently.

CRC-32 detects every changed byte and every burst of up to 32 bits, misses one random change in four billion, and runs
at more than a gigabyte per second. It protects against faulty disks and cables, not against deliberate changes.

- JSON files end with the member ``checksum``, which covers all bytes before it. A file that another program has
  reformatted lacks this ending, and is read like a file of an older version.
- safetensors files have ``checksum`` in their metadata, which covers all bytes with eight zeros in its place.
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
"""Placeholder in a safetensors file's metadata until `seal_tensors` has computed the checksum."""

_JSON_END = re.compile(rb',?\n  "checksum": "([0-9a-f]{8})"\n}\n\Z')
_TENSOR_SEAL = re.compile(rb'"checksum" ?: ?"([0-9a-f]{8})"')


def compute_checksum(parts: Iterable[bytes | memoryview]) -> str:
    """Compute the CRC-32 of the concatenated parts, as eight hexadecimal digits."""
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
    """Whether a JSON file matches its checksum; a file without a checksum counts as intact."""
    match = _JSON_END.search(content, max(0, len(content) - 40))
    return match is None or compute_checksum([memoryview(content)[: match.start()]]) == match[1].decode()


def seal_tensors(content: bytes) -> bytes:
    """Fill in the checksum of a safetensors file that has `TENSOR_PLACE` in its metadata.

    The metadata are sorted by name, since the library writes them in varying order.

    Raises:
        ValueError: The metadata have no placeholder.
    """
    content = _sort_metadata(content)
    match = _find_tensor_seal(content)
    if match is None or match[1] != TENSOR_PLACE.encode():
        raise ValueError("no place for a checksum in the metadata")
    start, end = match.span(1)
    view = memoryview(content)
    checksum = compute_checksum([view])
    return b"".join([view[:start], checksum.encode(), view[end:]])


def are_tensors_intact(content: bytes | memoryview | mmap.mmap) -> bool:
    """Whether a safetensors file matches its checksum; a file without a checksum counts as intact."""
    match = _find_tensor_seal(content)
    if match is None:
        return True
    start, end = match.span(1)
    view = memoryview(content)
    return compute_checksum([view[:start], TENSOR_PLACE.encode(), view[end:]]) == match[1].decode()


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
