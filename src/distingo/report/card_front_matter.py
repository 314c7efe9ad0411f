"""The front matter of a model card: YAML that the Hugging Face hub sorts models by."""

from __future__ import annotations

import math
from typing import Any

from distingo.evaluation.reading import RunRecords
from distingo.language import written_in
from distingo.report.wording import score_name

_PUBLISHED = (
    *("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss"),
    *("mean_average_precision_macro", "f1_micro", "f1_samples", "hamming_loss"),
)
"""The scores that go to the hub, in this order."""

_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "f1_macro": "f1",
    "f1_micro": "f1",
    "f1_samples": "f1",
    "precision_macro": "precision",
    "recall_macro": "recall",
    "mean_average_precision_macro": "mean_average_precision",
}
"""The hub's names of metrics; others keep ours."""


def front_matter(records: RunRecords, model: dict[str, Any]) -> str:
    """What the hub asks of a model, between two lines of dashes.

    The licence is left out, since a run does not know it: whoever publishes the model decides, bound by the terms of
    the pictures and of the pretrained weights. So are ``datasets``, which would have to be on the hub.

    Args:
        records: Of the run.
        model: The content of ``model.json``.
    """
    from huggingface_hub import ModelCardData

    with written_in("en"):  # for programs, whatever language the card is in
        results = _results(records)
    base = _base_model(model)
    data = ModelCardData(
        model_name=f"{records.model} on {records.data_name}",
        library_name="distingo",
        pipeline_tag="image-classification",
        tags=_tags(records, model),
        base_model=base,
        base_model_relation="finetune" if base else None,
        metrics=_metrics(records),
        eval_results=results,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _base_model(model: dict[str, Any]) -> str | None:
    """The hub's repository that the weights are from; what a folder holds can't be told from its name."""
    backbone = model.get("backbone") or {}
    if backbone.get("source") != "hub" or model.get("mode") == "scratch":
        return None
    return str(backbone["place"]).partition("@")[0] or None


def _tags(records: RunRecords, model: dict[str, Any]) -> list[str]:
    tags = ["image-classification", "distingo", records.task]
    if model.get("backbone"):
        tags += ["timm", str(model.get("mode", ""))]
    return [tag for tag in tags if tag]


def _published(records: RunRecords) -> list[str]:
    scores = records.evaluation.scores if records.evaluation else {}
    return [name for name in _PUBLISHED if name in scores and math.isfinite(scores[name].value)]


def _metrics(records: RunRecords) -> list[str] | None:
    return list(dict.fromkeys(_METRICS.get(name, name) for name in _published(records))) or None


def _results(records: RunRecords) -> list[Any] | None:
    from huggingface_hub import EvalResult

    evaluation = records.evaluation
    if evaluation is None:
        return None
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type="imagefolder",
            dataset_name=records.data_name,
            dataset_split="test",
            metric_type=_METRICS.get(name, name),
            metric_name=score_name(name)[0],
            metric_value=round(evaluation.scores[name].value, 4),
        )
        for name in _published(records)
    ] or None
