"""Read a TIFF's directories: which page is the image, and its tags. Reads no pixels and needs NumPy only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from distingo.datasets.decoding.failures import UndecodableError
from distingo.messages.notes import note

# Limits for tags and pages, as a file may contain excessive numbers; anything beyond is ignored.
_MAX_TAGS = 4096

_MAX_PAGES = 1000

_MAX_SUBDIRECTORIES = 64

_MAX_SAMPLES = 65535

_TYPES = {
    1: "u1",
    2: "u1",
    3: "u2",
    4: "u4",
    6: "i1",
    7: "u1",
    8: "i2",
    9: "i4",
    11: "f4",
    12: "f8",
    13: "u4",
    16: "u8",
    17: "i8",
    18: "u8",
}

_RATIONALS = {5: "u4", 10: "i4"}

# Tags that are necessary to interpret pixels: if present, they must be readable.
_NEEDED = (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339)

_REDUCED, _MASK, _DEPTH_MAP = 1, 4, 8

_CCITT = {2, 3, 4, 32771}


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a TIFF, with tags whose values are read on demand.

    Attributes:
        data: The complete file.
        order: Byte order in NumPy's notation, ``<`` or ``>``.
        big: Whether the file is a BigTIFF.
        offset: Offset of the directory.
        next: Offset of the next directory in its chain; 0 for none.
        entries: Tag to type, number of values and their offset in the file.
    """

    data: bytes
    order: str
    big: bool
    offset: int
    next: int
    entries: dict[int, tuple[int, int, int]]

    def array(self, tag: int, max_count: int) -> np.ndarray | None:
        """The first `max_count` values of a tag as float64 or an integer type; None if it is missing or broken."""
        kind, count, position = self.entries.get(tag, (0, 0, 0))
        count = min(count, max_count)
        if kind in _RATIONALS:
            parts = self._read(_RATIONALS[kind], 2 * count, position)
            if parts is None or not parts[1::2].all():
                return None
            return np.asarray(parts[::2] / parts[1::2])
        return self._read(_TYPES[kind], count, position) if kind in _TYPES and count else None

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag as an integer, or the default if it is missing or broken."""
        values = self.array(tag, 1)
        return default if values is None or not np.isfinite(values[0]) else int(values[0])

    def numbers(self, tag: int, max_count: int) -> tuple[int, ...]:
        """The values of an integer tag; empty if it is missing or broken."""
        values = self.array(tag, max_count)
        return () if values is None or values.dtype.kind == "f" else tuple(values.tolist())

    def content(self, tag: int) -> bytes | None:
        """The bytes of a tag, or None if it is missing or broken."""
        values = self.array(tag, len(self.data))
        return None if values is None or values.dtype.itemsize != 1 else values.tobytes()

    def _read(self, kind: str, count: int, position: int) -> np.ndarray | None:
        dtype = np.dtype(self.order + kind)
        if position + count * dtype.itemsize > len(self.data):
            return None
        return np.frombuffer(self.data, dtype, count, position)


@dataclass(frozen=True, slots=True)
class Page:
    """The tags of a TIFF page that describe its pixels, with the defaults of the specification (TIFF 6.0).

    Attributes:
        directory: The page's directory, for rarely needed tags.
        first: Whether it is the file's first page.
        width: In pixels, as stored.
        height: In pixels, as stored.
        samples: Number of samples per pixel, including extra ones.
        bits: Bits of each sample.
        sample_format: 1 unsigned integer, 2 signed integer, 3 float, 4 undefined, 5 and 6 complex; 0 if samples differ.
        photometric: PhotometricInterpretation.
        compression: Compression.
        planar: Whether each sample has its own plane.
        reversed_bits: Whether the first pixel is in a byte's lowest bit (FillOrder 2).
        predictor: Predictor, 1 for none.
        tile: Width and height of a tile; None for strips.
        strip_rows: Rows of a strip.
        depth: Number of slices of a volume; 1 for an image.
        extra: ExtraSamples as the file lists them: 0 unspecified, 1 associated alpha, 2 unassociated alpha.
        subsampling: Horizontal and vertical subsampling of YCbCr.
        orientation: 1 to 8.
    """

    directory: Directory
    first: bool
    width: int
    height: int
    samples: int
    bits: tuple[int, ...]
    sample_format: int
    photometric: int
    compression: int
    planar: bool
    reversed_bits: bool
    predictor: int
    tile: tuple[int, int] | None
    strip_rows: int
    depth: int
    extra: tuple[int, ...]
    subsampling: tuple[int, int]
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after applying `orientation`."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @property
    def no_data(self) -> int | float | None:
        """The value for missing samples (GDAL_NODATA); None if the file has none."""
        text = (self.directory.content(42113) or b"").split(b"\0")[0].decode("latin-1").strip().replace(",", ".")
        for number in (int, float):
            with contextlib.suppress(ValueError):
                return number(text)
        return None

    @property
    def segment_size(self) -> tuple[int, int]:
        """Width and height of a tile or of a strip."""
        return self.tile or (self.width, self.strip_rows)

    @property
    def segments_across(self) -> int:
        """Number of tiles in a row; 1 for strips."""
        return -(-self.width // self.segment_size[0])

    @property
    def segments_down(self) -> int:
        """Number of strips, or rows of tiles."""
        return -(-self.height // self.segment_size[1])


def open_page(data: bytes) -> Page:
    """Find the page of a TIFF that contains the image.

    This is the first page, unless it is marked as a reduced version or as a mask of another; then the first page that
    is not marked, including subdirectories; otherwise the largest one that is not a mask, or the first.

    Args:
        data: The complete file.

    Returns:
        The page, with tags checked for completeness, but not for support.

    Raises:
        UndecodableError: The file has no directory, or the page has no size.
        EOFError: It ends before its first directory is complete.
    """
    directories = [first := _read_directory(data, *_header(data))]
    if not _mark(first):
        return _read_page(first, first=True)
    for directory in _walk(data, first):
        directories.append(directory)
        if not _mark(directory):
            return _read_page(directory, first=False)
    candidates = [each for each in directories if not _mark(each) & ~_REDUCED] or [first]
    largest = max(candidates, key=lambda each: each.number(256, 0) * each.number(257, 0))
    return _read_page(largest, first=largest is first)


def _header(data: bytes) -> tuple[str, bool, int]:
    """Read the byte order, whether it is a BigTIFF, and the offset of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    big = int(np.frombuffer(data, order + "u2", 1, 2)[0]) == 43
    if len(data) < (16 if big else 8):
        raise EOFError
    return order, big, int(np.frombuffer(data, order + ("u8" if big else "u4"), 1, 8 if big else 4)[0])


def _read_directory(data: bytes, order: str, big: bool, offset: int) -> Directory:  # noqa: FBT001
    """Read the locations of a directory's values, in the number sizes of a BigTIFF or a classic TIFF."""
    counter, number, inline = ("u8", "u8", 8) if big else ("u2", "u4", 4)
    entry = np.dtype(
        [("tag", order + "u2"), ("kind", order + "u2"), ("count", order + number), ("value", order + number)]
    )
    start = offset + np.dtype(counter).itemsize
    if not offset >= 8 or start > len(data):
        raise EOFError
    count = int(np.frombuffer(data, order + counter, 1, offset)[0])
    if not 0 < count <= _MAX_TAGS:
        raise UndecodableError(note("damaged-because", format="TIFF", error="its directory is no directory"), "TIFF")
    end = start + count * entry.itemsize
    if end > len(data):
        raise EOFError
    entries: dict[int, tuple[int, int, int]] = {}
    for at, (tag, kind, values, value) in enumerate(np.frombuffer(data, entry, count, start).tolist()):
        size = values * _size(kind)
        position = start + (at + 1) * entry.itemsize - inline if size <= inline else value
        entries.setdefault(tag, (kind, values, position))
    following = np.frombuffer(data[end : end + inline].ljust(inline, b"\0"), order + number)
    return Directory(data, order, big, offset, int(following[0]), entries)


def _size(kind: int) -> int:
    return 8 if kind in _RATIONALS else int(_TYPES.get(kind, "u1")[1])


def _walk(data: bytes, first: Directory) -> Iterator[Directory]:
    """Yield the directories after the first one, each followed by its subdirectories; a broken one ends its chain."""
    pending, visited = [*_below(first), first.next], {first.offset}
    while pending and len(visited) < _MAX_PAGES:
        offset = pending.pop(0)
        if not offset or offset in visited:
            continue
        visited.add(offset)
        try:
            directory = _read_directory(data, first.order, first.big, offset)
        except (EOFError, UndecodableError):
            continue
        pending = [*_below(directory), directory.next, *pending]
        yield directory


def _below(directory: Directory) -> tuple[int, ...]:
    return directory.numbers(330, _MAX_SUBDIRECTORIES)


def _mark(directory: Directory) -> int:
    """How a directory is marked instead of as the image: bits of NewSubfileType; 0 for the image itself."""
    mark = directory.number(254, 0) & (_REDUCED | _MASK | _DEPTH_MAP)
    # SubfileType is the older tag; photometric interpretation 4 always means a transparency mask.
    reduced = _REDUCED if directory.number(255, 0) == 2 else 0
    return mark | reduced | (_MASK if directory.number(262, 0) == 4 else 0)


def _read_page(directory: Directory, *, first: bool) -> Page:
    number = directory.number
    for tag in _NEEDED:
        if tag in directory.entries and directory.array(tag, 1) is None:
            raise UndecodableError(note("damaged-because", format="TIFF", error=f"its tag {tag} can't be read"), "TIFF")
    width, height, compression = number(256, 0), number(257, 0), number(259, 1)
    if width < 1 or height < 1:
        raise UndecodableError(note("no-pixels", format="TIFF"), "TIFF")
    samples = number(277, 3 if compression == 6 else 1)
    if not 1 <= samples <= _MAX_SAMPLES:
        raise UndecodableError(note("damaged-because", format="TIFF", error=f"{samples} samples per pixel"), "TIFF")
    tile = (number(322, 0), number(323, 0)) if 322 in directory.entries else None
    if tile is not None and min(tile) < 1:
        raise UndecodableError(note("damaged-because", format="TIFF", error="tiles without a size"), "TIFF")
    bits = directory.numbers(258, samples) or ((8,) if compression == 6 else (1,))
    formats = set(directory.numbers(339, samples)) or {1}
    extra = directory.numbers(338, samples)
    subsampling = directory.numbers(530, 2)
    orientation = number(274, 1)
    rows = number(278, height)
    return Page(
        directory=directory,
        first=first,
        width=width,
        height=height,
        samples=samples,
        bits=(bits * samples)[:samples] if len(bits) < samples else bits[:samples],
        sample_format=formats.pop() if len(formats) == 1 else 0,
        photometric=number(262, _usual_photometric(samples - len(extra), compression)),
        compression=compression,
        planar=number(284, 1) == 2 and samples > 1,
        reversed_bits=number(266, 1) == 2,
        predictor=number(317, 1),
        tile=tile,
        strip_rows=min(rows, height) if rows > 0 else height,
        depth=max(number(32997, 1), number(32998, 1)),
        extra=extra,
        subsampling=(subsampling[0], subsampling[1]) if len(subsampling) == 2 else (2, 2),
        orientation=orientation if 1 <= orientation <= 8 else 1,
    )


def _usual_photometric(colors: int, compression: int) -> int:
    """The default for a page without PhotometricInterpretation, as in libtiff."""
    if compression == 6:
        return 6
    if colors >= 3:
        return 2
    return 0 if compression in _CCITT else 1
