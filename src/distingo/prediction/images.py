"""What `predict` accepts as an image, and opening it as its file would be opened."""

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
"""A file's path; its content as bytes, bytearray, memoryview or an open binary file; a Pillow image; or pixels as a
NumPy array or a tensor (of torch and others), (height, width) or with 1, 3 or 4 channels last or first."""

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

    Whatever form it comes in, it is read as its file would be: turned by its EXIF orientation, its colors converted
    to sRGB by its profile, laid over white where it is transparent, and deep values scaled by the model's range.
    Arrays of uint8 and bool are taken as they are, wider integers and floats are scaled as deep images are; an array
    that fits both ways has its channels last, a torch tensor first.

    Args:
        image: What a person gave.
        enough: As for `distingo.datasets.decoding.decode.decode`.
        value_range: As for `distingo.datasets.decoding.decode.decode`.
        max_pixels: As for `distingo.datasets.decoding.decode.decode`; None takes the default, and for Pillow
            images none; arrays are in memory already.

    Raises:
        UndecodableError: It is no image, or can't be read.
        UsageError: It is nothing that could be an image, or an array of another shape or type.
    """
    return decode_given_image(image, enough, value_range, max_pixels).image


def decode_given_image(
    image: ImageLike,
    enough: int | None = None,
    value_range: ValueRanges | None = None,
    max_pixels: int | None = None,
) -> Decoded:
    """Open an image as `open_image` does, and keep what is known of its stored values; same arguments and errors."""
    limit = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(image, str | os.PathLike):
        data = read_bytes(Source(os.fspath(image), Path(image)))
        return decode(data, enough=enough, value_range=value_range, max_pixels=limit)
    if isinstance(image, Image.Image):
        return decode_image(image, enough=enough, value_range=value_range, max_pixels=max_pixels)
    if _is_array(image):
        return decode_array(_pixels(image), value_range=value_range)
    return decode(_content(image), enough=enough, value_range=value_range, max_pixels=limit)


def as_images(given: Any) -> list[ImageLike]:
    """One image or many, as a list.

    Args:
        given: An image, a list or another series of them, or one array or tensor of four dimensions.

    Raises:
        UsageError: It is, or one of them is, nothing that could be an image.
    """
    if _is_array(given) and len(given.shape) == 4:
        images = list(given)
    elif is_image(given):
        images = [given]
    elif isinstance(given, Iterable) and not isinstance(given, Mapping):
        images = list(given)
    else:
        raise UsageError(f"{_describe(given)} is no image; {ACCEPTED}", code="invalid_type")
    for image in images:
        require_image(image)
    return images


def require_image(image: object) -> None:
    """Look whether something could be an image, without reading it.

    Raises:
        UsageError: It could not.
    """
    if not is_image(image):
        raise UsageError(f"{_describe(image)} is no image; {ACCEPTED}", code="invalid_type")
    if _is_array(image):
        _channels_at(image)


def require_limit(max_pixels: int | None) -> None:
    """Look whether a pixel limit lets anything in.

    Raises:
        UsageError: It doesn't.
    """
    if max_pixels is not None and max_pixels < 1:
        raise UsageError(
            f"{option('max_pixels')} {max_pixels}: give 1 or more", code="out_of_range", parameter="max_pixels"
        )


def is_image(given: object) -> bool:
    """Whether something is of a type that a single image comes in."""
    plain = isinstance(given, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    return plain or hasattr(given, "read") or _is_array(given)


def name_image(image: ImageLike, position: int) -> str:
    """What a prediction calls an image: its file, else its position among those that were given."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"picture {position}"


def _is_array(given: object) -> bool:
    if isinstance(given, Image.Image | memoryview):
        return False
    return isinstance(given, np.ndarray) or (hasattr(given, "shape") and hasattr(given, "__array__"))


def _content(image: Any) -> bytes:
    """The bytes of a file's content, or of an open file from its beginning."""
    if not hasattr(image, "read"):
        return bytes(image)
    try:
        if image.seekable():
            image.seek(0)
    except AttributeError:
        pass  # the least that a file can be: something to read from
    content = image.read()
    if not isinstance(content, bytes | bytearray | memoryview):
        raise UsageError(
            f"an open file that gives {type(content).__name__}, not bytes; open it in mode 'rb'", code="invalid_type"
        )
    return bytes(content)


def _channels_at(array: Any) -> int | None:
    """Where the channels of an image's array are: 0, 2, or None for an array without any.

    Raises:
        UsageError: It is none of an image.
    """
    shape = tuple(array.shape)
    if not all(shape):
        raise UsageError(f"{_describe(array)} has no pixels; {ACCEPTED}", code="invalid_image_array")
    if len(shape) == 2:
        return None
    places = [at for at in (2, 0) if len(shape) == 3 and shape[at] in _CHANNELS]
    if not places and len(shape) == 4:
        raise UsageError(
            f"{_describe(array)} in a list is no image; give the array of several images itself",
            code="invalid_image_array",
        )
    if not places:
        raise UsageError(f"{_describe(array)} has the shape of no image; {ACCEPTED}", code="invalid_image_array")
    return places[-1] if _is_tensor(array) else places[0]


def _is_tensor(array: Any) -> bool:
    """Whether it is a tensor of torch, which is not imported to find out."""
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


def _describe(given: Any) -> str:
    if _is_array(given):
        return f"an array of shape {tuple(given.shape)} and type {given.dtype}"
    return f"{type(given).__name__}"
