"""Progress bars for the terminal, and a way to silence the log messages of libraries."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol


class Advance(Protocol):
    """Callback that advances a progress bar by `steps`, with an optional text next to the bar."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Advance the bar."""


def _silent(steps: int = 1, text: str = "") -> None:
    del steps, text


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Advance]:
    """Show a progress bar with a count and the time left, if stderr is a terminal.

    Args:
        description: Text before the bar.
        total: Number of steps; None if unknown, in which case no time left is shown.

    Yields:
        A function to call after each step.
    """
    if not sys.stderr.isatty() or total == 0:
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, text="")

        def advance(steps: int = 1, text: str = "") -> None:
            bar.update(task, advance=steps, text=text)

        yield advance


class TransferProgress:
    """Counts files and bytes of many transfers at once, from several threads."""

    def __init__(self, show: Callable[[float, int, int], None] | None, done: int = 0) -> None:
        """Create the counter.

        Args:
            show: Called with the files done including fractions, the complete files, and the bytes; or None.
            done: Number of files that are already complete.
        """
        self._show = show
        self._lock = Lock()
        self._under_way: dict[str, tuple[int, int | None]] = {}
        self._parts = 0.0
        self._files = done
        self._bytes = 0

    def advance(self, name: str, count: int, total: int | None, *, done: int | None = None) -> None:
        """Report that more bytes of a file have arrived.

        Args:
            name: Identifies the file.
            count: Number of new bytes.
            total: Size of the file in bytes, or None if unknown.
            done: Bytes of the file so far, including those of earlier runs; None adds up the reported counts.
        """
        if self._show is None:
            return
        with self._lock:
            bytes_before = self._under_way.get(name, (0, None))[0]
            self._forget(name)
            self._under_way[name] = (bytes_before + count if done is None else done, total)
            self._parts += self._part(name)
            self._bytes += count
            self._show(self._files + self._parts, self._files, self._bytes)

    def restart(self, name: str) -> None:
        """Report that a file was postponed: its bytes no longer count as progress."""
        with self._lock:
            self._forget(name)
            self._under_way.pop(name, None)

    def finish(self, name: str) -> None:
        """Report that a file is finished, successfully or not."""
        with self._lock:
            self._forget(name)
            self._under_way.pop(name, None)
            self._files += 1
            if self._show is not None:
                self._show(self._files + self._parts, self._files, self._bytes)

    def _forget(self, name: str) -> None:
        self._parts = max(0.0, self._parts - self._part(name)) if self._under_way else 0.0

    def _part(self, name: str) -> float:
        done, total = self._under_way.get(name, (0, None))
        return min(1.0, done / total) if total else 0.0


@contextmanager
def transfer_bar(description: str, total: int, done: int = 0) -> Iterator[TransferProgress]:
    """Show a progress bar with files, bytes, bytes per second and the time left, if stderr is a terminal.

    Args:
        description: Text before the bar.
        total: Number of files.
        done: Number of files that are already complete.

    Yields:
        The counter to report files and bytes to.
    """
    if not sys.stderr.isatty() or total == done:
        yield TransferProgress(None)
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]:,}/{task.total:,} files"),
        TextColumn("{task.fields[amount]}  {task.fields[rate]}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, completed=done, files=done, amount=decimal(0), rate=decimal(0))
        rate = _Rate()

        def show(completed: float, files: int, count: int) -> None:
            if (speed := rate.update(count)) is not None or files == total:
                bar.update(task, completed=completed, files=files, amount=decimal(count), rate=decimal(int(speed or 0)))

        yield TransferProgress(show, done)


class _Rate:
    """Measures bytes per second over the last five seconds, at most ten times a second."""

    def __init__(self) -> None:
        self._seen = deque([(time.monotonic(), 0)])

    def update(self, count: int) -> float | None:
        now = time.monotonic()
        if now - self._seen[-1][0] < 0.1:
            return None
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[0][0] > 5.0:
            self._seen.popleft()
        start_time, start_bytes = self._seen[0]
        return (count - start_bytes) / (now - start_time)


@contextmanager
def quiet_loggers(*names: str) -> Iterator[None]:
    """Context manager in which the named loggers report errors only."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
