"""Demo data that needs no download: scikit-learn's handwritten digits as image files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.errors import ResourceError, UsageError

_SIZE = 32
_COUNT = 1797


def write_digits(folder: Path) -> int:
    """Write scikit-learn's handwritten digits as gray PNG files in class folders ``0`` to ``9``.

    The 1,797 images of `load_digits` (UCI, "Optical Recognition of Handwritten Digits") have 8x8 pixels; they are
    enlarged to 32x32 to be easier to view. A folder that already holds them is left as it is.

    Args:
        folder: Destination; it is written completely or not at all.

    Returns:
        The number of images.

    Raises:
        UsageError: The folder holds other files.
        ResourceError: The folder can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if folder.is_dir() and len(list(folder.glob("[0-9]/digit-*.png"))) == _COUNT:
            return _COUNT
        raise UsageError(
            f"{folder}: already holds other files; name a new folder for the digits",
            code="not_empty",
            parameter="output",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            finished = Path(temporary) / "digits"
            count = _write_files(finished)
            if folder.exists():
                folder.rmdir()  # empty, as checked above; not every system can rename onto an existing folder
            shutil.move(finished, folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{folder}: the digits can't be written ({reason}); choose another place",
            code="cannot_write",
            parameter="output",
        ) from error
    return count


def _write_files(folder: Path) -> int:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (values, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        gray = np.rint(values * (255.0 / 16.0)).astype(np.uint8)
        path = folder / str(label) / f"digit-{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gray).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC).save(path)
    return len(digits.images)
