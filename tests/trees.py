"""Folders before and after: every file with its bytes, its time and its permissions."""

from __future__ import annotations

import os
from pathlib import Path

from drawing import encode, noise

from distingo.curation.findings import Finding, FindingKind
from distingo.files import content_hash


def snapshot(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file below a folder, by its name as the system spells it."""
    return {
        os.path.relpath(path, root): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for path in root.rglob("*")
        if path.is_file()
    }


def draw(root: Path, *names: str) -> Path:
    """A different tiny image under each name."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode(noise(number)))
    return root


def found(root: Path, kind: FindingKind, file: str, other: str = "", **more: object) -> Finding:
    """A finding as `distingo check` writes it."""

    def content(name: str) -> str:
        return content_hash((root / name).read_bytes()) if name and (root / name).is_file() else ""

    said = {"content": content(file), "other": other, "other_content": content(other), **more}
    return Finding(kind, file, 1.0, 0.5, **said)
