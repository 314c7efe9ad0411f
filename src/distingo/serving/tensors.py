"""Tensors of the Open Inference Protocol as JSON lists and as bytes (its binary tensor data extension).

As bytes, numbers are little-endian in row-major order, and each element of a BYTES tensor is preceded by its length in
four bytes (github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md).

Nested lists are converted to arrays only after a check that they contain nothing but numbers. Otherwise NumPy would
choose a common type: with one text among the numbers, each of them would take as much memory as that text.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from distingo.serving.http.access import RefusedError
from distingo.serving.requests import read_parameters

_MOST_DIMENSIONS = 4


class NestingError(ValueError):
    """Nested lists have different lengths or depths, or are nested too deeply."""


class NotNumbersError(ValueError):
    """Nested lists contain values that are not numbers of the accepted types."""


def shape_of(nested: list[object]) -> tuple[int, ...]:
    """The shape of nested lists, assuming that they are even; only the first list of each depth is inspected."""
    shape: list[int] = []
    first: object = nested
    while isinstance(first, list) and len(shape) <= _MOST_DIMENSIONS:
        shape.append(len(first))
        first = first[0] if first else None
    return tuple(shape)


def read_nested(nested: list[object], accepted: set[type]) -> np.ndarray:
    """Convert nested lists of numbers to an array.

    Args:
        nested: Nested lists, at most four levels deep.
        accepted: The accepted types: any of bool, int and float.

    Returns:
        An array of the lists' shape, of a dtype that can represent all the numbers.

    Raises:
        NestingError: The lists are uneven or nested too deeply.
        NotNumbersError: The lists contain a value of another type.
    """
    shape: list[int] = []
    level: list[Any] = [nested]
    kinds: set[type] = {list}
    while kinds == {list} and len(shape) < _MOST_DIMENSIONS:
        lengths = set(map(len, level))
        if len(lengths) != 1:
            raise NestingError
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
        kinds = set(map(type, level))
    if list in kinds:
        raise NestingError
    if not kinds <= accepted:
        raise NotNumbersError
    return np.array(level).reshape(shape)


def as_pixels(values: np.ndarray, subject: str) -> np.ndarray:
    """Convert numbers to pixels.

    Args:
        values: Integers from 0 to 255, floating-point numbers from 0 to 1, or booleans; not empty.
        subject: Name of the values in error messages.

    Returns:
        uint8 array of the same shape.

    Raises:
        RefusedError: A value is out of range (422).
    """
    if values.dtype == np.uint8:
        return values
    most = 1 if values.dtype.kind in "fb" else 255
    if not (values.min() >= 0 and values.max() <= most):
        raise RefusedError(
            422,
            f"{subject} numbers out of range; whole numbers are pixels from 0 to 255, floating-point ones from 0 to 1",
        )
    return (values if most == 255 else np.rint(values * np.float32(255))).astype(np.uint8)


NUMBERS: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""The NumPy dtypes of numeric datatypes; BF16, for which NumPy has none, is accepted as bytes only."""

_BFLOAT = "BF16"

_ACCEPTED_TYPES: dict[str, set[type]] = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}}
"""The Python types accepted in JSON for each kind of NumPy dtype."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class InputTensor:
    """An input of an inference request.

    Attributes:
        name: The input's name.
        datatype: A key of `NUMBERS`, ``BF16`` or ``BYTES``.
        shape: One to four non-negative integers.
        data: The contents as a flat or nested list; None if they were sent as bytes.
        content: The contents as the bytes after the JSON; None if they were sent as a list.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[object] | None
    content: memoryview | None


def read_tensor(described: object, binary: BinaryTail) -> InputTensor:
    """Read an input tensor of a request.

    Args:
        described: An object of the request's ``inputs``.
        binary: The bytes after the JSON; those of this tensor are removed from the front.

    Raises:
        RefusedError: The object does not describe a tensor (422), or its bytes are missing (400).
    """
    if not isinstance(described, dict):
        raise RefusedError(422, "an input that is no object with 'name', 'shape', 'datatype' and 'data'")
    name, datatype = described.get("name"), described.get("datatype")
    if not isinstance(name, str):
        raise RefusedError(422, "an input without a name")
    if not isinstance(datatype, str) or (datatype not in NUMBERS and datatype not in {_BFLOAT, "BYTES"}):
        raise RefusedError(422, f"a datatype that is not taken; send BYTES, {', '.join(NUMBERS)} or {_BFLOAT}")
    shape, data = _read_shape(described.get("shape")), described.get("data")
    parameters = read_parameters(described)
    if "shared_memory_region" in parameters:
        raise RefusedError(422, "shared memory is not read; send the tensor's contents")
    size = parameters.get("binary_data_size")
    if size is not None:
        if "data" in described:
            raise RefusedError(422, "an input with both 'data' and 'binary_data_size'; send one of them")
        return InputTensor(name, datatype, shape, None, binary.take(size))
    if not isinstance(data, list):
        raise RefusedError(422, "'data' is no list")
    if datatype == _BFLOAT:
        raise RefusedError(422, f"{_BFLOAT} is taken as binary data only")
    return InputTensor(name, datatype, shape, data, None)


class BinaryTail:
    """The bytes after a request's JSON, which are consumed from the front.

    Args:
        content: All of the bytes; empty if the body is only JSON.
    """

    def __init__(self, content: memoryview) -> None:
        self._left = content

    def take(self, size: object) -> memoryview:
        """Remove and return the next `size` bytes.

        Raises:
            RefusedError: The size is not a non-negative integer (422), or fewer bytes are left (400).
        """
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise RefusedError(422, "'binary_data_size' is no whole number from 0")
        if size > len(self._left):
            raise RefusedError(
                400,
                f"'binary_data_size' {size:,} where {len(self._left):,} bytes are left after the JSON; is the header"
                " Inference-Header-Content-Length right?",
            )
        part, self._left = self._left[:size], self._left[size:]
        return part

    def check_end(self) -> None:
        """Check that all bytes have been consumed.

        Raises:
            RefusedError: Some bytes belong to no tensor (400).
        """
        if len(self._left):
            raise RefusedError(400, f"{len(self._left):,} bytes after the JSON belong to no input")


def read_numbers(tensor: InputTensor) -> np.ndarray:
    """Convert a numeric tensor to an array.

    Returns:
        An array of the tensor's shape. If the tensor was sent as bytes, it is a read-only view with the datatype's
        dtype (but BOOL is copied, and BF16 converted to float32); if it was sent as a list, the dtype can represent all
        its numbers.

    Raises:
        RefusedError: The contents do not match the tensor's shape or datatype (422).
    """
    values = _from_list(tensor) if tensor.content is None else _from_bytes(tensor, tensor.content)
    if values.size != math.prod(tensor.shape):
        raise RefusedError(422, f"contents that do not hold the numbers of a tensor of the shape {list(tensor.shape)}")
    return values.reshape(tensor.shape)


def read_elements(tensor: InputTensor) -> Sequence[object]:
    """Read the elements of a BYTES tensor in row-major order.

    Returns:
        bytes objects if the tensor was sent as bytes, otherwise the unchecked elements of its list.

    Raises:
        RefusedError: The number of elements does not match the shape (422), or the bytes are truncated (400).
    """
    count = math.prod(tensor.shape)
    elements: Sequence[object] = (
        _flatten(tensor.data or []) if tensor.content is None else _split(tensor.content, count)
    )
    if len(elements) != count:
        raise RefusedError(422, f"BYTES of the shape {list(tensor.shape)} with {len(elements):,} contents")
    return elements


def write_elements(texts: Iterable[str]) -> bytes:
    """Encode texts in UTF-8 as the bytes of a BYTES tensor."""
    encoded = [text.encode("utf-8") for text in texts]
    return b"".join(part for content in encoded for part in (_LENGTH.pack(len(content)), content))


def _read_shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not 1 <= len(shape) <= _MOST_DIMENSIONS:
        raise RefusedError(422, "'shape' is no list of one to four whole numbers")
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**31 for each in shape):
        raise RefusedError(422, "'shape' holds something else than whole numbers from 0")
    return tuple(shape)


def _from_list(tensor: InputTensor) -> np.ndarray:
    kind = NUMBERS[tensor.datatype].kind
    try:
        values = read_nested(tensor.data or [], _ACCEPTED_TYPES[kind])
    except NestingError as error:
        raise RefusedError(422, "'data' is nested unevenly") from error
    except NotNumbersError as error:
        raise RefusedError(422, f"'data' holds something else than {tensor.datatype} numbers") from error
    return values.astype(np.float64) if kind == "f" else values


def _from_bytes(tensor: InputTensor, content: memoryview) -> np.ndarray:
    if tensor.datatype == _BFLOAT:
        halves = np.frombuffer(_require_multiple(content, 2), "<u2")
        return (halves.astype(np.uint32) << 16).view(np.float32)
    dtype = NUMBERS[tensor.datatype]
    if tensor.datatype == "BOOL":
        return np.frombuffer(content, np.uint8).astype(bool)
    return np.frombuffer(_require_multiple(content, dtype.itemsize), dtype)


def _require_multiple(content: memoryview, size: int) -> memoryview:
    if len(content) % size:
        raise RefusedError(422, f"{len(content):,} bytes hold no whole number of numbers of {size} bytes")
    return content


def _split(content: memoryview, count: int) -> list[bytes]:
    """Split the bytes into elements; stops after one more than `count`."""
    elements: list[bytes] = []
    at = 0
    while at < len(content) and len(elements) <= count:
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(content, at)[0] if begin <= len(content) else begin
        if at > len(content):
            raise RefusedError(400, "binary BYTES that break off; send each content's length in four bytes before it")
        elements.append(bytes(content[begin:at]))
    return elements


def _flatten(nested: list[object]) -> list[object]:
    """Flatten nested lists, down to the largest number of dimensions."""
    for _ in range(_MOST_DIMENSIONS - 1):
        if not any(isinstance(each, list) for each in nested):
            break
        nested = [inner for each in nested for inner in (each if isinstance(each, list) else [each])]
    return nested
