"""Babel's extractor of the messages in ``messages/notes.json``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import IO


def extract(
    file: IO[bytes], keywords: Collection[str], comment_tags: Collection[str], options: Mapping[str, str]
) -> Iterator[tuple[int, str | None, str | tuple[str, str], list[str]]]:
    """Yield line, function name, message and comments, as Babel expects."""
    del keywords, comment_tags, options
    lines = file.read().decode("utf-8").splitlines()
    for code, entry in json.loads("\n".join(lines)).items():
        line = next(at for at, text in enumerate(lines, 1) if text.startswith(f'  "{code}":'))
        if isinstance(entry, dict) and "many" in entry:
            yield line, "ngettext", (entry["one"], entry["many"]), []
        else:
            yield line, None, entry if isinstance(entry, str) else entry["one"], []
