"""Calls that take a trained model elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distingo.errors import UsageError

if TYPE_CHECKING:
    from distingo.exporting.run import Exported
    from distingo.runtime.description import ExportFormat, Precision


def export(
    run: str | Path,
    output: str | Path | None = None,
    *,
    format: ExportFormat = "onnx",
    half: bool = False,
    int8: bool = False,
    check_on: str | Path | None = None,
) -> Exported:
    """Write a run's model in another format, and check it on real pictures against the original.

    Args:
        run: A run folder.
        output: The folder to make; None makes one in the run's ``exports``.
        format: ``onnx``, ``openvino`` or ``torch-export``.
        half: Keep weights in 16 bits.
        int8: Compute in 8-bit integers, calibrated on training pictures.
        check_on: A folder of pictures to check on, instead of the run's test and validation pictures.

    Returns:
        Where it lies and what the check found. `distingo.runtime` predicts from ONNX and OpenVINO without torch.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or newer.
        ModelError: The model is no network, or can't be written in this format.
        UsageError: The format does not have the precision, or a package is missing.
        DataError: There is no picture to check or calibrate on.
        ExportError: The export does not say what the original says; nothing is left of it.
        ResourceError: The folder exists or can't be written.
    """
    from distingo.exporting.run import ExportRequest, export_run
    from distingo.models.machine import prepare_process
    from distingo.runtime.description import MODEL_FILES

    if format not in MODEL_FILES:
        raise UsageError(f"--format {format}: choose one of {', '.join(MODEL_FILES)}")
    if half and int8:
        raise UsageError("--half --int8: give one of the two")
    prepare_process()
    precision: Precision = "half" if half else "int8" if int8 else "float32"
    request = ExportRequest(
        run=Path(run),
        exported_as=format,
        precision=precision,
        output=None if output is None else Path(output),
        check_on=None if check_on is None else Path(check_on),
    )
    return export_run(request)
