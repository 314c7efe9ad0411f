"""Cross-validation: reading images once, computing and storing folds, and summarizing the scores."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from distingo.datasets.corrections import find_corrections
from distingo.datasets.options import count_processors
from distingo.datasets.splits.files import read_split_file, require_unchanged, write_split_file
from distingo.datasets.splits.grouping import Links, group_images
from distingo.errors import UsageError, option
from distingo.experiments.crossval_folder import (
    CrossValidation,
    CrossValidationFolder,
    read_fold,
    write_cross_validation,
)
from distingo.experiments.crossval_folds import (
    FinishedFold,
    Folds,
    divide,
    from_split_file,
    mean_gains,
    mean_scores,
    pool,
    run_fold,
    score_fold,
)
from distingo.files import remove_half_written
from distingo.machine.process import configure_process, prepare_process
from distingo.messages.notes import Note
from distingo.models.catalog import find_model
from distingo.near_duplicates.keeping import (
    Belonging,
    NearDuplicates,
    count_on_folds,
    describe_counts,
    resolve_similarity,
    search_near_duplicates,
)
from distingo.prediction.classifier import descriptors_product
from distingo.progress import progress_bar
from distingo.records import Dataset
from distingo.runs.config import copy_corrections, write_config
from distingo.runs.data import NearDuplicateCounts, read_counts, summarize_unused_files, write_counts, write_manifest
from distingo.runs.folder import RunFolder, begin_folder, end_beginning, identify_request, is_free, require_free
from distingo.runs.predictions import write_predictions
from distingo.training.preparing import ChosenRun, choose, identify_training, restore_choices
from distingo.training.request import TrainRequest
from distingo.training.run_config import describe_run, require_readable

log = logging.getLogger("distingo")


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossValidateRequest:
    """Options of a cross-validation.

    Attributes:
        training: Data, folder, recipe and machine; its split file, if any, defines the folds.
        folds: Number of folds; None is 5, or the number in the split file.
        repeats: Number of divisions into folds.
        belonging: Which images belong together.
        resplit: Divide all images even if the data has its own splits.
    """

    training: TrainRequest
    folds: int | None = None
    repeats: int = 1
    belonging: Belonging = field(default_factory=Belonging)
    resplit: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    folder: CrossValidationFolder
    chosen: ChosenRun
    training: TrainRequest
    divisions: tuple[Folds, ...]
    choices: tuple[Note, ...]
    near_duplicates: NearDuplicateCounts | None


def cross_validate(request: CrossValidateRequest) -> CrossValidation:
    """Train on all folds but one and evaluate on that one, for every fold; write scores and predictions.

    Args:
        request: The options.

    Returns:
        The scores, as in ``crossval.json``.

    Raises:
        DistingoError: The specific subclass; finished folds are kept.
    """
    started = time.perf_counter()
    _check(request)
    configure_process()
    prepare_process()
    request = _detect_resuming(request)
    prepared = _resume(request) if request.training.resume else _start(request)
    repeats = _run_folds(prepared)
    result = _sum_up(prepared, repeats, started)
    write_cross_validation(result, prepared.folder.summary)
    return result


def _check(request: CrossValidateRequest) -> None:
    if request.repeats < 1:
        raise UsageError(
            f"{option('repeats')} {request.repeats}: choose 1 or more", code="out_of_range", parameter="repeats"
        )
    split = request.training.split
    if split is not None and request.repeats > 1:
        raise UsageError(
            f"{option('repeats')} {request.repeats}: {split.file} is one division; leave one of the two out",
            code="options_conflict",
            parameter="repeats",
        )
    if split is not None and request.folds is not None:
        raise UsageError(
            f"{option('folds')} {request.folds}: {split.file} says the folds; leave one of the two out",
            code="options_conflict",
            parameter="folds",
        )


def _detect_resuming(request: CrossValidateRequest) -> CrossValidateRequest:
    """Same as `distingo.training.preparing.detect_resuming`, for a cross-validation."""
    training = request.training
    folder = CrossValidationFolder(training.output)
    if training.resume:
        can_restart = not folder.plan.is_file() and folder.path.is_dir() and is_free(folder.path)
        return replace(request, training=replace(training, resume=False)) if can_restart else request
    if not folder.plan.is_file() or (folder.summary.is_file() and folder.page.is_file()):
        return request
    if folder.read_plan().request != _identify(request):
        return request
    log.info("%s: the same command was stopped here; going on with it", folder.path)
    reading = replace(training.reading, corrections=None, value_range=None)
    resumed = replace(training, reading=reading, split=None, near_duplicates=None, resume=True)
    return replace(request, training=resumed)


def _identify(request: CrossValidateRequest) -> str:
    options = {name: getattr(request, name) for name in ("folds", "repeats", "belonging", "resplit")}
    return identify_request({**options, "training": identify_training(request.training)})


def _start(request: CrossValidateRequest) -> _Prepared:
    training = request.training
    folder = CrossValidationFolder(training.output)
    require_free(folder.path, holds="cross-validation" if folder.plan.is_file() else "")
    similarity = resolve_similarity(training.near_duplicates)
    chosen, training = choose(training, [descriptors_product(training.reading.cache)], divides=similarity is not None)
    near = search_near_duplicates(
        chosen.dataset,
        similarity=similarity,
        large_enough=chosen.is_signed,
        cache=training.reading.cache,
        workers=training.reading.threads,
    )
    divided = _divide(request, chosen.dataset, chosen.recipe.seed, near)
    counts = _count(chosen.dataset, divided[0], near, of_file=training.split is not None)
    chosen = replace(chosen, dataset=divided[0].dataset)
    chosen.prepare(folder.fold(1, 1), divided[0].split(1, validation=chosen.recipe.validation, seed=0))
    choices = (*chosen.choices, *divided[0].notes, *describe_counts(counts, folds=True))
    corrections = find_corrections(chosen.dataset.root, training.reading.corrections)
    plan = describe_run(training, chosen.dataset, chosen.recipe, choices, corrections)
    require_readable(plan, folder.path)
    for each in (*choices, *summarize_unused_files(chosen.dataset, "manifest.csv")):
        log.info(each)
    begin_folder(folder.path, ("corrections.csv",))
    write_manifest(chosen.dataset.manifest, folder.manifest)
    write_counts(counts, folder.near_duplicates)
    for repeat, folds in enumerate(divided, 1):
        write_split_file(folds.dataset, folds.division(), folder.division(repeat), recorded=True)
    copy_corrections(RunFolder(folder.path), corrections)
    plan = replace(plan, folds=divided[0].count, repeats=len(divided), request=_identify(request))
    write_config(folder.plan, plan)
    end_beginning(folder.path)
    return _Prepared(folder, chosen, training, divided, plan.choices, counts)


def _count(dataset: Dataset, folds: Folds, near: NearDuplicates, *, of_file: bool) -> NearDuplicateCounts:
    files = [image.source.file for image in folds.dataset.images]
    numbers = dict(zip(files, folds.numbers.tolist(), strict=True))
    return count_on_folds(dataset, numbers, near, divided_by="split-file" if of_file else "distingo")


def _divide(request: CrossValidateRequest, dataset: Dataset, seed: int, near: NearDuplicates) -> tuple[Folds, ...]:
    split = request.training.split
    if split is not None:
        require_unchanged(split)
        return (from_split_file(read_split_file(split.file), dataset),)
    training = request.training
    others = replace(request.belonging, near_duplicates=None)  # near-duplicates have already been searched for
    links = others.link(dataset, training.reading.cache, training.reading.threads)
    links.append(Links("near-duplicate", near.pairs))
    grouping = group_images(len(dataset.images), links)
    count = 5 if request.folds is None else request.folds
    seeds = range(seed, seed + request.repeats)
    return tuple(divide(dataset, grouping, folds=count, seed=each, resplit=request.resplit) for each in seeds)


def _resume(request: CrossValidateRequest) -> _Prepared:
    training = request.training
    folder = CrossValidationFolder(training.output)
    plan = folder.read_plan()
    repeats = 1 if plan.repeats is None else plan.repeats
    requested_repeats = None if request.repeats == 1 else request.repeats
    for name, requested, planned in (("folds", request.folds, plan.folds), ("repeats", requested_repeats, repeats)):
        if requested not in {None, planned}:
            raise UsageError(
                f"{option('resume')}: {folder.path} was started with {option(name)} {planned}, not {requested}",
                code="changed_options",
                parameter=name,
            )
    remove_half_written(folder.path)
    end_beginning(folder.path)
    products = [descriptors_product(training.reading.cache)]
    chosen, training = restore_choices(training, plan, products)
    files = (read_split_file(folder.division(repeat)) for repeat in range(1, repeats + 1))
    divided = tuple(from_split_file(file, chosen.dataset) for file in files)
    chosen = replace(chosen, dataset=divided[0].dataset)
    counts = read_counts(folder.near_duplicates)
    return _Prepared(folder, chosen, training, divided, chosen.choices, counts)


def _run_folds(prepared: _Prepared) -> list[list[FinishedFold]]:
    """Compute all folds of all divisions; finished folds are read from their files."""
    keys = [(repeat, number) for repeat, folds in enumerate(prepared.divisions, 1) for number in folds.each]
    finished: dict[tuple[int, int], FinishedFold] = {}
    with progress_bar("folds", len(keys)) as advance, _fold_threads(prepared) as pool:
        for fold in pool.map(lambda key: _finish_fold(prepared, *key), keys):
            finished[fold.repeat, fold.number] = fold
            advance(1)
    return [[finished[repeat, number] for number in folds.each] for repeat, folds in enumerate(prepared.divisions, 1)]


@contextmanager
def _fold_threads(prepared: _Prepared) -> Iterator[ThreadPoolExecutor]:
    """Thread pool for folds: several threads for heads, which use one processor each, and one for other models."""
    from threadpoolctl import threadpool_limits

    if prepared.chosen.recipe.mode != "frozen":
        with ThreadPoolExecutor(1) as pool:
            yield pool
        return
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(count_processors()) as pool:
        yield pool


def _finish_fold(prepared: _Prepared, repeat: int, number: int) -> FinishedFold:
    recipe, folds = prepared.chosen.recipe, prepared.divisions[repeat - 1]
    split = folds.split(number, validation=recipe.validation, seed=recipe.seed)
    folder = prepared.folder.fold(repeat, number)
    result = read_fold(folder, (len(split.test), len(folds.dataset.classes)))
    if result is None:
        result = run_fold(prepared.chosen, prepared.training, split, folder)
    return FinishedFold(repeat, number, split, result)


def _sum_up(prepared: _Prepared, repeats: Sequence[Sequence[FinishedFold]], started: float) -> CrossValidation:
    chosen, dataset = prepared.chosen, prepared.chosen.dataset
    recipe, first = chosen.recipe, prepared.divisions[0]
    folds = tuple(score_fold(fold, dataset) for finished in repeats for fold in finished)
    pooled, table = pool(repeats, dataset, ())
    path = prepared.folder.predictions
    write_predictions(path, dataset.images, table.probabilities, dataset.classes, given=table.predicted)
    means, baseline_means = mean_scores(folds, len(dataset.images))
    return CrossValidation(
        data=prepared.training.data.resolve(),
        root=dataset.root.resolve(),
        task=dataset.task,
        classes=dataset.classes,
        model=Path(recipe.model.removeprefix("local-dir:")).name,
        mode="classic" if find_model(recipe.model).kind == "classic" else recipe.mode,
        n=len(dataset.images),
        groups=len(set(first.grouping.numbers.tolist())),
        folds=folds,
        means=means,
        baseline_means=baseline_means,
        gains=mean_gains(folds, dataset),
        pooled=pooled,
        notes=first.notes,
        choices=prepared.choices,
        recipe=recipe.as_dict(),
        seconds=time.perf_counter() - started,
        value_ranges=dataset.value_ranges,
        near_duplicates=prepared.near_duplicates,
    )
