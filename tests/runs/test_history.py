"""``history.csv``: its columns and round trips."""

from __future__ import annotations

from pathlib import Path

from distingo.errors import RunError
from distingo.runs.history import EpochRecord, read_history, write_history
from raising import raises


def test_one_label_per_image_has_the_columns_it_always_had(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", (EpochRecord(1, 0.7, 0.5, 0.6, 0.25, 0.001, 300.0, 2.0),))
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,images_per_second,seconds",
        "1,0.7,0.5,0.6,0.25,0.001,300,2",
    ]


def test_several_labels_have_mean_average_precision_in_its_place(tmp_path: Path) -> None:
    record = EpochRecord(1, 0.7, None, 0.6, None, 0.001, 300.0, 2.0, 0.125, 0.0625)
    write_history(tmp_path / "history.csv", (record,))
    header = (tmp_path / "history.csv").read_text().splitlines()[0].split(",")
    assert header[1:5] == [
        "train_loss",
        "train_mean_average_precision",
        "validation_loss",
        "validation_mean_average_precision",
    ]
    (epoch,) = read_history(tmp_path / "history.csv")
    assert (epoch.train_mean_average_precision, epoch.validation_mean_average_precision) == (0.125, 0.0625)
    assert epoch.validation_accuracy is None


def test_what_was_not_measured_is_none(tmp_path: Path) -> None:
    assert read_history(tmp_path / "history.csv") == ()
    (tmp_path / "history.csv").write_text("epoch,train_loss,seconds\n1,nan,\n", encoding="utf-8")
    (epoch,) = read_history(tmp_path / "history.csv")
    assert (epoch.epoch, epoch.train_loss, epoch.seconds, epoch.learning_rate) == (1, None, None, None)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,train_loss\n1,much\n", encoding="utf-8")
    with raises(RunError, code="damaged_file", naming="line 2"):
        read_history(tmp_path / "history.csv")
