"""Numbers and names as pages show them, and the names and meanings of scores."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from distingo.language import count, current_language, gettext, ngettext
from distingo.metrics.paired import PairedScore
from distingo.scores import Score


def score_descriptions() -> dict[str, tuple[str, str]]:
    """Return names and meanings of scores by key, in the current language."""
    return {**_single_label(), **_several_labels()}


def label_meanings() -> dict[str, str]:
    """Return the meanings of scores for multi-label data, where they differ from those for classes."""
    return {
        "precision_macro": gettext("share of the pictures predicted with a label that have it, averaged over labels"),
        "recall_macro": gettext("share of a label's pictures that are found, averaged over labels"),
        "f1_macro": gettext("harmonic mean of precision and recall, averaged over labels"),
    }


def _single_label() -> dict[str, tuple[str, str]]:
    by_images = gettext("classes weighted by their number of pictures")
    return {
        "accuracy": (gettext("Accuracy"), gettext("share of pictures whose class is predicted correctly")),
        "balanced_accuracy": (
            gettext("Balanced accuracy"),
            gettext("recall averaged over classes, so that rare ones count as much"),
        ),
        "precision_macro": (
            gettext("Precision, macro"),
            gettext("share of the pictures predicted as a class that belong to it, averaged over classes"),
        ),
        "recall_macro": (
            gettext("Recall, macro"),
            gettext("share of a class's pictures that are found, averaged over classes"),
        ),
        "f1_macro": (
            gettext("F1, macro"),
            gettext("harmonic mean of precision and recall, averaged over classes"),
        ),
        "precision_weighted": (gettext("Precision, weighted"), by_images),
        "recall_weighted": (gettext("Recall, weighted"), by_images),
        "f1_weighted": (gettext("F1, weighted"), by_images),
        "log_loss": (gettext("Log loss"), gettext("lower is better; punishes confident mistakes most")),
        "loss": (gettext("Loss"), gettext("lower is better")),
    }


def _several_labels() -> dict[str, tuple[str, str]]:
    return {
        "mean_average_precision": (gettext("Mean average precision"), ""),
        "mean_average_precision_macro": (
            gettext("Mean average precision, macro"),
            gettext("how well each label's probabilities rank pictures, averaged over labels"),
        ),
        "mean_average_precision_micro": (
            gettext("Mean average precision, micro"),
            gettext("the same over all pairs of picture and label, ranked together"),
        ),
        "f1_macro_at_half": (
            gettext("F1, macro, at 0.5"),
            gettext("with 0.5 as every label's threshold; every label counts the same"),
        ),
        "f1_micro": (gettext("F1, micro"), gettext("over all pairs of picture and label")),
        "precision_micro": (gettext("Precision, micro"), gettext("share of all predicted labels that are present")),
        "recall_micro": (gettext("Recall, micro"), gettext("share of all present labels that are predicted")),
        "f1_samples": (gettext("F1, samples"), gettext("computed for each picture's labels, averaged over pictures")),
        "label_ranking_average_precision": (
            gettext("Label-ranking average precision"),
            gettext("how high a picture's own labels rank among all labels"),
        ),
        "coverage_error": (
            gettext("Coverage error"),
            gettext("number of most probable labels needed to include all present ones; lower is better"),
        ),
        "hamming_loss": (
            gettext("Hamming loss"),
            gettext("share of wrong cells in the table of pictures and labels; lower is better"),
        ),
        "exact_match": (gettext("Exact match"), gettext("share of pictures whose labels are all correct")),
        "label_accuracy": (
            gettext("Correct cells"),
            gettext("over the table of pictures and labels; means little if labels are rare"),
        ),
        "label_accuracy_of_nothing": (
            gettext("Correct cells without any prediction"),
            gettext("the value if no label is predicted for any picture"),
        ),
    }


NO_BREAK = "\u00a0"

_DASH = "\u2060–\u2060"
"""An en dash between word joiners, so that no line breaks inside a range."""

_ISOLATE = "\u2068{}\u2069"


def percent(share: float, digits: int = 1) -> str:
    """Format a share of 1 as a percentage, for example ``86.4 %`` with a no-break space; without it in Chinese.

    The decimal mark is a point in every language. For Spanish the Academies recommend it (Ortografía de la lengua
    española, 2010).
    """
    if not math.isfinite(share):
        return "–"
    return f"{share * 100:.{digits}f}{percent_sign()}"


def percent_sign() -> str:
    """Return the percent sign, after a space if the language has one."""
    return "%" if current_language() == "zh" else f"{NO_BREAK}%"


def points(difference: float) -> str:
    """Format the absolute difference between two shares in percentage points, for example ``8.2 points``."""
    size = abs(difference) * 100
    text = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"
    unit = ngettext("point", "points", 1 if text == "1.0" else 2)
    return f"{text}{NO_BREAK}{unit}"


def points_difference(difference: float) -> str:
    """Format a difference between two shares in percentage points with its sign, for example ``−8.2``."""
    return _signed(difference)


def points_range(low: float, high: float) -> str:
    """Format an interval of a difference between two shares, for example ``−11.0 to +2.3``."""
    return gettext("%(low)s to %(high)s", low=_signed(low), high=_signed(high))


def _signed(share: float) -> str:
    text = f"{share * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def p_value(value: float) -> str:
    """Format a p-value, for example ``p = 0.03`` or ``p < 0.001``."""
    if value < 0.001:
        return f"p{NO_BREAK}<{NO_BREAK}0.001"
    digits = 3 if value < 0.01 else 2
    return f"p{NO_BREAK}={NO_BREAK}{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Format a duration, for example ``3.8 s``, ``2 min 05 s`` or ``1 h 20 min``."""
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
    """Format a number of bytes in decimal units, for example ``96 B`` or ``2.2 MB``."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f}{NO_BREAK}{unit}" if unit != "B" and value < 9.95 else f"{value:.0f}{NO_BREAK}{unit}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format a number with its noun, for example ``1 image`` or ``2,100 images``.

    Args:
        number: The number.
        one: The English singular; both forms must be literals in the call, so that they are extracted for translation.
        many: The English plural.
    """
    noun = ngettext(one, many or f"{one}s", number)
    return f"{count(number)}{NO_BREAK}{noun}"


def split_images(number: int, split: str) -> str:
    """Format a number of images of a split, for example ``420 test images``."""
    match split:
        case "train":
            return counted(number, "training picture", "training pictures")
        case "validation":
            return counted(number, "validation picture", "validation pictures")
        case "test":
            return counted(number, "test picture", "test pictures")
    return counted(number, "picture", "pictures")


def names_listed(names: Sequence[str]) -> str:
    """Join names of classes with commas, each isolated."""
    return gettext(", ").join(isolated(name) for name in names)


def isolated(name: str) -> str:
    """Isolate a class name in a sentence, so that its writing direction does not affect the surrounding text."""
    return _ISOLATE.format(name)


def is_share(score: str) -> bool:
    """Whether a score is a share of 1, shown as a percentage, and not a quantity such as a loss."""
    return not score.endswith(("loss", "_seconds", "coverage_error"))


def score_value(score: str, value: float) -> str:
    """Format a value of a named score: a percentage, three decimals for a loss, two for a number of labels."""
    if not math.isfinite(value):
        return "–"
    return percent(value) if is_share(score) else _quantity(score, value)


def _quantity(score: str, value: float) -> str:
    return f"{value:.{2 if score == 'coverage_error' else 3}f}"


def score_range(score: str, low: float, high: float) -> str:
    """Format an interval of a named score, for example ``83.1–89.5 %``."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    if is_share(score):
        return f"{low * 100:.1f}{_DASH}{percent(high)}"
    return f"{_quantity(score, low)}{_DASH}{_quantity(score, high)}"


def score_interval(name: str, score: Score) -> str:
    """Format the interval of a named score, or state that too few images were evaluated."""
    return gettext("too few images") if score.too_few else score_range(name, score.low, score.high)


def interval_phrase(name: str, score: Score) -> str:
    """Like `score_interval`, for use after "95 % interval" in a sentence."""
    if score.too_few:
        return gettext("not computed, too few images")
    return score_range(name, score.low, score.high)


def points_interval(difference: Score | PairedScore) -> str:
    """Format the interval of a difference in points, or state that too few images were evaluated."""
    return gettext("too few images") if difference.too_few else points_range(difference.low, difference.high)


def score_name(score: str) -> tuple[str, str]:
    """Return a score's name and a short explanation; it is empty if unknown."""
    descriptions = score_descriptions()
    if score in descriptions:
        return descriptions[score]
    top = re.fullmatch(r"top_(\d+)_accuracy", score)
    if top:
        return (
            gettext("Top-%(number)s accuracy", number=top[1]),
            gettext("share of pictures whose true class is among the %(number)s most probable", number=top[1]),
        )
    hit = re.fullmatch(r"top_(\d+)_hit", score)
    if hit:
        return gettext("Top-%(number)s hit", number=hit[1]), _hit_meaning(hit[1])
    return score.replace("_", " ").capitalize(), ""


def _hit_meaning(number: str) -> str:
    if number == "1":
        return gettext("share of the pictures with labels for which the most probable label is correct")
    return gettext(
        "share of the pictures with labels for which at least one of the %(number)s most probable labels is correct",
        number=number,
    )


def score_meaning(score: str, *, of_labels: bool) -> str:
    """Return the explanation of a score, for labels or for classes."""
    return (label_meanings().get(score) if of_labels else None) or score_name(score)[1]


def baseline_name(model: str) -> str:
    """Describe a baseline, as part of a sentence."""
    match model:
        case "majority":
            return gettext("always answering the most frequent class")
        case "prevalence":
            return gettext("answering every label's frequency")
        case "descriptors":
            return gettext("color-and-texture descriptors")
    return model


def setting(value: Any) -> str:
    """Format a value of a recipe or environment: ``yes``/``no`` for truth values, ``–`` for nothing."""
    match value:
        case None:
            text = ""
        case bool():
            text = gettext("yes") if value else gettext("no")
        case float():
            text = f"{value:g}"
        case dict():
            text = ", ".join(f"{key}: {setting(entry)}" for key, entry in value.items())
        case list() | tuple():
            text = ", ".join(setting(entry) for entry in value)
        case _:
            text = str(value)
    return text or "–"
