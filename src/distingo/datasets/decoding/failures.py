"""Collect decoders' warnings with the image instead of printing them; and errors for files that can't be decoded.

Python packages log their warnings, which are collected by thread wherever an image is decoded. libtiff, which Pillow
uses, writes to the process's standard error. As that affects the entire process, it is captured only in distingo's own
commands (`enable`), while images are read; a warning belongs to the TIFF that was being read at the time.
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

_MAX_LENGTH = 160

_lock = threading.Lock()

_thread = threading.local()


class _State:
    """Whether standard error may be captured, by how many blocks it is, and the file it is captured in."""

    enabled = False
    passes = 0
    file: IO[bytes] | None = None
    restore: contextlib.ExitStack | None = None


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complaints = getattr(_thread, "complaints", None)
        if complaints is not None:
            with contextlib.suppress(Exception):  # a record with the wrong number of arguments
                complaints.append(record.getMessage())


@functools.cache
def listen() -> None:
    """Collect what decoding packages log, which is printed otherwise if logging is not configured."""
    handler = _Listener(logging.WARNING)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)


def enable() -> None:
    """Allow `caught` to capture the process's standard error; only for the command line."""
    _State.enabled = True


@contextlib.contextmanager
def complaints_of_decoding() -> Iterator[list[str]]:
    """Collect the warnings of decoders in this thread without duplicates; the list is complete when the block ends."""
    listen()
    previous = getattr(_thread, "complaints", None)
    complaints: list[str] = []
    _thread.complaints = complaints
    start = _caught_bytes()
    try:
        yield complaints
    finally:
        _thread.complaints = previous
        if (end := _caught_bytes()) > start and _State.file is not None:
            text = os.pread(_State.file.fileno(), min(end - start, 10_000), start).decode("utf-8", "replace")
            complaints += (line.removeprefix("tempfile.tif: ") for line in text.splitlines())
        complaints[:] = dict.fromkeys(" ".join(line.split())[:_MAX_LENGTH] for line in complaints if line.strip())


def _caught_bytes() -> int:
    file = _State.file
    return os.fstat(file.fileno()).st_size if file is not None else 0


@contextlib.contextmanager
def caught() -> Iterator[None]:
    """Capture what C libraries write to standard error while images are read, if `enable` was called.

    Python's own standard error is still printed.
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
    """Redirect the file descriptor of standard error to a file, and Python's streams to the terminal."""
    try:
        sys.stderr.flush()
        number = sys.stderr.fileno()
        terminal = os.dup(number)
    except (OSError, ValueError, AttributeError):  # replaced by a stream without a file, as in test runners
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

    def restore_streams() -> None:
        os.dup2(terminal, number)
        sys.stderr = original
        for handler in handlers:
            handler.setStream(original)
        _State.file = None

    os.dup2(file.fileno(), number)
    # Append mode, as several threads and libraries write to it.
    sys.stderr = stream
    for handler in handlers:
        handler.setStream(stream)
    _State.file = file
    restore.callback(restore_streams)


class UndecodableError(DataError):
    """An image file that can't be decoded.

    Attributes:
        reason: The reason.
        format: The actual format, or ``unknown``.
        usual_code: Default error code of the class.
    """

    usual_code: ErrorCode = "damaged_image"

    def __init__(self, reason: Note, detected: str, *, code: ErrorCode | None = None) -> None:
        super().__init__(str(reason), code=code or self.usual_code)
        self.reason = reason
        self.format = detected


class UnreadableError(UndecodableError):
    """A file that can't be read at the moment, independently of its content."""

    usual_code = "unreadable_image"


class TooManyPixelsError(UndecodableError):
    """A valid image that exceeds the pixel limit and is not decoded."""

    usual_code = "too_many_pixels"


class UnsupportedError(UndecodableError):
    """A valid file in an unsupported format; the reason names the format and a remedy."""

    usual_code = "unsupported_image"


BYTES_PER_PIXEL = 16
"""Memory for decoding a pixel within the pixel limit; a file that needs more counts as more pixels."""


def check_size(width: int, height: int, name: str, max_pixels: int, *, bytes_per_pixel: float = 0.0) -> None:
    """Refuse an image that exceeds the pixel limit, or has no pixels.

    Args:
        width: In pixels.
        height: In pixels.
        name: Its format.
        max_pixels: Maximum width times height of an ordinary image.
        bytes_per_pixel: Memory for decoding, if it may exceed `BYTES_PER_PIXEL`.

    Raises:
        TooManyPixelsError: It exceeds the limit.
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
