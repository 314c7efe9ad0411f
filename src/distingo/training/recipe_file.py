"""A recipe as a file: what a search found, or a person wrote, and ``train --recipe`` takes.

A run repeated from another run's ``config.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from distingo.aliases import name_recipe_fields
from distingo.checksums import CHECKSUM
from distingo.datasets.decoding.value_ranges import value_ranges_from_config
from distingo.datasets.run_options import WantedSplit, max_pixels_from_config, split_from_config, table_from_config
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError, RunError, UsageError, name_the_nearest, quote
from distingo.files import content_hash, parse_json, read_json, require_sealed
from distingo.near_duplicates.keeping import Similarity
from distingo.records import ValueRanges
from distingo.run_folder import FORMAT, check_format
from distingo.stored_fields import check_config
from distingo.training.recipe import Recipe
from distingo.training.run_data import said_in_config

_SHARES = ("validation", "test")


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A recipe file as it was read.

    Attributes:
        path: Where it is.
        content: Hash of its bytes.
        wishes: Recipe fields (and ``image_size``) to their values.
    """

    path: Path
    content: str
    wishes: dict[str, Any]

    def fill_up(self, wishes: dict[str, Any], *, divided: bool) -> dict[str, Any]:
        """A person's wishes, and the file's where the person said nothing.

        Args:
            wishes: What was asked for beside the file; goes first.
            divided: Whether a split file says who is on which side; the file's shares mean nothing then.
        """
        kept = {name: value for name, value in self.wishes.items() if not (divided and name in _SHARES)}
        if "image_size" in wishes:
            kept = {name: value for name, value in kept.items() if name not in {"height", "width"}}
        if "height" in wishes or "width" in wishes:
            kept.pop("image_size", None)
        return {**kept, **wishes}


def read_recipe_file(path: Path) -> RecipeFile:
    """Read recipe fields from a JSON file: an object of fields, or one that holds them under ``recipe``.

    Args:
        path: ``best-recipe.json`` of a search, ``config.json`` of a run, or a person's own.

    Raises:
        DataError: The file is missing or is no JSON object.
        UsageError: A field is unknown (with the nearest known ones), or the file is from a newer version.
    """
    try:
        content = path.read_bytes()
        found = parse_json(content)
        require_sealed(path, content)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"can't be opened ({error.strerror})"
        raise DataError(
            f"{path}: {reason}; `distingo tune DATA -o FOLDER` writes a recipe file", code="cannot_read"
        ) from error
    except RunError as error:
        raise DataError(str(error), code=error.code, parameter=error.parameter) from error
    except ValueError as error:
        raise DataError(
            f"{path}: is no JSON ({error}); a recipe file holds an object of recipe fields", code="damaged_file"
        ) from error
    section = found.get("recipe", found) if isinstance(found, dict) else found
    if not isinstance(section, dict):
        raise DataError(
            f"{path}: holds a {type(section).__name__}; a recipe file holds an object of recipe fields",
            code="wrong_format",
        )
    number = found.get("format", FORMAT)
    if not isinstance(number, int) or number > FORMAT:
        raise UsageError(
            f"{path}: written by a newer distingo (format {number}); `pip install --upgrade distingo`",
            code="newer_version",
        )
    try:
        wishes = name_recipe_fields(
            {name: value for name, value in section.items() if name not in {"format", CHECKSUM}}
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}", code=error.code, parameter=error.parameter) from error
    known = [*(field.name for field in fields(Recipe)), "image_size"]
    for name in wishes:
        if name not in known:
            raise UsageError(
                f"{path}: unknown field {quote(name)}; {name_the_nearest(name, known)}", code="unknown_option"
            )
    return RecipeFile(path, content_hash(content), wishes)


def recipe_file_to_config(file: RecipeFile | None) -> dict[str, Any]:
    """The section ``recipe_file`` of a ``config.json``; nothing where no file was named."""
    return {} if file is None else {"recipe_file": {"file": str(file.path.resolve()), "content": file.content}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a person asked of a run that an older run can answer too.

    Attributes:
        data: Folder of pictures, or a table of labels beside them.
        wishes: Recipe fields (and ``image_size``).
        table: What to know about the table of labels.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        corrections: As for `distingo.datasets.corrections.find_corrections`.
        repeats: The older run's ``config.json``.
        split: The file that says which side each picture is on.
        near_duplicates: As for `TrainRequest`.
        value_range: As for `distingo.datasets.decoding.value_ranges.settle_value_range`.
        max_pixels: As for `TrainRequest`.
    """

    data: Path | None = None
    wishes: dict[str, Any] = field(default_factory=dict)
    table: TableOptions | None = None
    allow_missing: bool = False
    corrections: str | Path | None = None
    repeats: dict[str, Any] = field(default_factory=dict)
    split: WantedSplit | None = None
    near_duplicates: Similarity = None
    value_range: str | Sequence[float] | ValueRanges | None = None
    max_pixels: int | None = None


def repeat(config: Path, wanted: Wanted) -> Wanted:
    """Fill up what was asked with what an older run says of itself; what was asked goes first.

    Args:
        config: The older run's ``config.json``.
        wanted: What was asked.

    Raises:
        RunError: The file is missing, damaged, not ours or from a newer version.
    """
    content = read_json(config)
    check_format(content, config)
    check_config(content, config, required=("data", "recipe"))
    kept = dict(content["recipe"])
    if "image_size" in wanted.wishes:
        kept = {name: value for name, value in kept.items() if name not in {"height", "width"}}
    table, allow_missing = table_from_config(content, config)
    return Wanted(
        data=wanted.data or Path(content["data"]),
        wishes={**kept, **wanted.wishes},
        table=wanted.table or table,
        allow_missing=wanted.allow_missing or allow_missing,
        corrections=wanted.corrections if wanted.corrections is not None else said_in_config(content),
        repeats=content,
        split=wanted.split or split_from_config(content, config),
        # a run of an older version took no notice of near-duplicates
        near_duplicates=content.get("near_duplicates", "none")
        if wanted.near_duplicates is None
        else wanted.near_duplicates,
        value_range=value_ranges_from_config(content, config) if wanted.value_range is None else wanted.value_range,
        max_pixels=max_pixels_from_config(content, config) if wanted.max_pixels is None else wanted.max_pixels,
    )
