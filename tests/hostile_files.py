"""What a stranger's file must not reach, and hostile values for any field of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

DEEP = "[" * 100_000 + "]" * 100_000
"""JSON nested without end."""

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**12,
    10**400,
    1e308,
    "x" * 5000,
    "a\nb\x1b[31m",
    "\ud800",
    [],
    ["a"] * 3,
    {},
    {"a": {"b": [1]}},
    [[[[[]]]]],
)


class ReachedError(Exception):
    """Something was reached that no file may reach."""


@contextmanager
def nothing_reached() -> Iterator[None]:
    """Within, a connection, a name look-up or an unpickled file fails the test, however it is caught and said."""
    reached: list[str] = []

    def refuse(what: str) -> Any:
        def reach(*arguments: Any, **options: Any) -> Any:
            reached.append(what)
            raise ReachedError(what)

        return reach

    import torch

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse(f"socket.{name}"))
        patch.setattr(socket, "getaddrinfo", refuse("getaddrinfo"))
        patch.setattr(torch, "load", refuse("torch.load"))
        patch.setattr(torch.hub, "load_state_dict_from_url", refuse("load_state_dict_from_url"))
        yield
    assert reached == []


def require_plain(error: BaseException, lines: int = 1) -> None:
    """An error's text is so many lines of what a terminal may show."""
    shown = str(error).splitlines()
    assert len(shown) == lines, shown
    assert all(line.isprintable() and len(line) < 2000 for line in shown), shown
