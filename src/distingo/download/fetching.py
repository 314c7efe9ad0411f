"""Concurrent download of many files into a folder, with retries, a limit per host and resumption of earlier runs."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from distingo.datasets.decoding.formats import ENDINGS
from distingo.download.connections import Connections, parse_address
from distingo.download.folder import DownloadFolder
from distingo.download.records import (
    LastingError,
    Limits,
    Outcome,
    PassingError,
    StoppedError,
    WantedFile,
)
from distingo.download.request import waiting_time
from distingo.download.transfer import PartialFile, Received, Transport, transfer
from distingo.progress import TransferProgress, transfer_bar
from distingo.safe_paths import find_link_above

_PATIENCE_AT_THE_END = 3.0


class Turn:
    """An entry of the queue.

    Attributes:
        wanted: The file.
        host: The host that the file is requested from.
        attempts: Number of attempts, including the current one.
    """

    __slots__ = ("attempts", "host", "wanted")

    def __init__(self, wanted: WantedFile, host: str) -> None:
        self.wanted = wanted
        self.host = host
        self.attempts = 0


class HostQueue:
    """Thread-safe queue of files by host. Every turn that is taken must end in a call of `done` or `again`."""

    def __init__(self, turns: Iterable[Turn], per_host: int) -> None:
        """Create the queue; at most `per_host` turns of a host run at the same time."""
        self._per_host = per_host
        self._waiting: defaultdict[str, deque[Turn]] = defaultdict(deque)
        for turn in turns:
            self._waiting[turn.host].append(turn)
        self._left = sum(len(line) for line in self._waiting.values())
        self._under_way: Counter[str] = Counter()
        self._open_hosts = deque(self._waiting)
        self._offered = set(self._waiting)
        self._held: dict[str, float] = {}
        self._later: list[tuple[float, int, str, Turn | None]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self.stopped = False

    def take(self) -> Turn | None:
        """Return the next turn, waiting for one if necessary; None if no turns are left or the queue was stopped."""
        with self._changed:
            while self._left and not self.stopped:
                self._bring_back(time.monotonic())
                while self._open_hosts:
                    host = self._open_hosts.popleft()
                    self._offered.discard(host)
                    if turn := self._take_from(host):
                        return turn
                self._changed.wait(self._later[0][0] - time.monotonic() if self._later else None)
            return None

    def _take_from(self, host: str) -> Turn | None:
        until = self._held.get(host, 0.0)
        if until > time.monotonic():
            heapq.heappush(self._later, (until, next(self._numbers), host, None))
            return None
        self._held.pop(host, None)
        turn = self._waiting[host].popleft()
        turn.attempts += 1
        self._under_way[host] += 1
        self._offer(host)
        return turn

    def _bring_back(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, host, turn = heapq.heappop(self._later)
            if turn is not None:
                self._waiting[host].append(turn)
            self._offer(host)

    def _offer(self, host: str) -> None:
        if host not in self._offered and self._waiting[host] and self._under_way[host] < self._per_host:
            self._open_hosts.append(host)
            self._offered.add(host)

    def done(self, turn: Turn) -> None:
        """Report that a file has its outcome."""
        with self._changed:
            self._left -= 1
            self._leave(turn)

    def again(self, turn: Turn, wait: float, *, whole_host: bool) -> None:
        """Queue a file again after `wait` seconds; if `whole_host`, other files of its host wait too."""
        with self._changed:
            until = time.monotonic() + wait
            if whole_host:
                self._held[turn.host] = max(until, self._held.get(turn.host, 0.0))
            heapq.heappush(self._later, (until, next(self._numbers), turn.host, turn))
            self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        self._under_way[turn.host] -= 1
        self._offer(turn.host)
        self._changed.notify_all()

    def stop(self) -> None:
        """Stop the queue: `take` returns None in all threads."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()


def fetch(
    wanted: Sequence[WantedFile],
    folder: DownloadFolder,
    limits: Limits | None = None,
    *,
    description: str = "fetching",
    allow_private: bool = False,
    try_refused: bool = False,
) -> tuple[Outcome, ...]:
    """Download files into a folder.

    Files that an earlier run downloaded are not requested again; nor, unless `try_refused`, files that were absent,
    refused, or removed by a person since. Partial files are resumed. Every outcome is recorded immediately, and
    ``manifest.csv`` is written at the end.

    Args:
        wanted: The files, with unique names.
        folder: A folder opened by `open_folder`.
        limits: Limits on connections, attempts and sizes.
        description: Text before the progress bar.
        allow_private: Whether the files' URLs may be on a private network; redirects there are never followed.
        try_refused: Whether to request files again that were absent, refused, or removed since.

    Returns:
        One outcome per file, in their order.

    Raises:
        OSError: The disk is full; `open_folder` translates this error.
        KeyboardInterrupt: Ctrl-C was pressed; finished and partial files are kept.
    """
    names = {file.name.casefold() for file in wanted}
    if len(names) != len(wanted):
        raise ValueError("two wanted files have the same name")
    remaining = [file for file in wanted if not _settled(file, folder, try_refused=try_refused)]
    with transfer_bar(description, len(wanted), len(wanted) - len(remaining)) as progress:
        _Run(folder, limits or Limits(), progress, allow_private=allow_private).fetch(remaining)
    folder.write_manifest()
    return tuple(outcome for file in wanted if (outcome := folder.outcome_of(file.name)) is not None)


def _settled(wanted: WantedFile, folder: DownloadFolder, *, try_refused: bool) -> bool:
    """Whether a file need not be downloaded.

    A file that was complete when an earlier run was killed gets its name. Files that a person has removed or changed
    since are left alone.
    """
    outcome = folder.outcome_of(wanted.name)
    if outcome is None or outcome.status == "failed":
        return False
    target, part = folder.root / outcome.file, PartialFile(folder.parts, wanted)
    if outcome.url != wanted.url and not (outcome.status == "fetched" and _has_checksum(target, wanted.checksum)):
        return False
    if outcome.status == "fetched" and not target.exists():
        if part.size() != outcome.size or _digest(part.path) != outcome.sha256:
            return not try_refused
        part.finish(target)
    return outcome.status == "fetched" or not try_refused


def _has_checksum(path: Path, checksum: str) -> bool:
    kind, _, expected = checksum.partition(":")
    return bool(expected) and path.is_file() and _digest(path, kind) == expected.lower()


def _digest(path: Path, kind: str = "sha256") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


class _Run:
    """The threads of one run and their shared state."""

    def __init__(
        self, folder: DownloadFolder, limits: Limits, progress: TransferProgress, *, allow_private: bool
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._progress = progress
        self._allow_private = allow_private
        self._queue = HostQueue((), limits.per_host)
        self._error: BaseException | None = None

    def fetch(self, wanted: Sequence[WantedFile]) -> None:
        turns = [turn for file in wanted if (turn := self._turn(file)) is not None]
        if not turns:
            return
        self._queue = HostQueue(turns, self._limits.per_host)
        connections = Connections(self._limits)
        transport = Transport(connections, self._limits, self._report, lambda: self._queue.stopped, self._allow_private)
        count = min(self._limits.connections, len(turns))
        threads = [threading.Thread(target=self._work, args=(transport,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # with a timeout, so that Ctrl-C is noticed on every system
        finally:
            self._queue.stop()
            connections.close()
            deadline = time.monotonic() + _PATIENCE_AT_THE_END
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise self._error

    def _report(self, name: str, count: int, done: int, total: int | None) -> None:
        self._progress.advance(name, count, total, done=done)

    def _turn(self, wanted: WantedFile) -> Turn | None:
        try:
            return Turn(wanted, parse_address(wanted.url).host)
        except LastingError as error:
            self._end(wanted, error, attempts=0)
            return None

    def _work(self, transport: Transport) -> None:
        try:
            while (turn := self._queue.take()) is not None:
                self._try(turn, transport)
        except StoppedError:
            return
        except BaseException as error:
            # A full disk, or a bug: stop the other threads and raise the error in the caller's thread.
            if not self._queue.stopped:
                self._error = error
            self._queue.stop()

    def _try(self, turn: Turn, transport: Transport) -> None:
        wanted = turn.wanted
        part = PartialFile(self._folder.parts, wanted)
        try:
            self._keep(turn, part, transfer(wanted, part, transport))
        except LastingError as error:
            self._end(wanted, error, attempts=turn.attempts)
        except PassingError as error:
            self._put_off(turn, error)
            return
        self._queue.done(turn)

    def _put_off(self, turn: Turn, error: PassingError) -> None:
        """Retry later, or give up after too many attempts or if the server requests too long a wait."""
        limits, requested_wait = self._limits, error.wait
        if self._queue.stopped:
            return
        self._progress.restart(turn.wanted.name)
        if turn.attempts < limits.attempts and (requested_wait or 0.0) <= limits.longest_wait:
            wait = 0.0 if requested_wait == 0.0 else waiting_time(turn.attempts, limits, requested_wait)
            self._queue.again(turn, wait, whole_host=bool(requested_wait))
            return
        reason = f"{error}, {turn.attempts} times" if turn.attempts > 1 else str(error)
        if (requested_wait or 0.0) > limits.longest_wait:
            reason = f"{error} and asks to wait {requested_wait:,.0f} seconds"
        self._end(turn.wanted, LastingError("failed", reason), attempts=turn.attempts)
        self._queue.done(turn)

    def _keep(self, turn: Turn, part: PartialFile, received: Received) -> None:
        """Record the outcome, then rename the file; if a crash separates the two, `_settled` completes them."""
        wanted = turn.wanted
        file = wanted.name + (ENDINGS.get(received.format, ("",))[0] if wanted.ending else "")
        target = self._folder.root / file
        earlier = self._folder.outcome_of(wanted.name)
        if link := find_link_above(self._folder.root, file):
            part.discard()
            raise LastingError("refused", f"{file} leads through a link, {link}; make it a folder")
        if target.exists() and not (earlier and earlier.file == file and _digest(target) == earlier.sha256):
            part.discard()
            raise LastingError("refused", f"{file} is there already, and not ours; move it away")
        outcome = Outcome(
            name=wanted.name,
            status="fetched",
            reason="",
            file=file,
            url=wanted.url,
            final_url=received.url,
            size=received.size,
            format=received.format,
            sha256=received.sha256,
            attempts=turn.attempts,
        )
        self._folder.record(outcome, arrived=True)
        part.finish(target)
        self._progress.finish(wanted.name)

    def _end(self, wanted: WantedFile, error: LastingError, *, attempts: int) -> None:
        outcome = Outcome(wanted.name, error.status, str(error), "", wanted.url, format=error.format, code=error.code)
        self._folder.record(replace(outcome, attempts=attempts))
        self._progress.finish(wanted.name)
