"""The export of a run's model to a folder, which is kept only if the model agrees with the original."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distingo.errors import DataError, ExportError, ModelError, UsageError, option
from distingo.exporting.agreement import (
    HIGHEST_COST,
    MAX_CHECKED,
    MIN_SAME,
    Agreement,
    CheckImage,
    images_in,
    images_of_run,
    measure_agreement,
)
from distingo.exporting.folders import (
    appearing_folder,
    describe_agreement,
    describe_export,
    describe_for_person,
    require_free,
)
from distingo.exporting.networks import resizes_in_graph
from distingo.exporting.writing import Writer
from distingo.files import checksum_file, record_checksums, write_text
from distingo.models.reference_data import save_calibration_set
from distingo.models.saved import SavedModel, load_model
from distingo.prediction.predictor import model_folder
from distingo.runs.contents import RunRecords, read_run
from distingo.runs.folder import RunFolder
from distingo.runtime.description import (
    ExportDescription,
    ExportFormat,
    Precision,
    save_exported_bank,
    write_description,
)

_log = logging.getLogger(__name__)

_NEEDS: dict[str, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "torch-export": (),
}
_EXTRAS = {"openvino": "openvino", "nncf": "openvino-int8"}
_MAX_OOD_DIFFERENT = 0.01
"""Fraction of different decisions above which an export does not report images as out of distribution. One image may
differ, as the threshold is the distance of one image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """The options of an export.

    Attributes:
        run: A run folder.
        exported_as: The format.
        precision: ``float32``, ``half`` or ``int8``.
        output: Folder to create; None creates one in the run folder.
        check_on: Folder of images for the comparison instead of the run's own.
    """

    run: Path
    exported_as: ExportFormat
    precision: Precision = "float32"
    output: Path | None = None
    check_on: Path | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A completed export.

    Attributes:
        folder: Folder of the export.
        description: Description of the export.
        agreement: Result of the comparison with the original.
        bytes: Size of the model's files.
    """

    folder: Path
    description: ExportDescription
    agreement: Agreement
    bytes: int


def export_run(request: ExportRequest) -> Exported:
    """Write a run's model in another format, and compare it with the original.

    Args:
        request: Options of the export.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or from a newer version.
        UsageError: The model is not a network, the format does not support the precision, or a package is missing.
        DataError: There are no images for comparison or calibration.
        ExportError: The export's predictions differ from the original's; no files are left.
        ResourceError: The folder exists or can't be written.
    """
    _require_possible(request)
    model = load_model(model_folder(request.run))
    _require_network(request, model)
    target = request.output or _default_folder(request)
    require_free(target)
    records = read_run(request.run)
    images, checked_on = _images(request, records)
    writer = Writer(model, records, request.exported_as, request.precision)
    with appearing_folder(target) as folder:
        description, agreement = _first_that_agrees(request, writer, images, checked_on, folder)
        _write_metadata(model, description, agreement, folder, target)
        size = sum(path.stat().st_size for path in folder.glob("model.*"))
    return Exported(target, description, agreement, size)


def _first_that_agrees(
    request: ExportRequest, writer: Writer, images: Sequence[CheckImage], checked_on: str, folder: Path
) -> tuple[ExportDescription, Agreement]:
    failed: list[str] = []
    for description in _candidates(request, writer.model):
        run = writer.write(folder, description)
        _log.info("comparing with the original on %s pictures", f"{len(images):,}")
        agreement = measure_agreement(writer.model, images, run, description, checked_on)
        if agreement.is_enough(description):
            return replace(description, agreement=describe_agreement(agreement, writer.ranges_by)), agreement
        where = "resizing in the model" if description.in_graph else "pictures resized by Pillow"
        failed.append(f"{where}: {agreement.words}")
        for path in folder.iterdir():
            path.unlink()
    requirement = f"{MIN_SAME:.1%} of the same answers"
    if request.precision == "int8":
        requirement = f"a loss of at most {HIGHEST_COST * 100:.0f} point"
    raise ExportError(
        f"{request.run}: as {request.exported_as} in {request.precision} it does not say what the original says, "
        f"{requirement} is requested; {'; '.join(failed)}; nothing was written",
        code="export_differs",
    )


def _candidates(request: ExportRequest, model: SavedModel) -> Iterator[ExportDescription]:
    """Yield a description with resizing in the graph, if the format can match Pillow, then one without."""
    image_spec = model.description.image_spec
    assert image_spec is not None
    inside = request.exported_as != "openvino" and resizes_in_graph(image_spec)
    for in_graph in (True, False) if inside else (False,):
        yield describe_export(
            model, RunFolder(request.run).model, request.exported_as, request.precision, in_graph=in_graph
        )


def _write_metadata(
    model: SavedModel, description: ExportDescription, agreement: Agreement, folder: Path, target: Path
) -> None:
    if description.exported_as != "torch-export":
        if model.calibration_set is not None:
            save_calibration_set(folder, model.calibration_set)
        if model.bank is not None and agreement.unlike_same is not None:
            different = round((1 - agreement.unlike_same) * agreement.images)
            if different <= max(1, _MAX_OOD_DIFFERENT * agreement.images):
                save_exported_bank(folder, model.bank)
            else:
                _log.warning(
                    "this export does not say what is unlike training: it would differ on "
                    f"{different:,} of {agreement.images:,} pictures"
                )
    write_description(folder, description)
    write_text(folder / "README.md", describe_for_person(description, agreement, target.name))
    # JSON files have a checksum; the README is for people, who may edit it
    others = (path for path in folder.iterdir() if path.suffix not in {".json", ".md"})
    record_checksums(folder, {path.name: checksum_file(path) for path in others})


def _require_possible(request: ExportRequest) -> None:
    if request.exported_as == "torch-export" and request.precision == "int8":
        raise UsageError(
            f"{option('int8', value=True)}: torch-export has no 8-bit form here; take {option('format')} onnx or "
            f"openvino, or {option('half', value=True)}",
            code="option_not_applicable",
            parameter="int8",
        )
    needed = list(_NEEDS[request.exported_as])
    if (request.exported_as, request.precision) == ("openvino", "int8"):
        needed.append("nncf")
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        extra = ",".join(dict.fromkeys(_EXTRAS.get(package, "export") for package in missing))
        raise UsageError(
            f"{option('format')} {request.exported_as}: {' and '.join(missing)} missing; `pip install "
            f"'distingo[{extra}]'`",
            code="missing_extra",
            parameter="format",
        )


def _require_network(request: ExportRequest, model: SavedModel) -> None:
    if model.network is None or model.description.image_spec is None:
        raise ModelError(
            f"{request.run}: its model, {model.description.name}, is no network; `distingo export` writes networks "
            "(small-cnn, pretrained backbones ...), and `distingo predict` uses this one",
            code="not_a_network",
            parameter="run",
        )


def _default_folder(request: ExportRequest) -> Path:
    ending = "" if request.precision == "float32" else f"-{request.precision}"
    return RunFolder(request.run).exports / f"{request.exported_as}{ending}"


def _images(request: ExportRequest, records: RunRecords) -> tuple[list[CheckImage], str]:
    if request.check_on is not None:
        return images_in(request.check_on, MAX_CHECKED), f"pictures in {request.check_on.name}"
    images = images_of_run(records, ("test", "validation"), MAX_CHECKED)
    if not images:
        raise DataError(
            f"{request.run}: its test and validation pictures are no longer in {records.root}, and an export is "
            f"checked on real ones; put them back, or give others with {option('check_on')} FOLDER",
            code="no_usable_images",
            parameter="check_on",
        )
    return images, "the run's test and validation pictures"
