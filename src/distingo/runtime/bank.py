"""Features of training pictures beside an exported model, as numpy writes them."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from distingo.errors import RunError, quote
from distingo.files import require_intact, write_bytes
from distingo.models.feature_bank import FeatureBank, check_bank

EXPORTED_BANK_FILE = "bank.npz"

_MEMBERS = {
    "rows": (2, ("<f2", "<f4")),
    "center": (1, ("<f4",)),
    "scale": (1, ("<f4",)),
    "unit": (1, ("|b1",)),
}
"""By name, how many dimensions an array has, and which types it may be of."""


def save_exported_bank(folder: Path, bank: FeatureBank) -> None:
    """Write ``bank.npz``: rows, center, scale and unit; which pictures they are of stays with the run."""
    content = io.BytesIO()
    np.savez(content, rows=bank.rows, center=bank.center, scale=bank.scale, unit=np.array([bank.unit]))
    write_bytes(folder / EXPORTED_BANK_FILE, content.getvalue(), recorded=True)


def load_exported_bank(folder: Path) -> FeatureBank | None:
    """Read back what `save_exported_bank` wrote; None where an export has none.

    The file may come from anywhere: before anything is made of it, its members are compared with what numpy writes of
    a bank, by name, type, shape and size. Nothing in it is compressed, so that it takes no more memory than its bytes.

    Raises:
        RunError: The file is damaged, or is no bank.
    """
    path = folder / EXPORTED_BANK_FILE
    if not path.exists():
        return None
    try:
        require_intact(path)
        with path.open("rb") as file:
            _check_members(file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                rows, center, scale = arrays["rows"], arrays["center"], arrays["scale"]
                return check_bank(FeatureBank(rows, ("",) * len(rows), center, scale, bool(arrays["unit"][0])))
    except (OSError, KeyError, TypeError, ValueError, IndexError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        reason = quote(str(error), 200)[1:-1] or type(error).__name__
        raise RunError(f"{path}: damaged ({reason}); export the run again") from error


def _check_members(file: IO[bytes]) -> None:
    """Refuse what numpy would unpack, unpickle or allocate without its bytes being there."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != sorted(f"{name}.npy" for name in _MEMBERS):
            raise ValueError(f"its members are not {', '.join(_MEMBERS)}")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise ValueError(f"{member.filename} is compressed or encrypted")
            with archive.open(member) as content:
                _check_header(member, content)


def _check_header(member: zipfile.ZipInfo, content: IO[bytes]) -> None:
    dimensions, types = _MEMBERS[member.filename.removesuffix(".npy")]
    if np.lib.format.read_magic(content) != (1, 0):
        raise ValueError(f"{member.filename} is of another version of numpy's format")
    shape, _, kind = np.lib.format.read_array_header_1_0(content)
    if len(shape) != dimensions or kind.str not in types:
        raise ValueError(f"{member.filename} is {kind} of shape {shape}")
    if math.prod(shape) * kind.itemsize != member.file_size - content.tell():
        raise ValueError(f"{member.filename} has not as many bytes as its shape {shape} takes")
