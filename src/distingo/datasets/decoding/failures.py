"""The warnings of decoders, kept with the image instead of on the terminal; and why a file gives no image.

Python packages log their complaints; these are caught thread by thread wherever an image is decoded. libtiff, which
Pillow uses, writes to the process's standard error itself. That is caught only in commands of ours (`enable`), while
images are read, since it concerns the whole process; a complaint is kept with the TIFF that was being read then.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from distingo.errors import DataError, ErrorCode
from distingo.messages.notes import Note, note

_LOGGERS = ("PIL", "tifffile", "imagecodecs", "pillow_heif")

_MOST_LETTERS = 160

_lock = threading.Lock()

_heard = threading.local()


class _State:
    """Whether standard error may be caught, by how many passes it is, and what it is caught in."""

    enabled = False
    passes = 0
    file: IO[bytes] | None = None
    restore: contextlib.ExitStack | None = None


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complaints = getattr(_heard, "complaints", None)
        if complaints is not None:
            with contextlib.suppress(Exception):  # a record with the wrong number of arguments
                complaints.append(record.getMessage())


@functools.cache
def listen() -> None:
    """Catch what decoding packages log, which else goes to the terminal where nobody set logging up."""
    handler = _Listener(logging.WARNING)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)


def enable() -> None:
    """Allow `caught` to catch the process's standard error: for the command line only."""
    _State.enabled = True


@contextlib.contextmanager
def complaints_of_decoding() -> Iterator[list[str]]:
    """Collect the warnings of decoders in this thread, each line once; filled when the block ends."""
    listen()
    before = getattr(_heard, "complaints", None)
    found: list[str] = []
    _heard.complaints = found
    start = _caught_bytes()
    try:
        yield found
    finally:
        _heard.complaints = before
        if (end := _caught_bytes()) > start and _State.file is not None:
            text = os.pread(_State.file.fileno(), min(end - start, 10_000), start).decode("utf-8", "replace")
            found += (line.removeprefix("tempfile.tif: ") for line in text.splitlines())
        found[:] = dict.fromkeys(" ".join(line.split())[:_MOST_LETTERS] for line in found if line.strip())


def _caught_bytes() -> int:
    file = _State.file
    return os.fstat(file.fileno()).st_size if file is not None else 0


@contextlib.contextmanager
def caught() -> Iterator[None]:
    """While images are read, keep what C libraries write to standard error; nothing unless `enable` was called.

    Python's own standard error goes on to the terminal.
    """
    if not _State.enabled:
        yield
        return
    with _lock:
        _State.passes += 1
        if _State.passes == 1:
            _redirect()
    try:
        yield
    finally:
        with _lock:
            _State.passes -= 1
            if _State.passes == 0 and _State.restore is not None:
                _State.restore.close()
                _State.restore = None


def _redirect() -> None:
    """Let the file descriptor of standard error lead to a file, and Python's streams past it to the terminal."""
    try:
        sys.stderr.flush()
        number = sys.stderr.fileno()
        terminal = os.dup(number)
    except (OSError, ValueError, AttributeError):  # replaced by a stream without a file, as test runners do
        return
    restore = contextlib.ExitStack()
    _State.restore = restore
    restore.callback(os.close, terminal)
    stream = restore.enter_context(os.fdopen(os.dup(terminal), "w", buffering=1, errors="backslashreplace"))
    original = sys.stderr
    handlers = [
        handler
        for logger in (logging.getLogger(), logging.getLogger("distingo"))
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is original
    ]
    file = restore.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack is its context

    def put_back() -> None:
        os.dup2(terminal, number)
        sys.stderr = original
        for handler in handlers:
            handler.setStream(original)
        _State.file = None

    os.dup2(file.fileno(), number)
    # Appending: several threads and libraries write to it.
    sys.stderr = stream
    for handler in handlers:
        handler.setStream(stream)
    _State.file = file
    restore.callback(put_back)


class UndecodableError(DataError):
    """A file that gives no image.

    Attributes:
        reason: Why.
        format: What the file really is, ``unknown`` where nothing is known.
        usual_code: The code of errors of this class for which no other is named.
    """

    usual_code: ErrorCode = "damaged_image"

    def __init__(self, reason: Note, detected: str, *, code: ErrorCode | None = None) -> None:
        super().__init__(str(reason), code=code or self.usual_code)
        self.reason = reason
        self.format = detected


class UnreadableError(UndecodableError):
    """A file that can't be read now, whatever its bytes are."""

    usual_code = "unreadable_image"


class TooManyPixelsError(UndecodableError):
    """An image over the pixel limit: fine in itself, but not decoded."""

    usual_code = "too_many_pixels"


class UnsupportedError(UndecodableError):
    """A valid file of a format that is not supported; the reason names the format and what helps."""

    usual_code = "unsupported_image"


BYTES_PER_PIXEL = 16
"""Memory that decoding one pixel may take within the pixel limit; a file that takes more counts as more pixels."""


def check_size(width: int, height: int, name: str, max_pixels: int, *, bytes_per_pixel: float = 0.0) -> None:
    """Refuse an image over the pixel limit, or without pixels.

    Args:
        width: In pixels.
        height: In pixels.
        name: Its format.
        max_pixels: Width times height of an ordinary image that is just decoded.
        bytes_per_pixel: What decoding takes, where it may be more than `BYTES_PER_PIXEL`.

    Raises:
        TooManyPixelsError: It is over the limit.
        UndecodableError: It has no pixels.
    """
    if width * height > max_pixels:
        raise TooManyPixelsError(note("too-many-pixels", width=width, height=height, limit=max_pixels), name)
    counted = math.ceil(width * height * bytes_per_pixel / BYTES_PER_PIXEL)
    if counted > max_pixels:
        reason = note("too-much-memory", width=width, height=height, counted=counted, limit=max_pixels)
        raise TooManyPixelsError(reason, name)
    if width < 1 or height < 1:
        raise UndecodableError(note("no-pixels", format=name), name)
