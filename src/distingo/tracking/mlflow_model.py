"""A run's model in MLflow's format, so that ``mlflow.pyfunc.load_model`` loads it: an export where it can be one.

What is loaded is `distingo.runtime.mlflow_model` around an ONNX export; a model that can't be exported, or whose
exporter is not installed, goes as the run's own folder, and needs distingo itself where it is loaded.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from distingo.errors import DistingoError
from distingo.evaluation.reading import RunRecords
from distingo.runtime.mlflow_model import COLUMN, MlflowClassifier, describe_signature
from distingo.version import __version__

LOGGED_AS = "classifier"
"""The folder among a run's artifacts: ``runs:/ID/classifier``."""

_SIDE = 64
_log = logging.getLogger("distingo")


def save_pyfunc(records: RunRecords, place: Path) -> Path:
    """Write a run's model as MLflow keeps models, with signature and input example.

    Args:
        records: Of a finished run.
        place: An empty folder.

    Returns:
        The model's folder in it.

    Raises:
        ImportError: MLflow's format needs pandas, which is not installed.
    """
    import mlflow.pyfunc
    import pandas as pd

    data, loader, requirement = _data(records, place)
    folder = place / LOGGED_AS
    with _quiet_mlflow():
        mlflow.pyfunc.save_model(
            folder,
            loader_module=loader,
            data_path=str(data),
            signature=describe_signature(),
            input_example=pd.DataFrame({COLUMN: [_example_image()]}),
            pip_requirements=[requirement, f"mlflow>={mlflow.__version__.partition('.')[0]}", "pandas"],
            metadata={"classes": list(records.classes), "task": records.task, "distingo_version": __version__},
        )
    return folder


@contextlib.contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """Keep it from telling a person who trains that the environment of those who load is another one."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _data(records: RunRecords, place: Path) -> tuple[Path, str, str]:
    """The folder that is logged, what loads it, and what must be installed for that."""
    from distingo.exporting.run import ExportRequest, export_run

    try:
        exported = export_run(ExportRequest(run=records.folder, exported_as="onnx", output=place / "export"))
    except DistingoError as error:
        _log.info("MLflow gets the run's own model, since there is no export of it (%s)", error)
        return records.folder / "model", __name__, f"distingo=={__version__}"
    return exported.folder, MlflowClassifier.__module__, f"distingo-runtime[heif,tiff]=={__version__}"


def _example_image() -> bytes:
    """A gradient, as a file: it names no picture of anybody's."""
    shades = Image.linear_gradient("L").resize((_SIDE, _SIDE))
    encoded = io.BytesIO()
    Image.merge("RGB", (shades, shades.rotate(90), shades.rotate(180))).save(encoded, "PNG")
    return encoded.getvalue()


def _load_pyfunc(path: str) -> Any:
    """What MLflow calls to load a model that is no export."""
    from distingo.prediction.predictor import load

    return MlflowClassifier(load(Path(path)))
