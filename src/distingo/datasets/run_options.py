"""The split file of a run in its ``config.json``, so that the run can be repeated.

What a person said about a table of labels, in ``config.json``: later commands read the same table alike.

The pixel limit that a run was given, in ``config.json``: later commands read by the same one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distingo.datasets.tables.table import NO_CLASS_NAMES, TableOptions
from distingo.errors import DataError, RunError, UsageError, option
from distingo.files import content_hash


@dataclass(frozen=True, slots=True)
class WantedSplit:
    """A split file that a person wants to be honoured.

    Attributes:
        path: The file.
        fold: Which fold is the test side; None where the file has sides.
        content: Hash that the file must have; empty where any will do.
    """

    path: Path
    fold: int | None = None
    content: str = ""


def name_split(path: str | Path | None, fold: int | None) -> WantedSplit | None:
    """What a person named by ``--split`` and ``--fold``.

    Raises:
        UsageError: A fold without a file.
    """
    if path is not None:
        return WantedSplit(Path(path), fold)
    if fold is not None:
        raise UsageError(
            f"{option('fold')} {fold}: is about the folds of a split file; name that by {option('split')}",
            code="needs_other_option",
            parameter="fold",
        )
    return None


def split_to_config(split: WantedSplit | None) -> dict[str, Any]:
    """The section ``split``; nothing where no split file is wanted.

    Raises:
        DataError: The file can't be read.
    """
    if split is None:
        return {}
    fold = {} if split.fold is None else {"fold": split.fold}
    return {"split": {"file": str(split.path.resolve()), **fold, "content": hash_split(split.path)}}


def split_from_config(config: dict[str, Any], path: Path) -> WantedSplit | None:
    """Read the section ``split`` back.

    Args:
        config: The content of a ``config.json``.
        path: The file, for the error.

    Raises:
        RunError: The section is damaged.
    """
    section = config.get("split")
    if section is None:
        return None
    try:
        fold = section.get("fold")
        return WantedSplit(Path(section["file"]), None if fold is None else int(fold), str(section["content"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: damaged (split: {error})", code="damaged_file") from error


def require_unchanged(split: WantedSplit) -> None:
    """Refuse a split file that is another than it was for the run that is to be repeated.

    Raises:
        DataError: It was changed, or can't be read.
    """
    if split.content and hash_split(split.path) != split.content:
        raise DataError(
            f"{split.path}: was changed since the run that is to be repeated; name the one to use by {option('split')}",
            code="changed_meanwhile",
            parameter="split",
        )


def require_same_split(split: WantedSplit, started: WantedSplit | None, output: Path) -> None:
    """Refuse to resume a run with another split file than it was started with.

    Raises:
        UsageError: It is another one, or another fold.
        DataError: It can't be read.
    """
    if started is None or (hash_split(split.path), split.fold) != (started.content, started.fold):
        raise UsageError(
            f"{option('resume')}: {output} was started with another {option('split')} or {option('fold')}; leave them "
            "out",
            code="changed_options",
            parameter="split",
        )


def hash_split(path: Path) -> str:
    """Hash of a split file's bytes.

    Raises:
        DataError: It can't be read.
    """
    try:
        return content_hash(path.read_bytes())
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"can't be opened ({error.strerror})"
        raise DataError(
            f"{path}: {reason}; `distingo split DATA -o FILE` writes a split file",
            code="cannot_read",
            parameter="split",
        ) from error


def table_to_config(table: TableOptions | None, *, allow_missing: bool) -> dict[str, Any]:
    """The section ``table``.

    Args:
        table: What was said, as from `settle_image_folder`.
        allow_missing: As for `distingo.datasets.gathering.read_dataset`.

    Returns:
        Only what was said, as JSON values; nothing where nothing was.
    """
    said = {name: value for name, value in asdict(table or TableOptions()).items() if value not in (None, ())}
    return {**said, "allow_missing": True} if allow_missing else said


def table_from_config(config: dict[str, Any], path: Path) -> tuple[TableOptions | None, bool]:
    """Read the section ``table`` back.

    Args:
        config: The content of a ``config.json``.
        path: The file, for the error.

    Returns:
        What was said, None where nothing was; and whether pictures may be missing.

    Raises:
        RunError: The section is damaged.
    """
    try:
        section = dict(config.get("table", {}))
        allow_missing = bool(section.pop("allow_missing", False))
        table = TableOptions(**{**section, "label_columns": tuple(section.get("label_columns", ()))})
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged (table: {error})", code="damaged_file") from error
    return (table if table.given else None), allow_missing


def settle_image_folder(table: TableOptions | None, data: Path) -> TableOptions | None:
    """Make an image folder and a file of class names absolute where they are relative to the working folder.

    Args:
        table: What was said.
        data: The folder or the table that was given.
    """
    if table is None:
        return table
    folder = data if data.is_dir() else data.parent
    if table.image_folder is not None and not (folder / table.image_folder).is_dir():
        table = replace(table, image_folder=str(Path(table.image_folder).resolve()))
    if table.class_names in {None, NO_CLASS_NAMES} or (folder / str(table.class_names)).is_file():
        return table
    return replace(table, class_names=str(Path(str(table.class_names)).resolve()))


def max_pixels_from_config(config: dict[str, Any], path: Path) -> int | None:
    """Read ``max_pixels`` of a ``config.json``.

    Args:
        config: Its content.
        path: The file, for the error.

    Returns:
        The limit, width times height; None where the run was given none.

    Raises:
        RunError: It is no whole number from 1 on.
    """
    limit = config.get("max_pixels")
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise RunError(f"{path}: damaged (max_pixels: {limit!r})", code="damaged_file")
    return limit
