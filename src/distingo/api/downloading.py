"""Calls that gather pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distingo.download.gathered import Gathered
    from distingo.download.records import Limits
    from distingo.download.sets.record import NamedSet
    from distingo.download.url_tables import UrlColumns


def list_sets() -> tuple[NamedSet, ...]:
    """Every well-known set that `download_set` knows by name."""
    from distingo.download.sets import SETS

    return tuple(SETS.values())


def download_set(
    name: str,
    output: str | Path,
    *,
    raw: bool = False,
    mirror: str | None = None,
    limits: Limits | None = None,
    try_refused: bool = False,
    allow_private_addresses: bool = False,
) -> Gathered:
    """Fetch a well-known set from its official place, and lay it out as class folders.

    Its licence and citation are written beside it. What an earlier, interrupted call fetched is not fetched again.

    Args:
        name: One of `list_sets`.
        output: A folder: new, empty, or begun by the same call.
        raw: Leave the files as they are published.
        mirror: Fetch the files from below this address instead; their checksums must be the same.
        limits: How politely, how patiently and how much; None takes the defaults, and files of up to 4 GiB.
        try_refused: Ask again for what was absent or refused before.
        allow_private_addresses: Whether the mirror may be on this machine or its network.

    Returns:
        What became of each of its files.

    Raises:
        UsageError: There is no such set, or the folder holds something else.
        DataError: A file can't be had, or is not what it should be.
        ResourceError: The folder can't be written.
    """
    from distingo.download.named import gather_set
    from distingo.download.sets import find_set

    return gather_set(
        find_set(name),
        Path(output),
        limits,
        raw=raw,
        mirror=mirror,
        try_refused=try_refused,
        allow_private=allow_private_addresses,
    )


def download_urls(
    table: str | Path,
    output: str | Path,
    *,
    columns: UrlColumns | None = None,
    limits: Limits | None = None,
    try_refused: bool = False,
    allow_private_addresses: bool = False,
) -> Gathered:
    """Fetch the pictures that a table names by their addresses.

    With one label each they go into class folders, with several into ``images/`` with a ``metadata.csv`` that the
    other calls read. ``manifest.csv`` says what became of every address.

    Args:
        table: CSV, TSV, JSON Lines or Parquet.
        output: A folder: new, empty, or begun by the same call.
        columns: What to know about the table; what is left out is recognised.
        limits: How politely, how patiently and how much; None takes the defaults, with files of up to 256 MiB.
        try_refused: Ask again for what was absent or refused before.
        allow_private_addresses: Whether addresses may be on this machine or its network; redirects never.

    Returns:
        What became of each address.

    Raises:
        DataError: The table can't be understood.
        UsageError: It has no such column, or the folder holds something else.
        ResourceError: The folder can't be written.
    """
    from distingo.download.url_lists import gather_urls

    return gather_urls(
        Path(table),
        Path(output),
        columns,
        limits,
        try_refused=try_refused,
        allow_private=allow_private_addresses,
    )
