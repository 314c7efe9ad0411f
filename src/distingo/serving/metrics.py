"""The server's metrics in Prometheus's format, summed over all workers.

They include the counts of Triton's statistics extension (docs/protocol/extension_statistics.md in
github.com/triton-inference-server/server) and the drift of each model's scores from those of its validation images.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from distingo.models.reference_data import CalibrationSet
from distingo.serving.answers import Duration, ModelStatistics

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's environment variable for the folder through which workers share their counts."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_PREFIX = "distingo_"

_RECENT = "recent_scores"
_INFERENCE = _PREFIX + "inference_"
_NO_DURATION: Duration = {"count": 0, "ns": 0}

WINDOW = 1000
"""Number of latest predicted labels of each worker that are compared."""

LEAST = 100
"""Smallest number of predicted labels for which the drift is reported."""

_MOST_BINS = 10

_LEAST_A_BIN = 10

_FLOOR = 0.5
"""Count that replaces 0 in an empty bin, so that the logarithm is finite."""


class Metrics:
    """The counters of one worker."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        model, version = ["model"], ["model", "version"]
        self.requests = self._counter("requests", "Requests answered", ["route", "method", "status"])
        self.refusals = self._counter("refused", "Requests refused", ["status"])
        self.unread = self._counter("unread_pictures", "Images that could not be scored", ["model", "status"])
        self.predicted = self._counter("predicted", "Labels predicted", [*version, "label"])
        self.unknown = self._counter("unknown", "Images that the model did not answer for", version)
        self.ood = self._counter("unlike_training", "Images out of distribution", version)
        self.seconds = self._histogram(
            "request_seconds", "Time from a request's head to its answer", ["route"], _SECONDS
        )
        self.batches = self._histogram("batch_pictures", "Images scored together", model, _SIZES)
        self.evaluating = self._histogram("judging_seconds", "Time to score a batch", model, _SECONDS)
        self.waiting = self._gauge("pictures_in_flight", "Images taken in and not answered yet", [])
        self.inferences = InferenceCounters(self._registry)
        text = "The latest scores of predicted labels, by bin of the validation scores"
        self._recent = self._gauge(_RECENT, text, [*version, "bin"])
        self._response_counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._windows: dict[tuple[str, str], ScoreWindow] = {}
        self._lock = threading.Lock()

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, labels: list[str], buckets: Sequence[float]) -> Histogram:
        return Histogram(_PREFIX + name, text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        """Create a gauge whose value is summed over the workers that are alive."""
        return Gauge(_PREFIX + name, text, labels, registry=self._registry, multiprocess_mode="livesum")

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a response and the time that it took."""
        counters = self._response_counters.get((route, method, status))
        if counters is None:
            counters = (self.requests.labels(route, method, str(status)), self.seconds.labels(route))
            self._response_counters[route, method, status] = counters
        counters[0].inc()
        counters[1].observe(seconds)
        if status >= HTTPStatus.BAD_REQUEST:
            self.refusals.labels(str(status)).inc()

    def watch_scores(self, model: str, version: str, calibration_set: CalibrationSet | None) -> None:
        """Start comparing the scores of a model with those of its validation images."""
        bins = bin_scores(calibration_set)
        if bins is not None:
            with self._lock:
                self._windows[model, version] = ScoreWindow(bins)

    def forget_scores(self, model: str, version: str) -> None:
        """Stop comparing the scores of a model version that is no longer served."""
        with self._lock:
            window = self._windows.pop((model, version), None)
        if window is not None:
            for index in range(len(window.bins.expected)):
                self._recent.labels(model, version, str(index)).set(0)

    def count_score(self, model: str, version: str, score: float) -> None:
        """Count the probability of a predicted label."""
        window = self._windows.get((model, version))
        if window is not None:
            for index, count in window.add(score).items():
                self._recent.labels(model, version, str(index)).set(count)

    def collect(self) -> list[Any]:
        """Collect the metrics of all workers as prometheus-client's metric families."""
        source = self._registry
        if os.environ.get(FOLDER_VARIABLE):
            source = CollectorRegistry()
            MultiProcessCollector(source)  # type: ignore[no-untyped-call]
        return list(source.collect())

    def render(self) -> bytes:
        """Write the metrics of all workers and the drift of each model's scores in Prometheus's text format."""
        families = self.collect()
        with self._lock:
            bins = {key: window.bins for key, window in self._windows.items()}
        return generate_latest(_Families([*families, *_drift(families, bins)]))


@dataclass(frozen=True, slots=True)
class ScoreBins:
    """The distribution of the probabilities of predicted labels on the validation images.

    Attributes:
        edges: float64 (bins - 1,): boundaries between the bins, ascending.
        expected: float64 (bins,): number of validation scores in each bin.
    """

    edges: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float64]

    def bin_of(self, score: float) -> int:
        """Index of the bin that contains a score."""
        return int(np.searchsorted(self.edges, score, side="right"))


def bin_scores(calibration_set: CalibrationSet | None) -> ScoreBins | None:
    """Divide the validation scores into at most ten bins of about equal size, with at least ten scores in each.

    Args:
        calibration_set: The run's calibration set; None if an older version of distingo trained it.

    Returns:
        The bins; None if there are too few scores or all scores are equal.
    """
    scores = np.empty(0) if calibration_set is None else calibration_set.confidences
    number = min(_MOST_BINS, len(scores) // _LEAST_A_BIN)
    if number < 2:
        return None
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, number + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1)
    if np.count_nonzero(counts) < 2:
        return None
    return ScoreBins(edges, counts.astype(np.float64))


def stability_index(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> float:
    """Population stability index: the sum of (a - e) ln(a / e) over the bins' shares a (actual) and e (expected).

    By convention, 0.1 deserves attention and 0.25 is a shift (Siddiqi, Credit Risk Scorecards, 2006).

    Args:
        expected: float64 (bins,): reference counts.
        actual: float64 (bins,): observed counts.
    """
    expected_shares = np.maximum(expected, _FLOOR) / np.maximum(expected, _FLOOR).sum()
    actual_shares = np.maximum(actual, _FLOOR) / np.maximum(actual, _FLOOR).sum()
    return float(np.sum((actual_shares - expected_shares) * np.log(actual_shares / expected_shares)))


def chance_limit(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> float:
    """The 99 % quantile of the stability index if the distribution has not changed.

    Without a change the index is approximately (1/n + 1/m) times a chi-squared variable with bins - 1 degrees of
    freedom (Yurdakul, Statistical Properties of Population Stability Index, 2018). With few validation images, random
    variation therefore often exceeds the conventional 0.1.

    Args:
        expected: As for `stability_index`.
        actual: As for `stability_index`.
    """
    from scipy.stats import chi2

    return float((1 / expected.sum() + 1 / actual.sum()) * chi2.ppf(0.99, len(expected) - 1))


class ScoreWindow:
    """The latest scores of one model in one worker, as counts by bin; thread-safe.

    Args:
        bins: The model's bins.
    """

    def __init__(self, bins: ScoreBins) -> None:
        self.bins = bins
        self._latest: deque[int] = deque()
        self._counts = [0] * len(bins.expected)
        self._lock = threading.Lock()

    def add(self, score: float) -> dict[int, int]:
        """Count a score and drop the oldest one if the window is full.

        Returns:
            The counts that changed, by bin.
        """
        number = self.bins.bin_of(score)
        with self._lock:
            self._latest.append(number)
            self._counts[number] += 1
            changed = {number}
            if len(self._latest) > WINDOW:
                old = self._latest.popleft()
                self._counts[old] -= 1
                changed.add(old)
            return {each: self._counts[each] for each in changed}


class _Families(list[Any], Collector):
    def collect(self) -> Iterable[Any]:
        return self


def _drift(families: Iterable[Any], bins: dict[tuple[str, str], ScoreBins]) -> Iterator[GaugeMetricFamily]:
    index = GaugeMetricFamily(
        "distingo_score_drift",
        "Population stability index of the latest scores against the validation images'",
        labels=["model", "version"],
    )
    limit = GaugeMetricFamily(
        "distingo_score_drift_limit",
        "What the index stays below in 99 of 100 cases where nothing has changed",
        labels=["model", "version"],
    )
    counts = {key: np.zeros(len(each.expected)) for key, each in bins.items()}
    for sample in (sample for family in families if family.name == _PREFIX + _RECENT for sample in family.samples):
        key = (sample.labels["model"], sample.labels["version"])
        if key in counts:
            counts[key][int(sample.labels["bin"])] += sample.value
    for key, actual in counts.items():
        if actual.sum() >= LEAST:
            index.add_metric(key, stability_index(bins[key].expected, actual))
            limit.add_metric(key, chance_limit(bins[key].expected, actual))
    yield index
    yield limit


class InferenceCounters:
    """The inference counters of all models in one worker.

    Args:
        registry: Where the counters are registered, so that they are summed over workers like all others.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        version = ["model", "version"]
        self._counters = {
            name: Counter(_INFERENCE + name, text, [*version, *labels], registry=registry)
            for name, text, labels in (
                ("requests", "Requests that called a model", ["outcome"]),
                ("request_seconds", "Their time from the body's end to the scores", ["outcome"]),
                ("batches", "Batches scored, by their images", ["images"]),
                ("batch_seconds", "The time to score them", ["images"]),
                ("waiting_pictures", "Decoded images that came into a batch", []),
                ("waiting_seconds", "The time that they waited for it", []),
                ("decoded_pictures", "Images decoded", []),
                ("decoding_seconds", "The time to decode them", []),
            )
        }
        text = "When a model was last called"
        self._last = Gauge(_INFERENCE + "last_seconds", text, version, registry=registry, multiprocess_mode="max")

    def of(self, model: str, version: str) -> ModelCounters:
        """The counters of one version of one model."""
        return ModelCounters(self._counters, self._last, (model, version))


class ModelCounters:
    """The counters of one version of one model; thread-safe."""

    def __init__(self, counters: dict[str, Counter], last: Gauge, names: tuple[str, str]) -> None:
        self._counters = counters
        self._names = names
        self._last = last.labels(*names)
        self._children: dict[tuple[str, ...], Counter] = {}

    def count_request(self, seconds: float, *, succeeded: bool) -> None:
        """Count a request that called the model."""
        self._add("requests", seconds, "success" if succeeded else "fail", timed="request_seconds")
        self._last.set(time.time())

    def count_batch(self, images: int, seconds: float, waited: float) -> None:
        """Count a batch, the time to score it, and the total time that its images waited for it, in seconds."""
        self._add("batches", seconds, str(images), timed="batch_seconds")
        self._child("waiting_pictures").inc(images)
        self._child("waiting_seconds").inc(waited)

    def count_decoding(self, seconds: float) -> None:
        """Count a decoded image and the time that it took."""
        self._add("decoded_pictures", seconds, timed="decoding_seconds")

    def _add(self, name: str, seconds: float, *labels: str, timed: str) -> None:
        self._child(name, *labels).inc()
        self._child(timed, *labels).inc(seconds)

    def _child(self, name: str, *labels: str) -> Counter:
        child = self._children.get((name, *labels))
        if child is None:
            child = self._counters[name].labels(*self._names, *labels)
            self._children[name, *labels] = child
        return child


def summarize(families: Iterable[Any], models: Iterable[tuple[str, str]]) -> list[ModelStatistics]:
    """Compute ``model_stats`` of the statistics extension.

    Args:
        families: The metrics of all workers.
        models: Names and versions of the models to report.
    """
    values_by_model: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    for family in families:
        for sample in family.samples if family.name.startswith(_INFERENCE) else ():
            labels = sample.labels
            key = (sample.name.removeprefix(_INFERENCE).removesuffix("_total"), _kind(labels))
            values_by_model[labels["model"], labels["version"]][key] = sample.value
    return [_summarize(name, version, values_by_model[name, version]) for name, version in models]


def _kind(labels: dict[str, str]) -> str:
    return labels.get("outcome") or labels.get("images") or ""


def _summarize(name: str, version: str, values: dict[tuple[str, str], float]) -> ModelStatistics:
    batches = {int(kind): int(count) for (counter, kind), count in sorted(values.items()) if counter == "batches"}
    seconds = {size: values.get(("batch_seconds", str(size)), 0.0) for size in batches}
    images = sum(size * count for size, count in batches.items())
    return {
        "name": name,
        "version": version,
        "last_inference": int(values.get(("last_seconds", ""), 0.0) * 1000),
        "inference_count": images,
        "execution_count": sum(batches.values()),
        "inference_stats": {
            **{outcome: _duration(values, "requests", "request_seconds", outcome) for outcome in ("success", "fail")},
            "queue": _duration(values, "waiting_pictures", "waiting_seconds"),
            "compute_input": _duration(values, "decoded_pictures", "decoding_seconds"),
            "compute_infer": {"count": images, "ns": _nanoseconds(sum(seconds.values()))},
            "compute_output": _NO_DURATION,
            "cache_hit": _NO_DURATION,
            "cache_miss": _NO_DURATION,
        },
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _NO_DURATION,
                "compute_infer": {"count": batches[size], "ns": _nanoseconds(seconds[size])},
                "compute_output": _NO_DURATION,
            }
            for size in sorted(batches)
        ],
        "memory_usage": [],
    }


def _duration(values: dict[tuple[str, str], float], counted: str, timed: str, kind: str = "") -> Duration:
    return {"count": int(values.get((counted, kind), 0)), "ns": _nanoseconds(values.get((timed, kind), 0.0))}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
