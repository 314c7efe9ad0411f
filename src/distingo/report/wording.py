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
    "mean_average_precision_macro": (
        "Mean average precision, macro",
        "how well each label's probabilities rank pictures; every label counts the same",
    ),
    "mean_average_precision_micro": (
        "Mean average precision, micro",
        "the same for all pairs of picture and label ranked together",
    ),
    "f1_micro": ("F1, micro", "all pairs of picture and label counted together"),
    "precision_micro": ("Precision, micro", "of all labels given, the share that is there"),
    "recall_micro": ("Recall, micro", "of all labels that are there, the share given"),
    "f1_samples": ("F1, samples", "of each picture's labels, averaged over pictures"),
    "label_ranking_average_precision": (
        "Label-ranking average precision",
        "how high a picture's own labels rank among all labels",
    ),
    "coverage_error": (
        "Coverage error",
        "how many of the most probable labels it takes to have all that are there; lower is better",
    ),
    "hamming_loss": ("Hamming loss", "share of wrong cells in the table of pictures and labels; lower is better"),
    "exact_match": ("Exact match", "share of pictures whose labels are all right"),
    "label_accuracy": ("Right cells", "of the table of pictures and labels; means little where labels are rare"),
    "label_accuracy_of_nothing": ("Right cells of no answer", "what giving no label to any picture is worth"),
}

_BASELINE_NAMES = {
    "majority": "always answering the commonest class",
    "prevalence": "answering every label's frequency",
    "descriptors": "colour-and-texture descriptors",
}


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage, for example ``86.4 %`` with a space that never breaks."""
    if not math.isfinite(share):
        return "–"
    return f"{share * 100:.{digits}f}{NO_BREAK}%"


def points(difference: float) -> str:
    """The size of a difference between two shares in percentage points, for example ``8.2 points``."""
    size = abs(difference) * 100
    text = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"
    return f"{text}{NO_BREAK}{'point' if text == '1.0' else 'points'}"


def points_difference(difference: float) -> str:
    """A difference between two shares in percentage points with its sign, for example ``−8.2``."""
    return _signed(difference)


def points_range(low: float, high: float) -> str:
    """An interval of a difference between two shares, for example ``−11.0 to +2.3``."""
    return f"{_signed(low)} to {_signed(high)}"


def _signed(share: float) -> str:
    text = f"{share * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def p_value(value: float) -> str:
    """A p-value as far as it is worth telling, for example ``p = 0.03`` or ``p < 0.001``."""
    if value < 0.001:
        return f"p{NO_BREAK}<{NO_BREAK}0.001"
    digits = 3 if value < 0.01 else 2
    return f"p{NO_BREAK}={NO_BREAK}{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A stretch of time, for example ``3.8 s``, ``2 min 05 s`` or ``1 h 20 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min{NO_BREAK}{whole % 60:02}{NO_BREAK}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{NO_BREAK}h{NO_BREAK}{minutes % 60:02}{NO_BREAK}min"


def file_size(size: int) -> str:
    """A number of bytes in decimal units, for example ``96 B`` or ``2.2 MB``."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f}{NO_BREAK}{unit}" if unit != "B" and value < 9.95 else f"{value:.0f}{NO_BREAK}{unit}"


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
    return not score.endswith(("loss", "_seconds", "coverage_error"))


def score_value(score: str, value: float) -> str:
    """One value of a named score: a percentage, three decimals for a loss, two for a number of labels."""
    if not math.isfinite(value):
        return "–"
    return percent(value) if is_share(score) else _quantity(score, value)


def _quantity(score: str, value: float) -> str:
    return f"{value:.{2 if score == 'coverage_error' else 3}f}"


def score_range(score: str, low: float, high: float) -> str:
    """An interval of a named score, for example ``83.1–89.5 %``."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    if is_share(score):
        return f"{low * 100:.1f}{_DASH}{percent(high)}"
    return f"{_quantity(score, low)}{_DASH}{_quantity(score, high)}"


def score_name(score: str) -> tuple[str, str]:
    """A score's name and what it means, in a few words (empty where unknown)."""
    if score in _SCORE_NAMES:
        return _SCORE_NAMES[score]
    top = re.fullmatch(r"top_(\d+)_accuracy", score)
    if top:
        return f"Top-{top[1]} accuracy", f"share of pictures whose true class is among the {top[1]} likeliest"
    hit = re.fullmatch(r"top_(\d+)_hit", score)
    if hit:
        among = "the likeliest label" if hit[1] == "1" else f"at least one of the {hit[1]} likeliest labels"
        return f"Top-{hit[1]} hit", f"share of the pictures with labels for which {among} is right"
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
