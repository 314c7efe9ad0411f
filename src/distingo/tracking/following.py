"""Following a run: what happens is sent on as it happens, and no failure to send it ever harms the run.

The run folder holds everything that is sent, so nothing need be kept for a server that is away: the first failure is
told once, nothing more is tried until the end, and then all that is missing is sent at one go. If that fails too,
``train -o RUN --resume --track ...`` sends it later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distingo.errors import UsageError, option
from distingo.evaluation.reading import Epoch, read_run
from distingo.files import read_json, write_json
from distingo.run_folder import FORMAT, RunFolder
from distingo.tracking.destination import Destination, Ending, EpochPoint, in_one_line

if TYPE_CHECKING:
    from distingo.training.checkpoint import EpochRecord

log = logging.getLogger("distingo")

TRACKERS = ("tensorboard", "mlflow")

NOTES_NAME = "tracking.json"
"""In the run folder: where the run is tracked, under which name, and how far."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """What a person wants a run to be tracked by.

    Attributes:
        by: One of `TRACKERS`.
        to: A folder for TensorBoard, a server's address for MLflow; None takes ``RUN/tensorboard`` and what
            ``MLFLOW_TRACKING_URI`` says.
    """

    by: str
    to: str | None = None


def choose_tracking(by: str | None, to: str | Path | None) -> Tracking | None:
    """What was asked for by ``--track`` and ``--track-to``.

    Raises:
        UsageError: There is no such tracker, or only a place is named.
    """
    if by is None:
        if to is not None:
            choices = " or ".join(option("track", name) for name in TRACKERS)
            raise UsageError(
                f"{option('track_to')} {to}: by what? add {choices}",
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
    """Track a run for as long as the block lasts; its end is the run's.

    Args:
        tracking: By what, and where to; None tracks nothing.
        folder: The run's.
        data: Its pictures; names the experiment where nothing else does.

    Yields:
        What to tell every finished epoch.

    Raises:
        UsageError: The library is missing, or no place is named.
        ResourceError: The place can't be reached now, before anything was trained.
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
    """Sends what happens in one run to one place.

    Args:
        destination: The place.
        folder: The run's; gets ``tracking.json``.
    """

    def __init__(self, destination: Destination, folder: RunFolder) -> None:
        self._destination = destination
        self._folder = folder
        self._pending: list[EpochPoint] = []
        self._sent = 0
        self._has_begun = False
        self._is_away = False

    def on_epoch(self, record: EpochRecord) -> None:
        """Send an epoch, and those before it that were not sent."""
        if self._has_begun:
            self._pending.append(_point(record.epoch, asdict(record)))
        if not self._is_away:
            self._try(self._send_epochs)

    def finish(self) -> None:
        """Send all that is missing, and the result."""
        self._is_away = False
        if self._try(self._send_result):
            self._try(lambda: self._destination.end("finished"))

    def end(self, ending: Ending) -> None:
        """Say that the run did not come to its end."""
        if self._has_begun and not self._is_away:
            self._try(lambda: self._destination.end(ending))

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception as error:  # whatever the library or the server came up with: the run goes on
            self._is_away = True
            log.warning(
                "not tracked in %s (%s); the run goes on, its folder holds everything, and"
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
        records, notes = read_run(self._folder.path), self._notes().get(self._destination.where, {})
        self._id = self._destination.begin(records, str(notes.get("id", "")))
        self._sent = int(notes.get("epochs", 0))
        self._pending = [_point_of(epoch) for epoch in records.history if epoch.number > self._sent]
        self._has_begun = True
        self._note()

    def _notes(self) -> dict[str, Any]:
        path = self._folder.path / NOTES_NAME
        content = read_json(path) if path.is_file() else {}
        tracked = content.get("tracked") if isinstance(content, dict) else None
        entries = tracked.items() if isinstance(tracked, dict) else ()
        return {name: notes for name, notes in entries if isinstance(notes, dict)}

    def _note(self) -> None:
        tracked = {**self._notes(), self._destination.where: {"id": self._id, "epochs": self._sent}}
        write_json(self._folder.path / NOTES_NAME, {"format": FORMAT, "tracked": tracked})


def _point(epoch: int, values: dict[str, Any]) -> EpochPoint:
    return EpochPoint(
        epoch, {name: float(value) for name, value in values.items() if value is not None and name != "epoch"}
    )


def _point_of(epoch: Epoch) -> EpochPoint:
    return _point(epoch.number, {name: getattr(epoch, name) for name in Epoch.__slots__ if name != "number"})
