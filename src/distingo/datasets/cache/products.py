"""Arrays to compute from every picture while it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import PIL
from PIL import Image

from distingo.datasets.cache.store import ArrayStore, Cache
from distingo.datasets.decoding.decode import DECODING
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.records import Rendition


@dataclass(frozen=True, slots=True)
class Product:
    """An array to compute from every picture.

    Attributes:
        store: Where its rows are kept.
        compute: From a decoded picture (mode ``RGB`` or ``L``) to a row; called from several threads.
        compute_from_array: The same from grey pixels, uint8 of shape (height, width), where that is quicker
            than making a picture of them first; None where it is not.
        finish: From a batch of computed rows (n, ...) to the n rows that are kept, for work that wants whole batches,
            such as a network's; called from one thread. None keeps the computed rows themselves.
        enough: Pixels of a picture's shorter side that are enough to compute from (`decoding.decode`); None needs all.
        batch_size: How many rows `finish` is given at once; the last batch may be smaller.
    """

    store: ArrayStore
    compute: Callable[[Image.Image], np.ndarray]
    compute_from_array: Callable[[np.ndarray], np.ndarray] | None = None
    finish: Callable[[np.ndarray], np.ndarray] | None = None
    enough: int | None = None
    batch_size: int = 1

    def row_from_array(self, grey: np.ndarray) -> np.ndarray:
        """Compute the row of a grey picture (uint8 of shape (height, width)) that needs no decoding."""
        if self.compute_from_array is not None:
            return self.compute_from_array(grey)
        return self.compute(Image.fromarray(grey))


def pixels_product(cache: Cache, rendition: Rendition) -> Product:
    """The pictures themselves at one size.

    Args:
        cache: Where the rows are kept.
        rendition: Size, channels and way of fitting.

    Returns:
        A product with uint8 rows of shape (height, width, channels).
    """
    fitting = rendition.fit if rendition.fit == "stretch" else f"crop-{rendition.crop_fraction!r}"
    kind = f"pixels-{fitting}-{rendition.interpolation}-pillow-{PIL.__version__}-decoded-{DECODING}"
    shape = (rendition.height, rendition.width, rendition.channels)

    def compute(image: Image.Image) -> np.ndarray:
        return render(image, rendition)

    def compute_from_array(grey: np.ndarray) -> np.ndarray:
        if grey.shape == shape[:2] and rendition.fit == "stretch":
            return np.broadcast_to(grey[..., None], shape)
        return compute(Image.fromarray(grey))

    return Product(cache.store(kind, shape, "uint8"), compute, compute_from_array, enough=shorter_side_for(rendition))
