"""Multipart forms, taken apart in memory: the body is no longer than it may be, so nothing is written to disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from distingo.serving.refusals import RefusedError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

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
