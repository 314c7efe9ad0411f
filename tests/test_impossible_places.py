"""Full disks, places that can't be, files that no honest program writes: one line, and nothing half-written."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from distingo.errors import DistingoError, ResourceError, RunError
from distingo.files import write_text
from distingo.runs.folder import begin_folder, end_beginning, is_free
from raising import raises
from tiny_datasets import draw_classes
from tiny_runs import copy_run

DEEP = "[" * 100_000 + "]" * 100_000
IMAGE_SIZE = ["--image-size", "8", "--epochs", "1", "--batch-size", "16"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("places") / "data", per_class=12)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    assert main([str(word) for word in words]) in {1, 2}
    error = capsys.readouterr().err
    assert "Traceback" not in error
    last = error.rstrip("\n").splitlines()[-1]
    assert last.startswith("distingo: ")
    return last


def commands(data: Path, run: Path, output: Path, cache: Path) -> dict[str, list[object]]:
    kept = ["--cache", cache]
    return {
        "train": ["train", data, "-o", output, "--model", "majority", *kept],
        "crossval": ["crossval", data, "-o", output, "--model", "majority", *kept],
        "tune": ["tune", data, "-o", output, "--model", "small-cnn", "--trials", 2, *IMAGE_SIZE, *kept],
        "learning-curve": ["learning-curve", data, "-o", output, "--model", "descriptors", *kept],
        "check": ["check", data, "-o", output, "--model", "none", "--cache", cache],
        "split": ["split", data, "-o", output / "split.csv", "--cache", cache],
        "predict": ["predict", run, data, "-o", output / "table.csv"],
        "export": ["export", run, "-o", output / "export", "--format", "torch-export"],
        "download": ["download", "mnist", "-o", output, "--mirror", "http://127.0.0.1:9", "--attempts", 1],
        "compare": ["compare", run, run.parent / "descriptors", "-o", output],
    }


NAMES = tuple(commands(Path(), Path(), Path(), Path()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a file above", "proc", "too long"])
def test_an_output_that_cannot_be(
    data: Path,
    tiny_runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    kind: str,
) -> None:
    (tmp_path / "file").write_text("mine")
    places = {
        "a file above": tmp_path / "file" / "run",
        "proc": Path("/proc/no/run"),
        "too long": tmp_path / ("x" * 300),
    }
    words = commands(data, tiny_runs["small-cnn"], places[kind], tmp_path / "cache")[name]
    line = refused(capsys, *words)
    assert len(line) < 1500
    assert (tmp_path / "file").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "cache"}


@pytest.mark.parametrize("kind", ["a file above", "proc", "too long"])
def test_a_home_that_cannot_be(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "file").write_text("mine")
    homes = {"a file above": tmp_path / "file" / "home", "proc": Path("/proc/no"), "too long": tmp_path / ("x" * 300)}
    monkeypatch.delenv("DISTINGO_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(homes[kind]))
    line = refused(capsys, "train", data, "-o", tmp_path / "run", "--model", "small-cnn", *IMAGE_SIZE)
    assert str(homes[kind]) in line
    assert not (tmp_path / "run").exists()


def test_a_nul_in_a_path_is_named(tmp_path: Path) -> None:
    with raises(ResourceError, code="invalid_path"):
        write_text(tmp_path / "a\0b", "")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"download", "tune"}])
@pytest.mark.parametrize("size", [0, 500])
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing_half_written(
    data: Path, tiny_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, size: int
) -> None:
    output = tmp_path / "output"
    words = commands(data, tiny_runs["small-cnn"], output, tmp_path / "cache")[name]
    with largest_file(size):
        line = refused(capsys, *words)
    assert "disk is full" in line
    half = [path for path in tmp_path.rglob("*") if path.is_file() and path.name.startswith(".")]
    assert not half
    assert main([str(word) for word in words]) == 0  # when there is room again, the same command works


@pytest.mark.parametrize(
    "file",
    ["config.json", "model/model.json", "evaluation.json", "cost.json", "confidence.json", "near_duplicates.json"],
)
@pytest.mark.parametrize("content", [DEEP, '{"format": 1, "recipe": ' + DEEP + "}"], ids=["array", "object"])
def test_deep_json_is_one_line(tiny_runs: dict[str, Path], tmp_path: Path, file: str, content: str) -> None:
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    (run / file).write_text(content)
    with raises(RunError, code="damaged_file"):
        distingo.write_report(run)
        distingo.compare([run, tiny_runs["descriptors"]], tmp_path / "comparison")


def test_deep_json_of_other_files_is_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text(DEEP)
    train = ["train", data, "-o", tmp_path / "run"]
    assert "nested too deeply" in refused(capsys, *train, "--recipe", deep)
    assert "nested too deeply" in refused(capsys, *train, "--config", deep)
    assert "nested too deeply" in refused(capsys, "train", deep, "-o", tmp_path / "run")
    (tmp_path / "folder" / ".distingo-download").mkdir(parents=True)
    (tmp_path / "folder" / ".distingo-download" / "source.json").write_text(DEEP)
    assert "nested too deeply" in refused(capsys, "download", "mnist", "-o", tmp_path / "folder")
    assert not (tmp_path / "run").exists()


def test_null_settings_are_named(
    data: Path, tiny_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((tiny_runs["small-cnn"] / "config.json").read_text("utf-8"))
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    for name in ("data", "recipe", "classes", "choices", "environment", "table", "task"):
        (run / "config.json").write_text(json.dumps({**config, name: None}), "utf-8")
        for words in (
            ["evaluate", run],
            ["report", run],
            ["train", "-o", tmp_path / "new", "--config", run / "config.json"],
        ):
            said = refused(capsys, *words)
            assert name in said and "null" in said
    refusals = 0
    for name in config["recipe"]:
        (tmp_path / "recipe.json").write_text(json.dumps({name: None}), "utf-8")
        words = ["train", data, "-o", tmp_path / "new", "--model", "majority", "--recipe", tmp_path / "recipe.json"]
        if name in {"model", "dropout", "threshold_target"}:
            continue  # None is a value of theirs, or the command line names it
        assert ("missing" if name in {"height", "width"} else "None") in refused(capsys, *words)
        refusals += 1
    assert refusals > 25
    assert not (tmp_path / "new").exists()


def test_a_begun_folder_is_free_and_one_of_a_persons_is_not(tmp_path: Path) -> None:
    assert is_free(tmp_path / "new")
    begin_folder(tmp_path / "new")
    write_text(tmp_path / "new" / "corrections.csv", "of an earlier time")
    assert is_free(tmp_path / "new")
    begin_folder(tmp_path / "new", ("corrections.csv",))
    end_beginning(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "new" / ".begun.json.abcd0123").touch()
    assert is_free(tmp_path / "new")
    (tmp_path / "new" / "mine.txt").touch()
    assert not is_free(tmp_path / "new")
    assert not is_free(tmp_path / "new" / "mine.txt")


def test_the_same_train_command_goes_on_and_another_is_refused(data: Path, tmp_path: Path) -> None:
    recipe = {"model": "small-cnn", "image_size": 8, "epochs": 2, "batch_size": 16, "cache": tmp_path / "cache"}

    def stop(record: object) -> None:
        raise KeyboardInterrupt

    with raises(DistingoError, code="interrupted"):
        distingo.train(data, tmp_path / "run", on_epoch=stop, **recipe)
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.train(data, tmp_path / "run", **{**recipe, "epochs": 3})
    distingo.train(data, tmp_path / "run", **recipe)
    distingo.train(data, tmp_path / "whole", **recipe)
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.train(data, tmp_path / "run", **recipe)  # finished: nothing is overwritten
