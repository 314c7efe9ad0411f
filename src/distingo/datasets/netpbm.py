"""Netpbm images that Pillow reads in 8 bits only: PGM and PPM of more, PAM, and PFM of floats."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]+)")
_PAM_LINE = re.compile(rb"[ \t\r\n]*(?:#[^\n]*\n[ \t\r\n]*)*([A-Z]+)[ \t]*([^\n]*)\n")
_SPACE = re.compile(rb"\s")
_STRETCH = 1 << 18
_PLAIN = {b"P2": 1, b"P3": 3}
_RAW = {b"P5": 1, b"P6": 3}
_FLOAT = {b"Pf": 1, b"PF": 3}


@dataclass(frozen=True, slots=True)
class NetpbmHeader:
    """What a Netpbm header tells.

    Attributes:
        magic: Its first two letters.
        width: In pixels.
        height: In pixels.
        channels: Samples per pixel.
        most: The value of white; of PFM the scale, negative for little-endian.
        at: Where the pixels begin.
    """

    magic: bytes
    width: int
    height: int
    channels: int
    most: float
    at: int

    @property
    def deep(self) -> bool:
        """Whether its values are more than the 256 levels that Pillow keeps."""
        return self.magic in _FLOAT or self.most > 255

    @property
    def dtype(self) -> np.dtype:
        """Of one stored sample."""
        if self.magic in _FLOAT:
            return np.dtype("<f4" if self.most < 0 else ">f4")
        return np.dtype(np.uint8 if self.most < 256 else ">u2")


def read_netpbm_header(data: bytes) -> NetpbmHeader | None:
    """Read the header of a PGM, PPM, PAM or PFM file; None for another kind (bitmaps) or a damaged one."""
    magic = data[:2]
    if magic == b"P7":
        return _read_pam_header(data)
    channels = _PLAIN.get(magic) or _RAW.get(magic) or _FLOAT.get(magic)
    if channels is None:
        return None
    numbers: list[float] = []
    at = 2
    for _ in range(3):
        match = _TOKEN.match(data, at)
        if match is None:
            return None
        try:
            numbers.append(float(match[1]))
        except ValueError:
            return None
        at = match.end()
    width, height, most = numbers
    sound = width == int(width) > 0 and height == int(height) > 0 and (magic in _FLOAT or 1 <= most <= 65535)
    return NetpbmHeader(magic, int(width), int(height), channels, most, at + 1) if sound else None


def _read_pam_header(data: bytes) -> NetpbmHeader | None:
    fields: dict[bytes, bytes] = {}
    at = 3
    while (match := _PAM_LINE.match(data, at)) is not None and len(fields) < 16:
        at = match.end()
        if match[1] == b"ENDHDR":
            break
        fields[match[1]] = match[2].strip()
    try:
        width, height, channels, most = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError):
        return None
    sound = width > 0 and height > 0 and 1 <= channels <= 4 and 1 <= most <= 65535
    return NetpbmHeader(b"P7", width, height, channels, most, at) if sound else None


def read_netpbm_values(data: bytes, header: NetpbmHeader) -> np.ndarray:
    """Read the pixels.

    Args:
        data: The file's content.
        header: Of this file.

    Returns:
        The stored values, (height, width) or (height, width, channels): uint8, uint16 or float32.

    Raises:
        EOFError: Pixels are lacking.
        ValueError: A number of a plain file is none.
    """
    count = header.width * header.height * header.channels
    if header.magic in _PLAIN:
        flat = _read_plain(data, header, count)
    else:
        if len(data) - header.at < count * header.dtype.itemsize:
            raise EOFError("pixels are lacking")
        flat = np.frombuffer(data, header.dtype, count, header.at)
    values = flat.reshape(header.height, header.width, header.channels)
    values = values[::-1] if header.magic in _FLOAT else values
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return values[..., 0] if header.channels == 1 else values


def _read_plain(data: bytes, header: NetpbmHeader, count: int) -> np.ndarray:
    """The numbers of a plain file, uint16, a stretch of its text at a time."""
    text, at = data, header.at - 1
    if b"#" in data:
        text, at = re.sub(rb"#[^\n]*", b"", data[at:]), 0
    numbers, found = np.empty(count, np.uint16), 0
    while found < count:
        if at >= len(text):
            raise EOFError("pixels are lacking")
        after = _SPACE.search(text, at + _STRETCH)
        end = after.start() if after is not None else len(text)
        part = np.array(text[at:end].split()[: count - found], dtype=np.uint32)
        if part.size and part.max() > header.most:
            raise ValueError(f"a value above {header.most:.0f}")
        numbers[found : found + part.size] = part
        found, at = found + part.size, end
    return numbers
