from __future__ import annotations

from pathlib import Path

import pytest

import distingo
from distingo.errors import UsageError
from raising import raises
from tiny_datasets import draw_classes, draw_labels

SMALL = {"model": "small-cnn", "image_size": 8, "epochs": 2, "batch_size": 16}


def read_events(folder: Path):  # type: ignore[no-untyped-def]
    """The real reader's view of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def test_a_run_can_be_read_by_tensorboard(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", names=("blau", "绿", "red"))
    run = distingo.train(data, tmp_path / "run", track="tensorboard", **SMALL)
    events = read_events(run.path / "tensorboard")
    tags = events.Tags()
    assert {"loss/train", "loss/validation", "accuracy/train", "accuracy/validation"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("loss/validation")] == [1, 2]
    score = run.evaluation.scores["accuracy"]
    for tag, value in (("test/accuracy", score.value), ("test/accuracy_low", score.low)):
        assert events.Scalars(tag)[0].value == pytest.approx(value)
    assert tags["images"] == ["confusion"]
    assert events.Images("confusion")[0].height > 300
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags["tensors"]}
    assert "| lr | " in texts["recipe/text_summary"]
    assert "绿" in texts["classes/text_summary"]
    assert "| accuracy | " in texts["scores/text_summary"]
    assert events.summary_metadata["_hparams_/session_start_info"].plugin_data.plugin_name == "hparams"


def test_runs_are_next_to_each_other_in_a_named_folder(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    for name in ("one", "two"):
        distingo.train(data, tmp_path / name, track="tensorboard", track_to=tmp_path / "board", model="descriptors")
    assert {path.name for path in (tmp_path / "board").iterdir()} == {"one", "two"}
    with raises(UsageError, code="not_empty", parameter="track_to"):
        distingo.train(
            data, tmp_path / "elsewhere" / "one", track="tensorboard", track_to=tmp_path / "board", model="descriptors"
        )


def test_several_labels_have_a_plot_of_their_own(tmp_path: Path) -> None:
    table = draw_labels(tmp_path / "labelled", count=120) / "labels.csv"
    run = distingo.train(table, tmp_path / "run", track="tensorboard", **SMALL)
    events = read_events(run.path / "tensorboard")
    assert events.Tags()["images"] == ["average_precision"]
    assert len(events.Scalars("mean_average_precision/validation")) == 2


def test_a_finished_run_is_tracked_later_by_resuming_it(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    run = distingo.train(data, tmp_path / "run", **SMALL)
    assert not (run.path / "tensorboard").exists()
    distingo.train(output=run.path, resume=True, track="tensorboard")
    assert len(read_events(run.path / "tensorboard").Scalars("loss/train")) == 2
