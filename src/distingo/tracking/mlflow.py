"""Tracking in MLflow: parameters, metrics by epoch, scores, report and model as a run on a tracking server.

The model is logged in a form that ``mlflow.pyfunc.load_model`` loads: as `distingo.runtime.mlflow_model` around an ONNX
export, or, if it can't be exported or the exporter is not installed, as the run's own model, which needs distingo to be
loaded.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from distingo.errors import DistingoError, ResourceError, UsageError, option
from distingo.progress import quiet_loggers
from distingo.runs.contents import RunRecords
from distingo.runs.folder import RunFolder
from distingo.runtime.mlflow_model import COLUMN, MlflowClassifier, describe_signature
from distingo.tracking.destination import EpochPoint, RunStatus, draw_result, final_scores, in_one_line, parameters
from distingo.version import __version__

LOGGED_AS = "classifier"
"""The model's folder in the run's artifacts: ``runs:/ID/classifier``."""

_SIDE = 64
_log = logging.getLogger("distingo")

_FILES = ("report.html", "config.json", "evaluation.json", "history.csv", "predictions.parquet")

_STATUS: dict[RunStatus, str] = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}

_AT_ONCE = 500
"""Number of metrics in one request; the server accepts at most 1,000."""

_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults for MLflow's environment variables, so that training does not wait minutes for an unavailable server."""


class MlflowRun:
    """One run on a tracking server.

    Args:
        client: MLflow's client.
        experiment: The experiment's ID.
        where: The server's address.
        name: The run's name.
    """

    def __init__(self, client: Any, experiment: str, where: str, name: str) -> None:
        self._client = client
        self._experiment = experiment
        self._where = where
        self._name = name
        self._run = ""

    @property
    def where(self) -> str:
        """MLflow and the server's address, without a password."""
        return f"MLflow at {_without_secret(self._where)}"

    def begin(self, records: RunRecords, run_id: str) -> str:
        """Create the run, or continue the run with the ID `run_id`, and write its parameters."""
        from mlflow.entities import Param

        if run_id:
            self._client.update_run(run_id, status="RUNNING")
            self._run = run_id
        else:
            tags = {"distingo.version": __version__, "distingo.run": str(records.folder.resolve())}
            created = self._client.create_run(self._experiment, run_name=self._name, tags=tags)
            self._run = created.info.run_id
        params = [Param(name, str(value)) for name, value in parameters(records).items()]
        self._client.log_batch(self._run, params=params)
        return self._run

    def send_epochs(self, points: Sequence[EpochPoint]) -> None:
        """Write epochs as metrics, with the epoch as the step."""
        self._send([(name, value, point.epoch) for point in points for name, value in point.values.items()])

    def send_result(self, records: RunRecords) -> None:
        """Write scores as metrics, and the report, plots and model as artifacts."""
        last = records.history[-1].epoch if records.history else 0
        self._send([(name.replace("/", "_"), value, last) for name, value in final_scores(records).items()])
        for name in _FILES:
            if (records.folder / name).is_file():
                self._client.log_artifact(self._run, str(records.folder / name))
        if (records.folder / "model").is_dir():
            self._client.log_artifacts(self._run, str(records.folder / "model"), "model")
        self._send_model(records)
        with tempfile.TemporaryDirectory() as folder_path:
            for name, image in draw_result(records).items():
                image.save(Path(folder_path) / f"{name}.png")
            self._client.log_artifacts(self._run, folder_path, "plots")

    def _send_model(self, records: RunRecords) -> None:
        """Log the model in a form that ``mlflow.pyfunc.load_model`` loads."""
        with tempfile.TemporaryDirectory() as folder_path:
            try:
                folder = save_pyfunc(records, Path(folder_path))
            except ImportError as error:
                _log.warning("MLflow gets no model that it can load (%s); `pip install pandas`", in_one_line(error))
                return
            except Exception as error:  # MLflow may raise anything; the run's own model has already been logged
                _log.warning("MLflow gets no model that it can load (%s); model/ is what predicts", in_one_line(error))
                return
            self._client.log_artifacts(self._run, str(folder), LOGGED_AS)

    def end(self, status: RunStatus) -> None:
        """Set the run's status."""
        self._client.set_terminated(self._run, status=_STATUS[status])

    def _send(self, values: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in values]
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self._run, metrics=metrics[start : start + _AT_ONCE])


def open_mlflow(folder: RunFolder, to: str | None, data: Path) -> MlflowRun:
    """Connect to a tracking server, and find or create the experiment.

    Args:
        folder: The run folder, whose name becomes the run's name.
        to: The server's address; None for ``MLFLOW_TRACKING_URI``.
        data: The data set; the experiment gets its name unless ``MLFLOW_EXPERIMENT_NAME`` is set.

    Raises:
        UsageError: The library is missing, or no address is given.
        ResourceError: The server can't be reached.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError(
            f'{option("track", "mlflow")} needs MLflow\'s client: `pip install "distingo[mlflow]"`',
            code="missing_extra",
            parameter="track",
        ) from error
    where = to or os.environ.get("MLFLOW_TRACKING_URI")
    if not where:
        raise UsageError(
            f"{option('track', 'mlflow')}: no address; give {option('track_to')} http://127.0.0.1:5000, or set "
            "MLFLOW_TRACKING_URI",
            code="missing_setting",
            parameter="track_to",
        )
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or data.resolve().name or "distingo"
    try:
        client = MlflowClient(tracking_uri=where)
        existing = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if existing is None else existing.experiment_id
    except (MlflowException, OSError, ImportError, ValueError) as error:
        raise ResourceError(
            f"{option('track', 'mlflow')}: {_without_secret(where)} can't be used ({in_one_line(error)}); start the "
            f"server, fix {option('track_to')}, or leave {option('track')} out",
            code="tracker_unavailable",
            parameter="track",
        ) from error
    return MlflowRun(client, experiment, where, folder.path.resolve().name)


def _without_secret(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    return scheme + separator + rest.rpartition("@")[2] if separator else address


def save_pyfunc(records: RunRecords, folder_path: Path) -> Path:
    """Write a run's model in MLflow's format, with a signature and an input example.

    Args:
        records: The records of a finished run.
        folder_path: An empty folder.

    Returns:
        The model's folder in `folder_path`.

    Raises:
        ImportError: pandas, which MLflow's format needs, is not installed.
    """
    import mlflow.pyfunc
    import pandas as pd

    data, loader, requirement = _data(records, folder_path)
    folder = folder_path / LOGGED_AS
    with quiet_loggers("mlflow"):  # it warns that the model may be loaded in another environment
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


def _data(records: RunRecords, folder_path: Path) -> tuple[Path, str, str]:
    """The folder to log, the module that loads it, and the distribution that must be installed for that."""
    from distingo.exporting.run import ExportRequest, export_run

    try:
        exported = export_run(ExportRequest(run=records.folder, exported_as="onnx", output=folder_path / "export"))
    except DistingoError as error:
        _log.info("MLflow gets the run's own model, since there is no export of it (%s)", error)
        return records.folder / "model", __name__, f"distingo=={__version__}"
    return exported.folder, MlflowClassifier.__module__, f"distingo-runtime[heif,tiff]=={__version__}"


def _example_image() -> bytes:
    """Encode a gradient as a PNG file, so that the example contains nobody's photograph."""
    shades = Image.linear_gradient("L").resize((_SIDE, _SIDE))
    encoded = io.BytesIO()
    Image.merge("RGB", (shades, shades.rotate(90), shades.rotate(180))).save(encoded, "PNG")
    return encoded.getvalue()


def _load_pyfunc(path: str) -> Any:
    """Load a model that is not an export; called by MLflow."""
    from distingo.prediction.predictor import load

    return MlflowClassifier(load(Path(path)))
