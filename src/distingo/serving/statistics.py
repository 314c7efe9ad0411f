"""How often and how long each model was asked, as Triton's statistics extension reports it; summed over all workers.

The shape is that of docs/protocol/extension_statistics.md in github.com/triton-inference-server/server.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

_PREFIX = "distingo_inference_"
_NONE = {"count": 0, "ns": 0}


class InferenceCounters:
    """The counters of one worker, for all its models.

    Args:
        registry: Gets them, so that several workers' are summed as all others are.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        version = ["model", "version"]
        self._counters = {
            name: Counter(_PREFIX + name, words, [*version, *labels], registry=registry)
            for name, words, labels in (
                ("requests", "Requests that asked a model", ["outcome"]),
                ("request_seconds", "Their time from the body's end to the verdict", ["outcome"]),
                ("batches", "Batches judged, by their pictures", ["pictures"]),
                ("batch_seconds", "The time to judge them", ["pictures"]),
                ("waiting_pictures", "Decoded pictures that came into a batch", []),
                ("waiting_seconds", "The time that they waited for it", []),
                ("decoded_pictures", "Pictures decoded", []),
                ("decoding_seconds", "The time to decode them", []),
            )
        }
        self._last = Gauge(
            _PREFIX + "last_seconds", "When a model was last asked", version, registry=registry, multiprocess_mode="max"
        )

    def of(self, model: str, version: str) -> ModelCounters:
        """Those of one version of one model."""
        return ModelCounters(self._counters, self._last, (model, version))


class ModelCounters:
    """The counters of one version of one model; of many threads."""

    def __init__(self, counters: dict[str, Counter], last: Gauge, names: tuple[str, str]) -> None:
        self._counters = counters
        self._names = names
        self._last = last.labels(*names)
        self._children: dict[tuple[str, ...], Counter] = {}

    def count_request(self, seconds: float, *, succeeded: bool) -> None:
        """Count a request that asked the model."""
        self._add("requests", seconds, "success" if succeeded else "fail", timed="request_seconds")
        self._last.set(time.time())

    def count_batch(self, pictures: int, seconds: float, waited: float) -> None:
        """Count a batch, the time to judge it, and the time that its pictures waited for it, all together."""
        self._add("batches", seconds, str(pictures), timed="batch_seconds")
        self._child("waiting_pictures").inc(pictures)
        self._child("waiting_seconds").inc(waited)

    def count_decoding(self, seconds: float) -> None:
        """Count a picture that was decoded."""
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


def summarize(families: Iterable[Any], models: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """``model_stats`` of the statistics extension.

    Args:
        families: All counts, of all workers.
        models: Names and versions of those to report.
    """
    found: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    for family in families:
        for sample in family.samples if family.name.startswith(_PREFIX) else ():
            labels = sample.labels
            key = (sample.name.removeprefix(_PREFIX).removesuffix("_total"), _kind(labels))
            found[labels["model"], labels["version"]][key] = sample.value
    return [_summarize(name, version, found[name, version]) for name, version in models]


def _kind(labels: dict[str, str]) -> str:
    return labels.get("outcome") or labels.get("pictures") or ""


def _summarize(name: str, version: str, values: dict[tuple[str, str], float]) -> dict[str, Any]:
    batches = {int(kind): int(count) for (what, kind), count in sorted(values.items()) if what == "batches"}
    seconds = {size: values.get(("batch_seconds", str(size)), 0.0) for size in batches}
    pictures = sum(size * count for size, count in batches.items())
    return {
        "name": name,
        "version": version,
        "last_inference": int(values.get(("last_seconds", ""), 0.0) * 1000),
        "inference_count": pictures,
        "execution_count": sum(batches.values()),
        "inference_stats": {
            **{outcome: _duration(values, "requests", "request_seconds", outcome) for outcome in ("success", "fail")},
            "queue": _duration(values, "waiting_pictures", "waiting_seconds"),
            "compute_input": _duration(values, "decoded_pictures", "decoding_seconds"),
            "compute_infer": {"count": pictures, "ns": _nanoseconds(sum(seconds.values()))},
            "compute_output": _NONE,
            "cache_hit": _NONE,
            "cache_miss": _NONE,
        },
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _NONE,
                "compute_infer": {"count": batches[size], "ns": _nanoseconds(seconds[size])},
                "compute_output": _NONE,
            }
            for size in sorted(batches)
        ],
        "memory_usage": [],
    }


def _duration(values: dict[tuple[str, str], float], counted: str, timed: str, kind: str = "") -> dict[str, int]:
    return {"count": int(values.get((counted, kind), 0)), "ns": _nanoseconds(values.get((timed, kind), 0.0))}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
