"""What is cached for every decoded image: arrays computed from it, and facts about its file.

By their facts, it is decided which of several copies of the same image is used.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import get_args

import numpy as np
import PIL
from PIL import Image

from distingo.datasets.cache.store import ArrayStore, Cache
from distingo.datasets.decoding.decode import DECODING, Decoded
from distingo.datasets.decoding.failures import TooManyPixelsError, UndecodableError, UnsupportedError
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.datasets.decoding.value_summaries import ValueSummary
from distingo.datasets.walking import Candidate
from distingo.files import content_hash
from distingo.language import use_language
from distingo.messages.notes import Note, note, text_note
from distingo.records import ImageNote, ImageSpec, ManifestStatus


@dataclass(frozen=True, slots=True)
class Product:
    """An array to compute from every image.

    Attributes:
        store: The store of its rows.
        compute: Computes the row of a decoded image (mode ``RGB`` or ``L``); called from several threads.
        compute_from_array: The same for gray pixels, uint8 of shape (height, width), if that is faster than creating an
            image first; None if it is not.
        finish: Converts a batch of computed rows (n, ...) to the n rows to store, for work that is done in batches,
            such as a network's; called from one thread. None stores the computed rows themselves.
        enough: Pixels of an image's shorter side that suffice for computing (`decoding.decode`); None needs all.
        batch_size: Number of rows passed to `finish` at once; the last batch may be smaller.
    """

    store: ArrayStore
    compute: Callable[[Image.Image], np.ndarray]
    compute_from_array: Callable[[np.ndarray], np.ndarray] | None = None
    finish: Callable[[np.ndarray], np.ndarray] | None = None
    enough: int | None = None
    batch_size: int = 1

    def row_from_array(self, gray: np.ndarray) -> np.ndarray:
        """Compute the row of a gray image (uint8 of shape (height, width)) that needs no decoding."""
        if self.compute_from_array is not None:
            return self.compute_from_array(gray)
        return self.compute(Image.fromarray(gray))


def pixels_product(cache: Cache, spec: ImageSpec) -> Product:
    """A product for the images themselves at a fixed size.

    Args:
        cache: The cache of the rows.
        spec: Size, channels and resize mode.

    Returns:
        A product with uint8 rows of shape (height, width, channels).
    """
    fitting = spec.fit if spec.fit == "stretch" else f"crop-{spec.crop_fraction!r}"
    kind = f"pixels-{fitting}-{spec.interpolation}-pillow-{PIL.__version__}-decoded-{DECODING}"
    shape = (spec.height, spec.width, spec.channels)

    def compute(image: Image.Image) -> np.ndarray:
        return render(image, spec)

    def compute_from_array(gray: np.ndarray) -> np.ndarray:
        if gray.shape == shape[:2] and spec.fit == "stretch":
            return np.broadcast_to(gray[..., None], shape)
        return compute(Image.fromarray(gray))

    return Product(cache.store(kind, shape, "uint8"), compute, compute_from_array, enough=shorter_side_for(spec))


_RECORD = struct.Struct("<BB16s24sII")
"""Whether usable, notes as bits, hash of the pixels, format, width, height."""

_VALUES = struct.Struct("<8sB6dB")
"""Summary of a deep image: type (empty for an 8-bit image), bits, its four ends, up to two no-data values."""

_ROW_BYTES = 512

_NOTES: tuple[ImageNote, ...] = get_args(ImageNote)

_FAULTS: dict[ImageNote, str] = {
    "missing-end-marker": "without-end-marker",
    "profile-ignored": "with-ignored-profile",
    "decoder-warning": "with-decoder-warning",
}
"""The codes of notes that count the files with each fault."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the content of a file.

    Attributes:
        usable: Whether it can be decoded.
        reason: Why not; for usable files, the faults that were tolerated, or None.
        format: The actual format.
        width: In pixels, upright; 0 if unusable.
        height: In pixels, upright; 0 if unusable.
        pixels: Hash of the decoded pixels, or of the stored values for a deep image; empty if unusable.
        values: The stored values of a deep image, without their digest; None for an 8-bit image.
        notes: As in `ManifestRow.notes`.
    """

    usable: bool
    reason: Note | None
    format: str
    width: int
    height: int
    pixels: str
    values: ValueSummary | None = None
    notes: tuple[ImageNote, ...] = ()


def facts_of(decoded: Decoded) -> Facts:
    """Describe a decoded image; a gray image and its RGB form have the same pixel hash.

    Args:
        decoded: As returned by `decode`.

    Returns:
        Its facts. A deep image is identified by its stored values, whatever range they are scaled by.
    """
    image, values = decoded.image, decoded.values
    if values is not None:
        pixels = content_hash(f"{image.size} {values.digest}".encode())
    else:
        # SHA-256 instead of `content_hash`: processors accelerate it, and these are most of the hashed bytes.
        digest = hashlib.sha256(struct.pack("<II", *image.size))
        digest.update(image.convert("RGB").tobytes() if image.mode == "L" else image.tobytes())
        pixels = digest.hexdigest()[:32]
    faults = (*map(Note, decoded.notes), *map(text_note, decoded.remarks))
    return Facts(
        usable=True,
        reason=note("used-despite", faults=faults) if faults else None,
        format=decoded.format,
        width=image.width,
        height=image.height,
        pixels=pixels,
        values=values and replace(values, digest=""),
        notes=decoded.notes,
    )


def facts_of_failure(error: UndecodableError) -> Facts:
    """Describe a file that can't be decoded."""
    notes: tuple[ImageNote, ...] = ()
    if isinstance(error, UnsupportedError):
        notes = ("unsupported",)
    elif isinstance(error, TooManyPixelsError):
        notes = ("too-many-pixels",)
    return Facts(usable=False, reason=error.reason, format=error.format, width=0, height=0, pixels="", notes=notes)


def describe_notes(facts: Iterable[Facts]) -> tuple[Note, ...]:
    """Write notes on files with tolerated faults, and on unsupported images.

    Args:
        facts: The facts of all files of a data set.
    """
    with_notes = [each for each in facts if each.notes]
    faulty = Counter(_FAULTS[fault] for each in with_notes if each.usable for fault in each.notes)
    unsupported = Counter(each.format for each in with_notes if "unsupported" in each.notes)
    summary = []
    if faulty:
        kinds = tuple(note(code, count=count) for code, count in faulty.most_common())
        summary.append(note("files-with-faults", kinds=kinds))
    if unsupported:
        kinds = tuple(note("files-of-kind", count=count, kind=kind) for kind, count in unsupported.most_common())
        summary.append(note("kinds-not-read", kinds=kinds))
    return tuple(summary)


def facts_store(cache: Cache) -> ArrayStore:
    """Open the store of facts; each Pillow version has its own, as another one may decode other files."""
    return cache.store(f"facts-2-{DECODING}-pillow-{PIL.__version__}", (_ROW_BYTES,), "uint8")


def pack_facts(facts: Facts) -> np.ndarray:
    """Encode facts as a row of the store: uint8 of shape (512,)."""
    notes = sum(1 << _NOTES.index(each) for each in facts.notes)
    pixels, stored_as = bytes.fromhex(facts.pixels), facts.format.encode()[:24]
    head = _RECORD.pack(facts.usable, notes, pixels, stored_as, facts.width, facts.height)
    head += _pack_values(facts.values)
    return np.frombuffer((head + _pack_reason(facts.reason, _ROW_BYTES - len(head))).ljust(_ROW_BYTES, b"\0"), np.uint8)


def unpack_facts(row: np.ndarray) -> Facts:
    """Decode facts from a row of the store."""
    content = row.tobytes()
    usable, bits, pixels, stored_as, width, height = _RECORD.unpack_from(content)
    notes = tuple(each for at, each in enumerate(_NOTES) if bits >> at & 1)
    values = _unpack_values(content[_RECORD.size :])
    reason_json = content[_RECORD.size + _VALUES.size :].rstrip(b"\0")
    reason = Note.from_json(json.loads(reason_json)) if reason_json else None
    pixels = pixels.hex() if usable else ""
    return Facts(bool(usable), reason, stored_as.rstrip(b"\0").decode(), width, height, pixels, values, notes)


def _pack_reason(reason: Note | None, room: int) -> bytes:
    """Encode a reason as JSON; one that is too long is stored as the beginning of its text."""
    if reason is None:
        return b""
    content = json.dumps(asdict(reason), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    if len(content) <= room:
        return content
    with use_language("en"):
        text = str(reason)
    for length in range(room, 0, -16):
        content = json.dumps(text[:length]).encode()
        if len(content) <= room:
            break
    return content


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


_PRIORITY = {"test": 0, "validation": 1, "train": 2, None: 3}


@dataclass(frozen=True, slots=True)
class Examined:
    """A candidate together with its content hash and decoding facts.

    Attributes:
        candidate: The file.
        content: Hash of its bytes; empty if it can't be opened.
        facts: What decoding it revealed.
    """

    candidate: Candidate
    content: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class FileUse:
    """How a file is used.

    Attributes:
        status: As in the manifest.
        reason: As in the manifest.
        same_as: As in the manifest.
    """

    status: ManifestStatus
    reason: Note | None = None
    same_as: str = ""


def resolve_duplicates(examined: Sequence[Examined]) -> list[FileUse]:
    """Decide for every file whether it is used.

    Of images with identical bytes or identical pixels, one is used: the one in the test split, otherwise in the
    validation split, otherwise the first by name. So nothing leaks from test to train, and a predefined test set stays
    unchanged. If copies have different classes (or sets of labels), all of them are left out, as the correct one is
    unknown.

    Args:
        examined: All candidates of a dataset, sorted by name.

    Returns:
        One verdict for each, in the same order.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(examined):
        groups[entry.facts.pixels or entry.content].append(index)
    uses = [FileUse("used" if entry.facts.usable else "unusable", entry.facts.reason) for entry in examined]
    for key, indices in groups.items():
        if len(indices) == 1 or not key:
            continue
        members = [examined[index] for index in indices]
        for index, use in zip(indices, _resolve_group(members), strict=True):
            uses[index] = use
    return uses


def _resolve_group(members: list[Examined]) -> list[FileUse]:
    if not members[0].facts.usable:
        first = members[0].candidate.source.file
        return [FileUse("unusable", member.facts.reason, first if at else "") for at, member in enumerate(members)]
    classes = {member.candidate.labels for member in members}
    if len(classes) > 1:
        return [_conflict(member, members) for member in members]
    used = min(members, key=lambda member: _PRIORITY[member.candidate.split])
    return [FileUse("used", member.facts.reason) if member is used else _duplicate(member, used) for member in members]


def _duplicate(member: Examined, used: Examined) -> FileUse:
    return FileUse(
        "duplicate",
        note(f"same-{_shared(member, used)}", file=used.candidate.source.file),
        used.candidate.source.file,
    )


def _conflict(member: Examined, members: list[Examined]) -> FileUse:
    other = next(entry for entry in members if entry.candidate.labels != member.candidate.labels)
    names = sorted({", ".join(entry.candidate.labels) or "no label" for entry in members})
    kind = "classes" if all(len(entry.candidate.labels) == 1 for entry in members) else "labels"
    reason = note(f"same-{_shared(member, other)}-other-{kind}", count=len(names), names=tuple(names))
    return FileUse("conflict", reason, other.candidate.source.file)


def _shared(one: Examined, other: Examined) -> str:
    return "bytes" if one.content == other.content else "pixels"
