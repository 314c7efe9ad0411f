"""Numbers and names as a person reads them."""

from __future__ import annotations

import math
import re
from typing import Any

NO_BREAK = "\u00a0"
_DASH = "\u2060–\u2060"
"""An en dash between word joiners, so that no line breaks inside a range."""

_ISOLATE = "\u2068{}\u2069"

_SCORE_NAMES = {
    "accuracy": ("Accuracy", "share of pictures given their true class"),
    "balanced_accuracy": (
        "Balanced accuracy",
        "recall averaged over classes, so that rare ones count as much",
    ),
    "precision_macro": (
        "Precision, macro",
        "of the pictures called a class, the share that is; every class counts the same",
    ),
    "recall_macro": ("Recall, macro", "of a class's pictures, the share found; every class counts the same"),
    "f1_macro": ("F1, macro", "harmonic mean of precision and recall; every class counts the same"),
    "precision_weighted": ("Precision, weighted", "classes count by their number of pictures"),
    "recall_weighted": ("Recall, weighted", "classes count by their number of pictures"),
    "f1_weighted": ("F1, weighted", "classes count by their number of pictures"),
    "log_loss": ("Log loss", "lower is better; punishes confident mistakes most"),
    "loss": ("Loss", "lower is better"),
}

_BASELINE_NAMES = {
    "majority": "always answering the commonest class",
    "descriptors": "colour-and-texture descriptors",
}


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage, for example ``86.4 %`` with a space that never breaks."""
    if not math.isfinite(share):
        return "–"
    return f"{share * 100:.{digits}f}{NO_BREAK}%"


def count(number: int) -> str:
    """A whole number with its thousands set apart, for example ``60,000``."""
    return f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, for example ``1 picture`` or ``2,100 pictures``."""
    return f"{count(number)}{NO_BREAK}{one if number == 1 else many or one + 's'}"


def isolated(name: str) -> str:
    """A class name in a sentence, isolated so that its direction does not stir the words around it."""
    return _ISOLATE.format(name)


def is_share(score: str) -> bool:
    """Whether a score is a share of 1 (shown as a percentage) rather than a quantity such as a loss."""
    return not score.endswith(("loss", "_seconds"))


def score_value(score: str, value: float) -> str:
    """One value of a named score: a percentage, or three decimals for a loss."""
    if not math.isfinite(value):
        return "–"
    return percent(value) if is_share(score) else f"{value:.3f}"


def score_range(score: str, low: float, high: float) -> str:
    """An interval of a named score, for example ``83.1–89.5 %``."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    if is_share(score):
        return f"{low * 100:.1f}{_DASH}{percent(high)}"
    return f"{low:.3f}{_DASH}{high:.3f}"


def score_name(score: str) -> tuple[str, str]:
    """A score's name and what it means, in a few words (empty where unknown)."""
    if score in _SCORE_NAMES:
        return _SCORE_NAMES[score]
    top = re.fullmatch(r"top_(\d+)_accuracy", score)
    if top:
        return f"Top-{top[1]} accuracy", f"share of pictures whose true class is among the {top[1]} likeliest"
    return score.replace("_", " ").capitalize(), ""


def baseline_name(model: str) -> str:
    """What a baseline does, as part of a sentence."""
    return _BASELINE_NAMES.get(model, model)


def setting(value: Any) -> str:
    """A recipe's or environment's value as text: ``yes``/``no`` for truth values, ``–`` for nothing."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:g}"
        case dict():
            text = ", ".join(f"{key}: {setting(entry)}" for key, entry in value.items())
        case list() | tuple():
            text = ", ".join(setting(entry) for entry in value)
        case _:
            text = str(value)
    return text or "–"
