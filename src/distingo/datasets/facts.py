"""What decoding a file showed, kept so that it need not be decoded again to know it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

import numpy as np
import PIL
from PIL import Image

from distingo.datasets.decoding import UndecodableError
from distingo.datasets.store import ArrayStore, Cache
from distingo.datasets.value_ranges import ValueSummary
from distingo.files import content_hash

_RECORD = struct.Struct("<B16s24sII")
_VALUES = struct.Struct("<8sB6dB")
"""The summary of a deep image: type (empty for an 8-bit image), bits, its four ends, up to two marks of no data."""

_ROW_BYTES = 384


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a file's bytes.

    Attributes:
        usable: Whether they decode.
        reason: Why not; empty if they do.
        format: What they really are.
        width: In pixels, upright; 0 if unusable.
        height: In pixels, upright; 0 if unusable.
        pixels: Hash of the decoded pixels, of a deep image of its stored values; empty if unusable.
        values: The stored values of a deep image, without their digest; None for an 8-bit image.
    """

    usable: bool
    reason: str
    format: str
    width: int
    height: int
    pixels: str
    values: ValueSummary | None = None


def facts_of(image: Image.Image, stored_as: str, values: ValueSummary | None = None) -> Facts:
    """Describe a decoded picture; grey and its RGB form count as the same pixels.

    Args:
        image: Mode ``RGB`` or ``L``.
        stored_as: The file's format.
        values: The stored values of a deep image, whose pixels here depend on a value range.

    Returns:
        Its facts.
    """
    width, height = image.size
    if values is not None:
        pixels = content_hash(f"{image.size} {values.digest}".encode())
        kept = replace(values, digest="")
        return Facts(usable=True, reason="", format=stored_as, width=width, height=height, pixels=pixels, values=kept)
    # SHA-256 rather than `content_hash`: processors have instructions for it, and these are the most bytes hashed.
    digest = hashlib.sha256(struct.pack("<II", *image.size))
    digest.update(image.convert("RGB").tobytes() if image.mode == "L" else image.tobytes())
    pixels = digest.hexdigest()[:32]
    return Facts(usable=True, reason="", format=stored_as, width=width, height=height, pixels=pixels)


def facts_of_failure(error: UndecodableError) -> Facts:
    """Describe a file that gives no picture."""
    return Facts(usable=False, reason=error.reason, format=error.format, width=0, height=0, pixels="")


def facts_store(cache: Cache) -> ArrayStore:
    """Open the store of facts; another Pillow may decode what this one can't, so each version has its own."""
    return cache.store(f"facts-3-pillow-{PIL.__version__}", (_ROW_BYTES,), "uint8")


def pack_facts(facts: Facts) -> np.ndarray:
    """Write facts as a row of the store: uint8 of shape (384,)."""
    head = _RECORD.pack(
        facts.usable, bytes.fromhex(facts.pixels), facts.format.encode()[:24], facts.width, facts.height
    ) + _pack_values(facts.values)
    reason = facts.reason.encode()[: _ROW_BYTES - len(head)]
    return np.frombuffer((head + reason).ljust(_ROW_BYTES, b"\0"), np.uint8)


def unpack_facts(row: np.ndarray) -> Facts:
    """Read facts from a row of the store."""
    content = row.tobytes()
    usable, pixels, stored_as, width, height = _RECORD.unpack_from(content)
    values = _unpack_values(content[_RECORD.size :])
    reason = content[_RECORD.size + _VALUES.size :].rstrip(b"\0").decode("utf-8", "ignore")
    pixels = pixels.hex() if usable else ""
    return Facts(bool(usable), reason, stored_as.rstrip(b"\0").decode(), width, height, pixels, values)


def _pack_values(values: ValueSummary | None) -> bytes:
    if values is None:
        return bytes(_VALUES.size)
    ends = (values.low, values.high, values.low_percentile, values.high_percentile)
    marks = (*values.no_data, 0.0, 0.0)[:2]
    return _VALUES.pack(values.dtype.encode(), values.bits, *ends, *marks, len(values.no_data))


def _unpack_values(content: bytes) -> ValueSummary | None:
    dtype, bits, low, high, low_percentile, high_percentile, *marks, count = _VALUES.unpack_from(content)
    if not dtype.rstrip(b"\0"):
        return None
    ends = (low, high, low_percentile, high_percentile)
    return ValueSummary(dtype.rstrip(b"\0").decode(), bits, *ends, tuple(marks[:count]))
