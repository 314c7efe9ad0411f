"""Versions of served models; read without loading anything."""

from __future__ import annotations

from pathlib import Path

from distingo.errors import RunError
from distingo.files import content_hash
from distingo.run_folder import RunFolder

_DIGITS = 12


def read_version(run: Path) -> str:
    """The version of the model in a run folder: of a hash of ``model.json``, which has the hash of its weights in it.

    Raises:
        RunError: There is no finished model in it.
    """
    folder = run if (run / "model.json").is_file() else RunFolder(run).model
    try:
        return content_hash((folder / "model.json").read_bytes())[:_DIGITS]
    except OSError:
        RunFolder(run).read_config()
        raise RunError(f"{run}: its training has not ended; there is no model in it yet") from None
