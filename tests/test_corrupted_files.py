"""One byte of one file is changed: no run, cache or export may be used silently with another result.

``DISTINGO_CORRUPTIONS=500 pytest tests/test_corrupted_files.py -s`` prints the table of docs/disks.md.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distingo
from distingo.errors import DistingoError
from distingo.models.saved import load_model
from distingo.runtime import Runtime
from raising import raises
from tiny_datasets import draw_classes

RECIPE: dict[str, Any] = {"model": "small-cnn", "image_size": 16, "epochs": 3, "batch_size": 16, "seed": 3}
CORRUPTIONS = int(os.environ.get("DISTINGO_CORRUPTIONS", "60"))

Reader = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Part:
    """Files of one kind, and what reads them."""

    name: str
    folder: Path
    readers: dict[str, Reader]


class Place:
    """Runs, exports and a cache, with a copy to restore them from."""

    def __init__(self, root: Path) -> None:
        self.root, self.kept = root, root.with_name("kept")
        self.data = draw_classes(root / "data", per_class=14, size=20)
        self.images = sorted(self.data.rglob("*.png"))[::7]
        (self.data / "corrections.csv").write_text("file,action,labels\nred/000.png,relabel,blue\n", "utf-8")
        self.cache = root / "cache"
        train: dict[str, Any] = {"cache": self.cache, **RECIPE}
        distingo.train(self.data, root / "run", **train)
        distingo.train(self.data, root / "other", **{**train, "seed": 4})
        self.stop_after(2, root / "stopped", train)
        for name in ("onnx", "openvino", "torch-export"):
            distingo.export(root / "run", root / "exports" / name, format=name)
        self.weights = (root / "run" / "model" / "model.safetensors").read_bytes()
        shutil.copytree(root, self.kept, symlinks=True)

    def stop_after(self, epochs: int, output: Path, train: dict[str, Any]) -> None:
        def stop(record: Any) -> None:
            if record.epoch == epochs:
                raise KeyboardInterrupt

        with raises(DistingoError, code="interrupted"):
            distingo.train(self.data, output, on_epoch=stop, **train)

    def restore(self) -> None:
        for name in ("run", "stopped", "exports", "cache"):
            shutil.rmtree(self.root / name)
            shutil.copytree(self.kept / name, self.root / name)
        shutil.rmtree(self.root / "new", ignore_errors=True)

    def parts(self) -> tuple[Part, ...]:
        run, exports = self.root / "run", self.root / "exports"
        evaluated: dict[str, Reader] = {
            "report": lambda: distingo.write_report(run).read_bytes(),
            "predict": lambda: distingo.predict(run, self.images, abstain=0.2),
            "compare": lambda: self.compare(run),
            "evaluate": lambda: self.evaluate(run),
        }
        return (
            Part("finished run", run, evaluated),
            Part("stopped run", self.root / "stopped", {"resume": self.resume}),
            Part("cache", self.cache, {"train": self.train_again}),
            *(
                Part(f"export: {path.name}", path, {"runtime": lambda path=path: self.run_export(path)})
                for path in sorted(exports.iterdir())
            ),
        )

    def compare(self, run: Path) -> object:
        shutil.rmtree(self.root / "new", ignore_errors=True)
        distingo.compare([run, self.root / "other"], self.root / "new")
        return (self.root / "new" / "comparison.json").read_bytes()

    def evaluate(self, run: Path) -> object:
        evaluation = distingo.evaluate(run, cache=self.cache)
        page = (run / "report.html").read_text("utf-8")
        return evaluation, len(page) > 1000

    def resume(self) -> object:
        distingo.train(output=self.root / "stopped", resume=True, cache=self.cache)
        return (self.root / "stopped" / "model" / "model.safetensors").read_bytes() == self.weights

    def train_again(self) -> object:
        distingo.train(self.data, self.root / "new", cache=self.cache, **RECIPE)
        return (self.root / "new" / "model" / "model.safetensors").read_bytes() == self.weights

    def run_export(self, folder: Path) -> object:
        return Runtime(folder).predict(self.images, abstain=0.2)


def read(reader: Reader) -> tuple[str, object]:
    """What comes of reading: ``ok`` and a result, ``line`` and the error's text, or ``crash``."""
    try:
        return "ok", reader()
    except DistingoError as error:
        assert "\n" not in str(error), str(error)
        return "line", str(error)
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"


def corruptions(parts: Sequence[Part], count: int, seed: int) -> Iterator[tuple[Part, Path, int, int]]:
    """Files in turn, so that each is hit; a place in it and what is done to the byte there by chance."""
    generator = random.Random(seed)
    files = [(part, path) for part in parts for path in sorted(part.folder.rglob("*")) if path.is_file()]
    files = [(part, path) for part, path in files if path.stat().st_size and path.name != "lock"]
    generator.shuffle(files)
    for turn in range(count):
        part, path = files[turn % len(files)]
        yield part, path, generator.randrange(path.stat().st_size), generator.randrange(1, 256)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("disk") / "place")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_changed_byte_is_used_silently(place: Place) -> None:
    parts = place.parts()
    clean = {(part.name, name): read(reader) for part in parts for name, reader in part.readers.items()}
    place.restore()
    assert clean["stopped run", "resume"] == ("ok", True)
    assert clean["cache", "train"] == ("ok", True)
    table: Counter[tuple[str, str]] = Counter()
    wrong, hit = [], set()
    for part, path, at, change in corruptions(parts, CORRUPTIONS, seed=16):
        content = bytearray(path.read_bytes())
        content[at] ^= change
        path.write_bytes(content)
        kinds = set()
        for name, reader in part.readers.items():
            how, found = read(reader)
            if (how, found) == clean[part.name, name]:
                kinds.add("same")
            elif how == "line":
                kinds.add("line")
            else:
                wrong.append(f"{path.relative_to(place.root)} byte {at} ^ {change}: {name}: {how} {str(found)[:200]}")
                kinds.add("silent" if how == "ok" else "crash")
        now = path.read_bytes() if path.is_file() else b""
        if kinds == {"same"} and now != bytes(content):
            kinds = {"rebuilt"}
        kind = next(each for each in ("silent", "crash", "line", "rebuilt", "same") if each in kinds)
        table[part.name, kind] += 1
        hit.add(path.relative_to(place.root).as_posix())
        place.restore()
    show(table, parts, len(hit))
    assert not wrong, "\n".join(wrong)


def show(table: Counter[tuple[str, str]], parts: Sequence[Part], files: int) -> None:
    kinds = ("line", "rebuilt", "same", "crash", "silent")
    lines = [f"\n{sum(table.values())} bytes changed in {files} files", "| files | " + " | ".join(kinds) + " |"]
    lines += [f"| {part.name} | " + " | ".join(str(table[part.name, kind]) for kind in kinds) + " |" for part in parts]
    print("\n".join(lines), file=sys.__stdout__, flush=True)


def test_files_of_older_versions_have_no_checksums_and_are_read(place: Place) -> None:
    run = place.root / "run"
    try:
        for path in run.rglob("checksums.json"):
            path.unlink()
        for path in run.rglob("*.json"):
            content = json.loads(path.read_text("utf-8"))
            assert content.pop("checksum", None), path
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        assert distingo.evaluate(run, cache=place.cache).n > 0
        assert distingo.predict(run, place.images)
    finally:
        place.restore()


def test_a_file_that_somebody_changed_is_refused_with_the_way_out(place: Place) -> None:
    path = place.root / "run" / "config.json"
    text = path.read_text("utf-8")
    try:
        path.write_text(text.replace('"batch_size": 16', '"batch_size": 17'), "utf-8")
        with raises(DistingoError, code="checksum_differs", naming=("config.json", "'checksum'")):
            distingo.write_report(place.root / "run")
        head, _, end = text.rpartition(',\n  "checksum"')
        path.write_text(head + "\n}\n", "utf-8")
        assert end
        distingo.write_report(place.root / "run")
    finally:
        place.restore()


@pytest.mark.parametrize("damaged", [("last",), ("last", "previous"), ("best",)], ids=" and ".join)
def test_a_damaged_checkpoint_falls_back_and_ends_the_same(
    place: Place, damaged: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    for name in damaged:
        path = place.root / "stopped" / "checkpoint" / f"{name}.safetensors"
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
    try:
        with caplog.at_level("WARNING", logger="distingo"):
            assert place.resume() is True
        lines = [record.message for record in caplog.records if "checksum does not fit" in record.message]
        assert len(lines) == len(damaged)
        assert all("\n" not in line for line in lines)
        resumed = load_model(place.root / "stopped" / "model").network
        assert resumed is not None
        assert all(np.isfinite(value.numpy()).all() for value in resumed.state_dict().values())
    finally:
        place.restore()
