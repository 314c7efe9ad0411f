"""An exported model from anywhere: one line, no network, nothing unpickled, no memory for what is not there."""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distingo.errors import DistingoError, RunError
from distingo.models.reference_data import build_bank, load_calibration_set
from distingo.models.saved import load_bank, save_bank
from distingo.records import ImageSpec
from distingo.runtime.description import (
    EXPORT_FILE,
    EXPORTED_BANK_FILE,
    PREPROCESSING_FILE,
    ExportDescription,
    load_exported_bank,
    read_export,
    save_exported_bank,
    write_description,
)
from distingo.scores import Thresholds
from hostile_files import DEEP, VALUES, nothing_reached, require_plain
from raising import raises
from tiny_runs import forget_checksums

BANK = build_bank(np.random.default_rng(0).normal(size=(6, 4)), ("0" * 32,) * 6, unit=False)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    description = ExportDescription(
        "onnx",
        "float32",
        "multi-label",
        ("cat", "dog"),
        ImageSpec(32, 32, 3),
        in_graph=True,
        thresholds=Thresholds((0.5, 0.5), "f1"),
        calibration={"slope": 1.0, "offsets": [0.0, 0.0]},
        model={"name": "small-cnn", "kind": "network", "license": ""},
    )
    write_description(tmp_path / "export", description)
    assert read_export(tmp_path / "export") == description
    save_exported_bank(tmp_path / "export", BANK)
    return tmp_path / "export"


@pytest.mark.parametrize("name", [EXPORT_FILE, PREPROCESSING_FILE])
def test_every_field_of_both_files_is_checked(export: Path, name: str) -> None:
    good = json.loads((export / name).read_text())
    refused = 0
    for field in good:
        for value in VALUES:
            (export / name).write_text(json.dumps({**good, field: value}))
            try:
                read_export(export)
            except RunError as error:
                refused += 1
                require_plain(error, lines=len(str(error).splitlines()))
    assert refused > 0.8 * len(good) * len(VALUES) - 30
    (export / name).write_text(json.dumps({**good, "evil": 1}))
    with raises(RunError, code="damaged_file", naming="'evil'"):
        read_export(export)
    (export / name).write_text(DEEP)
    with raises(RunError, code="damaged_file") as caught:
        read_export(export)
    require_plain(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("classes", ["a", "a"], "two classes are called 'a'"),
        ("classes", ["a", "b", "c"], "2 thresholds for 3 classes"),
        ("classes", ["a", "b\n"], "classes: "),
        ("task", "single-label", "thresholds and task contradict"),
        ("exported_as", "pickle", "exported_as: "),
        ("thresholds", {"values": [0.5, 1e400], "aim": "f1"}, "a number too large to be one"),
    ],
)
def test_fields_that_contradict_each_other(export: Path, field: str, value: Any, why: str) -> None:
    good = json.loads((export / EXPORT_FILE).read_text())
    text = json.dumps({**good, field: value}).replace("Infinity", "1e400")
    (export / EXPORT_FILE).write_text(text)
    with raises(RunError, code="damaged_file") as caught:
        read_export(export)
    require_plain(caught.value)
    assert why in str(caught.value)


def member(array: np.ndarray, *, pickled: bool = False, shape: tuple[int, ...] | None = None) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=pickled)
    if shape is None:
        return content.getvalue()
    header = io.BytesIO()
    kind = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
    return header.getvalue() + array.tobytes()


GOOD = {
    "rows.npy": member(BANK.rows),
    "center.npy": member(BANK.center),
    "scale.npy": member(BANK.scale),
    "unit.npy": member(np.array([False])),
}

CODE = b"\x93NUMPY\x01\x00\x4c\x00" + b"__import__('os').system('x')".ljust(75) + b"\n"

BANKS: dict[str, tuple[dict[str, bytes], str]] = {
    "a shape of terabytes": ({"rows.npy": member(BANK.rows, shape=(10**9, 10**5))}, "not as many bytes as its shape"),
    "a shape below zero": ({"rows.npy": member(BANK.rows, shape=(-1, 4))}, "not as many bytes"),
    "one dimension": ({"rows.npy": member(BANK.rows.ravel())}, "of shape (24,)"),
    "no rows": ({"rows.npy": member(BANK.rows[:0])}, "rows are float16 of shape (0, 4)"),
    "pickled objects": ({"rows.npy": member(np.array([[{}]], object), pickled=True)}, "rows.npy is object"),
    "another type": ({"rows.npy": member(BANK.rows.astype(np.float64))}, "rows.npy is float64"),
    "records": ({"rows.npy": member(np.zeros((2, 2), [("a", "<f2")]))}, "rows.npy is"),
    "another width": ({"center.npy": member(np.zeros(5, np.float32))}, "do not fit each other"),
    "no numbers": ({"rows.npy": member(np.full((6, 4), np.nan, np.float16))}, "no numbers"),
    "a scale of zero": ({"scale.npy": member(np.zeros(4, np.float32))}, "not above 0"),
    "an empty unit": ({"unit.npy": member(np.zeros(0, bool))}, "index 0 is out of bounds"),
    "cut off": ({"rows.npy": GOOD["rows.npy"][:-3]}, "not as many bytes"),
    "too long": ({"rows.npy": GOOD["rows.npy"] + b"x"}, "not as many bytes"),
    "no header": ({"rows.npy": b"\x93NUMPY\x01\x00\xff\xff{"}, "damaged"),
    "a header of code": ({"rows.npy": CODE}, "damaged"),
    "no magic": ({"rows.npy": b"nothing"}, "damaged"),
    "another member": ({"evil.npy": GOOD["rows.npy"]}, "its members are not"),
    "a member outside": ({"../evil.npy": GOOD["rows.npy"]}, "its members are not"),
}


@pytest.mark.parametrize("name", BANKS)
def test_a_hostile_bank_is_refused(export: Path, name: str) -> None:
    changed, why = BANKS[name]
    with zipfile.ZipFile(export / EXPORTED_BANK_FILE, "w") as archive:
        for each, content in {**GOOD, **changed}.items():
            archive.writestr(each, content)
    forget_checksums(export)  # a stranger's would fit
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raises(RunError, code="damaged_file") as caught:
        load_exported_bank(export)
    require_plain(caught.value)
    assert why in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_bomb_is_refused_before_it_is_unpacked(export: Path) -> None:
    bomb = member(np.zeros((1, 4), np.float16), shape=(2 * 10**7, 4))[:-8] + bytes(16 * 10**7)
    with zipfile.ZipFile(export / EXPORTED_BANK_FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in {**GOOD, "rows.npy": bomb}.items():
            archive.writestr(each, content)
    assert (export / EXPORTED_BANK_FILE).stat().st_size < 200_000
    forget_checksums(export)  # a stranger's would fit
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raises(RunError, code="damaged_file", naming="rows.npy"):
        load_exported_bank(export)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 1000, b"\x93NUMPY", b"\x80\x04\x95"])
def test_what_is_no_archive_is_refused(export: Path, content: bytes) -> None:
    (export / EXPORTED_BANK_FILE).write_bytes(content)
    with raises(RunError, code="checksum_differs") as caught:
        load_exported_bank(export)
    require_plain(caught.value)


@pytest.mark.parametrize("exported", [True, False])
def test_damage_to_a_bank_is_one_line(export: Path, tmp_path: Path, exported: bool) -> None:
    """Of 300 banks with some bytes changed none ends in anything but a bank or one line."""
    rng = random.Random(5)
    save_bank(tmp_path, BANK)
    path = export / EXPORTED_BANK_FILE if exported else tmp_path / "bank.safetensors"
    read: Callable[[], Any] = (lambda: load_exported_bank(export)) if exported else (lambda: load_bank(tmp_path))
    good = path.read_bytes()
    for _ in range(300):
        content = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.randint(len(content) // 2, len(content))] if rng.random() < 0.2 else content)
        try:
            read()
        except RunError as error:
            require_plain(error)


EVIDENCE: dict[str, Any] = {
    "format": 1,
    "validation_images": 2,
    "folds": 0,
    "given_labels": {"image": [0, 1], "probability": [0.5, 0.75], "right": [1, 0]},
    "true_labels": {"probability": [0.5, 0.25], "weight": [1.0, 1.0]},
    "distances": [0.5, 1.0],
}


def test_every_field_of_the_evidence_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    path.write_text(json.dumps(EVIDENCE))
    assert load_calibration_set(tmp_path) is not None
    hostile = [
        {**EVIDENCE, "given_labels": {**EVIDENCE["given_labels"], "image": [0, 10**9]}},
        {**EVIDENCE, "given_labels": {**EVIDENCE["given_labels"], "image": [0, -1]}},
        {**EVIDENCE, "given_labels": {**EVIDENCE["given_labels"], "probability": [0.5, 1.5]}},
        {**EVIDENCE, "given_labels": {**EVIDENCE["given_labels"], "right": [1, 2]}},
        {**EVIDENCE, "given_labels": {**EVIDENCE["given_labels"], "right": [1]}},
        {**EVIDENCE, "true_labels": {"probability": [0.5], "weight": [1.0, 1.0]}},
        {**EVIDENCE, "distances": ["x"]},
        {**EVIDENCE, "evil": 1},
    ]
    hostile += [{**EVIDENCE, "distances": value} for value in VALUES if value != []]
    for content in hostile:
        path.write_text(json.dumps(content))
        with raises(RunError, code="damaged_file") as caught:
            load_calibration_set(tmp_path)
        require_plain(caught.value)


def test_a_whole_export_with_hostile_values(tiny_exports: dict[str, Path], tmp_path: Path) -> None:
    """As a person uses it; nothing is reached, and what is refused is refused in one line for each fault."""
    pytest.importorskip("onnxruntime")
    from distingo.runtime import Runtime

    rng = random.Random(7)
    place = Path(shutil.copytree(tiny_exports["one label"], tmp_path / "export"))
    names = [EXPORT_FILE, PREPROCESSING_FILE, "confidence.json"]
    with nothing_reached():
        for _ in range(60):
            name = rng.choice(names)
            good = (place / name).read_text()
            content = json.loads(good)
            content[rng.choice(sorted(content))] = rng.choice(VALUES)
            (place / name).write_text(json.dumps(content))
            try:
                Runtime(place).predict([np.zeros((40, 40, 3), np.uint8)])
            except DistingoError as error:
                require_plain(error, lines=len(str(error).splitlines()))
            (place / name).write_text(good)
