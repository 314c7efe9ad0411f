"""The well-known sets in little: archives of the same layout, and records with their checksums."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from drawing import encode, idx_bytes, noise
from scipy.io import savemat

from distingo.download.sets import SETS, NamedSet, SetFile


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo(next(iter(files)).partition("/")[0])
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def jpeg(seed: int) -> bytes:
    return encode(noise(seed), "JPEG")


def idx_set() -> tuple[dict[str, bytes], dict[str, int]]:
    rng = np.random.default_rng(1)
    arrays = {}
    for prefix, count in (("train", 30), ("t10k", 10)):
        arrays[f"{prefix}-images-idx3-ubyte.gz"] = rng.integers(0, 256, (count, 28, 28))
        arrays[f"{prefix}-labels-idx1-ubyte.gz"] = np.arange(count) % 10
    return {name: gzip.compress(idx_bytes(values), mtime=0) for name, values in arrays.items()}, {
        "train": 30,
        "test": 10,
    }


def cifar_rows(labels: list[list[int]], seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), np.uint8)
    return np.hstack([np.array(labels, np.uint8), pixels]).tobytes()


def cifar10_set() -> tuple[dict[str, bytes], dict[str, int]]:
    files = {f"b/data_batch_{at}.bin": cifar_rows([[0], [1], [2]], at) for at in range(1, 6)}
    files["b/test_batch.bin"] = cifar_rows([[0], [1], [2], [2]], 9)
    files["b/batches.meta.txt"] = b"airplane\nautomobile\nbird\n\n"
    return {"cifar-10-binary.tar.gz": tar_of(files)}, {"train": 15, "test": 4}


def cifar100_set() -> tuple[dict[str, bytes], dict[str, int]]:
    files = {
        "c/train.bin": cifar_rows([[0, 0], [0, 1], [1, 2]], 1),
        "c/test.bin": cifar_rows([[1, 2]], 2),
        "c/fine_label_names.txt": b"apple\naquarium_fish\nbaby\n",
        "c/coarse_label_names.txt": b"food\npeople\n",
    }
    return {"cifar-100-binary.tar.gz": tar_of(files)}, {"train": 3, "test": 1}


def eurosat_set() -> tuple[dict[str, bytes], dict[str, int]]:
    names = ("AnnualCrop", "Forest", "SeaLake")
    files = {f"2750/{name}/{name}_{at}.jpg": jpeg(at) for name in names for at in range(1, 4)}
    return {"EuroSAT.zip": zip_of(files)}, {"": 9}


def flowers_set() -> tuple[dict[str, bytes], dict[str, int]]:
    labels = np.array([[77, 77, 1, 1, 45, 45, 69]])
    splits = {"trnid": np.array([[1, 3]]), "valid": np.array([[5, 2]]), "tstid": np.array([[4, 6, 7]])}
    buffers = {"imagelabels.mat": io.BytesIO(), "setid.mat": io.BytesIO()}
    savemat(buffers["imagelabels.mat"], {"labels": labels})
    savemat(buffers["setid.mat"], splits)
    photos = {f"jpg/image_{at:05}.jpg": jpeg(at) for at in range(1, 8)}
    files = {name: buffer.getvalue() for name, buffer in buffers.items()}
    return {"102flowers.tgz": tar_of(photos), **files}, {"train": 2, "val": 2, "test": 3}


def pets_set() -> tuple[dict[str, bytes], dict[str, int]]:
    names = [f"{breed}_{at}" for breed in ("Abyssinian", "american_bulldog") for at in range(1, 4)]
    lists = {"annotations/trainval.txt": "", "annotations/test.txt": "#Image CLASS-ID\n"}
    for at, name in enumerate(names):
        if name != "Abyssinian_2":
            lists["annotations/" + ("test.txt" if at % 3 == 2 else "trainval.txt")] += f"{name} 1 1 1\n"
    files = {
        "images.tar.gz": tar_of({f"images/{name}.jpg": jpeg(at) for at, name in enumerate(names)}),
        "annotations.tar.gz": tar_of({name: text.encode() for name, text in lists.items()}),
    }
    return files, {"train": 3, "test": 2}


def imagenette_set(name: str) -> tuple[dict[str, bytes], dict[str, int]]:
    folder = SETS[name].files[0].name.removesuffix(".tgz")
    files = {f"{folder}/noisy_imagenette.csv": b"path,label\n"}
    for at, wnid in enumerate(SETS[name].renamed):
        files[f"{folder}/train/{wnid}/{wnid}_{at}.JPEG"] = jpeg(at)
        files[f"{folder}/val/{wnid}/ILSVRC_{at}.JPEG"] = jpeg(at + 100)
    return {f"{folder}.tgz": tar_of(files)}, {"train": 10, "val": 10}


_MAKERS: dict[str, Callable[[], tuple[dict[str, bytes], dict[str, int]]]] = {
    "fashion-mnist": idx_set,
    "mnist": idx_set,
    "cifar10": cifar10_set,
    "cifar100": cifar100_set,
    "eurosat": eurosat_set,
    "flowers102": flowers_set,
    "oxford-pets": pets_set,
    **{name: lambda name=name: imagenette_set(name) for name in ("imagenette", "imagenette-320", "imagenette-160")},
}


def tiny_set(name: str) -> tuple[NamedSet, dict[str, bytes]]:
    """A set's record with the counts and checksums of tiny files, and those files."""
    files, images = _MAKERS[name]()
    assert set(files) == {file.name for file in SETS[name].files}
    described = tuple(
        SetFile(file.name, f"md5:{hashlib.md5(files[file.name]).hexdigest()}", len(files[file.name]))
        for file in SETS[name].files
    )
    return replace(SETS[name], files=described, images=images), files
