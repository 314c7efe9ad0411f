"""Comparison of finished runs on the same images: which is best, and whether the difference is significant.

Runs with different test splits can be compared on the images that their test splits have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distingo.errors import RunError, UsageError, option
from distingo.evaluation.comparison_records import ComparedRun, Comparison, cost_of
from distingo.evaluation.pairing import (
    TestImage,
    VersusBest,
    compare_recipes,
    group_by_recipe,
    pair_classes,
    pair_labels,
    require_own_evaluation,
    require_same_classes,
    require_same_test,
    test_split,
    training_files,
)
from distingo.messages.notes import Note, note
from distingo.metrics.multi_label import multi_label_scores
from distingo.metrics.single_label import classification_scores, confusion_matrix, per_class_scores
from distingo.models.catalog import CATALOG
from distingo.progress import progress_bar
from distingo.runs.contents import RunRecords, read_run
from distingo.runs.predictions import Predicted
from distingo.scores import Evaluation, Score


def on_common_images(runs: Sequence[RunRecords]) -> tuple[tuple[RunRecords, ...], tuple[Note, ...]]:
    """Evaluate runs on the images that all test splits contain with the same labels and the same content.

    Images whose content is in the train or validation split of any run are left out.

    Args:
        runs: Two or more evaluated runs.

    Returns:
        The runs, evaluated on these images only and without baselines, and a note with their number. If all test splits
        are equal, the unchanged runs and no note.

    Raises:
        RunError: Tasks or classes differ, no image is common to all, or a run's probabilities are missing.
    """
    for run in runs[1:]:
        require_same_classes(runs[0], run)
    splits = [test_split(run) for run in runs]
    if all(split.keys() == splits[0].keys() and len(_same(splits)) == len(split) for split in splits):
        return tuple(runs), ()
    files = _unseen(runs, splits)
    if not files:
        raise RunError(
            f"{', '.join(str(run.folder) for run in runs)}: no test picture is common to all; train them on the same "
            f"{option('data')} with the same {option('seed')}, {option('validation')} and {option('test')}, or with "
            f"the same {option('split')}",
            code="runs_differ",
        )
    sizes = tuple(len(split) for split in splits)
    common = note("evaluated-on-common", count=len(files), sizes=sizes)
    return tuple(_evaluate_on(run, files) for run in runs), (common,)


def _same(splits: Sequence[dict[str, TestImage]]) -> list[str]:
    return [file for file, image in splits[0].items() if all(image.is_same(split.get(file)) for split in splits)]


def _unseen(runs: Sequence[RunRecords], splits: Sequence[dict[str, TestImage]]) -> list[str]:
    training_contents = set()
    for run in runs:
        contents = {row.file: row.content for row in run.manifest}
        training_contents |= {contents.get(row.file, "") for row in run.split if row.split != "test"} - {""}
    return [file for file in _same(splits) if splits[0][file].content not in training_contents]


def _evaluate_on(run: RunRecords, files: Sequence[str]) -> RunRecords:
    common_files = set(files)
    predicted = run.predicted_on(files)
    evaluate = _score_labels if run.task == "multi-label" else _score_classes
    return replace(
        run,
        split=tuple(row for row in run.split if row.split != "test" or row.file in common_files),
        predictions=tuple(row for row in run.predictions if row.file in common_files),
        evaluation=evaluate(run, predicted),
    )


def _score_classes(run: RunRecords, predicted: Predicted) -> Evaluation:
    confusion = confusion_matrix(predicted.truth, predicted.predicted, len(run.classes))
    return Evaluation(
        split="test",
        n=len(predicted.files),
        classes=run.classes,
        scores=classification_scores(predicted.truth, predicted.probabilities, run.classes),
        per_class=per_class_scores(confusion, run.classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines={},
    )


def _score_labels(run: RunRecords, predicted: Predicted) -> Evaluation:
    thresholds = run.evaluation.thresholds if run.evaluation else None
    if thresholds is None:
        raise RunError(
            f"{run.folder}: evaluation.json has no thresholds; `distingo evaluate {run.folder}` evaluates it again",
            code="not_evaluated",
        )
    result = multi_label_scores(predicted.truth, predicted.probabilities, thresholds.values, run.classes)
    return Evaluation(
        split="test",
        n=len(predicted.files),
        classes=run.classes,
        scores=result.scores,
        per_class=(),
        confusion=(),
        baselines={},
        task="multi-label",
        per_label=result.per_label,
        left_out=result.left_out,
        thresholds=thresholds,
    )


MAIN_SCORES = {"single-label": "accuracy", "multi-label": "mean_average_precision_macro"}
"""The score that ranks the runs, by task; higher is better."""


def compare_runs(folders: Sequence[Path], *, common: bool = False) -> Comparison:
    """Compare finished runs; each is compared with the best one image by image.

    Args:
        folders: At least two different run folders.
        common: Evaluate runs with different test splits on the images that all of them contain.

    Returns:
        The comparison, with the best run first; runs with equal scores keep their order.

    Raises:
        RunError: A folder is no run, is not evaluated or is damaged, or two runs were not evaluated on the same images;
            the message names both and the difference.
        UsageError: There are fewer than two folders, or a folder occurs twice.
    """
    _require_several(folders)
    names = unique_names([folder.resolve() for folder in folders])
    records, notes = _evaluate_on_same_images([read_run(folder) for folder in folders], common=common)
    runs = [_compared(name, run, evaluation) for name, (run, evaluation) in zip(names, records, strict=True)]
    task = runs[0].records.task
    score = _main_score(task, runs)
    runs.sort(key=lambda run: -run.evaluation.scores[score].value)
    groups = group_by_recipe([(run.name, run.records) for run in runs])
    seeds = tuple(tuple(name for name, _ in group) for group in groups if len(group) > 1)
    return Comparison(
        task=task,
        score=score,
        n=runs[0].evaluation.n,
        runs=_with_differences(runs, seeds),
        baselines=_baselines(runs),
        notes=(*notes, *_training_notes(runs)),
        seeds=seeds,
        recipes=compare_recipes(groups) if task == "single-label" else (),
    )


def unique_names(folders: Sequence[Path]) -> list[str]:
    """Name folders by their last path component, with as many parent components as make the names unique.

    Args:
        folders: Different absolute paths.

    Returns:
        For example ``["aerial/run", "sports/run", "third"]``.
    """
    names = []
    for folder in folders:
        depth = 1
        while any(other.parts[-depth:] == folder.parts[-depth:] for other in folders if other != folder):
            depth += 1
        names.append("/".join(folder.parts[-depth:]))
    return names


def _require_several(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise UsageError("compare needs two run folders or more", code="missing_argument", parameter="runs")
    resolved: set[Path] = set()
    for folder in folders:
        if folder.resolve() in resolved:
            raise UsageError(f"{folder}: is given twice; name each run once", code="named_twice", parameter="runs")
        resolved.add(folder.resolve())


def _evaluate_on_same_images(
    runs: Sequence[RunRecords], *, common: bool
) -> tuple[list[tuple[RunRecords, Evaluation]], tuple[Note, ...]]:
    """Each run with its evaluation on the same images, and a note if these differ from its own test split."""
    evaluations = [require_own_evaluation(run) for run in runs]
    if common:
        chosen, notes = on_common_images(runs)
        return [(run, run.evaluation or own) for run, own in zip(chosen, evaluations, strict=True)], notes
    for run in runs[1:]:
        require_same_test(runs[0], run)
    return list(zip(runs, evaluations, strict=True)), ()


def _compared(name: str, records: RunRecords, evaluation: Evaluation) -> ComparedRun:
    entry = CATALOG.get(records.model)
    classic = entry is not None and entry.kind == "classic"
    mode = "classic" if classic else str(records.recipe.get("mode", "scratch"))
    return ComparedRun(name, records.model, mode, records, evaluation, cost_of(records, classic=classic))


def _main_score(task: str, runs: Sequence[ComparedRun]) -> str:
    score = MAIN_SCORES[task]
    for run in runs:
        if score not in run.evaluation.scores:
            folder = run.records.folder
            raise RunError(
                f"{folder}: evaluation.json has no {score}; `distingo evaluate {folder}` evaluates it again",
                code="not_evaluated",
            )
    return score


def _with_differences(runs: Sequence[ComparedRun], seeds: Sequence[Sequence[str]]) -> tuple[ComparedRun, ...]:
    """Add to every run except the first, which is the best, its paired difference from the best."""
    compared = [runs[0]]
    with progress_bar("comparing runs", len(runs) - 1) as advance:
        for run in runs[1:]:
            same_recipe = any(run.name in names and runs[0].name in names for names in seeds)
            versus = replace(_pair(run, runs[0], len(runs)), same_recipe=same_recipe)
            compared.append(replace(run, versus_best=versus))
            advance()
    return tuple(compared)


def _pair(run: ComparedRun, best: ComparedRun, runs: int) -> VersusBest:
    pairs = runs * (runs - 1) // 2
    if run.records.task == "single-label":
        return pair_classes(run.records, best.records, pairs=pairs)
    own, other = (each.records.predicted_on(_test_files(best)) for each in (run, best))
    return pair_labels(own, other, best.records.classes, pairs=pairs)


def _test_files(run: ComparedRun) -> list[str]:
    return [row.file for row in run.records.split if row.split == "test"]


def _baselines(runs: Sequence[ComparedRun]) -> dict[str, dict[str, Score]]:
    """Scores of each baseline whose model is not itself among the compared runs."""
    models = {run.model for run in runs}
    return {
        name: scores
        for run in reversed(runs)
        for name, scores in run.evaluation.baselines.items()
        if name not in models
    }


def _training_notes(runs: Sequence[ComparedRun]) -> tuple[Note, ...]:
    best = runs[0]
    best_files = training_files(best.records)
    return tuple(
        note(
            "trained-on-others",
            name=run.name,
            other=best.name,
            count=len(training_files(run.records)),
            other_count=len(best_files),
        )
        for run in runs[1:]
        if training_files(run.records) != best_files
    )
