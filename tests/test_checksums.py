from __future__ import annotations

import io
import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load, save

from distingo.checksums import TensorEntry, are_tensors_intact, write_tensors

KINDS = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")


def arrays() -> dict[str, np.ndarray]:
    made = {name: np.arange(7).astype(name) for name in KINDS}
    made |= {"flags": np.array([True, False, True]), "one": np.array(3.5), "none": np.zeros((0, 4), np.float32)}
    return made | {"é turned": np.arange(12.0).reshape(3, 4).T, "big": np.arange(5, dtype=">i4")}


def written(tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    write_tensors(file, {name: TensorEntry.from_array(array) for name, array in tensors.items()}, metadata)
    return file.getvalue()


def test_the_library_reads_what_is_written_and_writes_the_same() -> None:
    content = written(arrays(), {"b": "ü", "a": '"'})
    for name, array in load(content).items():
        assert array.dtype == arrays()[name].dtype.newbyteorder("=")
        np.testing.assert_array_equal(array, arrays()[name])
    plain = {name: np.ascontiguousarray(array) for name, array in arrays().items() if name not in ("one", "big")}
    of_the_library, of_ours = save(plain), written(plain)
    sizes = [int.from_bytes(content[:8], "little") for content in (of_the_library, of_ours)]
    heads = [json.loads(content[8 : 8 + size]) for content, size in zip((of_the_library, of_ours), sizes, strict=True)]
    assert list(heads[1].pop("__metadata__")) == ["checksum"]
    assert heads[0] == heads[1]
    assert of_the_library[8 + sizes[0] :] == of_ours[8 + sizes[1] :]


def test_the_order_of_names_changes_nothing() -> None:
    turned = dict(reversed(arrays().items()))
    assert written(arrays(), {"a": "1", "b": "2"}) == written(turned, {"b": "2", "a": "1"})


@pytest.mark.parametrize("place", [0, 9, 400, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    content = bytearray(written(arrays()))
    assert are_tensors_intact(content)
    at = bytes(content).index(b'"checksum":"') + 12
    assert content[at : at + 8] != b"00000000"
    content[place] ^= 1
    assert not are_tensors_intact(content)


def test_writing_holds_no_copy_of_all_tensors() -> None:
    class Sink(io.RawIOBase):
        def write(self, content: object) -> int:
            return len(content)  # type: ignore[arg-type]

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

    tensors = {f"{n}": np.ones((1000, 250), np.float32) for n in range(20)}
    entries = {name: TensorEntry.from_array(array) for name, array in tensors.items()}
    tracemalloc.start()
    write_tensors(Sink(), entries)  # type: ignore[arg-type]
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
