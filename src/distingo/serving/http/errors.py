"""Refused requests: a status and a sentence, and the JSON that carries them; light, for processes that only decode."""

from __future__ import annotations

import json
import traceback

RETRY_SECONDS = 1
"""Seconds after which a client may try again at a full queue: many batches are scored in this time."""


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        reason: What came, what is allowed and what to do, in one sentence; nothing of the machine's insides.
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


def error_body(status: int, reason: str, path: str = "") -> bytes:
    """An error as JSON, in the shape of the protocol that the path belongs to."""
    error = reason if path.startswith(("/v1", "/v2")) else {"status": status, "reason": reason}
    return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def free_frames(error: BaseException) -> None:
    """Free what the frames of an error's traceback, and of its causes', hold: whole bodies, for instance.

    To be called where an error is kept as a value or has been handled. A refusal loses its tracebacks and causes; of
    other errors the lines stay, for the log.
    """
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    for each in chain:
        if isinstance(error, RefusedError):
            each.__traceback__ = each.__cause__ = each.__context__ = None
        else:
            traceback.clear_frames(each.__traceback__)
