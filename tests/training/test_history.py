from __future__ import annotations

from pathlib import Path

from distingo.runs.contents import _read_history
from distingo.runs.history import EpochRecord, write_history


def test_one_label_per_picture_has_the_columns_it_always_had(tmp_path: Path) -> None:
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
    (epoch,) = _read_history(tmp_path / "history.csv")
    assert (epoch.train_mean_average_precision, epoch.validation_mean_average_precision) == (0.125, 0.0625)
    assert epoch.validation_accuracy is None
