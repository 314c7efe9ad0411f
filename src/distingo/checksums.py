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
import math
import mmap
import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np  # takes longer to import than --help may take

CHECKSUM = "checksum"
TENSOR_PLACE = "00000000"
"""Placeholder in a safetensors file's metadata until `write_tensors` has computed the checksum."""

_JSON_END = re.compile(rb',?\n  "checksum": "([0-9a-f]{8})"\n}\n\Z')
_TENSOR_SEAL = re.compile(rb'"checksum" ?: ?"([0-9a-f]{8})"')


def compute_checksum(parts: Iterable[bytes | memoryview]) -> str:
    """Compute the CRC-32 of the concatenated parts, as eight hexadecimal digits."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return f"{value:08x}"


def checksum_file(path: Path) -> str:
    """Compute the checksum of a file in constant memory."""
    with path.open("rb") as file:
        return compute_checksum(iter(lambda: file.read(1 << 20), b""))


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


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor to be written by `write_tensors`.

    Attributes:
        dtype: Type as safetensors names it, for example ``F32``.
        shape: Its shape.
        size: Number of its bytes.
        content: Returns the bytes in row-major order, little-endian; called once, when they are written.
    """

    dtype: str
    shape: tuple[int, ...]
    size: int
    content: Callable[[], bytes | memoryview]

    @classmethod
    def from_array(cls, array: np.ndarray) -> TensorEntry:
        """Describe a numpy array of numbers or booleans."""
        plain = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        dtype = "BOOL" if plain.dtype.kind == "b" else f"{plain.dtype.kind.upper()}{8 * plain.dtype.itemsize}"
        return cls(dtype, plain.shape, plain.nbytes, lambda: plain.reshape(-1).view("u1").data)


_TENSOR_ORDER = ("U64", "I64", "F64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "I8", "U8", "BOOL")
"""Types from the strictest alignment to the weakest: the order of tensors that the safetensors library writes."""


def write_tensors(
    file: IO[bytes], tensors: Mapping[str, TensorEntry], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file with a checksum in its metadata, one tensor at a time.

    The library's own functions hold up to four copies of all tensors; this one holds a copy of one tensor at most. The
    bytes depend on names, values and metadata only.

    Args:
        file: Binary file that can be written and sought, at its beginning.
        tensors: Tensors by name.
        metadata: Further metadata.
    """
    order = sorted(tensors, key=lambda name: (_TENSOR_ORDER.index(tensors[name].dtype), name))
    header: dict[str, object] = {"__metadata__": dict(sorted({**(metadata or {}), CHECKSUM: TENSOR_PLACE}.items()))}
    end = 0
    for name in order:
        entry, start = tensors[name], end
        end += entry.size
        header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (start, end)}
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    encoded = encoded.ljust(math.ceil(len(encoded) / 8) * 8)
    head = len(encoded).to_bytes(8, "little") + encoded
    checksum = zlib.crc32(head)
    file.write(head)
    for name in order:
        content = tensors[name].content()
        checksum = zlib.crc32(content, checksum)
        file.write(content)
    match = _find_tensor_seal(head)
    assert match is not None
    file.seek(match.start(1))
    file.write(f"{checksum:08x}".encode())
    file.seek(0, os.SEEK_END)


def are_tensors_intact(content: bytes | memoryview | mmap.mmap) -> bool:
    """Whether a safetensors file matches its checksum; a file without a checksum counts as intact."""
    match = _find_tensor_seal(content)
    if match is None:
        return True
    start, end = match.span(1)
    view = memoryview(content)
    return compute_checksum([view[:start], TENSOR_PLACE.encode(), view[end:]]) == match[1].decode()


def _find_tensor_seal(content: bytes | memoryview | mmap.mmap) -> re.Match[bytes] | None:
    size = int.from_bytes(content[:8], "little")
    return _TENSOR_SEAL.search(content, 8, min(8 + size, len(content)))
