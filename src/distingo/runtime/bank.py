"""Features of training pictures beside an exported model, as numpy writes them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from distingo.errors import RunError
from distingo.files import require_intact, write_bytes
from distingo.models.feature_bank import FeatureBank

EXPORTED_BANK_FILE = "bank.npz"


def save_exported_bank(folder: Path, bank: FeatureBank) -> None:
    """Write ``bank.npz``: rows, center, scale and unit; which pictures they are of stays with the run."""
    content = io.BytesIO()
    np.savez(content, rows=bank.rows, center=bank.center, scale=bank.scale, unit=np.array([bank.unit]))
    write_bytes(folder / EXPORTED_BANK_FILE, content.getvalue(), recorded=True)


def load_exported_bank(folder: Path) -> FeatureBank | None:
    """Read back what `save_exported_bank` wrote; None where an export has none.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / EXPORTED_BANK_FILE
    if not path.is_file():
        return None
    try:
        require_intact(path)
        with np.load(path, allow_pickle=False) as arrays:
            rows, center, scale = arrays["rows"], arrays["center"], arrays["scale"]
            return FeatureBank(rows, ("",) * len(rows), center, scale, bool(arrays["unit"][0]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}); export the run again") from error
