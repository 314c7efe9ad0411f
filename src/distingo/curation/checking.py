"""The check of a data set: reading, measuring and comparing its images, and applying thresholds to the scores.

Labels are evaluated by models that the check trains, or by the predictions of a cross-validation or run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distingo.curation.check import Check, LabelBasis, describe_basis
from distingo.curation.embedding import Embedding, choose_embedding
from distingo.curation.findings import (
    FINDING_KINDS,
    Finding,
    FindingKind,
    file_findings,
    is_resolved,
    quality_findings,
    resolve_thresholds,
)
from distingo.curation.labels import (
    OutOfFold,
    image_label_basis,
    label_findings,
    predict_out_of_fold,
    score_out_of_fold,
)
from distingo.curation.pairs import (
    NEIGHBORS,
    comparable,
    duplicate_findings,
    leak_findings,
    near_pairs,
    nearest,
    outlier_findings,
    pair_findings,
)
from distingo.curation.shortcuts import Shortcut, find_shortcuts, imbalance_findings, shortcut_findings
from distingo.datasets.cache.products import Product
from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import find_corrections
from distingo.datasets.decoding.decode import DECODING
from distingo.datasets.gathering import read_dataset, survey
from distingo.datasets.measurements import MEASUREMENTS, measure
from distingo.datasets.options import Reading
from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.near_duplicates.search import CopyPair, find_copies, record_search, signature_product
from distingo.records import Dataset, LabeledImage
from distingo.runs.config import read_config_file
from distingo.runs.data import read_manifest
from distingo.runs.predictions import read_probabilities


@dataclass(frozen=True, slots=True)
class LoadedPredictions:
    """What models predict for images of a data set that they were not trained on.

    Attributes:
        images: The images with predictions.
        out_of_fold: The predictions.
        note: Note on their source and the number of images.
    """

    images: tuple[LabeledImage, ...]
    out_of_fold: OutOfFold
    note: Note


def load_predictions(folder: Path, dataset: Dataset) -> LoadedPredictions:
    """Find a data set's images among the predictions of a cross-validation, or of a run's test split.

    Images are matched by file content; their labels may have changed.

    Args:
        folder: Folder with ``predictions.parquet`` and ``manifest.csv``.
        dataset: The images to check.

    Raises:
        RunError: A file is missing or damaged.
        UsageError: The predictions are of another kind of labels.
        DataError: None of the images is among them.
    """
    files, classes, probabilities = read_probabilities(folder / "predictions.parquet")
    _require_task(folder, dataset)
    contents = {row.file: row.content for row in read_manifest(folder / "manifest.csv")}
    rows = {contents[file]: row for row, file in enumerate(files) if contents.get(file)}
    predicted_images = tuple(image for image in dataset.images if image.content in rows)
    if not predicted_images:
        raise DataError(
            f"{folder}: none of its {len(files):,} predictions is of a picture of {dataset.root}",
            code="data_differ",
            parameter="predictions",
        )
    chosen = probabilities[[rows[image.content] for image in predicted_images]].astype(np.float64)
    indicator = np.array([[name in image.labels for name in classes] for image in predicted_images], bool)
    out_of_fold = OutOfFold(chosen, classes, score_out_of_fold(chosen, indicator, dataset.task))
    missing = len(dataset.images) - len(predicted_images)
    source_note = note("labels-doubted-by", folder=str(folder))
    if missing:
        source_note = note("labels-doubted-by-some", folder=str(folder), left=missing)
    return LoadedPredictions(predicted_images, out_of_fold, source_note)


def _require_task(folder: Path, dataset: Dataset) -> None:
    plans = [folder / name for name in ("plan.json", "config.json") if (folder / name).is_file()]
    task = read_config_file(plans[0], required=()).task if plans else dataset.task
    if task != dataset.task:
        raise UsageError(
            f"{option('predictions')} {folder}: is {task}, and {dataset.root} is {dataset.task}",
            code="task_differs",
            parameter="predictions",
        )


_SURELY_COPIES = 0.8
"""Similarity from which the images of a pair share a fold, so that they can't confirm each other's label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRequest:
    """The options of a check.

    Attributes:
        data: Folder of images, or a table of labels next to them.
        against: Another data set that should have no duplicates in common, for example the test data of a model.
        model: Features that images are compared by; see `choose_embedding`.
        weights: Weights of that model.
        thresholds: Thresholds by kind of finding; other kinds keep their defaults.
        reading: Options for finding and reading images and labels. Without a value range, that of `data` is used for
            `against` too.
        seed: Seed of samples and folds.
        predictions: Folder with out-of-fold predictions for the evaluation of labels; None trains models instead.
    """

    data: Path
    against: Path | None = None
    model: str | None = None
    weights: str | Path | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    seed: int = 0
    predictions: Path | None = None


@dataclass(frozen=True, slots=True)
class _Measured:
    """All measurements, to which thresholds are applied."""

    dataset: Dataset
    others: tuple[LabeledImage, ...]
    other_root: Path | None
    measurements: npt.NDArray[np.float32]
    pairs: tuple[CopyPair, ...]
    distances: npt.NDArray[np.float64] | None
    out_of_fold: OutOfFold | None
    doubted: tuple[LabeledImage, ...]
    basis: LabelBasis | None
    shortcuts: tuple[Shortcut, ...]
    notes: tuple[Note, ...]


def run_check(request: CheckRequest) -> Check:
    """Find possible problems of a data set; only the cache is written.

    Raises:
        DistingoError: The data can't be read, an option is invalid, or weights are not available.
    """
    started = time.perf_counter()
    thresholds = resolve_thresholds(request.thresholds)
    data_survey = survey(request.data, reading=request.reading, lenient=True)
    embedding = choose_embedding(request.model, request.weights, data_survey, request.reading.cache)
    measured = _measure(request, embedding)
    dataset = measured.dataset
    all_findings = _in_order(_apply_thresholds(measured, thresholds, request))
    corrections = find_corrections(dataset.root, request.reading.corrections)
    findings = tuple(finding for finding in all_findings if not is_resolved(finding, corrections))
    resolved_count = len(all_findings) - len(findings)
    notes = [*dataset.notes, embedding.note]
    if resolved_count:
        notes.append(note("findings-answered", count=resolved_count, total=len(all_findings)))
    return Check(
        data=request.data,
        root=dataset.root,
        against=request.against,
        layout=dataset.layout,
        task=dataset.task,
        classes=dataset.classes,
        files=dataset.file_count,
        images=len(dataset.images),
        findings=findings,
        shortcuts=measured.shortcuts,
        embedded_by=embedding.name,
        label_score=None if measured.out_of_fold is None else measured.out_of_fold.score,
        notes=(*notes, *measured.notes),
        seconds=time.perf_counter() - started,
        value_ranges=dataset.value_ranges,
        label_basis=measured.basis,
        near_duplicates=record_search(dataset.images, measured.others, thresholds["near-duplicate"]),
    )


def measurements_product(cache: Cache) -> Product:
    """Product with the measurements of every image, float32 (12,), computed while it is decoded."""
    return Product(cache.store(f"measurements-1-decoded-{DECODING}", (len(MEASUREMENTS),), "float32"), measure)


def _measure(request: CheckRequest, embedding: Embedding) -> _Measured:
    own = [measurements_product(request.reading.cache), signature_product(request.reading.cache)]
    products = [*own, *([embedding.product] if embedding.product else [])]
    dataset = _read(request, request.data, products)
    request = replace(request, reading=replace(request.reading, value_range=dataset.value_ranges))
    other = None if request.against is None else _read(request, request.against, own[1:])
    others = () if other is None else other.images
    keys = [image.row_key for image in dataset.images]
    measurements = own[0].store.rows(keys).take(np.arange(len(keys)))
    embeddings = None
    if embedding.product is not None and len(keys) > 1:
        embeddings = embedding.product.store.rows(keys).take(np.arange(len(keys)))
    distances = neighbors = None
    if embeddings is not None:
        distances, neighbors = nearest(comparable(embeddings, deep=embedding.deep), NEIGHBORS)
    pairs = find_copies(
        own[1].store.rows([*keys, *(image.row_key for image in others)]),
        [min(image.width, image.height) for image in (*dataset.images, *others)],
        further=() if neighbors is None else near_pairs(neighbors),
        workers=request.reading.workers,
    )
    doubted, notes = dataset.images, tuple[Note, ...]()
    if request.predictions is not None:
        predictions = load_predictions(request.predictions, dataset)
        doubted, notes = predictions.images, (predictions.note,)
        out_of_fold: OutOfFold | None = predictions.out_of_fold
    else:
        out_of_fold = (
            None if embeddings is None else _predict_out_of_fold(dataset, embeddings, pairs, embedding, request)
        )
    shortcuts = find_shortcuts(dataset, measurements, seed=request.seed)
    other_root = None if other is None else other.root
    basis = None if out_of_fold is None else image_label_basis(doubted, out_of_fold, dataset.task)
    if basis is not None:
        notes = (*notes, *describe_basis(basis, dataset.task))
    return _Measured(
        dataset, others, other_root, measurements, pairs, distances, out_of_fold, doubted, basis, shortcuts, notes
    )


def _read(request: CheckRequest, data: Path, products: Sequence[Product]) -> Dataset:
    reading = request.reading
    if data != request.data:
        reading = replace(reading, table=None, corrections=None)
    return read_dataset(data, reading, products=products, lenient=True)


def _predict_out_of_fold(
    dataset: Dataset,
    embeddings: npt.NDArray[np.float32],
    pairs: Sequence[CopyPair],
    embedding: Embedding,
    request: CheckRequest,
) -> OutOfFold | None:
    count = len(dataset.images)
    together = [
        (pair.first, pair.second) for pair in pairs if pair.similarity >= _SURELY_COPIES and pair.second < count
    ]
    return predict_out_of_fold(
        embeddings,
        [image.labels for image in dataset.images],
        dataset.task,
        deep=embedding.deep,
        together=together,
        workers=request.reading.threads,
        seed=request.seed,
    )


def _apply_thresholds(
    measured: _Measured, thresholds: Mapping[FindingKind, float], request: CheckRequest
) -> Iterator[Finding]:
    dataset, images = measured.dataset, measured.dataset.images
    yield from file_findings(dataset.manifest, thresholds)
    yield from duplicate_findings(dataset.manifest, thresholds)
    root = "" if measured.other_root is None else str(measured.other_root.resolve())
    if request.against is not None:
        yield from leak_findings(images, measured.others, root, thresholds)
    yield from pair_findings(images, measured.others, root, measured.pairs, thresholds)
    yield from quality_findings(images, measured.measurements, thresholds)
    if measured.distances is not None:
        yield from outlier_findings(images, measured.distances, thresholds["outlier"])
    if measured.out_of_fold is not None:
        basis = measured.basis
        yield from label_findings(measured.doubted, measured.out_of_fold, dataset.task, thresholds["label"], basis)
    yield from imbalance_findings(dataset, thresholds["imbalance"])
    yield from shortcut_findings(measured.shortcuts, dataset.task, thresholds["shortcut"])


def _in_order(findings: Iterator[Finding]) -> list[Finding]:
    """Sort findings by kind, the worst first."""
    order = {kind: place for place, kind in enumerate(FINDING_KINDS)}
    return sorted(findings, key=lambda finding: (order[finding.kind], -finding.score, finding.file, finding.other))
