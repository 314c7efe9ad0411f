"""Why one file is not there: the errors of a single transfer, which never leave this room."""

from __future__ import annotations

from distingo.download.records import FetchStatus


class TransferError(Exception):
    """One attempt at one file came to nothing; its text is the reason for a person."""


class PassingError(TransferError):
    """Another attempt may succeed.

    Attributes:
        wait: Seconds that the server asked us to wait, or None.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class LastingError(TransferError):
    """No other attempt would end differently.

    Attributes:
        status: What the file's outcome is.
    """

    def __init__(self, status: FetchStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class StoppedError(TransferError):
    """The whole run is being stopped; the file has no outcome yet."""
