"""Bodies of requests, read no further than they are allowed to be long, and no longer than they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from distingo.serving.compression import Decompressor, find_encoding
from distingo.serving.refusals import RefusedError

_SHARE_OF_BODIES = 8
"""So many bodies of the greatest length may lie in memory at once."""

_LONG = 256 * 1024
_Found = TypeVar("_Found")


async def take_apart(body: bytes, work: Callable[[], _Found]) -> _Found:
    """Parse a body, on a thread where it is so long that others would have to wait.

    Args:
        body: Only its length counts.
        work: Parses it.
    """
    return work() if len(body) < _LONG else await asyncio.to_thread(work)


class BodyReader:
    """Reads bodies within limits.

    Args:
        max_upload: Bytes of one body at most.
        seconds: In which a body must have come.
    """

    def __init__(self, max_upload: int, seconds: float) -> None:
        self._most = max_upload
        self._seconds = seconds
        self._held = 0
        self._most_held = _SHARE_OF_BODIES * max_upload

    @contextmanager
    def watch(self) -> Iterator[_Allowance]:
        """While the block lasts, count what one request's body holds of the memory for all of them."""
        allowance = _Allowance(self)
        try:
            yield allowance
        finally:
            self._held -= allowance.taken

    async def read(self, request: Request, allowance: _Allowance) -> bytes:
        """Read a whole body; a compressed one is unpacked, and what it holds is counted while it is.

        Raises:
            RefusedError: It is longer than allowed (413), too slow (408), or there is no room for it now (503).
        """
        self._check_length(request)
        encoding = find_encoding(request.headers.get("content-encoding", ""))
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._seconds):
                if encoding is not None:
                    parts = await self._unpack(request, allowance, Decompressor(encoding))
                else:
                    async for part in request.stream():
                        allowance.take(len(part))
                        parts.append(part)
        except TimeoutError as error:
            raise RefusedError(
                408, f"the body was not complete after {self._seconds:g} seconds; send it faster", closes=True
            ) from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the body broke off before it was complete", closes=True) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _unpack(self, request: Request, allowance: _Allowance, unpacker: Decompressor) -> list[bytes]:
        """A compressed body's content; on a thread, since a small part may hold a thousand times its length."""
        parts: list[bytes] = []
        packed = 0
        async for part in request.stream():
            packed += len(part)
            if packed > self._most:
                raise self._too_long()
            pieces = unpacker.unpack(part)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                allowance.take(len(piece))
                parts.append(piece)
        unpacker.check_end()
        return parts

    def _check_length(self, request: Request) -> None:
        said = request.headers.get("content-length", "")
        if said.isascii() and said.isdecimal() and (len(said) > 18 or int(said) > self._most):
            raise self._too_long()

    def _too_long(self) -> RefusedError:
        return RefusedError(
            413, f"the body is longer than the {self._most:,} bytes that are taken; send fewer or smaller pictures",
            closes=True,
        )  # fmt: skip

    def charge(self, allowance: _Allowance, count: int) -> None:
        """Count bytes that have come."""
        if allowance.taken + count > self._most:
            raise self._too_long()
        if self._held + count > self._most_held:
            raise RefusedError(503, "too many uploads are coming in at once; try again soon", closes=True)
        self._held += count
        allowance.taken += count


class _Allowance:
    """What one body has taken of the memory for all."""

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader
        self.taken = 0

    def take(self, count: int) -> None:
        self._reader.charge(self, count)
