"""``config.json`` of a run and ``plan.json`` of a cross-validation: data, recipe, automatic choices and environment.

A run is resumed and evaluated with its own copy of ``corrections.csv``, even if the data set's table has changed or was
removed. Of ``model.json``, `read_model_facts` reads what pages, model cards and exports need, without torch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from distingo.datasets.corrections import NO_CORRECTIONS, Corrections, find_corrections, write_corrections
from distingo.datasets.splits.splitting import RequestedSplit
from distingo.datasets.tables.table import FILE_ENDINGS, TableOptions
from distingo.errors import DataError, RunError, join_faults
from distingo.files import read_json, write_json
from distingo.messages.notes import Note, note, text_note
from distingo.options.fields import name_recipe_fields
from distingo.records import Task, ValueRanges
from distingo.runs.fields import (
    MOST_CLASSES,
    Name,
    Number,
    Plain,
    Ranges,
    Text,
    Width,
    convert,
    find_record_faults,
    read_record,
)
from distingo.runs.folder import EXPORT_FILE, FORMAT, RunFolder, check_format


@dataclass(frozen=True, slots=True)
class CorrectionsSection:
    """The section ``corrections`` of ``config.json``.

    Attributes:
        said: The requested table, as for `distingo.datasets.corrections.find_corrections`; None if none was requested.
        file: The table that was read; None if there was none.
        changes: Number of images that are relabeled or set aside.
        fingerprint: As in `distingo.datasets.corrections.Corrections`.
    """

    said: str | None = None
    file: str | None = None
    changes: int | None = None
    fingerprint: str | None = None


def resolve_corrections(said: str | Path | None) -> str | None:
    """Make the path of a requested table absolute, so that it stays valid in another working folder."""
    return None if said is None else NO_CORRECTIONS if str(said) == NO_CORRECTIONS else str(Path(said).resolve())


def copy_corrections(folder: RunFolder, corrections: Corrections | None) -> None:
    """Write the run's copy of the corrections, if these have an effect on the training data.

    Raises:
        ResourceError: The copy can't be written.
    """
    if corrections is not None and corrections.effective:
        write_corrections(replace(corrections, path=folder.corrections), recorded=True)


def copied_corrections(folder: RunFolder) -> str:
    """Return the path of the run's copy, or ``none``, for `distingo.datasets.gathering.read_dataset`."""
    return str(folder.corrections) if folder.corrections.is_file() else NO_CORRECTIONS


def describe_corrections(said: str | Path | None, corrections: Corrections | None) -> CorrectionsSection | None:
    """Create the section ``corrections`` of ``config.json``; None if no corrections were requested or found."""
    said = resolve_corrections(said)
    if corrections is None:
        return None if said is None else CorrectionsSection(said)
    return CorrectionsSection(
        said, str(corrections.path.resolve()), len(corrections.effective), corrections.fingerprint
    )


def describe_change(earlier: CorrectionsSection | None, root: Path, said: str | Path | None) -> tuple[Note, ...]:
    """Compare a data set's corrections with those of an earlier run.

    Args:
        earlier: The run's section of ``config.json``; None if it had no corrections.
        root: The data set's root.
        said: As for `find_corrections`.

    Returns:
        A note if they differ; empty if the same images are relabeled and set aside.
    """
    earlier = earlier or CorrectionsSection()
    try:
        current = find_corrections(root, said)
    except DataError as error:
        return (note("corrections-unknown", error=str(error)),)
    no_corrections = Corrections(root, ())
    if (earlier.fingerprint or no_corrections.fingerprint) == (current or no_corrections).fingerprint:
        return ()
    count = len(current.effective) if current else 0
    return (note("corrections-changed", before=earlier.changes or 0, now=count),)


_ADVICE = "restore it, or train again"

_NEVER_NULL = ("table", "corrections", "recipe_file", "requested", "max_pixels")
"""Fields that are left out where there is nothing to write; a null was put there by someone else."""


@dataclass(frozen=True, slots=True)
class TableSection(TableOptions):
    """The options for the table of labels, so that later commands read it in the same way.

    Attributes:
        allow_missing: As for `distingo.datasets.gathering.read_dataset`.
    """

    allow_missing: bool = False

    @property
    def options(self) -> TableOptions | None:
        """The options that `read_dataset` takes; None if no option was set."""
        options = TableOptions(**{each.name: getattr(self, each.name) for each in fields(TableOptions)})
        return options if options.flags else None


@dataclass(frozen=True, slots=True)
class RecipeSection:
    """The recipe file that a run was trained with: its path, and the hash of its bytes."""

    file: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The content of the file, with fields in file order; fields that are None are not written.

    Attributes:
        distingo: The version of distingo that wrote the file.
        data: The source of the images: a folder, or a table of labels.
        root: The folder that file names are relative to, if it is not the folder of `data`.
        max_pixels: The requested maximum of width times height.
        value_ranges: Values shown as black and as white, by kind of deep image.
        corrections: The applied corrections; None if none were requested or found.
        table: Options for the table of labels; None if none were set.
        near_duplicates: Similarity threshold from which near-duplicates were kept in the same split; ``none`` if they
            were not searched for, None for a run of an older version.
        split: The file that assigns each image to a split.
        recipe_file: The file with fields of the recipe.
        layout: As in `distingo.records.Dataset`.
        task: Single-label or multi-label.
        classes: All class names.
        recipe: The recipe's fields, which `distingo.training.recipe.Recipe` checks.
        requested: The user's values of the fields whose value in `recipe` was derived from them, such as ``auto``.
        choices: Values that distingo chose, with reasons.
        environment: Software and hardware of the run, by name.
        created: Time of creation in UTC, as ISO 8601.
        folds: For a cross-validation, the number of folds.
        repeats: For a cross-validation, the number of times that the images were divided into folds.
        request: Hash of everything that was requested, to recognize the same command after a crash.
    """

    distingo: Text | None = None
    data: Text = ""
    root: Text | None = None
    max_pixels: Annotated[int, Meta(ge=1)] | None = None
    value_ranges: Ranges | None = None
    corrections: CorrectionsSection | None = None
    table: TableSection | None = None
    near_duplicates: Literal["none"] | Number | None = None
    split: RequestedSplit | None = None
    recipe_file: RecipeSection | None = None
    layout: Note = field(default_factory=lambda: text_note(""))
    task: Task = "single-label"
    classes: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_CLASSES)] = ()
    recipe: dict[str, Plain] = field(default_factory=dict)
    requested: dict[str, Plain] | None = None
    choices: tuple[Note, ...] = ()
    environment: dict[str, Plain] = field(default_factory=dict)
    created: Text | None = None
    folds: Width | None = None
    repeats: Width | None = None
    request: str | None = None

    def __post_init__(self) -> None:
        try:
            ValueRanges.from_json(self.value_ranges)
        except ValueError as error:
            raise ValueError(f"value_ranges: {error}") from error

    @property
    def table_options(self) -> TableOptions | None:
        """The options for the table of labels; None if no option was set."""
        return None if self.table is None else self.table.options

    @property
    def allow_missing(self) -> bool:
        """Whether up to half of the images that the table names may be missing."""
        return self.table is not None and self.table.allow_missing

    @property
    def ranges(self) -> ValueRanges | None:
        """The ranges by which deep images are scaled; None if the run had no deep images, or is of version 0.1."""
        return None if self.value_ranges is None else ValueRanges.from_json(self.value_ranges)

    @property
    def root_folder(self) -> Path:
        """The folder that file names are relative to: `root`, else that of the table, else `data`."""
        if self.root is not None:
            return Path(self.root)
        return Path(self.data).parent if self._is_table else Path(self.data)

    @property
    def data_name(self) -> str:
        """Name of the data for people: the folder's name, or the table's name after that of its folder."""
        data = Path(self.data)
        return "/".join(data.parts[-2:]) if self._is_table else data.name or "data"

    @property
    def _is_table(self) -> bool:
        return Path(self.data).suffix.lower() in FILE_ENDINGS and not Path(self.data).is_dir()


def read_config(folder: RunFolder) -> RunConfig:
    """Read ``config.json`` of a run folder.

    Raises:
        RunError: The path is not a run folder, or the run is damaged or from a newer version.
    """
    path = folder.path
    if not path.is_dir():
        raise RunError(f"{path}: no such run folder; `distingo train DATA -o {path}` makes one", code="wrong_folder")
    if (path / EXPORT_FILE).is_file():
        advice = f"`python -m distingo.runtime {path} PICTURE` predicts from it"
        raise RunError(f"{path}: an export, no run; {advice}", code="wrong_folder")
    return read_config_file(folder.config)


def read_config_file(path: Path, *, required: Collection[str] = ("data", "recipe")) -> RunConfig:
    """Read a ``config.json`` or a ``plan.json`` in any folder.

    Args:
        path: The file.
        required: Fields that the file must contain.

    Raises:
        RunError: The file is missing, damaged, not written by distingo or from a newer version.
    """
    content = read_json(path)
    check_format(content, path)
    if nulls := [name for name in _NEVER_NULL if name in content and content[name] is None]:
        faults = [f"{path}: damaged ({name}: expected a value, got null)" for name in nulls]
        raise RunError(join_faults(faults, _ADVICE), code="damaged_file")
    recipe = content.get("recipe")
    if isinstance(recipe, dict):  # version 0.1 had other names for some fields
        content = {**content, "recipe": name_recipe_fields(recipe)}
    return convert(content, RunConfig, path, advice=_ADVICE, required=required)


def write_config(path: Path, config: RunConfig) -> None:
    """Write a ``config.json`` or a ``plan.json``.

    Raises:
        ResourceError: The file can't be written.
    """
    write_json(path, config_to_json(config))


def config_to_json(config: RunConfig) -> dict[str, object]:
    """Return the content of the file as JSON values, with the format number first."""
    content: dict[str, object] = {"format": FORMAT}
    for each in fields(config):
        value = getattr(config, each.name)
        if value is not None:
            content[each.name] = _to_json(value)
    return content


def _to_json(value: Any) -> object:
    if isinstance(value, Note):
        return asdict(value)
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    return _section_to_json(value) if is_dataclass(value) else value


def _section_to_json(section: Any) -> dict[str, object]:
    """Convert a section to JSON; fields that equal their default are left out."""
    values = {each.name: getattr(section, each.name) for each in fields(section) if _differs(section, each)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _differs(section: Any, each: Field[Any]) -> bool:
    return each.default is MISSING or getattr(section, each.name) != each.default


def find_config_faults(config: RunConfig) -> list[str]:
    """List the faults for which `read_config_file` would refuse this config, one phrase per field."""
    return find_record_faults(config_to_json(config), RunConfig)


@dataclass(frozen=True, slots=True)
class ModelInput:
    """Size of a network's input in pixels, and number of channels."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """The pretrained backbone; see `distingo.models.backbones.BackboneDescription`."""

    architecture: str
    tag: str = ""
    source: str = ""
    place: str = ""
    license: str = ""
    weights_hash: str = ""

    @property
    def name(self) -> str:
        """The name in timm, with the tag of the weights."""
        return f"{self.architecture}.{self.tag}" if self.tag else self.architecture


@dataclass(frozen=True, slots=True)
class ModelProvenance:
    """The version of distingo, the time of training and the hash of the training images."""

    distingo: str = ""
    trained: str = ""
    train_content_hash: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A part of ``model.json``; the fields are those of `distingo.models.saved.ModelDescription`.

    Attributes:
        name: Name in the catalog.
        kind: ``network``, ``pretrained`` or ``classic``.
        mode: ``scratch``, ``frozen`` or ``finetune``.
        head: Type of the head of a pretrained model.
        image_spec: Input of a network; None for a classic model.
        backbone: Backbone of a pretrained model.
        provenance: Origin of the model.
        weights_hash: Hash of ``model.safetensors``.
    """

    name: str = ""
    kind: str = ""
    mode: str = ""
    head: str = ""
    image_spec: ModelInput | None = None
    backbone: BackboneFacts | None = None
    provenance: ModelProvenance = ModelProvenance()
    weights_hash: str = ""


def read_model_facts(model: Path) -> ModelFacts:
    """Read the facts of a saved model.

    Args:
        model: Its folder.

    Raises:
        RunError: ``model.json`` is missing, damaged or from a newer version.
    """
    return read_record(model / "model.json", ModelFacts, advice="train again, or restore it")
