"""A name as a table writes it to the path it means: slashes of Windows, URIs, percent signs, dots, Unicode forms."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from urllib.parse import unquote

_DRIVE = re.compile(r"[A-Za-z]:/")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_FILE_URI = "file:"


def path_of(name: str) -> str:
    r"""The likeliest path that a name means, with forward slashes and in Unicode's composed form.

    Args:
        name: ``a.jpg``, ``./x/a.jpg``, ``x\a.jpg``, ``C:\x\a.jpg``, ``file:///x/a%20b.jpg``.

    Returns:
        Without ``.`` and inner ``..``; a path that leads up begins with ``../``; nothing stays nothing. Percent signs
        are resolved in URIs only.
    """
    text = name.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if text[:5].lower() == _FILE_URI:
        text = _path_of_uri(text)
    if "\\" in text:
        text = text.replace("\\", "/")
    return _without_dots(text)


def other_readings(name: str) -> tuple[str, ...]:
    r"""What a name may mean besides, where `path_of` leads to no file, the likeliest first.

    Args:
        name: ``my%20photo.jpg`` may have been made for a web page; ``x\a.jpg`` may be one file's name; quotes may have
            been taken along from another program.
    """
    readings = []
    text = unicodedata.normalize("NFC", name.strip())
    if "\\" in text:
        readings.append(text)
    if _PERCENT.search(text):
        readings.append(path_of(unquote(text)))
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        readings.append(path_of(text[1:-1]))
    return tuple(reading for reading in readings if reading)


def is_absolute(path: str) -> bool:
    """Whether a path from `path_of` begins at a root, a drive or a server."""
    return path.startswith("/") or _DRIVE.match(path) is not None


def leads_outside(path: str) -> bool:
    """Whether a path from `path_of` is absolute or leads above the folder that it starts from."""
    return path.startswith(("/", "../")) or _DRIVE.match(path) is not None


def is_web_address(name: str) -> bool:
    """Whether a name is the address of something on the web."""
    return name.lstrip()[:8].lower().startswith(("http://", "https://"))


def _path_of_uri(text: str) -> str:
    path = text[len(_FILE_URI) :]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        path = slash + rest if host.lower() in {"", "localhost"} else path
    path = unicodedata.normalize("NFC", unquote(path))
    return path[1:] if _DRIVE.match(path[1:].replace("\\", "/")) else path


def _without_dots(path: str) -> str:
    if not path or not ("/." in path or "//" in path or path.startswith(".") or path.endswith("/")):
        return path
    plain = posixpath.normpath(path)
    return "" if plain == "." else plain
