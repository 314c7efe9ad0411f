"""How a model came about, in the sentences of its card; no path of the machine it was made on is among them."""

from __future__ import annotations

import re
from typing import Any

from distingo.evaluation.reading import Epoch, RunRecords
from distingo.language import gettext
from distingo.report.recorded import recorded
from distingo.report.wording import count

_PATH = re.compile(r"(?:^|[\s('\"])(?:~?/|[A-Za-z]:[\\/])")
"""An absolute path: whose machine the model was made on is nobody's business."""


def intended_against(records: RunRecords) -> tuple[str, ...]:
    """What the model is not for."""
    if records.task == "multi-label":
        unknown = gettext("Anything else than these labels: it has no words for it, and says so by giving no label.")
    else:
        unknown = gettext(
            "Pictures of anything else: it answers one of its classes even where none fits, often with confidence."
        )
    return (
        unknown,
        gettext(
            "Pictures taken in another way (another camera, light, angle or cut) before it has been judged on such "
            "pictures: `distingo evaluate` does that."
        ),
        gettext("Decisions about people’s health, safety or rights without a person who checks them."),
        gettext(
            "Counting how often something occurs elsewhere: its probabilities lean on how often it occurred in "
            "training."
        ),
    )


def describe_training(records: RunRecords, model: dict[str, Any], best: Epoch | None) -> tuple[str, ...]:
    """How the model was trained: its kind, what it sees, how long, and what was chosen for the person and why."""
    return (
        *_kind(model),
        *_sight(model),
        *_length(records, best),
        *(recorded(choice) for choice in records.choices if not _PATH.search(choice)),
    )


def _kind(model: dict[str, Any]) -> tuple[str, ...]:
    backbone = model.get("backbone")
    if model.get("kind") == "classic":
        return (gettext("A classic model, fitted at once; no neural network."),)
    if not backbone or model.get("mode") == "scratch":
        return (gettext("A neural network, trained from fresh weights."),)
    name = ".".join(part for part in (backbone["architecture"], backbone.get("tag", "")) if part)
    licence = backbone.get("licence") or gettext("unknown")
    if model.get("mode") == "frozen":
        return (
            gettext(
                "A head of its own (%(head)s) on the pretrained backbone %(name)s, which was left unchanged. Licence "
                "of the backbone’s weights: %(licence)s.",
                head=model.get("head", ""),
                name=name,
                licence=licence,
            ),
        )
    return (
        gettext(
            "The pretrained backbone %(name)s with a head of its own (%(head)s), trained further as a whole. Licence "
            "of the backbone’s weights: %(licence)s.",
            head=model.get("head", ""),
            name=name,
            licence=licence,
        ),
    )


def _sight(model: dict[str, Any]) -> tuple[str, ...]:
    rendition = model.get("rendition")
    if not rendition:
        return (gettext("It sees descriptors of colour and texture, not pixels."),) if _has_descriptors(model) else ()
    size = f"{rendition['width']} × {rendition['height']}"
    if rendition["channels"] == 1:
        return (gettext("It sees grey pictures of %(size)s pixels (width × height).", size=size),)
    return (gettext("It sees colour pictures of %(size)s pixels (width × height).", size=size),)


def _has_descriptors(model: dict[str, Any]) -> bool:
    return str(model.get("name")) == "descriptors"


def _length(records: RunRecords, best: Epoch | None) -> tuple[str, ...]:
    if best is None:
        return ()
    return (
        gettext(
            "Epochs: %(epochs)s; kept is number %(best)s, the best on the validation pictures.",
            epochs=count(len(records.history)),
            best=best.number,
        ),
    )


def describe_origin(records: RunRecords, model: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Names and values of what the model can be traced back to."""
    origin = model.get("provenance", {})
    environment = records.environment
    versions = [f"{name} {environment[name]}" for name in ("python", "torch", "timm") if name in environment]
    entries = {
        gettext("distingo"): origin.get("distingo"),
        gettext("Versions"): ", ".join(versions),
        gettext("Device"): environment.get("device"),
        gettext("Trained"): origin.get("trained"),
        gettext("Seed"): records.recipe.get("seed"),
        gettext("Hash of the training pictures (BLAKE2b)"): origin.get("train_content_hash"),
        gettext("Hash of the weights (BLAKE2b)"): model.get("weights_hash"),
        gettext("Hash of the backbone’s weights (BLAKE2b)"): (model.get("backbone") or {}).get("weights_hash"),
    }
    return tuple((name, str(value)) for name, value in entries.items() if value not in (None, ""))
