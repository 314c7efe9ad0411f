"""A request that is refused: its status and its sentence; imports nothing, for processes that only decode."""

from __future__ import annotations

import traceback

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

    def anew(self) -> RefusedError:
        """The same refusal, to be raised where this one is a local variable.

        An error that is held by a frame of its own traceback keeps all that the frame holds.
        """
        return RefusedError(self.status, self.reason, closes=self.closes, retry=self.retry)


def free_frames(error: BaseException) -> None:
    """Free what the frames of an error's traceback, and of its causes', hold: whole bodies, for instance.

    To be called where an error is kept as a value, or has been seen to. A refusal loses its tracebacks and causes; of
    other errors the lines stay, for the log.
    """
    kept = not isinstance(error, RefusedError)
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    for each in chain:
        if kept:
            traceback.clear_frames(each.__traceback__)
        else:
            each.__traceback__ = each.__cause__ = each.__context__ = None
