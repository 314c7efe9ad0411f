"""The split file of a run in its ``config.json``, so that the run can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distingo.errors import DataError, RunError, UsageError
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
        raise UsageError(f"--fold {fold}: is about the folds of a split file; name that by --split")
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
        raise RunError(f"{path}: damaged (split: {error})") from error


def require_unchanged(split: WantedSplit) -> None:
    """Refuse a split file that is another than it was for the run that is to be repeated.

    Raises:
        DataError: It was changed, or can't be read.
    """
    if split.content and hash_split(split.path) != split.content:
        raise DataError(
            f"{split.path}: was changed since the run that is to be repeated; name the one to use by --split"
        )


def require_same_split(split: WantedSplit, started: WantedSplit | None, output: Path) -> None:
    """Refuse to resume a run with another split file than it was started with.

    Raises:
        UsageError: It is another one, or another fold.
        DataError: It can't be read.
    """
    if started is None or (hash_split(split.path), split.fold) != (started.content, started.fold):
        raise UsageError(f"--resume: {output} was started with another --split or --fold; leave them out")


def hash_split(path: Path) -> str:
    """Hash of a split file's bytes.

    Raises:
        DataError: It can't be read.
    """
    try:
        return content_hash(path.read_bytes())
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"can't be opened ({error.strerror})"
        raise DataError(f"{path}: {reason}; `distingo split DATA -o FILE` writes a split file") from error
