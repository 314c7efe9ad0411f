"""What an explanation says, in sentences."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from distingo.explanation.records import ClassExplanation, CoverCheck, Explanation, Method

METHODS: dict[Method, str] = {
    "maps": "from the last feature maps and their gradients (HiResCAM)",
    "attention": "from the attention layers and their gradients (Chefer et al., 2021)",
    "covering": "from covering squares of the picture one after another (Zeiler and Fergus, 2014)",
}

_SHARES = {0.2: "fifth", 0.25: "quarter", 0.1: "tenth"}


def describe_class(explained: ClassExplanation) -> tuple[str, ...]:
    """What is known of one class's heat map: what covering its hottest part does, and whether that is more than chance.

    Args:
        explained: The class.
    """
    if explained.check is None:
        return (f"Nothing in the picture speaks for {explained.heat.label} against the other classes.",)
    return (_what_covering_does(explained.check), _whether_it_means_something(explained.check))


def describe_answer(explanation: Explanation) -> str:
    """What the model says of the picture."""
    if explanation.task == "multi-label":
        pairs = dict(zip(explanation.labels, explanation.probabilities, strict=True))
        said = ", ".join(f"{label} ({chance(pairs[label])})" for label in explanation.given)
        return f"{explanation.model} gives {said}" if said else f"{explanation.model} gives no label"
    return f"{explanation.model} says {explanation.labels[0]} ({chance(explanation.probabilities[0])})"


def chance(probability: float) -> str:
    """A probability as a person reads it; never 0 % or 100 % where it is not."""
    if 0 < probability < 0.0005:
        return "under 0.1 %"
    if 0.9995 <= probability < 1:
        return "over 99.9 %"
    digits = 1 if probability < 0.0995 or probability > 0.985 else 0
    return f"{probability * 100:.{digits}f} %"


def _what_covering_does(check: CoverCheck) -> str:
    part = _SHARES.get(round(check.share, 2), f"{check.share:.0%}")
    low, high = spread(check.random)
    return (
        f"Covering the hottest {part} {_change(check.before, check.hottest)}; covering a random {part}, to "
        f"{chance(statistics.median(check.random))} ({chance(low)} to {chance(high)} in nine of ten)."
    )


def _change(before: float, after: float) -> str:
    if chance(before) == chance(after):
        return f"leaves the probability at {chance(before)}"
    verb = "lowers" if after < before else "raises"
    return f"{verb} the probability from {chance(before)} to {chance(after)}"


def _whether_it_means_something(check: CoverCheck) -> str:
    number = len(check.random_falls)
    reached = sum(fall >= check.fall for fall in check.random_falls)
    if check.means_something:
        return f"The map means something: none of {number} random covers mattered as much."
    if check.may_mean_something:
        return f"The map may mean something, or not: {reached} of {number} random covers mattered as much."
    if check.fall <= 0:
        return "Do not trust this map: without its hottest part the model is no less sure."
    return f"Do not trust this map: {reached} of {number} random covers mattered as much, which is no more than chance."


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The 5th and the 95th percentile."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return cuts[0], cuts[-1]
