"""Bodies of requests: read within limits of length, time and memory, unpacked, and forms taken apart in memory."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from distingo.serving.http.access import RefusedError, client_of

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

ENCODINGS = ("gzip", "deflate")
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_PIECE = 256 * 1024

_SHARE_OF_BODIES = 4
"""So many bodies of the greatest length may be in memory at once, half of them of one client."""

_SMALL = 2**20
_RESERVE = 32 * 2**20
"""Room that only bodies of up to 1 MB use: large ones can't keep them out."""

_SLOW = 256 * 1024
_YOUNG = 1.0
"""An upload of fewer bytes a second than this gives way after a second where another needs its room."""

_LONG, _LONG_JSON = 256 * 1024, 64 * 1024
"""Bytes from which a body is parsed on a thread, since other requests would have to wait."""

_MOST_VALUE_BYTES = 160 * 2**20
"""What the values of all JSON together may take in memory besides the text: 4 million numbers."""

_VALUE_BYTES = {b",": 36, b"[": 64, b"{": 64, b'"': 25}
"""A number and its entry in a list, a list, an object, half a text."""

_WIDE = (*(bytes([first]) for first in range(0xF0, 0xF5)), b"\\ud", b"\\uD")
_WIDTH = 4
"""How characters beyond U+FFFF begin, and the bytes that each character of a text takes which holds one."""

_MOST_FIELDS = 64
_MOST_HEADERS = 16
_MOST_HEADER_BYTES = 4096

_Parsed = TypeVar("_Parsed")


def media_type(content_type: str) -> str:
    """The type that a ``Content-Type`` names, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def client_of_request(request: Request) -> str:
    """The client that limits count a request for."""
    return client_of(request.client.host if request.client else "")


@dataclass(eq=False, slots=True)
class _Allowance:
    """What one request's body has taken of the memory for all, and how it comes."""

    client: str
    began: float
    reserved: int = 0
    values: int = 0
    body: bytearray = field(default_factory=bytearray)
    limit: asyncio.Timeout | None = None
    gave_way: bool = False


class BodyReader:
    """Reads bodies within limits.

    Args:
        max_upload: Bytes of one body at most.
        seconds: In which a body must have come.
    """

    def __init__(self, max_upload: int, seconds: float) -> None:
        self._most = max_upload
        self._seconds = seconds
        self._total = 0
        self._by_client: Counter[str] = Counter()
        self._most_total = _SHARE_OF_BODIES * max_upload
        self._values = 0
        self._reading: set[_Allowance] = set()

    @asynccontextmanager
    async def receive(
        self,
        request: Request,
        parse: Callable[[bytes], _Parsed],
        json_part: Callable[[bytes], bytes] | None = None,
    ) -> AsyncIterator[_Parsed]:
        """Read and parse a body; while the block lasts, it counts against the memory for all of them.

        Args:
            request: A compressed body is unpacked, and what it holds is counted meanwhile.
            parse: Called on a thread where the body is long.
            json_part: The JSON of a body whose ``Content-Type`` is something else; None where it has none.

        Raises:
            RefusedError: It is longer than allowed (413), too slow (408), there is no room for it now (503), or `parse`
                refuses it.
        """
        allowance = _Allowance(client_of_request(request), asyncio.get_running_loop().time())
        try:
            body = await self._read(request, allowance)
            most = _LONG_JSON
            if "json" in media_type(request.headers.get("content-type", "")):
                self._charge_values(allowance, body)
            elif json_part is not None:
                self._charge_values(allowance, json_part(body))
            else:
                most = _LONG
            yield parse(body) if len(body) < most else await asyncio.to_thread(parse, body)
        finally:
            self._give_back(allowance)
            self._values -= allowance.values

    async def _read(self, request: Request, allowance: _Allowance) -> bytes:
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and (len(length) > 18 or int(length) > self._most):
            raise self._too_long()
        encoding = find_encoding(request.headers.get("content-encoding", ""))
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
            reason = f"the body was not complete after {self._seconds:g} seconds; send it faster"
            raise RefusedError(408, reason, closes=True) from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the body broke off before it was complete", closes=True) from error
        finally:
            self._reading.discard(allowance)
            body, allowance.body = allowance.body, bytearray()
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

    def _too_long(self) -> RefusedError:
        reason = f"the body is longer than the {self._most:,} bytes that are taken; send fewer or smaller images"
        return RefusedError(413, reason, closes=True)

    def _charge(self, allowance: _Allowance, count: int) -> None:
        """Count bytes that have come; the slowest upload of the client, or of all, may have to give way to them."""
        if allowance.gave_way:
            raise TimeoutError
        if len(allowance.body) + count > self._most:
            raise self._too_long()
        is_small = allowance.reserved + count <= _SMALL
        most = self._most_total + (_RESERVE if is_small else 0)
        while True:
            is_greedy = self._by_client[allowance.client] + count > self._most_total // 2
            if self._total + count <= most and (is_small or not is_greedy):
                break
            if not self._make_room(allowance, allowance.client if is_greedy else None):
                raise RefusedError(503, "too many uploads are coming in at once; try again soon", closes=True)
        self._total += count
        self._by_client[allowance.client] += count
        allowance.reserved += count

    def _charge_values(self, allowance: _Allowance, body: bytes) -> None:
        """Count what the values of JSON will take besides the body."""
        count = sum(size * body.count(mark) for mark, size in _VALUE_BYTES.items())
        if count < _MOST_VALUE_BYTES and any(mark in body for mark in _WIDE):
            count = min(count + (_WIDTH - 1) * len(body), _MOST_VALUE_BYTES)
        if count > _MOST_VALUE_BYTES:
            raise RefusedError(413, "JSON of so many values takes too much memory; send files, or fewer numbers")
        if self._values + count > _MOST_VALUE_BYTES:
            raise RefusedError(503, "too much JSON is being read at once; try again soon")
        self._values += count
        allowance.values = count

    def _make_room(self, needy: _Allowance, client: str | None) -> bool:
        """End the slowest upload, if one is so slow that it can be called stalled."""
        now = asyncio.get_running_loop().time()
        paces = {
            each: each.reserved / (now - each.began)
            for each in self._reading
            if each is not needy and each.reserved and now - each.began > _YOUNG and client in {None, each.client}
        }
        slowest = min(paces, key=paces.__getitem__, default=None)
        if slowest is None or paces[slowest] >= _SLOW:
            return False
        slowest.gave_way = True
        slowest.body = bytearray()
        self._give_back(slowest)
        self._reading.discard(slowest)
        if slowest.limit is not None:
            slowest.limit.reschedule(now)
        return True

    def _give_back(self, allowance: _Allowance) -> None:
        self._total -= allowance.reserved
        self._by_client[allowance.client] -= allowance.reserved
        if not self._by_client[allowance.client]:
            del self._by_client[allowance.client]
        allowance.reserved = 0


def find_encoding(header: str) -> str | None:
    """Which of `ENCODINGS` a ``Content-Encoding`` names; None for none.

    Raises:
        RefusedError: It names another, or several (415).
    """
    name = header.strip().lower()
    if name in {"", "identity"}:
        return None
    name = name.removeprefix("x-")
    if name not in ENCODINGS:
        reason = f"a body in another encoding; send it as it is, or as {' or '.join(ENCODINGS)}"
        raise RefusedError(415, reason, closes=True)
    return name


class Decompressor:
    """Unpacks one body piece by piece, so that a limit holds before memory is taken.

    Args:
        encoding: ``gzip``, of which several members may follow each other, or ``deflate``: a zlib stream as HTTP has it
            (RFC 9110), or the bare one that some clients send.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
        self._has_begun = False

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """What the next part of a body holds, in pieces of 256 KiB at most.

        Raises:
            RefusedError: It is not packed so, or something follows its end (400).
        """
        while packed:
            if self._unpacker.eof:
                if self._encoding == "deflate":
                    raise RefusedError(400, "bytes after the end of the deflated body", closes=True)
                self._unpacker = zlib.decompressobj(_WINDOW_BITS["gzip"])
            piece = self._step(packed)
            packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            if piece:
                yield piece

    def check_end(self) -> None:
        """Refuse a body that breaks off.

        Raises:
            RefusedError: Its end is missing (400).
        """
        if not self._unpacker.eof:
            raise RefusedError(400, f"the {self._encoding} body breaks off before its end", closes=True)

    def _step(self, packed: bytes) -> bytes:
        began, self._has_begun = self._has_begun, True
        try:
            return self._unpacker.decompress(packed, _PIECE)
        except zlib.error as error:
            if self._encoding == "deflate" and not began:
                self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
                return self._step(packed)
            raise RefusedError(400, f"the body is no valid {self._encoding}", closes=True) from error


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
    """Gathers the parts that the parser reports; the body is no longer than it may be, so nothing goes to disk."""

    def __init__(self, max_files: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most = max_files
        self._files = 0
        self._header = (bytearray(), bytearray())

    def callbacks(self) -> MultipartCallbacks:
        name, value = self._header
        return {
            "on_part_begin": self.begin_part,
            "on_part_data": lambda data, start, end: self._add(self.parts[-1].content, data, start, end),
            "on_header_field": lambda data, start, end: self._add(name, data, start, end),
            "on_header_value": lambda data, start, end: self._add(value, data, start, end),
            "on_header_end": self.end_header,
            "on_headers_finished": self.end_headers,
            "on_end": self.end,
        }

    def _add(self, content: bytearray, data: bytes, start: int, end: int) -> None:
        content += memoryview(data)[start:end]

    def begin_part(self) -> None:
        if len(self.parts) >= self._most + _MOST_FIELDS:
            raise RefusedError(413, f"more than {self._most} images; send fewer at once")
        self.parts.append(Part())

    def end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(value))
            part = self.parts[-1]
            part.name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                part.file_name = options[b"filename"].decode("utf-8", "replace")
        name.clear()
        value.clear()

    def end_headers(self) -> None:
        self._files += self.parts[-1].file_name is not None
        if self._files > self._most:
            raise RefusedError(413, f"more than {self._most} images; send fewer at once")

    def end(self) -> None:
        self.ended = True
