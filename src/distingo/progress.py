"""Progress bars with time left, silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Tells the bar that `steps` more are done, with an optional text beside it."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Move the bar on."""


def _silent(steps: int = 1, text: str = "") -> None:
    del steps, text


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Advance]:
    """Show a bar with a count, the rate and the time left on a terminal; nothing elsewhere.

    Args:
        description: What is being done.
        total: How many steps it takes.

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
