"""Bodies of requests, read no further than they are allowed to be long, and no longer than they may take.

Multipart forms, taken apart in memory: the body is no longer than it may be, so nothing is written to disk.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from distingo.serving.clients import client_of
from distingo.serving.compression import Decompressor, find_encoding
from distingo.serving.refused import RefusedError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


_SHARE_OF_BODIES = 4
"""So many bodies of the greatest length may lie in memory at once, half of them of one client."""

_SMALL = 2**20

_RESERVE = 32 * 2**20
"""Room that only bodies of up to 1 MB use: large ones can't keep them out."""

_SLOW = 256 * 1024

_YOUNG = 1.0
"""An upload of fewer bytes a second than this gives way after a second where another needs its room."""

_LONG = 256 * 1024

_MOST_VALUE_BYTES = 160 * 2**20
"""What the values of all JSON together may take in memory besides the text: 4 million numbers."""

_VALUE_BYTES = {b",": 36, b"[": 64, b"{": 64, b'"': 25}
"""A number and its place in a list, a list, an object, half a text."""

_WIDE = (*(bytes([first]) for first in range(0xF0, 0xF5)), b"\\ud", b"\\uD")

_WIDTH = 4
"""How characters beyond U+FFFF begin, and the bytes that each character of a text takes which holds one."""

_Found = TypeVar("_Found")


def media_type(content_type: str) -> str:
    """The type that a ``Content-Type`` names, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def says_json(request: Request) -> bool:
    """Whether a request says that its body is JSON, in whatever case."""
    return "json" in media_type(request.headers.get("content-type", ""))


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
        self._held_of: Counter[str] = Counter()
        self._most_held = _SHARE_OF_BODIES * max_upload
        self._values = 0
        self._reading: set[_Allowance] = set()

    @contextmanager
    def watch(self) -> Iterator[_Allowance]:
        """While the block lasts, count what one request's body holds of the memory for all of them."""
        allowance = _Allowance()
        try:
            yield allowance
        finally:
            self._give_back(allowance)
            self._values -= allowance.values

    async def read(self, request: Request, allowance: _Allowance) -> bytes:
        """Read a whole body; a compressed one is unpacked, and what it holds is counted while it is.

        Raises:
            RefusedError: It is longer than allowed (413), too slow (408), or there is no room for it now (503).
        """
        self._check_length(request)
        encoding = find_encoding(request.headers.get("content-encoding", ""))
        allowance.client = client_of(request.client.host if request.client else "")
        allowance.began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._seconds) as allowance.limit:
                self._reading.add(allowance)
                if encoding is not None:
                    await self._unpack(request, allowance, Decompressor(encoding))
                else:
                    async for part in request.stream():
                        self._charge(allowance, len(part))
                        allowance.body += part
                if allowance.gave_way:
                    raise TimeoutError
        except TimeoutError as error:
            if allowance.gave_way:
                reason = "the body came too slowly while others needed its room; send it faster"
                raise RefusedError(503, reason, closes=True) from error
            raise RefusedError(
                408, f"the body was not complete after {self._seconds:g} seconds; send it faster", closes=True
            ) from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the body broke off before it was complete", closes=True) from error
        finally:
            self._reading.discard(allowance)
            body, allowance.body = allowance.body, bytearray()
        if says_json(request):
            self.charge_values(allowance, body)
        return bytes(body)

    async def _unpack(self, request: Request, allowance: _Allowance, unpacker: Decompressor) -> None:
        """Read a compressed body; on a thread, since a small part may hold a thousand times its length."""
        packed = 0
        async for part in request.stream():
            packed += len(part)
            if packed > self._most:
                raise self._too_long()
            pieces = unpacker.unpack(part)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                self._charge(allowance, len(piece))
                allowance.body += piece
        unpacker.check_end()

    def _check_length(self, request: Request) -> None:
        said = request.headers.get("content-length", "")
        if said.isascii() and said.isdecimal() and (len(said) > 18 or int(said) > self._most):
            raise self._too_long()

    def _too_long(self) -> RefusedError:
        return RefusedError(
            413, f"the body is longer than the {self._most:,} bytes that are taken; send fewer or smaller pictures",
            closes=True,
        )  # fmt: skip

    def _charge(self, allowance: _Allowance, count: int) -> None:
        """Count bytes that have come."""
        if allowance.gave_way:
            raise TimeoutError
        if len(allowance.body) + count > self._most:
            raise self._too_long()
        self._take(allowance, count)

    def charge_values(self, allowance: _Allowance, body: bytes | bytearray) -> None:
        """Count what the values of JSON will take besides the body; `read` does where the request says it is JSON.

        Raises:
            RefusedError: Too much for one request (413), or for all together now (503).
        """
        count = sum(size * body.count(mark) for mark, size in _VALUE_BYTES.items())
        if count < _MOST_VALUE_BYTES and any(mark in body for mark in _WIDE):
            count = min(count + (_WIDTH - 1) * len(body), _MOST_VALUE_BYTES)
        if count > _MOST_VALUE_BYTES:
            raise RefusedError(413, "JSON of so many values takes too much memory; send files, or fewer numbers")
        if self._values + count > _MOST_VALUE_BYTES:
            raise RefusedError(503, "too much JSON is being read at once; try again soon")
        self._values += count
        allowance.values = count

    def _take(self, allowance: _Allowance, count: int) -> None:
        most = self._most_held + (_RESERVE if allowance.taken + count <= _SMALL else 0)
        of_client = self._held_of[allowance.client] + count
        while self._held + count > most or (of_client > self._most_held // 2 and allowance.taken + count > _SMALL):
            only = allowance.client if of_client > self._most_held // 2 else None
            if not self._make_room(allowance, only):
                raise RefusedError(503, "too many uploads are coming in at once; try again soon", closes=True)
            of_client = self._held_of[allowance.client] + count
        self._held += count
        self._held_of[allowance.client] += count
        allowance.taken += count

    def _make_room(self, needy: _Allowance, client: str | None) -> bool:
        """End the slowest upload, if one is so slow that it can be called stalled."""
        now = asyncio.get_running_loop().time()
        slow = [
            (each.taken / (now - each.began), number, each)
            for number, each in enumerate(self._reading)
            if each is not needy and each.taken and now - each.began > _YOUNG and client in {None, each.client}
        ]
        if not slow or min(slow)[0] >= _SLOW:
            return False
        gone = min(slow)[2]
        gone.gave_way = True
        gone.body = bytearray()
        self._give_back(gone)
        self._reading.discard(gone)
        if gone.limit is not None:
            gone.limit.reschedule(now)
        return True

    def _give_back(self, allowance: _Allowance) -> None:
        self._held -= allowance.taken
        self._held_of[allowance.client] -= allowance.taken
        if not self._held_of[allowance.client]:
            del self._held_of[allowance.client]
        allowance.taken = 0


class _Allowance:
    """What one body has taken of the memory for all, and how it comes."""

    def __init__(self) -> None:
        self.client = ""
        self.taken = 0
        self.values = 0
        self.body = bytearray()
        self.began = 0.0
        self.limit: asyncio.Timeout | None = None
        self.gave_way = False


_MOST_FIELDS = 64

_MOST_HEADERS = 16

_MOST_HEADER_BYTES = 4096


@dataclass(slots=True)
class Part:
    """One part of a form.

    Attributes:
        name: The field's name.
        file_name: The client's name for the file; None for a plain field.
        content: Its bytes.
    """

    name: str = ""
    file_name: str | None = None
    content: bytearray = field(default_factory=bytearray)


def parse_form(body: bytes, content_type: str, max_files: int) -> list[Part]:
    """Take a form apart.

    Args:
        body: Of a request of type ``multipart/form-data``.
        content_type: With the boundary.
        max_files: Files and fields beyond so many are refused.

    Raises:
        RefusedError: It is damaged or incomplete (400) or has too many parts (413).
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise RefusedError(400, "a multipart body without a boundary in its Content-Type; let the HTTP library set it")
    form = _Form(max_files)
    try:
        parser = MultipartParser(
            boundary, form.callbacks(), max_header_count=_MOST_HEADERS, max_header_size=_MOST_HEADER_BYTES
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise RefusedError(400, "a damaged multipart body; let the HTTP library write it") from error
    if not form.ended:
        raise RefusedError(400, "a multipart body that breaks off; send it whole")
    return form.parts


class _Form:
    def __init__(self, max_files: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most = max_files
        self._files = 0
        self._header_name = b""
        self._header_value = b""

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self.on_part_begin,
            "on_part_data": self.on_part_data,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_headers_finished": self.on_headers_finished,
            "on_end": self.on_end,
        }

    def on_part_begin(self) -> None:
        if len(self.parts) >= self._most + _MOST_FIELDS:
            raise RefusedError(413, f"more than {self._most} pictures; send fewer at once")
        self.parts.append(Part())

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += memoryview(data)[start:end]

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value)
            part = self.parts[-1]
            part.name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                part.file_name = options[b"filename"].decode("utf-8", "replace")
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        self._files += self.parts[-1].file_name is not None
        if self._files > self._most:
            raise RefusedError(413, f"more than {self._most} pictures; send fewer at once")

    def on_end(self) -> None:
        self.ended = True
