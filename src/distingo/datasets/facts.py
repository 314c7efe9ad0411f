"""What decoding a file showed, kept so that it need not be decoded again to know it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np
import PIL
from PIL import Image

from distingo.datasets.decoding import UndecodableError
from distingo.datasets.store import ArrayStore, Cache

_RECORD = struct.Struct("<B16s24sII")
_ROW_BYTES = 320


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a file's bytes.

    Attributes:
        usable: Whether they decode.
        reason: Why not; empty if they do.
        format: What they really are.
        width: In pixels, upright; 0 if unusable.
        height: In pixels, upright; 0 if unusable.
        pixels: Hash of the decoded pixels; empty if unusable.
    """

    usable: bool
    reason: str
    format: str
    width: int
    height: int
    pixels: str


def facts_of(image: Image.Image, stored_as: str) -> Facts:
    """Describe a decoded picture; grey and its RGB form count as the same pixels.

    Args:
        image: Mode ``RGB`` or ``L``.
        stored_as: The file's format.

    Returns:
        Its facts.
    """
    # SHA-256 rather than `content_hash`: processors have instructions for it, and these are the most bytes hashed.
    digest = hashlib.sha256(struct.pack("<II", *image.size))
    digest.update(image.convert("RGB").tobytes() if image.mode == "L" else image.tobytes())
    pixels = digest.hexdigest()[:32]
    return Facts(usable=True, reason="", format=stored_as, width=image.width, height=image.height, pixels=pixels)


def facts_of_failure(error: UndecodableError) -> Facts:
    """Describe a file that gives no picture."""
    return Facts(usable=False, reason=error.reason, format=error.format, width=0, height=0, pixels="")


def facts_store(cache: Cache) -> ArrayStore:
    """Open the store of facts; another Pillow may decode what this one can't, so each version has its own."""
    return cache.store(f"facts-2-pillow-{PIL.__version__}", (_ROW_BYTES,), "uint8")


def pack_facts(facts: Facts) -> np.ndarray:
    """Write facts as a row of the store: uint8 of shape (320,)."""
    head = _RECORD.pack(
        facts.usable, bytes.fromhex(facts.pixels), facts.format.encode()[:24], facts.width, facts.height
    )
    reason = facts.reason.encode()[: _ROW_BYTES - len(head)]
    return np.frombuffer((head + reason).ljust(_ROW_BYTES, b"\0"), np.uint8)


def unpack_facts(row: np.ndarray) -> Facts:
    """Read facts from a row of the store."""
    content = row.tobytes()
    usable, pixels, stored_as, width, height = _RECORD.unpack_from(content)
    reason = content[_RECORD.size :].rstrip(b"\0").decode("utf-8", "ignore")
    return Facts(bool(usable), reason, stored_as.rstrip(b"\0").decode(), width, height, pixels.hex() if usable else "")
