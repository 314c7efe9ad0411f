"""The visible texts of a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "br", "wbr", "input", "rect", "line", "circle", "path", "use"}
_SILENT = {"script", "style", "bdi", "code", "pre"}
"""Not read, or names and commands, which stay as they are."""

_SPOKEN = ("aria-label", "title", "alt", "aria-roledescription", "placeholder")
_WORD = re.compile(r"[^\W\d_]{2,}")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if not (given.get("lang") == "en" and tag != "html"):
            self.texts.update(str(given[name]) for name in _SPOKEN if given.get(name))
        if tag not in _VOID:
            self.open.append("silent" if given.get("lang") == "en" and tag != "html" else tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts.update(str(value) for name, value in attrs if name in _SPOKEN and value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not set(self.open) & {*_SILENT, "silent"}:
            self.texts.add(" ".join(data.split()))


def visible_texts(page: str) -> set[str]:
    """Texts and spoken attributes that hold at least one word."""
    reader = _Reader()
    reader.feed(page)
    return {text for text in reader.texts if _WORD.search(text)}
