"""The URL of the page of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from served_runs import running


@contextmanager
def serving(runs: dict[str, Path], **settings: Any) -> Iterator[str]:
    """Serve runs under names; yields the page's address, with the slash at its end."""
    with running(runs, **settings) as server:
        yield f"{server.url.rstrip('/')}/"
