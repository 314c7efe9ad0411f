"""What reaches the terminal: progress bars with time left, and none of the libraries' own messages."""

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
    """Tells the bar that `steps` more are done, with an optional text next to it."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Move the bar on."""


def _silent(steps: int = 1, text: str = "") -> None:
    del steps, text


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Advance]:
    """Show a bar with a count, the rate and the time left on a terminal; nothing elsewhere.

    Args:
        description: What is being done.
        total: How many steps it takes; None where nobody knows, and no time left is shown.

    Yields:
        A function to call as steps get done.
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
        """Start.

        Args:
            show: Called with the files done (parts of files included), whole files and bytes; None shows nothing.
            done: How many files are there already.
        """
        self._show = show
        self._lock = Lock()
        self._under_way: dict[str, tuple[int, int | None]] = {}
        self._parts = 0.0
        self._files = done
        self._bytes = 0

    def advance(self, name: str, count: int, total: int | None, *, done: int | None = None) -> None:
        """More of a file has come.

        Args:
            name: Of the file.
            count: How many more bytes.
            total: How many it has, or None.
            done: How many are there now, those of earlier runs included; None counts those told of.
        """
        if self._show is None:
            return
        with self._lock:
            known = self._under_way.get(name, (0, None))[0]
            self._forget(name)
            self._under_way[name] = (known + count if done is None else done, total)
            self._parts += self._part(name)
            self._bytes += count
            self._show(self._files + self._parts, self._files, self._bytes)

    def restart(self, name: str) -> None:
        """A file is put off: it counts for nothing until it is begun anew."""
        with self._lock:
            self._forget(name)
            self._under_way.pop(name, None)

    def finish(self, name: str) -> None:
        """A file has its outcome."""
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
    """Show a bar of transfers with a count of files, bytes, bytes a second and the time left; silent elsewhere.

    Args:
        description: What is being done.
        total: How many files there are.
        done: How many of them are there already.

    Yields:
        What to tell about files and bytes.
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

        def show(whole: float, files: int, count: int) -> None:
            if (speed := rate.update(count)) is not None or files == total:
                bar.update(task, completed=whole, files=files, amount=decimal(count), rate=decimal(int(speed or 0)))

        yield TransferProgress(show, done)


class _Rate:
    """Bytes a second over the last few seconds, at most ten times a second."""

    def __init__(self) -> None:
        self._seen = deque([(time.monotonic(), 0)])

    def update(self, count: int) -> float | None:
        now = time.monotonic()
        if now - self._seen[-1][0] < 0.1:
            return None
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[0][0] > 5.0:
            self._seen.popleft()
        before, then = self._seen[0]
        return (count - then) / (now - before)


@contextmanager
def quiet_loggers(*names: str) -> Iterator[None]:
    """While the block lasts, let these loggers of libraries report errors only."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
