"""Many files at once into a folder: each tried until it has an outcome, and none downloaded twice.

Many files at once, but few from one host, and none from a host that asked us to wait.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from distingo.contained_paths import find_link_above
from distingo.datasets.decoding.formats import ENDINGS
from distingo.download.connections import Connections, parse_address
from distingo.download.folder import DownloadFolder
from distingo.download.records import (
    FetchStatus,
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

_PATIENCE_AT_THE_END = 3.0


class Turn:
    """A file's turn.

    Attributes:
        wanted: The file.
        host: The host it is requested from.
        attempts: How often it has been tried, this time included.
    """

    __slots__ = ("attempts", "host", "wanted")

    def __init__(self, wanted: WantedFile, host: str) -> None:
        self.wanted = wanted
        self.host = host
        self.attempts = 0


class HostQueue:
    """Files by host, for several threads. Every turn that is taken ends in `done` or `again`."""

    def __init__(self, turns: Iterable[Turn], per_host: int) -> None:
        """Queue a turn for each file, of which `per_host` of one host may run at once."""
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
        """The next file; waits for one where all that are left must wait. None when there are no more."""
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
        """A file has its outcome."""
        with self._changed:
            self._left -= 1
            self._leave(turn)

    def again(self, turn: Turn, wait: float, *, whole_host: bool) -> None:
        """Try a file again after `wait` seconds, during which no other file of its host starts if `whole_host`."""
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
        """No more turns: `take` returns None in all threads."""
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

    What an earlier run downloaded is not requested again; nor, unless `try_refused`, what it was refused and what a
    person removed since. What it had begun is resumed. Every outcome is recorded at once, and ``manifest.csv`` written
    at the end.

    Args:
        wanted: The files; their names are all different.
        folder: From `open_folder`.
        limits: How politely, how patiently and how much.
        description: For the progress bar.
        allow_private: Whether the files' own addresses may be on a private network; redirects never.
        try_refused: Whether to request again what was absent, refused, or removed since.

    Returns:
        One outcome per file, in their order.

    Raises:
        OSError: The disk is full; `open_folder` translates it.
        KeyboardInterrupt: Ctrl-C; what has come is kept.
    """
    names = {file.name.casefold() for file in wanted}
    if len(names) != len(wanted):
        raise ValueError("two wanted files have the same name")
    left = [file for file in wanted if not _settled(file, folder, try_refused=try_refused)]
    with transfer_bar(description, len(wanted), len(wanted) - len(left)) as progress:
        _Run(folder, limits or Limits(), progress, allow_private=allow_private).fetch(left)
    folder.write_manifest()
    return tuple(outcome for file in wanted if (outcome := folder.outcome_of(file.name)) is not None)


def _settled(wanted: WantedFile, folder: DownloadFolder, *, try_refused: bool) -> bool:
    """Whether a file need not be downloaded; a file that was whole when an earlier run was killed gets its name.

    What a person removed or changed since stays so.
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
    """The threads of one run and what they share."""

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
                    thread.join(0.2)  # in slices, so that Ctrl-C is noticed on every system
        finally:
            self._queue.stop()
            connections.close()
            until = time.monotonic() + _PATIENCE_AT_THE_END
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
        if self._error is not None:
            raise self._error

    def _report(self, name: str, count: int, done: int, total: int | None) -> None:
        self._progress.advance(name, count, total, done=done)

    def _turn(self, wanted: WantedFile) -> Turn | None:
        try:
            return Turn(wanted, parse_address(wanted.url).host)
        except LastingError as error:
            self._end(wanted, error.status, str(error), attempts=0)
            return None

    def _work(self, transport: Transport) -> None:
        try:
            while (turn := self._queue.take()) is not None:
                self._try(turn, transport)
        except StoppedError:
            return
        except BaseException as error:
            # A full disk, or a bug of ours: the other threads stop too, and the error is raised to the caller.
            if not self._queue.stopped:
                self._error = error
            self._queue.stop()

    def _try(self, turn: Turn, transport: Transport) -> None:
        wanted = turn.wanted
        part = PartialFile(self._folder.parts, wanted)
        try:
            self._keep(turn, part, transfer(wanted, part, transport))
        except LastingError as error:
            self._end(wanted, error.status, str(error), attempts=turn.attempts, detected=error.format)
        except PassingError as error:
            self._put_off(turn, error)
            return
        self._queue.done(turn)

    def _put_off(self, turn: Turn, error: PassingError) -> None:
        """Try again later, or give up: after many attempts, or where the server asks for too much patience."""
        limits, asked = self._limits, error.wait
        if self._queue.stopped:
            return
        self._progress.restart(turn.wanted.name)
        if turn.attempts < limits.attempts and (asked or 0.0) <= limits.longest_wait:
            wait = 0.0 if asked == 0.0 else waiting_time(turn.attempts, limits, asked)
            self._queue.again(turn, wait, whole_host=bool(asked))
            return
        reason = f"{error}, {turn.attempts} times" if turn.attempts > 1 else str(error)
        if (asked or 0.0) > limits.longest_wait:
            reason = f"{error} and asks to wait {asked:,.0f} seconds"
        self._end(turn.wanted, "failed", reason, attempts=turn.attempts)
        self._queue.done(turn)

    def _keep(self, turn: Turn, part: PartialFile, received: Received) -> None:
        """Record the outcome, then give the file its name: `_settled` completes what a kill separates."""
        wanted = turn.wanted
        file = wanted.name + (ENDINGS.get(received.format, ("",))[0] if wanted.ending else "")
        target = self._folder.root / file
        known = self._folder.outcome_of(wanted.name)
        if link := find_link_above(self._folder.root, file):
            part.discard()
            raise LastingError("refused", f"{file} leads through a link, {link}; make it a folder")
        if target.exists() and not (known and known.file == file and _digest(target) == known.sha256):
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

    def _end(self, wanted: WantedFile, status: FetchStatus, reason: str, *, attempts: int, detected: str = "") -> None:
        self._folder.record(Outcome(wanted.name, status, reason, "", wanted.url, format=detected, attempts=attempts))
        self._progress.finish(wanted.name)
