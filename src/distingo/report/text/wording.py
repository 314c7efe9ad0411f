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
    """By a score's key its name and what it means, in the language that is being written in."""
    return {**_single_label(), **_several_labels()}


def label_meanings() -> dict[str, str]:
    """What scores mean of labels that say classes where an image has one."""
    return {
        "precision_macro": gettext("of the pictures called a label, the share that is; every label counts the same"),
        "recall_macro": gettext("of a label's pictures, the share found; every label counts the same"),
        "f1_macro": gettext("harmonic mean of precision and recall; every label counts the same"),
    }


def _single_label() -> dict[str, tuple[str, str]]:
    by_images = gettext("classes count by their number of pictures")
    return {
        "accuracy": (gettext("Accuracy"), gettext("share of pictures given their true class")),
        "balanced_accuracy": (
            gettext("Balanced accuracy"),
            gettext("recall averaged over classes, so that rare ones count as much"),
        ),
        "precision_macro": (
            gettext("Precision, macro"),
            gettext("of the pictures called a class, the share that is; every class counts the same"),
        ),
        "recall_macro": (
            gettext("Recall, macro"),
            gettext("of a class's pictures, the share found; every class counts the same"),
        ),
        "f1_macro": (
            gettext("F1, macro"),
            gettext("harmonic mean of precision and recall; every class counts the same"),
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
            gettext("how well each label's probabilities rank pictures; every label counts the same"),
        ),
        "mean_average_precision_micro": (
            gettext("Mean average precision, micro"),
            gettext("the same for all pairs of picture and label ranked together"),
        ),
        "f1_macro_at_half": (
            gettext("F1, macro, at 0.5"),
            gettext("with 0.5 as every label's threshold; every label counts the same"),
        ),
        "f1_micro": (gettext("F1, micro"), gettext("all pairs of picture and label counted together")),
        "precision_micro": (gettext("Precision, micro"), gettext("of all labels given, the share that is there")),
        "recall_micro": (gettext("Recall, micro"), gettext("of all labels that are there, the share given")),
        "f1_samples": (gettext("F1, samples"), gettext("of each picture's labels, averaged over pictures")),
        "label_ranking_average_precision": (
            gettext("Label-ranking average precision"),
            gettext("how high a picture's own labels rank among all labels"),
        ),
        "coverage_error": (
            gettext("Coverage error"),
            gettext("how many of the most probable labels it takes to have all that are there; lower is better"),
        ),
        "hamming_loss": (
            gettext("Hamming loss"),
            gettext("share of wrong cells in the table of pictures and labels; lower is better"),
        ),
        "exact_match": (gettext("Exact match"), gettext("share of pictures whose labels are all right")),
        "label_accuracy": (
            gettext("Right cells"),
            gettext("of the table of pictures and labels; means little where labels are rare"),
        ),
        "label_accuracy_of_nothing": (
            gettext("Right cells of no answer"),
            gettext("what giving no label to any picture is worth"),
        ),
    }


NO_BREAK = "\u00a0"

_DASH = "\u2060–\u2060"
"""An en dash between word joiners, so that no line breaks inside a range."""

_ISOLATE = "\u2068{}\u2069"


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage, for example ``86.4 %`` with a space that never breaks; without it in Chinese.

    The decimal mark is a point in every language: Chinese has no other, and for Spanish the Academies recommend it
    (Ortografía de la lengua española, 2010), as do the files and programs that show the same figures.
    """
    if not math.isfinite(share):
        return "–"
    return f"{share * 100:.{digits}f}{percent_sign()}"


def percent_sign() -> str:
    """The percent sign with the space that the language sets before it, if any."""
    return "%" if current_language() == "zh" else f"{NO_BREAK}%"


def points(difference: float) -> str:
    """The size of a difference between two shares in percentage points, for example ``8.2 points``."""
    size = abs(difference) * 100
    text = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"
    unit = ngettext("point", "points", 1 if text == "1.0" else 2)
    return f"{text}{NO_BREAK}{unit}"


def points_difference(difference: float) -> str:
    """A difference between two shares in percentage points with its sign, for example ``−8.2``."""
    return _signed(difference)


def points_range(low: float, high: float) -> str:
    """An interval of a difference between two shares, for example ``−11.0 to +2.3``."""
    return gettext("%(low)s to %(high)s", low=_signed(low), high=_signed(high))


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


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, for example ``1 image`` or ``2,100 images``.

    Args:
        number: The number.
        one: The English noun for 1, found in the catalogs where both forms are given in the call.
        many: The noun for other numbers.
    """
    noun = ngettext(one, many or f"{one}s", number)
    return f"{count(number)}{NO_BREAK}{noun}"


def split_images(number: int, split: str) -> str:
    """A number of images of a side, for example ``420 test images``."""
    match split:
        case "train":
            return counted(number, "training picture", "training pictures")
        case "validation":
            return counted(number, "validation picture", "validation pictures")
        case "test":
            return counted(number, "test picture", "test pictures")
    return counted(number, "picture", "pictures")


def names_listed(names: Sequence[str]) -> str:
    """Names of classes in a row with commas, each isolated."""
    return gettext(", ").join(isolated(name) for name in names)


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


def score_interval(name: str, score: Score) -> str:
    """The interval of a named score, or that too few images were evaluated for one."""
    return gettext("too few images") if score.too_few else score_range(name, score.low, score.high)


def interval_phrase(name: str, score: Score) -> str:
    """The same after the words "95 % interval" in a sentence."""
    if score.too_few:
        return gettext("not given, too few images")
    return score_range(name, score.low, score.high)


def points_interval(difference: Score | PairedScore) -> str:
    """The interval of a difference in points, or that too few images were evaluated for one."""
    return gettext("too few images") if difference.too_few else points_range(difference.low, difference.high)


def score_name(score: str) -> tuple[str, str]:
    """A score's name and what it means, in a few words (empty where unknown)."""
    descriptions = score_descriptions()
    if score in descriptions:
        return descriptions[score]
    top = re.fullmatch(r"top_(\d+)_accuracy", score)
    if top:
        return (
            gettext("Top-%(number)s accuracy", number=top[1]),
            gettext("share of pictures whose true class is among the %(number)s likeliest", number=top[1]),
        )
    hit = re.fullmatch(r"top_(\d+)_hit", score)
    if hit:
        return gettext("Top-%(number)s hit", number=hit[1]), _hit_meaning(hit[1])
    return score.replace("_", " ").capitalize(), ""


def _hit_meaning(number: str) -> str:
    if number == "1":
        return gettext("share of the pictures with labels for which the likeliest label is right")
    return gettext(
        "share of the pictures with labels for which at least one of the %(number)s likeliest labels is right",
        number=number,
    )


def score_meaning(score: str, *, of_labels: bool) -> str:
    """What a score means; with several labels per image, of labels where it would say classes."""
    return (label_meanings().get(score) if of_labels else None) or score_name(score)[1]


def baseline_name(model: str) -> str:
    """What a baseline does, as part of a sentence."""
    match model:
        case "majority":
            return gettext("always answering the most frequent class")
        case "prevalence":
            return gettext("answering every label's frequency")
        case "descriptors":
            return gettext("color-and-texture descriptors")
    return model


def setting(value: Any) -> str:
    """A recipe's or environment's value as text: ``yes``/``no`` for truth values, ``–`` for nothing."""
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
