"""The files that describe an exported model: ``distingo.json``, ``preprocessing.json`` and the feature bank."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

import msgspec
import numpy as np

from distingo.errors import RunError, quote
from distingo.files import require_intact, write_bytes, write_json
from distingo.models.reference_data import FeatureBank, check_bank
from distingo.records import NO_VALUE_RANGES, ImageSpec, Task, ValueRanges
from distingo.runs.fields import (
    CalibrationFields,
    ImageSpecFields,
    Names,
    Ranges,
    ThresholdFields,
    check_classes,
    read_record,
    to_record,
)
from distingo.runs.folder import EXPORT_FILE, FORMAT
from distingo.scores import Thresholds

ExportFormat = Literal["onnx", "openvino", "torch-export"]

Precision = Literal["float32", "half", "int8"]

MODEL_FILES: dict[str, str] = {"onnx": "model.onnx", "openvino": "model.xml", "torch-export": "model.pt2"}

PREPROCESSING_FILE = "preprocessing.json"

INPUT = "images"

OUTPUTS = ("probabilities", "features")


@dataclass(frozen=True, slots=True)
class _Facts:
    """The content of ``distingo.json``."""

    exported_as: ExportFormat
    precision: Precision
    task: Task
    classes: Names
    thresholds: ThresholdFields | None
    calibration: CalibrationFields | None
    model: dict[str, object]
    provenance: dict[str, object]
    agreement: dict[str, object]
    file: str
    outputs: list[str]


@dataclass(frozen=True, slots=True)
class _Preprocessing:
    """The content of ``preprocessing.json``."""

    in_graph: bool
    input: dict[str, object]
    image_spec: ImageSpecFields
    value_ranges: Ranges | None = None


_ADVICE = "export the run again, or take the folder from where it came from"


@dataclass(frozen=True, slots=True)
class ExportDescription:
    """Everything that is needed to use an exported model.

    Attributes:
        exported_as: The format.
        precision: ``float32``, ``half`` or ``int8``.
        task: Single-label or multi-label.
        classes: Class names, in the order of the probabilities.
        image_spec: Preprocessing: the images that the network takes.
        in_graph: Whether the model resizes and crops images itself; otherwise it takes the output of
            `distingo.datasets.decoding.rendering.render`.
        value_ranges: Value ranges that high-bit-depth images are scaled by, before all other preprocessing.
        thresholds: Decision threshold of each label for multi-label; None for single-label.
        calibration: Slope and offsets of the logits, for information: the model applies them itself.
        model: Name, kind and license of the exported model.
        provenance: Data, seed, versions and dates.
        agreement: Result of the comparison with the original; empty before it.
    """

    exported_as: ExportFormat
    precision: Precision
    task: Task
    classes: tuple[str, ...]
    image_spec: ImageSpec
    in_graph: bool
    value_ranges: ValueRanges = NO_VALUE_RANGES
    thresholds: Thresholds | None = None
    calibration: dict[str, object] | None = None
    model: dict[str, object] = field(default_factory=dict)
    provenance: dict[str, object] = field(default_factory=dict)
    agreement: dict[str, object] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Name of the model's file in the folder."""
        return MODEL_FILES[self.exported_as]

    def require_thresholds(self) -> Thresholds:
        """Return the thresholds of a multi-label model."""
        if self.thresholds is None:
            raise ValueError("a model for one label per picture has no thresholds")
        return self.thresholds

    @property
    def input_shape(self) -> list[str | int]:
        """The shape of the model's input."""
        if self.in_graph:
            return ["n", "height", "width", 3]
        return ["n", self.image_spec.height, self.image_spec.width, self.image_spec.channels]

    @property
    def preprocessing(self) -> dict[str, object]:
        """Return the content of ``preprocessing.json``: the preprocessing steps and where each is done."""
        return {
            "in_graph": self.in_graph,
            "input": {"name": INPUT, "type": "uint8", "shape": self.input_shape},
            "value_ranges": self.value_ranges.to_json(),
            "image_spec": asdict(self.image_spec),
        }

    @property
    def facts(self) -> dict[str, object]:
        """The content of ``distingo.json``."""
        content = asdict(self)
        del content["image_spec"], content["in_graph"], content["value_ranges"]
        return {**content, "file": self.file, "outputs": list(OUTPUTS)}


def write_description(folder: Path, description: ExportDescription) -> None:
    """Write ``distingo.json`` and ``preprocessing.json``."""
    write_json(folder / PREPROCESSING_FILE, {"format": FORMAT, **description.preprocessing})
    write_json(folder / EXPORT_FILE, {"format": FORMAT, **description.facts})


def read_export(folder: str | Path) -> ExportDescription:
    """Read back what `write_description` wrote.

    Args:
        folder: An exported model.

    Raises:
        RunError: The folder is not an exported model, is damaged, or was written by a newer distingo.
    """
    path = Path(folder)
    if not (path / EXPORT_FILE).is_file():
        raise RunError(
            f"{path}: no exported model ({EXPORT_FILE} is missing); `distingo export RUN` makes one",
            code="wrong_folder",
        )
    facts = read_record(path / EXPORT_FILE, _Facts, advice=_ADVICE, strict=True)
    preprocessing = read_record(path / PREPROCESSING_FILE, _Preprocessing, advice=_ADVICE, strict=True)
    lengths = {} if facts.thresholds is None else {"thresholds": len(facts.thresholds.values)}
    check_classes(facts.classes, lengths, path / EXPORT_FILE, advice=_ADVICE)
    if (facts.task == "multi-label") != (facts.thresholds is not None):
        raise RunError(
            f"{path / EXPORT_FILE}: damaged (thresholds and task contradict each other); {_ADVICE}",
            code="damaged_file",
        )
    try:
        value_ranges = ValueRanges.from_json(preprocessing.value_ranges)
    except ValueError as error:
        raise RunError(f"{path / PREPROCESSING_FILE}: damaged ({error}); {_ADVICE}", code="damaged_file") from error
    return ExportDescription(
        exported_as=facts.exported_as,
        precision=facts.precision,
        task=facts.task,
        classes=tuple(facts.classes),
        image_spec=to_record(preprocessing.image_spec, ImageSpec),
        in_graph=preprocessing.in_graph,
        value_ranges=value_ranges,
        thresholds=None if facts.thresholds is None else to_record(facts.thresholds, Thresholds),
        calibration=None if facts.calibration is None else msgspec.to_builtins(facts.calibration),
        model=facts.model,
        provenance=facts.provenance,
        agreement=facts.agreement,
    )


EXPORTED_BANK_FILE = "bank.npz"

_MEMBERS = {
    "rows": (2, ("<f2", "<f4")),
    "center": (1, ("<f4",)),
    "scale": (1, ("<f4",)),
    "unit": (1, ("|b1",)),
}
"""Number of dimensions and allowed types of each array, by name."""


def save_exported_bank(folder: Path, bank: FeatureBank) -> None:
    """Write ``bank.npz`` with rows, center, scale and unit; the images' names stay in the run."""
    content = io.BytesIO()
    np.savez(content, rows=bank.rows, center=bank.center, scale=bank.scale, unit=np.array([bank.unit]))
    write_bytes(folder / EXPORTED_BANK_FILE, content.getvalue(), recorded=True)


def load_exported_bank(folder: Path) -> FeatureBank | None:
    """Read the bank that `save_exported_bank` wrote, or return None if the export has none.

    The file is untrusted: the name, type, shape and size of its members are checked before they are loaded. Members
    must not be compressed, so that loading needs no more memory than the file's size.

    Raises:
        RunError: The file is damaged or not a bank.
    """
    path = folder / EXPORTED_BANK_FILE
    if not path.exists():
        return None
    try:
        require_intact(path)
        with path.open("rb") as file:
            _check_members(file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                rows, center, scale = arrays["rows"], arrays["center"], arrays["scale"]
                return check_bank(FeatureBank(rows, ("",) * len(rows), center, scale, bool(arrays["unit"][0])))
    except (OSError, KeyError, TypeError, ValueError, IndexError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        reason = quote(str(error), 200)[1:-1] or type(error).__name__
        raise RunError(f"{path}: damaged ({reason}); export the run again", code="damaged_file") from error


def _check_members(file: IO[bytes]) -> None:
    """Raise an error for members that numpy would decompress, unpickle or allocate beyond the file's size."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != sorted(f"{name}.npy" for name in _MEMBERS):
            raise ValueError(f"its members are not {', '.join(_MEMBERS)}")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise ValueError(f"{member.filename} is compressed or encrypted")
            with archive.open(member) as content:
                _check_header(member, content)


def _check_header(member: zipfile.ZipInfo, content: IO[bytes]) -> None:
    dimensions, types = _MEMBERS[member.filename.removesuffix(".npy")]
    if np.lib.format.read_magic(content) != (1, 0):
        raise ValueError(f"{member.filename} is of another version of numpy's format")
    shape, _, kind = np.lib.format.read_array_header_1_0(content)
    if len(shape) != dimensions or kind.str not in types:
        raise ValueError(f"{member.filename} is {kind} of shape {shape}")
    if math.prod(shape) * kind.itemsize != member.file_size - content.tell():
        raise ValueError(f"{member.filename} has not as many bytes as its shape {shape} takes")
