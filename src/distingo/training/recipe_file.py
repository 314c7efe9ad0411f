"""A recipe as a file: what a search found, or a person wrote, and ``train --recipe`` takes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from distingo.checksums import CHECKSUM, parse_json
from distingo.errors import DataError, RunError, UsageError, name_the_nearest
from distingo.files import content_hash, require_sealed
from distingo.run_folder import FORMAT
from distingo.training.recipe import Recipe

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
        raise DataError(f"{path}: {reason}; `distingo tune DATA -o FOLDER` writes a recipe file") from error
    except RunError as error:
        raise DataError(str(error)) from error
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error}); a recipe file holds an object of recipe fields") from error
    section = found.get("recipe", found) if isinstance(found, dict) else found
    if not isinstance(section, dict):
        raise DataError(f"{path}: holds a {type(section).__name__}; a recipe file holds an object of recipe fields")
    number = found.get("format", FORMAT)
    if not isinstance(number, int) or number > FORMAT:
        raise UsageError(f"{path}: written by a newer distingo (format {number}); `pip install --upgrade distingo`")
    wishes = {name: value for name, value in section.items() if name not in {"format", CHECKSUM}}
    known = [*(field.name for field in fields(Recipe)), "image_size"]
    for name in wishes:
        if name not in known:
            raise UsageError(f"{path}: unknown field {name!r}; {name_the_nearest(name, known)}")
    return RecipeFile(path, content_hash(content), wishes)


def recipe_file_to_config(file: RecipeFile | None) -> dict[str, Any]:
    """The section ``recipe_file`` of a ``config.json``; nothing where no file was named."""
    return {} if file is None else {"recipe_file": {"file": str(file.path.resolve()), "content": file.content}}
