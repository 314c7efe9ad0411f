"""The model card of a run: ``model/README.md``, as the Hugging Face hub reads it.

It has no path of the machine that the model was trained on.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from pathlib import Path
from typing import Any

from distingo.files import write_text
from distingo.language import count, gettext, use_language
from distingo.messages.notes import Note
from distingo.report.charts.class_balance import balance_classes
from distingo.report.charts.classes import most_frequent_confusions
from distingo.report.charts.curves import best_epoch
from distingo.report.examples import group_skipped
from distingo.report.pages.card_limits import describe_limits
from distingo.report.templating import fill_text
from distingo.report.text.summaries import (
    MAIN_SCORE,
    Summary,
    other_baselines,
    summarize_evaluation,
    summarize_label_evaluation,
)
from distingo.report.text.wording import score_name
from distingo.runs.config import ModelFacts, read_model_facts
from distingo.runs.contents import RunRecords, read_run
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord

_PATH = re.compile(r"(?:^|[\s('\"])(?:~?/|[A-Za-z]:[\\/])")
"""An absolute path; cards contain none, as they are published."""


def intended_against(records: RunRecords) -> tuple[str, ...]:
    """Uses that the model is not intended for."""
    if records.task == "multi-label":
        unknown = gettext("Anything other than these labels: the model has no label for it and predicts none.")
    else:
        unknown = gettext(
            "Pictures of anything else: the model predicts one of its classes even if none fits, "
            "often with high confidence."
        )
    return (
        unknown,
        gettext(
            "Pictures taken under other conditions (another camera, light, angle or crop) until "
            "it has been evaluated on such pictures with `distingo evaluate`."
        ),
        gettext("Decisions about people’s health, safety or rights without a person who checks them."),
        gettext(
            "Estimating how often something occurs elsewhere: the probabilities depend on how "
            "often it occurred in training."
        ),
    )


def describe_training(records: RunRecords, model: ModelFacts, best: EpochRecord | None) -> tuple[str, ...]:
    """Describe the training: architecture, input, duration, and automatic choices with their reasons."""
    return (
        *_kind(model),
        *_sight(model),
        *_length(records, best),
        *(str(choice) for choice in records.choices if not _contains_path(choice)),
    )


def _contains_path(value: object) -> bool:
    """Whether a note contains a path of this machine, which is not published."""
    if isinstance(value, Note):
        return any(map(_contains_path, value.values.values()))
    if isinstance(value, tuple):
        return any(map(_contains_path, value))
    return isinstance(value, str) and _PATH.search(value) is not None


def _kind(model: ModelFacts) -> tuple[str, ...]:
    backbone = model.backbone
    if model.kind == "classic":
        return (gettext("A classic model, fitted without epochs; no neural network."),)
    if backbone is None or model.mode == "scratch":
        return (gettext("A neural network, trained from random weights."),)
    license_name = backbone.license or gettext("unknown")
    if model.mode == "frozen":
        return (
            gettext(
                "A head (%(head)s) on the pretrained backbone %(name)s, which was not changed. "
                "License of the backbone’s weights: %(license)s.",
                head=model.head,
                name=backbone.name,
                license=license_name,
            ),
        )
    return (
        gettext(
            "The pretrained backbone %(name)s with a head (%(head)s), fine-tuned as a whole. "
            "License of the backbone’s weights: %(license)s.",
            head=model.head,
            name=backbone.name,
            license=license_name,
        ),
    )


def _sight(model: ModelFacts) -> tuple[str, ...]:
    shown = model.image_spec
    if shown is None:
        descriptors = gettext("Input: descriptors of color and texture, not pixels.")
        return (descriptors,) if model.name == "descriptors" else ()
    size = f"{shown.width} × {shown.height}"
    if shown.channels == 1:
        return (gettext("Input: gray pictures of %(size)s pixels (width × height).", size=size),)
    return (gettext("Input: color pictures of %(size)s pixels (width × height).", size=size),)


def _length(records: RunRecords, best: EpochRecord | None) -> tuple[str, ...]:
    if best is None:
        return ()
    return (
        gettext(
            "Epochs: %(epochs)s; the weights are those of epoch %(best)s, the best on the validation pictures.",
            epochs=count(len(records.history)),
            best=best.epoch,
        ),
    )


def describe_origin(records: RunRecords, model: ModelFacts) -> tuple[tuple[str, str], ...]:
    """Return names and values that identify how the model was made."""
    origin = model.provenance
    environment = records.environment
    versions = [f"{name} {environment[name]}" for name in ("python", "torch", "timm") if name in environment]
    entries = {
        gettext("distingo"): origin.distingo,
        gettext("Versions"): ", ".join(versions),
        gettext("Device"): environment.get("device"),
        gettext("Trained"): origin.trained,
        gettext("Seed"): records.recipe.get("seed"),
        gettext("Hash of the training pictures (BLAKE2b)"): origin.train_content_hash,
        gettext("Hash of the weights (BLAKE2b)"): model.weights_hash,
        gettext("Hash of the backbone’s weights (BLAKE2b)"): model.backbone.weights_hash if model.backbone else "",
    }
    return tuple((name, str(value)) for name, value in entries.items() if value not in (None, ""))


_PUBLISHED = (
    *("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss"),
    *("mean_average_precision_macro", "f1_micro", "f1_samples", "hamming_loss"),
)
"""The scores in the hub's metadata, in this order."""

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
"""The hub's names of metrics; others have the same name."""


def front_matter(records: RunRecords, model: ModelFacts) -> str:
    """Return the hub's metadata of a model, between two lines of dashes.

    It has no ``license``, which depends on the images and the pretrained weights and is chosen by the publisher, and no
    ``datasets``, which would have to be on the hub.

    Args:
        records: The records of the run.
        model: The description of its saved model.
    """
    from huggingface_hub import ModelCardData

    with use_language("en"):  # for programs, whatever language the card is in
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


def _base_model(model: ModelFacts) -> str | None:
    """Return the hub repository of the pretrained weights; None for those of a folder."""
    backbone = model.backbone
    if backbone is None or backbone.source != "hub" or model.mode == "scratch":
        return None
    return backbone.place.partition("@")[0] or None


def _tags(records: RunRecords, model: ModelFacts) -> list[str]:
    tags = ["image-classification", "distingo", records.task]
    if model.backbone is not None:
        tags += ["timm", model.mode]
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


CARD_FILE = "README.md"

_SEAL = re.compile(r"<!-- distingo \S+, sha256 ([0-9a-f]{64}) -->\n?\Z")
"""The last line: a hash of the card, so that a card that the user has edited is never overwritten."""

log = logging.getLogger("distingo")


def write_card(run: Path) -> Path | None:
    """Write a run's model card, from the run folder alone; its images are not needed.

    Args:
        run: The run folder.

    Returns:
        The card; None if training has not ended, or if the user has edited the card, which is then not overwritten.

    Raises:
        RunError: The folder is no run, a file is damaged, or a newer version wrote it.
        ResourceError: The card can't be written.
    """
    folder = RunFolder(run)
    if not (folder.model / "model.json").is_file():
        return None
    path = folder.model / CARD_FILE
    if path.exists() and not _is_ours(path):
        log.warning("%s: was changed by hand and is left as it is; move it away to have a new one", path)
        return None
    records = read_run(run)
    model = read_model_facts(folder.model)
    body = fill_text("card.md", _context(records, model))
    text = front_matter(records, model) + re.sub(r"\n{3,}", "\n\n", body).rstrip() + "\n\n"
    write_text(path, f"{text}<!-- distingo {_maker(model)}, sha256 {_digest(text)} -->\n")
    return path


def _is_ours(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    seal = _SEAL.search(text)
    return seal is not None and _digest(text[: seal.start()]) == seal[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _maker(model: ModelFacts) -> str:
    return (model.provenance.distingo or "unknown").replace(" ", "-")


def _context(records: RunRecords, model: ModelFacts) -> dict[str, object]:
    evaluation = records.evaluation
    several = records.task == "multi-label"
    main = MAIN_SCORE if several else "accuracy"
    best = best_epoch(records.history, str(records.recipe.get("monitor", "")))
    return {
        "records": records,
        "several": several,
        "headline": _summary(records),
        "evaluation": evaluation,
        "baselines": other_baselines(evaluation, records.model, main),
        "balance": balance_classes(((row.split, row.labels) for row in records.split), records.classes),
        "skipped": group_skipped(records.manifest),
        "used": sum(row.status == "used" for row in records.manifest),
        "taken_for": most_frequent_confusions(evaluation) if evaluation else {},
        "against": intended_against(records),
        "training": describe_training(records, model, best),
        "limits": describe_limits(records),
        "origin": describe_origin(records, model),
    }


def _summary(records: RunRecords) -> Summary | None:
    if records.evaluation is None:
        return None
    evaluated = summarize_label_evaluation if records.task == "multi-label" else summarize_evaluation
    return evaluated(records.evaluation, records.model)
