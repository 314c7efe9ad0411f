from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from note_texts import texts
from tiny_datasets import draw_classes

QUICK = ["--model", "fashion-cnn", "--image-size", "8", "--epochs", "2", "--batch-size", "8"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["train", str(images), "-o", str(folder), *QUICK, "--epochs", "8"]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a wrong call ends with."""
    code = main(list(words))
    captured = capsys.readouterr()
    last = captured.err.strip().splitlines()[-1]
    assert code in {1, 2}, captured
    assert last.startswith("distingo: ")
    assert "Traceback" not in captured.err
    return last


def test_a_run_leaves_every_file_of_the_hallway(run: Path) -> None:
    expected = {
        "config.json",
        "manifest.csv",
        "near_duplicates.json",
        "split.csv",
        "history.csv",
        "evaluation.json",
        "predictions.parquet",
        "report.html",
    }
    assert expected <= {path.name for path in run.iterdir()}
    assert (run / "model" / "model.safetensors").is_file()
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["scores"]["accuracy"]["value"] == 1.0
    assert evaluation["scores"]["accuracy"]["n"] == 12
    assert evaluation["scores"]["accuracy"]["low"] < 1.0
    assert evaluation["baselines"]["majority"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert set(evaluation["baselines"]) == {"majority", "descriptors"}


def test_files_of_a_run_with_one_label_keep_their_shape(run: Path, images: Path) -> None:
    """Several labels per image came later; who reads the files of earlier runs must be able to read these."""
    import pyarrow.parquet as pq

    header = (run / "history.csv").read_text().splitlines()[0]
    assert header == (
        "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,images_per_second,seconds"
    )
    assert pq.read_schema(run / "predictions.parquet").names == [
        "file",
        "truth",
        "predicted",
        "confidence",
        "probabilities",
    ]
    config = json.loads((run / "config.json").read_text())
    assert set(config) == {
        "format",
        "distingo",
        "data",
        "near_duplicates",
        "layout",
        "task",
        "classes",
        "recipe",
        "choices",
        "environment",
        "created",
        "request",
        "checksum",
    }
    assert (config["task"], config["data"]) == ("single-label", str(images))
    assert config["recipe"]["monitor"] == "validation_accuracy"
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert next(iter(evaluation["scores"])) == "accuracy"
    assert len(evaluation["per_class"]) == len(evaluation["confusion"]) == 3
    model = json.loads((run / "model" / "model.json").read_text())
    assert (model["task"], model["thresholds"]) == ("single-label", None)


def test_every_image_lies_on_one_side(run: Path) -> None:
    rows = list(csv.DictReader((run / "split.csv").open(encoding="utf-8")))
    assert len({row["file"] for row in rows}) == len(rows) == 60
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_predict_names_images_and_exits_3_for_a_broken_one(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("<html>gone</html>")
    gone, good = tmp_path / "gone.jpg", images / "red" / "000.png"
    code = main(["predict", str(run), str(gone), str(broken), str(good), "--topk", "2"])
    printed = capsys.readouterr()
    missing, damaged, named = printed.out.splitlines()
    assert code == 3
    assert missing.startswith(f"{gone}\tERROR: ")
    assert "No such file" in missing
    assert damaged.startswith(f"{broken}\tERROR: ")
    assert "\tred " in named
    assert "2 of 3 pictures could not be read" in printed.err


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_predict_writes_tables(run: Path, images: Path, tmp_path: Path, ending: str) -> None:
    import pyarrow.parquet as pq

    output = tmp_path / f"out{ending}"
    assert main(["predict", str(run), str(images / "blue"), "-o", str(output)]) == 0
    if ending == ".csv":
        rows = list(csv.DictReader(output.open(encoding="utf-8")))
    elif ending == ".jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    else:
        rows = pq.read_table(output).to_pylist()
    assert len(rows) == 20
    assert {row["label"] for row in rows} == {"blue"}


def test_evaluate_again_gives_the_same_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "evaluation.json").read_bytes()
    assert main(["evaluate", str(run)]) == 0
    assert (run / "evaluation.json").read_bytes() == before
    assert "accuracy" in capsys.readouterr().out


def test_evaluate_on_other_data_leaves_the_runs_own_scores_and_page(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = draw_classes(tmp_path / "other", per_class=5)
    own = [run / "evaluation.json", run / "report.html"]
    before = [path.read_bytes() for path in own]
    assert main(["evaluate", str(run), str(other)]) == 0
    assert [path.read_bytes() for path in own] == before
    place = run / "evaluations" / "other"
    assert json.loads((place / "evaluation.json").read_text())["n"] == 15
    assert f"Report: {place / 'report.html'}" in capsys.readouterr().out
    page = (place / "report.html").read_text("utf-8")
    assert "evaluated on all pictures of other" in page
    assert "on <b><bdi>other</bdi></b>" in page
    assert "15 pictures in" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "From the test split" in page
    assert "Training</a>" not in page
    assert len(list(csv.DictReader((place / "split.csv").open(encoding="utf-8")))) == 15


def test_a_command_that_is_over_says_nothing_more(images: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "distingo", "train", str(images), "-o", str(tmp_path / "run"), *QUICK]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1].startswith("epoch   2 ")
    assert done.stdout.splitlines()[-1] == f"Report: {tmp_path / 'run' / 'report.html'}"


def test_a_verdict_is_printed_below_the_scores(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = draw_classes(tmp_path / "other", names=("blue", "green"), per_class=20)
    assert main(["evaluate", str(run), str(other)]) == 0
    printed = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert "Right on 100.0 % of 40 test pictures (95 % interval" in printed, printed
    assert "- evaluated on all pictures of other" in printed


def test_images_that_the_model_was_trained_on_are_counted(run: Path, images: Path, tmp_path: Path) -> None:
    seen = len([row for row in csv.DictReader((run / "split.csv").open(encoding="utf-8")) if row["split"] != "test"])
    copied = shutil.copytree(images, tmp_path / "again")
    notes = texts(distingo.evaluate(run, copied).notes)
    assert any(
        note.startswith(f"{seen} of these 60 pictures are among those that the model was trained") for note in notes
    )


def test_classes_that_are_predicted_in_vain_are_named(run: Path, tmp_path: Path) -> None:
    mixed = draw_classes(tmp_path / "mixed", names=("red", "green"), per_class=4)  # the first in blue
    notes = texts(distingo.evaluate(run, mixed).notes)
    assert any(note.startswith("no picture shows blue, which the model predicted") for note in notes)


def test_files_that_are_not_used_are_counted_while_training(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(images, tmp_path / "data")
    (data / "red" / "broken.jpg").write_text("no picture")
    (data / "blue" / "empty.png").touch()
    assert main(["train", str(data), "-o", str(tmp_path / "run"), "--model", "majority", "--epochs", "3"]) == 0
    said = capsys.readouterr().err
    assert "of 62 files found 60 are used; 2 unusable: manifest.csv says why" in said
    assert "not used: --epochs, because majority is not trained by steps" in said


def test_a_run_that_has_not_ended_is_said_to_be_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = shutil.copytree(run, tmp_path / "stopped")
    (stopped / "model" / "model.json").unlink()
    for words in (["predict", str(stopped), str(tmp_path)], ["evaluate", str(stopped)]):
        assert f"its training has not ended; `distingo train -o {stopped} --resume`" in refused(capsys, *words)


def test_inspect_replaces_its_own_pages_only(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, other = tmp_path / "page.html", tmp_path / "mine.html"
    for _ in range(2):
        assert main(["inspect", str(images), "-o", str(page)]) == 0
    other.write_text("<html>mine</html>")
    assert "is no page of distingo's" in refused(capsys, "inspect", str(images), "-o", str(other))
    assert other.read_text() == "<html>mine</html>"
    assert "ends in .html" in refused(capsys, "inspect", str(images), "-o", str(tmp_path / "page"))


def test_compare_prints_a_table_and_leaves_a_page(
    tiny_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "compared"
    assert main(["compare", *map(str, tiny_runs.values()), "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    for text in (*tiny_runs, "1.000", "tied", " tie: right on ", "-0.667", f"Page: {output / 'comparison.html'}"):
        assert text in printed
    assert (output / "comparison.html").is_file()
    written = json.loads((output / "comparison.json").read_text())
    assert written["best"] is None
    assert "descriptors" in written["tied"]


def test_runs_that_do_not_compare_end_in_one_line(
    run: Path, tiny_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["-o", str(tmp_path / "out")]
    assert "two run folders" in refused(capsys, "compare", str(run), *output)
    assert "no such file" in refused(capsys, "compare", str(run), str(tmp_path / "gone"), *output)
    # The same drawing in another folder is the same data: the comparison stands on content, not on place.
    assert main(["compare", str(run), str(tiny_runs["majority"]), *output]) == 0
    other = tmp_path / "other"
    data = draw_classes(tmp_path / "few", per_class=5)
    assert main(["train", str(data), "-o", str(other), "--model", "majority"]) == 0
    assert "can't be compared" in refused(capsys, "compare", str(run), str(other), "-o", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_run_is_repeated_from_its_config_alone(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["train", "--config", str(run / "config.json"), "-o", str(again)]) == 0
    weights = "model/model.safetensors"
    assert (again / weights).read_bytes() == (run / weights).read_bytes()
    assert (again / "split.csv").read_bytes() == (run / "split.csv").read_bytes()


def test_wrong_calls_end_in_one_line(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no such folder" in refused(capsys, "train", str(tmp_path / "nowhere"), "-o", out)
    assert "empty" in refused(capsys, "train", str(empty), "-o", out)
    assert "one class only" in refused(capsys, "train", str(draw_classes(tmp_path / "one", names=("red",))), "-o", out)
    assert "did you mean small-cnn" in refused(capsys, "train", str(images), "-o", out, "--model", "smal-cnn")
    assert "holds another run" in refused(capsys, "train", str(images), "-o", str(run))
    assert "8" in refused(capsys, "train", str(images), "-o", out, "--model", "sports-cnn", "--image-size", "4")
    assert "not a size" in refused(capsys, "train", str(images), "-o", out, "--image-size", "big")
    assert "no such file or folder" in refused(capsys, "predict", str(run), str(tmp_path / "gone.jpg"))
    assert "no such run folder" in refused(capsys, "report", str(tmp_path / "gone"))
    assert "did you mean" in refused(capsys, "train", str(images), "-o", out, "--augment", "standrd")
    assert "train needs DATA" in refused(capsys, "train", "-o", out)
    line = refused(capsys, "train", str(images), "--modle", "small-cnn")
    assert line == "distingo: unknown: --modle small-cnn, did you mean --mode or --model? (`distingo train --help` " + (
        "lists what is allowed)"
    )
    assert "`distingo evaluate --help`" in refused(capsys, "evaluate", str(run), "-o", out)
    assert "did you mean --epochs" in refused(capsys, "train", str(images), "--epoch", "3")
    assert "choose auto or cpu" in refused(capsys, "train", str(images), "-o", out, "--device", "abacus")
    assert f"{empty}: no file in it" in refused(capsys, "predict", str(run), str(empty))
    assert "none of our own networks is called 'smal-cnn'; did you mean small-cnn" in refused(
        capsys, "models", "smal-cnn"
    )
    assert not Path(out).exists()


def test_unusable_class_and_too_few_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data", per_class=2)
    line = refused(capsys, "train", str(data), "-o", str(tmp_path / "out"))
    assert "blue" in line
    assert "2" in line
    (data / "grey").mkdir()
    (data / "grey" / "a.jpg").write_text("no picture")
    assert "'grey' has no usable picture" in refused(capsys, "train", str(data), "-o", str(tmp_path / "out"))


def test_a_newer_or_damaged_run_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    newer, damaged = tmp_path / "newer", tmp_path / "damaged"
    shutil.copytree(run, newer)
    shutil.copytree(run, damaged)
    for name in ("config.json", "model/model.json"):
        content = json.loads((newer / name).read_text())
        (newer / name).write_text(json.dumps({**content, "format": 99}))
    weights = damaged / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    image = str(tmp_path)
    assert "newer distingo" in refused(capsys, "evaluate", str(newer))
    assert "newer distingo" in refused(capsys, "predict", str(newer), image)
    assert "damaged" in refused(capsys, "predict", str(damaged), image)


def test_memory_is_asked_for_before_training(images: Path, tmp_path: Path) -> None:
    """A process that may not have more than 6 GiB of address space is told which batch would fit."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30));"
        "from distingo.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["train", str(images), "-o", str(tmp_path / "out"), "--model", "small-cnn"]
    size = ["--image-size", "1024", "--batch-size", "4096", "--channels", "3"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, *size], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "--batch-size" in done.stderr.splitlines()[-1]
    assert "would fit" in done.stderr.splitlines()[-1]


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own answer to a full disk, from a device that is always full."""
    import distingo.files

    def full(descriptor: int) -> None:
        with Path("/dev/full").open("wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(distingo.files.os, "fsync", full)
    line = refused(capsys, "train", str(images), "-o", str(tmp_path / "out"), *QUICK)
    assert "the disk is full" in line
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_inspect_reads_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sorted(draw_classes(tmp_path / "drawn", per_class=3).rglob("*.png"))
    root = tmp_path / "data"
    root.mkdir()
    labels = ["cat|dog", "dog", "", "dog", "cat"]
    lines = [f"{at},{label},{at % 2}" for at, label in enumerate(labels)]
    for at, image in enumerate(images[: len(labels) - 1]):
        (root / f"{at}.png").write_bytes(image.read_bytes())
    (root / "labels.csv").write_text("\n".join(["picture,animals,odd", *lines]), encoding="utf-8")
    page = tmp_path / "page.html"
    words = ["--label-column", "animals", "--image-column", "picture", "--delimiter", "|"]
    assert main(["inspect", str(root / "labels.csv"), "-o", str(page), *words]) == 0
    printed = capsys.readouterr().out
    assert f"{root}: labels.csv, labels joined by '|'" in printed
    assert "the task is multi-label: of 4 pictures 1 have several labels and 1 have none" in printed
    assert "4 usable pictures of 5 files found" in printed
    counts = [line.split() for line in printed.splitlines()]
    assert ["cat", "1"] in counts
    assert ["dog", "3"] in counts
    assert "missing    4: labels.csv names it, but there is no such file" in printed
    assert "Named by the table, but missing" in page.read_text(encoding="utf-8")
    assert main(["inspect", str(root), "-o", str(tmp_path / "no.html"), "--label-column", "animal"]) == 2
    assert "no column 'animal'; did you mean animals?" in capsys.readouterr().err
