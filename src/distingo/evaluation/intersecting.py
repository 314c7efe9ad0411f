"""Runs with other test sides, judged again on the pictures that are on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from distingo.errors import RunError
from distingo.evaluation.predicted import Predicted, predicted_on
from distingo.evaluation.reading import RunRecords
from distingo.evaluation.same_test import TestPicture, require_same_classes, test_side
from distingo.metrics.multi_label import multi_label_scores
from distingo.metrics.single_label import classification_scores, confusion_matrix, per_class_scores
from distingo.records import Evaluation


def on_common_pictures(runs: Sequence[RunRecords]) -> tuple[tuple[RunRecords, ...], tuple[str, ...]]:
    """Judge runs on the pictures that are on every test side under the same labels and with the same content.

    A picture whose content any of the runs was trained or chosen on is left out: it is no news to that run.

    Args:
        runs: Evaluated ones, two or more.

    Returns:
        The runs, judged on these pictures alone and without baselines, and a note that says how many they are; where
        all test sides are the same, the runs as they are and no note.

    Raises:
        RunError: Tasks or classes differ, no picture is common to all, or a run's probabilities are missing.
    """
    for run in runs[1:]:
        require_same_classes(runs[0], run)
    sides = [test_side(run) for run in runs]
    if all(side.keys() == sides[0].keys() and len(_same(sides)) == len(side) for side in sides):
        return tuple(runs), ()
    files = _unseen(runs, sides)
    if not files:
        raise RunError(
            f"{', '.join(str(run.folder) for run in runs)}: no test picture is common to all; train them on the same "
            "DATA with the same --seed, --validation and --test, or with the same --split"
        )
    sizes = ", ".join(f"{len(side):,}" for side in sides)
    note = (
        f"Judged on the {len(files):,} test pictures that all runs have in common; their own test sides have {sizes}."
    )
    return tuple(_judged_on(run, files) for run in runs), (note,)


def _same(sides: Sequence[dict[str, TestPicture]]) -> list[str]:
    return [file for file, picture in sides[0].items() if all(picture.is_same(side.get(file)) for side in sides)]


def _unseen(runs: Sequence[RunRecords], sides: Sequence[dict[str, TestPicture]]) -> list[str]:
    seen = set()
    for run in runs:
        contents = {row.file: row.content for row in run.manifest}
        seen |= {contents.get(row.file, "") for row in run.split if row.side != "test"} - {""}
    return [file for file in _same(sides) if sides[0][file].content not in seen]


def _judged_on(run: RunRecords, files: Sequence[str]) -> RunRecords:
    kept = set(files)
    predicted = predicted_on(run, files)
    judge = _judge_labels if run.task == "multi-label" else _judge_classes
    return replace(
        run,
        split=tuple(row for row in run.split if row.side != "test" or row.file in kept),
        predictions=tuple(row for row in run.predictions if row.file in kept),
        evaluation=judge(run, predicted),
    )


def _judge_classes(run: RunRecords, predicted: Predicted) -> Evaluation:
    confusion = confusion_matrix(predicted.truth, predicted.said, len(run.classes))
    return Evaluation(
        side="test",
        n=len(predicted.files),
        classes=run.classes,
        scores=classification_scores(predicted.truth, predicted.probabilities, run.classes),
        per_class=per_class_scores(confusion, run.classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines={},
    )


def _judge_labels(run: RunRecords, predicted: Predicted) -> Evaluation:
    thresholds = run.evaluation.thresholds if run.evaluation else None
    if thresholds is None:
        raise RunError(
            f"{run.folder}: evaluation.json has no thresholds; `distingo evaluate {run.folder}` judges it again"
        )
    found = multi_label_scores(predicted.truth, predicted.probabilities, thresholds.values, run.classes)
    return Evaluation(
        side="test",
        n=len(predicted.files),
        classes=run.classes,
        scores=found.scores,
        per_class=(),
        confusion=(),
        baselines={},
        task="multi-label",
        per_label=found.per_label,
        left_out=found.left_out,
        thresholds=thresholds,
    )
