"""A request that is refused: its status and its sentence; imports nothing, for processes that only decode."""

from __future__ import annotations

RETRY_SECONDS = 1
"""What a full queue asks a client to wait: many batches are judged in this time."""


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        reason: What came, what is allowed, what to do, in one sentence.
        closes: Whether the connection ends with the answer, because not all that was sent has been read.
        retry: Seconds after which it may be sent again, where waiting helps.
    """

    def __init__(self, status: int, reason: str, *, closes: bool = False, retry: int = RETRY_SECONDS) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.closes = closes
        self.retry = retry
