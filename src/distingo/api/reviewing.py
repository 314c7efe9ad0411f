"""The call that opens the page on which a person decides about findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.findings import FINDINGS_FOLDER, read_findings
from distingo.records import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from distingo.datasets.tables import TableOptions
    from distingo.reviewing.session import ReviewSession


def review(
    data: str | Path,
    findings: str | Path = FINDINGS_FOLDER,
    *,
    corrections: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    on_start: Callable[[str, ReviewSession], None] | None = None,
    table: TableOptions | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> None:
    """Serve a page to go through findings with the keyboard, until Ctrl-C.

    Every decision is in the table of corrections before the page goes on; `train` honours it.

    Args:
        data: Folder of pictures, or a table of labels beside them.
        findings: What `check` wrote: its folder, or the table in it.
        corrections: The table to read and write; None takes ``corrections.csv`` in the data set's root.
        host: The address to listen on. The default can be reached from this machine only; at any other one, whoever
            can read the page's address can see the pictures and decide.
        port: 0 takes one that is free.
        on_start: Called with the page's address and the review once the page can be opened.
        table: As in `train`.
        max_pixels: Larger images are not shown.

    Raises:
        DataError: There are no findings, they are about other data, or the corrections are damaged.
        UsageError: `table` does not fit the data, or corrections are to be ``none``.
        ResourceError: The port is taken.
    """
    from distingo.checking.check_folder import read_value_ranges
    from distingo.datasets.corrections import CORRECTIONS_NAME, NO_CORRECTIONS
    from distingo.datasets.layouts import find_layout
    from distingo.errors import UsageError
    from distingo.reviewing.decisions import Decisions
    from distingo.reviewing.serving import ReviewServer
    from distingo.reviewing.session import ReviewSession

    if corrections is not None and str(corrections) == NO_CORRECTIONS:
        raise UsageError("--corrections none: a review writes corrections; name a file, or leave the option out")
    found = read_findings(Path(findings))
    layout = find_layout(Path(data), table, allow_missing=True, as_it_comes=True)
    path = Path(corrections) if corrections is not None else layout.root / CORRECTIONS_NAME
    if corrections is None and path.is_symlink():  # it may have come with the images, and lead anywhere
        raise UsageError(f"{path}: is a link; name the file that decisions are written to in --corrections")
    ranges = read_value_ranges(Path(findings))
    session = ReviewSession(layout, found, Decisions(path.resolve(), layout.root), ranges, max_pixels)
    with ReviewServer(session, host, port) as server:
        if on_start is not None:
            on_start(server.guard.url, session)
        server.serve_forever(poll_interval=0.2)
