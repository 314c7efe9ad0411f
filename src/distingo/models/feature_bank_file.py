"""``bank.safetensors``: a feature bank as it lies beside a saved model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from distingo.checksums import CHECKSUM, TENSOR_PLACE, seal_tensors
from distingo.errors import RunError
from distingo.files import require_intact_tensors, write_bytes
from distingo.models.feature_bank import FeatureBank

BANK_FILE = "bank.safetensors"


def save_bank(folder: Path, bank: FeatureBank) -> None:
    """Write ``bank.safetensors``: rows, center, scale, unit and contents (uint8, 16 bytes for each row)."""
    hashes = np.frombuffer(bytes.fromhex("".join(bank.contents)), np.uint8).reshape(len(bank.contents), -1)
    tensors = {"rows": bank.rows, "contents": hashes, "center": bank.center, "scale": bank.scale}
    tensors["unit"] = np.array([bank.unit])
    plain = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_bytes(folder / BANK_FILE, seal_tensors(save(plain, {CHECKSUM: TENSOR_PLACE})))


def load_bank(folder: Path) -> FeatureBank | None:
    """Read back what `save_bank` wrote; None where a model has no bank.

    Args:
        folder: The ``model`` folder of a run.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / BANK_FILE
    if not path.is_file():
        return None
    try:
        require_intact_tensors(path)
        tensors = load(path.read_bytes())
        contents = tuple(bytes(row).hex() for row in tensors["contents"])
        rows, center, scale = tensors["rows"], tensors["center"], tensors["scale"]
        if len(rows) != len(contents) or rows.shape[1:] != center.shape or center.shape != scale.shape:
            raise ValueError("rows, hashes and scale do not fit each other")
        return FeatureBank(rows, contents, center, scale, bool(tensors["unit"][0]))
    except (OSError, KeyError, ValueError, IndexError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({error}); train again or restore it") from error
