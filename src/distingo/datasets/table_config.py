"""What a person said about a table of labels, in ``config.json``: later commands read the same table alike."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distingo.datasets.tables import NO_CLASS_NAMES, TableOptions
from distingo.errors import RunError


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
        raise RunError(f"{path}: damaged (table: {error})") from error
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
