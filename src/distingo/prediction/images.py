"""The image types that `predict` accepts, and decoding them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from distingo.datasets.decoding.decode import Decoded, decode, decode_array, decode_image, read_bytes
from distingo.errors import UsageError, option
from distingo.records import DEFAULT_MAX_PIXELS, Source, ValueRanges

ImageLike = Any
"""A path; file content as bytes, bytearray, memoryview or an open binary file; a Pillow image; or pixels.

Pixels are a NumPy array or a tensor (of torch or others) of shape (height, width), or with 1, 3 or 4 channels first or
last."""

ACCEPTED = (
    "give a path, bytes, an open binary file, a Pillow image, or an array or tensor (H, W), (H, W, C) or (C, H, W) "
    "with 1, 3 or 4 channels; several as a list, or as one array (N, H, W, C) or (N, C, H, W)"
)

_CHANNELS = (1, 3, 4)


def open_image(
    image: ImageLike,
    enough: int | None = None,
    value_range: ValueRanges | None = None,
    max_pixels: int | None = None,
) -> Image.Image:
    """Open an image, upright, in mode ``RGB`` or ``L``.

    All forms are processed like files: the EXIF orientation is applied, colors are converted to sRGB by the profile,
    transparent images are composited over white, and values of more than 8 bits are scaled by the model's range. Arrays
    of uint8 and bool are used unchanged; wider integers and floats are scaled like images with more than 8 bits. If the
    layout of an array is ambiguous, channels are last; for torch tensors they are first.

    Args:
        image: The image in any accepted form.
        enough: As for `distingo.datasets.decoding.decode.decode`.
        value_range: As for `distingo.datasets.decoding.decode.decode`.
        max_pixels: As for `distingo.datasets.decoding.decode.decode`; None is the default limit for files and no limit
            for Pillow images. Arrays are not limited.

    Raises:
        UndecodableError: The content is not an image, or can't be read.
        UsageError: The argument has an unsupported type, or is an array of an unsupported shape or dtype.
    """
    return decode_any_image(image, enough, value_range, max_pixels).image


def decode_any_image(
    image: ImageLike,
    enough: int | None = None,
    value_range: ValueRanges | None = None,
    max_pixels: int | None = None,
) -> Decoded:
    """Open an image like `open_image`, and also return information on its stored values."""
    limit = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(image, str | os.PathLike):
        data = read_bytes(Source(os.fspath(image), Path(image)))
        return decode(data, enough=enough, value_range=value_range, max_pixels=limit)
    if isinstance(image, Image.Image):
        return decode_image(image, enough=enough, value_range=value_range, max_pixels=max_pixels)
    if _is_array(image):
        return decode_array(_pixels(image), value_range=value_range)
    return decode(_content(image), enough=enough, value_range=value_range, max_pixels=limit)


def as_images(value: Any) -> list[ImageLike]:
    """Convert one image or several to a list of images.

    Args:
        value: An image, an iterable of images, or an array or tensor with four dimensions.

    Raises:
        UsageError: The argument or one of its items has an unsupported type.
    """
    if _is_array(value) and len(value.shape) == 4:
        images = list(value)
    elif is_image(value):
        images = [value]
    elif isinstance(value, Iterable) and not isinstance(value, Mapping):
        images = list(value)
    else:
        raise UsageError(f"{_describe(value)} is no image; {ACCEPTED}", code="invalid_type")
    for image in images:
        require_image(image)
    return images


def require_image(image: object) -> None:
    """Check that an object has the type and shape of an image, without reading it.

    Raises:
        UsageError: It has not.
    """
    if not is_image(image):
        raise UsageError(f"{_describe(image)} is no image; {ACCEPTED}", code="invalid_type")
    if _is_array(image):
        _channels_at(image)


def require_limit(max_pixels: int | None) -> None:
    """Check that a pixel limit is at least 1 or None.

    Raises:
        UsageError: It is below 1.
    """
    if max_pixels is not None and max_pixels < 1:
        raise UsageError(
            f"{option('max_pixels')} {max_pixels}: give 1 or more", code="out_of_range", parameter="max_pixels"
        )


def is_image(value: object) -> bool:
    """Whether an object has one of the types of a single image."""
    plain = isinstance(value, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    return plain or hasattr(value, "read") or _is_array(value)


def name_image(image: ImageLike, position: int) -> str:
    """Name of an image in predictions: its path, or its position among the images."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"picture {position}"


def _is_array(value: object) -> bool:
    if isinstance(value, Image.Image | memoryview):
        return False
    return isinstance(value, np.ndarray) or (hasattr(value, "shape") and hasattr(value, "__array__"))


def _content(image: Any) -> bytes:
    """The content of an image file, read from its beginning if it is an open file."""
    if not hasattr(image, "read"):
        return bytes(image)
    try:
        if image.seekable():
            image.seek(0)
    except AttributeError:
        pass  # a minimal file object with only `read`
    content = image.read()
    if not isinstance(content, bytes | bytearray | memoryview):
        raise UsageError(
            f"an open file that gives {type(content).__name__}, not bytes; open it in mode 'rb'", code="invalid_type"
        )
    return bytes(content)


def _channels_at(array: Any) -> int | None:
    """Axis of the channels of an image array: 0, 2, or None for an array without channels.

    Raises:
        UsageError: The array does not have the shape of an image.
    """
    shape = tuple(array.shape)
    if not all(shape):
        raise UsageError(f"{_describe(array)} has no pixels; {ACCEPTED}", code="invalid_image_array")
    if len(shape) == 2:
        return None
    axes = [at for at in (2, 0) if len(shape) == 3 and shape[at] in _CHANNELS]
    if not axes and len(shape) == 4:
        raise UsageError(
            f"{_describe(array)} in a list is no image; give the array of several images itself",
            code="invalid_image_array",
        )
    if not axes:
        raise UsageError(f"{_describe(array)} has the shape of no image; {ACCEPTED}", code="invalid_image_array")
    return axes[-1] if _is_tensor(array) else axes[0]


def _is_tensor(array: Any) -> bool:
    """Whether an object is a torch tensor, determined without importing torch."""
    return hasattr(array, "detach") and hasattr(array, "cpu")


def _pixels(array: Any) -> np.ndarray:
    """The pixels of an array or tensor, channels last."""
    channels_at = _channels_at(array)
    values = _to_numpy(array)
    if values.dtype.kind not in "buif":
        raise UsageError(f"{_describe(array)} holds no real numbers; {ACCEPTED}", code="invalid_image_array")
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    return np.ascontiguousarray(np.moveaxis(values, 0, 2) if channels_at == 0 else values)


def _to_numpy(array: Any) -> np.ndarray:
    if not _is_tensor(array):
        return np.asarray(array)
    tensor = array.detach().cpu()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # bfloat16 and other types that NumPy doesn't have
        return np.asarray(tensor.float().numpy())


def _describe(value: Any) -> str:
    if _is_array(value):
        return f"an array of shape {tuple(value.shape)} and type {value.dtype}"
    return f"{type(value).__name__}"
