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
    Limits,
    Outcome,
    PermanentError,
    RemoteFile,
    StoppedError,
    TemporaryError,
)
from distingo.download.request import waiting_time
from distingo.download.transfer import PartialFile, Received, Transport, transfer
from distingo.progress import TransferProgress, transfer_bar
from distingo.safe_paths import find_link_above

_SHUTDOWN_SECONDS = 3.0


class QueuedFile:
    """An entry of the queue.

    Attributes:
        remote: The file.
        host: The host that the file is requested from.
        attempts: Number of attempts, including the current one.
    """

    __slots__ = ("attempts", "host", "remote")

    def __init__(self, remote: RemoteFile, host: str) -> None:
        self.remote = remote
        self.host = host
        self.attempts = 0


class HostQueue:
    """Thread-safe queue of files by host. Every file that is taken must end in a call of `done` or `retry`."""

    def __init__(self, files: Iterable[QueuedFile], per_host: int) -> None:
        """Create the queue; at most `per_host` files of a host are downloaded at the same time."""
        self._per_host = per_host
        self._waiting: defaultdict[str, deque[QueuedFile]] = defaultdict(deque)
        for queued in files:
            self._waiting[queued.host].append(queued)
        self._remaining = sum(len(line) for line in self._waiting.values())
        self._active: Counter[str] = Counter()
        self._open_hosts = deque(self._waiting)
        self._listed = set(self._waiting)
        self._blocked_until: dict[str, float] = {}
        self._delayed: list[tuple[float, int, str, QueuedFile | None]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self.stopped = False

    def take(self) -> QueuedFile | None:
        """Return the next file, waiting for one if necessary; None if no files are left or the queue was stopped."""
        with self._changed:
            while self._remaining and not self.stopped:
                self._requeue_due(time.monotonic())
                while self._open_hosts:
                    host = self._open_hosts.popleft()
                    self._listed.discard(host)
                    if queued := self._take_from(host):
                        return queued
                self._changed.wait(self._delayed[0][0] - time.monotonic() if self._delayed else None)
            return None

    def _take_from(self, host: str) -> QueuedFile | None:
        until = self._blocked_until.get(host, 0.0)
        if until > time.monotonic():
            heapq.heappush(self._delayed, (until, next(self._numbers), host, None))
            return None
        self._blocked_until.pop(host, None)
        queued = self._waiting[host].popleft()
        queued.attempts += 1
        self._active[host] += 1
        self._list_host(host)
        return queued

    def _requeue_due(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            _, _, host, queued = heapq.heappop(self._delayed)
            if queued is not None:
                self._waiting[host].append(queued)
            self._list_host(host)

    def _list_host(self, host: str) -> None:
        if host not in self._listed and self._waiting[host] and self._active[host] < self._per_host:
            self._open_hosts.append(host)
            self._listed.add(host)

    def done(self, queued: QueuedFile) -> None:
        """Report that a file has its outcome."""
        with self._changed:
            self._remaining -= 1
            self._release(queued)

    def retry(self, queued: QueuedFile, wait: float, *, whole_host: bool) -> None:
        """Queue a file again after `wait` seconds; if `whole_host`, other files of its host wait too."""
        with self._changed:
            until = time.monotonic() + wait
            if whole_host:
                self._blocked_until[queued.host] = max(until, self._blocked_until.get(queued.host, 0.0))
            heapq.heappush(self._delayed, (until, next(self._numbers), queued.host, queued))
            self._release(queued)

    def _release(self, queued: QueuedFile) -> None:
        self._active[queued.host] -= 1
        self._list_host(queued.host)
        self._changed.notify_all()

    def stop(self) -> None:
        """Stop the queue: `take` returns None in all threads."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()


def fetch(
    files: Sequence[RemoteFile],
    folder: DownloadFolder,
    limits: Limits | None = None,
    *,
    description: str = "fetching",
    allow_private: bool = False,
    try_refused: bool = False,
) -> tuple[Outcome, ...]:
    """Download files into a folder.

    Files that an earlier run downloaded are not requested again; nor, unless `try_refused`, files that were absent,
    refused, or removed by the user since. Partial files are resumed. Every outcome is recorded immediately, and
    ``manifest.csv`` is written at the end.

    Args:
        files: The files, with unique names.
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
    names = {file.name.casefold() for file in files}
    if len(names) != len(files):
        raise ValueError("two wanted files have the same name")
    remaining = [file for file in files if not _is_settled(file, folder, try_refused=try_refused)]
    with transfer_bar(description, len(files), len(files) - len(remaining)) as progress:
        _Run(folder, limits or Limits(), progress, allow_private=allow_private).fetch(remaining)
    folder.write_manifest()
    return tuple(outcome for file in files if (outcome := folder.outcome_of(file.name)) is not None)


def _is_settled(remote: RemoteFile, folder: DownloadFolder, *, try_refused: bool) -> bool:
    """Whether a file need not be downloaded.

    A file that was complete when an earlier run was killed gets its name. Files that the user has removed or changed
    since are left alone.
    """
    outcome = folder.outcome_of(remote.name)
    if outcome is None or outcome.status == "failed":
        return False
    target, part = folder.root / outcome.file, PartialFile(folder.parts, remote)
    if outcome.url != remote.url and not (outcome.status == "fetched" and _has_checksum(target, remote.checksum)):
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

    def fetch(self, files: Sequence[RemoteFile]) -> None:
        queue = [queued for file in files if (queued := self._enqueue(file)) is not None]
        if not queue:
            return
        self._queue = HostQueue(queue, self._limits.per_host)
        connections = Connections(self._limits)
        transport = Transport(connections, self._limits, self._report, lambda: self._queue.stopped, self._allow_private)
        count = min(self._limits.connections, len(queue))
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
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise self._error

    def _report(self, name: str, count: int, done: int, total: int | None) -> None:
        self._progress.advance(name, count, total, done=done)

    def _enqueue(self, remote: RemoteFile) -> QueuedFile | None:
        try:
            return QueuedFile(remote, parse_address(remote.url).host)
        except PermanentError as error:
            self._record_failure(remote, error, attempts=0)
            return None

    def _work(self, transport: Transport) -> None:
        try:
            while (queued := self._queue.take()) is not None:
                self._try(queued, transport)
        except StoppedError:
            return
        except BaseException as error:
            # A full disk, or a bug: stop the other threads and raise the error in the caller's thread.
            if not self._queue.stopped:
                self._error = error
            self._queue.stop()

    def _try(self, queued: QueuedFile, transport: Transport) -> None:
        remote = queued.remote
        part = PartialFile(self._folder.parts, remote)
        try:
            self._store(queued, part, transfer(remote, part, transport))
        except PermanentError as error:
            self._record_failure(remote, error, attempts=queued.attempts)
        except TemporaryError as error:
            self._retry_or_fail(queued, error)
            return
        self._queue.done(queued)

    def _retry_or_fail(self, queued: QueuedFile, error: TemporaryError) -> None:
        """Retry later, or give up after too many attempts or if the server requests too long a wait."""
        limits, requested_wait = self._limits, error.wait
        if self._queue.stopped:
            return
        self._progress.restart(queued.remote.name)
        if queued.attempts < limits.attempts and (requested_wait or 0.0) <= limits.longest_wait:
            wait = 0.0 if requested_wait == 0.0 else waiting_time(queued.attempts, limits, requested_wait)
            self._queue.retry(queued, wait, whole_host=bool(requested_wait))
            return
        reason = f"{error}, {queued.attempts} times" if queued.attempts > 1 else str(error)
        if (requested_wait or 0.0) > limits.longest_wait:
            reason = f"{error} and asks to wait {requested_wait:,.0f} seconds"
        self._record_failure(queued.remote, PermanentError("failed", reason), attempts=queued.attempts)
        self._queue.done(queued)

    def _store(self, queued: QueuedFile, part: PartialFile, received: Received) -> None:
        """Record the outcome, then rename the file; if a crash separates the two, `_is_settled` completes them."""
        remote = queued.remote
        file = remote.name + (ENDINGS.get(received.format, ("",))[0] if remote.ending else "")
        target = self._folder.root / file
        earlier = self._folder.outcome_of(remote.name)
        if link := find_link_above(self._folder.root, file):
            part.discard()
            raise PermanentError("refused", f"{file} leads through a link, {link}; make it a folder")
        if target.exists() and not (earlier and earlier.file == file and _digest(target) == earlier.sha256):
            part.discard()
            raise PermanentError("refused", f"{file} exists already and is not part of this download; move it away")
        outcome = Outcome(
            name=remote.name,
            status="fetched",
            reason="",
            file=file,
            url=remote.url,
            final_url=received.url,
            size=received.size,
            format=received.format,
            sha256=received.sha256,
            attempts=queued.attempts,
        )
        self._folder.record(outcome, arrived=True)
        part.finish(target)
        self._progress.finish(remote.name)

    def _record_failure(self, remote: RemoteFile, error: PermanentError, *, attempts: int) -> None:
        outcome = Outcome(remote.name, error.status, str(error), "", remote.url, format=error.format, code=error.code)
        self._folder.record(replace(outcome, attempts=attempts))
        self._progress.finish(remote.name)
