"""What has come of a file so far, and what a server needs to be told to send the rest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distingo.checksums import parse_json
from distingo.download.records import WantedFile
from distingo.files import content_hash


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a server said when it began to send a file.

    Attributes:
        url: The address, as it was given.
        etag: Its strong validator, or empty.
        modified: Its date of change, or empty.
        total: How many bytes it announced for the whole, or None.
        final_url: The address that answered, after redirects.
    """

    url: str
    etag: str
    modified: str
    total: int | None
    final_url: str


class PartialFile:
    """A file under way: its bytes and, beside them, what the server said about the whole.

    Attributes:
        path: The bytes.
    """

    def __init__(self, folder: Path, wanted: WantedFile) -> None:
        """Name the place; nothing is written.

        Args:
            folder: Of all partial files.
            wanted: The file.
        """
        self._wanted = wanted
        key = content_hash(wanted.name.encode("utf-8", "surrogatepass"))
        self.path = folder / f"{key}.part"
        self._note = folder / f"{key}.json"

    def size(self) -> int:
        """How many bytes are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def request_headers(self) -> dict[str, str]:
        """What to ask for: the rest, if what is there is sure to be the beginning of the same file; else all of it."""
        done, beginning = self.size(), self.read_beginning()
        if not done or beginning is None or (beginning.total is not None and done > beginning.total):
            return {}
        validator = beginning.etag or beginning.modified
        if not validator and not self._wanted.checksum:
            return {}
        return {"Range": f"bytes={done}-", **({"If-Range": validator} if validator else {})}

    def read_beginning(self) -> Beginning | None:
        """What was said when the file was begun; None where that is unknown, or was said of another address."""
        try:
            beginning = Beginning(**parse_json(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return beginning if beginning.url == self._wanted.url else None

    def whole_from(self) -> str | None:
        """Where it came from, if all that was announced is there: only its name was missing when a run was killed."""
        beginning = self.read_beginning()
        return beginning.final_url if beginning is not None and beginning.total == self.size() > 0 else None

    def begin(self, beginning: Beginning) -> None:
        """Forget what is there and start anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps(asdict(beginning)), encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Give the file its name; the caller has made sure that it is free."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
