"""Sending of a run's epochs and results to a tracker while it trains, without ever interrupting the run.

After the first failure, which is logged, nothing is sent until the run ends; then everything missing is sent at once.
If that fails too, ``train -o RUN --resume --track ...`` sends it later, since the run folder contains all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from distingo.errors import UsageError, option
from distingo.runs.contents import read_run
from distingo.runs.fields import read_record, write_record
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.tracking.destination import Destination, EpochPoint, RunStatus, in_one_line

log = logging.getLogger("distingo")

TRACKERS = ("tensorboard", "mlflow")

NOTES_NAME = "tracking.json"
"""The file in the run folder that lists where the run is tracked; see `TrackingFile`."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run in one tracker: its identifier there, and the last epoch that was sent."""

    id: str = ""
    epochs: int = 0


@dataclass(frozen=True, slots=True)
class TrackingFile:
    """The content of ``tracking.json``: the tracked runs by the tracker's name and address."""

    tracked: dict[str, TrackedRun] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where to track a run.

    Attributes:
        by: One of `TRACKERS`.
        to: The folder for TensorBoard (None for ``RUN/tensorboard``) or the server's address for MLflow (None for
            ``MLFLOW_TRACKING_URI``).
    """

    by: str
    to: str | None = None


def choose_tracking(by: str | None, to: str | Path | None) -> Tracking | None:
    """Convert the options ``--track`` and ``--track-to`` to a record; None if the run is not tracked.

    Raises:
        UsageError: There is no such tracker, or `to` is given without `by`.
    """
    if by is None:
        if to is not None:
            choices = " or ".join(option("track", name) for name in TRACKERS)
            raise UsageError(
                f"{option('track_to')} {to}: names no tracker; add {choices}",
                code="needs_other_option",
                parameter="track_to",
            )
        return None
    if by not in TRACKERS:
        raise UsageError(
            f"{option('track')} {by}: choose one of {', '.join(TRACKERS)}", code="unknown_name", parameter="track"
        )
    return Tracking(by, None if to is None else str(to))


@contextmanager
def follow(tracking: Tracking | None, folder: RunFolder, data: Path) -> Iterator[Callable[[EpochRecord], None]]:
    """Track a run within the block; how the block ends determines the status of the tracked run.

    Args:
        tracking: Where to track it; None tracks nothing.
        folder: The run folder.
        data: The data set, whose name is the default for the experiment.

    Yields:
        A function to be called with every finished epoch.

    Raises:
        UsageError: The tracker's library is missing, or no address is given.
        ResourceError: The tracker can't be reached; raised before the block is entered.
    """
    if tracking is None:
        yield _ignore
        return
    follower = Follower(_open(tracking, folder, data), folder)
    try:
        yield follower.on_epoch
    except KeyboardInterrupt:
        follower.end("stopped")
        raise
    except BaseException:
        follower.end("failed")
        raise
    follower.finish()


def _ignore(record: EpochRecord) -> None:
    del record


def _open(tracking: Tracking, folder: RunFolder, data: Path) -> Destination:
    if tracking.by == "tensorboard":
        from distingo.tracking.tensorboard import open_tensorboard

        return open_tensorboard(folder, tracking.to, is_known=(folder.path / NOTES_NAME).is_file())
    from distingo.tracking.mlflow import open_mlflow

    return open_mlflow(folder, tracking.to, data)


class Follower:
    """Sends one run to one tracker.

    Args:
        destination: The tracker.
        folder: The run folder, in which ``tracking.json`` is written.
    """

    def __init__(self, destination: Destination, folder: RunFolder) -> None:
        self._destination = destination
        self._folder = folder
        self._pending: list[EpochPoint] = []
        self._sent = 0
        self._has_begun = False
        self._is_away = False

    def on_epoch(self, record: EpochRecord) -> None:
        """Send an epoch and all earlier ones that have not been sent."""
        if self._has_begun:
            self._pending.append(_point(record))
        if not self._is_away:
            self._try(self._send_epochs)

    def finish(self) -> None:
        """Send all missing epochs and the result, and close the tracked run."""
        self._is_away = False
        if self._try(self._send_result):
            self._try(lambda: self._destination.end("finished"))

    def end(self, status: RunStatus) -> None:
        """Report that the run failed or was stopped."""
        if self._has_begun and not self._is_away:
            self._try(lambda: self._destination.end(status))

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception as error:  # libraries and servers may raise anything, and the run must continue
            self._is_away = True
            log.warning(
                "not tracked in %s (%s); the run continues, its folder holds everything, and"
                " `distingo train -o %s --resume` with the same %s sends what is missing",
                self._destination.where,
                in_one_line(error),
                self._folder.path,
                option("track"),
            )
            return False
        return True

    def _send_epochs(self) -> None:
        self._begin()
        if self._pending:
            self._destination.send_epochs(self._pending)
            self._sent = self._pending[-1].epoch
            self._pending.clear()
            self._note()

    def _send_result(self) -> None:
        self._send_epochs()
        self._destination.send_result(read_run(self._folder.path))

    def _begin(self) -> None:
        if self._has_begun:
            return
        records, earlier = read_run(self._folder.path), self._tracked().get(self._destination.where, TrackedRun())
        self._id = self._destination.begin(records, earlier.id)
        self._sent = earlier.epochs
        self._pending = [_point(record) for record in records.history if record.epoch > self._sent]
        self._has_begun = True
        self._note()

    def _tracked(self) -> dict[str, TrackedRun]:
        path = self._folder.path / NOTES_NAME
        return read_record(path, TrackingFile, advice="remove it").tracked if path.is_file() else {}

    def _note(self) -> None:
        tracked = {**self._tracked(), self._destination.where: TrackedRun(self._id, self._sent)}
        write_record(self._folder.path / NOTES_NAME, TrackingFile(tracked))


def _point(record: EpochRecord) -> EpochPoint:
    values = {name: value for name, value in asdict(record).items() if name != "epoch"}
    return EpochPoint(record.epoch, {name: float(value) for name, value in values.items() if value is not None})
