"""A well-known set: fetched, checked, laid out as class folders, with its licence beside it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from distingo.datasets.own_files import DOWNLOAD_FOLDER, LICENCE_NAME
from distingo.download.class_folders import LAYOUTS, ClassFolders
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.records import Limits, Outcome, WantedFile
from distingo.download.sets.records import NamedSet
from distingo.errors import DataError, option
from distingo.files import write_text
from distingo.progress import progress_bar

_ARCHIVES = f"{DOWNLOAD_FOLDER}/archives"
_LARGEST = 4 << 30


def gather_set(
    named: NamedSet,
    output: Path,
    limits: Limits | None = None,
    *,
    raw: bool = False,
    mirror: str | None = None,
    allow_private: bool = False,
) -> Gathered:
    """Fetch a set.

    Args:
        named: The set.
        output: The folder to fill.
        limits: How politely, how patiently and how much; None takes the defaults. A file may have 4 GiB.
        raw: Leave the files as they are published.
        mirror: Fetch the files from below this address instead.
        allow_private: As in `fetch`.

    Returns:
        What became of its files.

    Raises:
        DataError: A file can't be had, or is not what it should be.
        UsageError: The folder holds something else.
        ResourceError: The folder can't be written.
    """
    command = f"distingo download {named.name}{' --raw' * raw}"
    with open_folder(output, {"command": command}) as folder:
        if not raw and folder.is_finished:
            note = f"is here already: {_counted(named.pictures)}"
            return Gathered(output, _conclude(named, folder), (note,), frozenset())
        wanted = _wanted(named, mirror or named.address, raw=raw)
        # A set is whole or nothing: what was refused an earlier time is asked for again.
        outcomes = fetch(wanted, folder, limits, description=named.name, allow_private=allow_private, try_refused=True)
        _check_complete(named, outcomes)
        write_text(output / LICENCE_NAME, describe(named))
        notes = () if raw else _lay_out(named, folder)
        folder.finish()
        if not raw:
            outcomes = _conclude(named, folder)
    return Gathered(output, outcomes, notes, folder.arrived)


def _names(named: NamedSet, *, raw: bool) -> list[str]:
    return [file.name if raw else f"{_ARCHIVES}/{file.name}" for file in named.files]


def _wanted(named: NamedSet, address: str, *, raw: bool) -> list[WantedFile]:
    return [
        WantedFile(f"{address.rstrip('/')}/{file.name}", name, checksum=file.checksum, size=file.size, largest=_LARGEST)
        for file, name in zip(named.files, _names(named, raw=raw), strict=True)
    ]


def _check_complete(named: NamedSet, outcomes: tuple[Outcome, ...]) -> None:
    missing = [outcome for outcome in outcomes if outcome.status != "fetched"]
    if missing:
        first = missing[0]
        name = first.name.rpartition("/")[2]
        raise DataError(
            f"{named.name}: {len(missing)} of {len(outcomes)} files can't be had ({name}: {first.reason}); "
            f"run the same command again, or name another place by {option('mirror')}",
            code="download_failed",
        )


def _lay_out(named: NamedSet, folder: DownloadFolder) -> tuple[str, ...]:
    """Make class folders of the archives, and give them their names when all are there."""
    files, making, made = folder.root / _ARCHIVES, folder.own / "making", folder.own / "made"
    notes: tuple[str, ...] = ()
    if not made.exists():
        for path in (making, *(path for path in files.iterdir() if path.is_dir())):
            shutil.rmtree(path, ignore_errors=True)  # an earlier run's, killed on the way
        try:
            notes = _make_class_folders(named, files, making)
        except DataError:
            shutil.rmtree(making, ignore_errors=True)
            raise
        making.rename(made)
    for path in sorted(made.iterdir()):
        path.rename(folder.root / path.name)
    made.rmdir()
    return (_counted(named.pictures), *notes)


def _make_class_folders(named: NamedSet, files: Path, making: Path) -> tuple[str, ...]:
    layout = LAYOUTS[named.layout]
    with progress_bar(f"{named.name}: class folders", sum(named.pictures.values())) as advance:
        folders = ClassFolders(making, named.classes or layout.name_classes(named, files), advance)
        notes = layout.lay_out(named, files, folders)
    if dict(folders.counts) != named.pictures:
        raise DataError(
            f"{named.name}: gave {_counted(folders.counts)} where {_counted(named.pictures)} belong; fetch it again",
            code="damaged_download",
        )
    return notes


def _conclude(named: NamedSet, folder: DownloadFolder) -> tuple[Outcome, ...]:
    """Remove the archives, whose pictures all have their places; the manifest keeps where they came from."""
    known = [folder.outcome_of(name) for name in _names(named, raw=False)]
    outcomes = tuple(replace(each, file="", reason="laid out as class folders") for each in known if each is not None)
    for outcome in outcomes:
        folder.record(outcome)
    folder.write_manifest()
    shutil.rmtree(folder.root / _ARCHIVES, ignore_errors=True)
    return outcomes


def _counted(pictures: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {side or 'pictures'}" for side, count in pictures.items())


def describe(named: NamedSet) -> str:
    """Licence, citation and where everything is from, for the file beside the data."""
    files = "\n".join(f"  {file.name}  {file.checksum}" for file in named.files)
    return (
        f"{named.name}: {named.title}\n{named.home}\n\nLicence: {named.licence}\n\nPlease cite:\n  {named.citation}\n\n"
        f"Fetched from {named.address} ({named.served_by})\n{files}\n(checksums published by {named.checksums_from})\n"
    )
