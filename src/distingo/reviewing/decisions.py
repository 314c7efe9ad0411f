"""A person's decisions, each in the table of corrections before the page hears of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from distingo.datasets.corrections import Correction, Corrections, is_corrections, read_corrections, write_corrections
from distingo.errors import DataError
from distingo.files import remove_half_written_beside

Changes = Mapping[str, Correction | None]
"""By file, what is decided about it; None takes back what was."""

_Stamp = tuple[int, int, int] | None


class Decisions:
    """The table of corrections and what was changed in it; used by several threads.

    Somebody else may write the table meanwhile: it is read again whenever it is no longer the one that was written.

    Attributes:
        path: The table.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        """Read the table, if there is one.

        Args:
            path: The table.
            root: The data set's root; None takes the folder that the table is in.

        Raises:
            DataError: Something else is there, or the table is damaged.
        """
        self.path = path
        self._root = root or path.parent
        self._lock = threading.RLock()
        self._entries: dict[str, Correction] = {}
        self._stamp: _Stamp = None
        self._history: list[dict[str, Correction | None]] = []
        if path.exists() and not is_corrections(path):
            raise DataError(f"{path}: is no table of corrections; name another place by --corrections FILE")
        remove_half_written_beside(path)
        self._refresh()

    @property
    def corrections(self) -> Corrections:
        """All that is decided now."""
        with self._lock:
            return Corrections(self.path, tuple(self._entries.values()))

    def change(self, choose: Callable[[Mapping[str, Correction]], Changes]) -> Changes:
        """Change the table.

        Args:
            choose: From what is decided now, by file, to what is decided anew.

        Returns:
            What was changed.

        Raises:
            DataError: Somebody has damaged the table meanwhile; it is left as it is.
            ResourceError: It can't be written; nothing is changed then.
        """
        with self._lock:
            self._refresh()
            changes = choose(self._entries)
            before = {file: self._entries.get(file) for file in changes}
            self._write(changes)
            self._history.append(before)
            return changes

    def undo(self) -> tuple[str, ...]:
        """Take back the latest change that was made here.

        Returns:
            The files it was about; empty where there is nothing to take back.

        Raises:
            DataError: As `change`.
            ResourceError: As `change`.
        """
        with self._lock:
            if not self._history:
                return ()
            self._refresh()
            self._write(self._history[-1])
            return tuple(self._history.pop())

    def _write(self, changes: Changes) -> None:
        entries = dict(self._entries)
        for file, correction in changes.items():
            if correction is None:
                entries.pop(file, None)
            else:
                entries[file] = correction
        write_corrections(Corrections(self.path, tuple(entries.values())))
        self._entries, self._stamp = entries, self._look()

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp != self._stamp:
            self._entries = dict(read_corrections(self.path, self._root).by_file) if stamp else {}
            self._stamp = stamp

    def _look(self) -> _Stamp:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
