"""Whether more pictures would help, in sentences that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distingo.report.verdict import FEW_PICTURES, Verdict
from distingo.report.wording import NO_BREAK, count, isolated, percent, points, points_range, score_range

if TYPE_CHECKING:
    from distingo.learning_curves.records import Forecast, LearningCurve, ScoreCurve

_WORTHWHILE = 0.01
"""A gain from twice the pictures below this is little for so much work."""

_WEAK = 3
"""Classes that are spoken of."""

_FACTOR_NAMES = {2.0: "twice", 5.0: "five times"}


def judge_learning_curve(found: LearningCurve) -> Verdict:
    """Say what twice and five times the pictures would be expected to give.

    Args:
        found: Measured and forecast.

    Returns:
        The verdict with remarks on what follows, on weak classes and on what the forecast rests on.
    """
    twice, most = found.overall.forecasts[0], found.overall.forecasts[-1]
    name = "accuracy" if found.score == "accuracy" else "mean average precision"
    now = f"With all {count(found.n)} training pictures the {name} is {percent(found.overall.now.value)}"
    return Verdict(
        figure=percent(twice.score.value),
        before=f"{_advice(twice)} {now}; {_name(twice)} as many would give about ",
        after=f" (95{NO_BREAK}% interval {score_range(found.score, twice.score.low, twice.score.high)}), "
        f"{_name(most)} as many about {percent(most.score.value)} "
        f"({score_range(found.score, most.score.low, most.score.high)}).",
        remarks=(_gain(twice), *_classes(found), _basis(found)),
    )


def _advice(twice: Forecast) -> str:
    if twice.gain.low >= _WORTHWHILE:
        return "More pictures would help."
    if twice.gain.high < _WORTHWHILE:
        return "More pictures of the same kind would help little."
    return (
        "More pictures would probably help."
        if twice.gain.value >= _WORTHWHILE
        else "More pictures might help a little."
    )


def _gain(twice: Forecast) -> str:
    return (
        f"The gain from {_name(twice)} the pictures is surer than the score, as both are judged on the same ones: "
        f"{points(twice.gain.value)} (95{NO_BREAK}% interval "
        f"{points_range(twice.gain.low, twice.gain.high)})."
        + (" For more than that, try another model, or fine-tuning." if twice.gain.high < _WORTHWHILE else "")
    )


def _classes(found: LearningCurve) -> tuple[str, ...]:
    judged = [curve for curve in found.classes if curve.support >= FEW_PICTURES]
    if len(judged) < 2:
        return ()
    weak = judged[:_WEAK]
    score = "recall" if found.class_score == "recall" else "average precision"
    told = "; ".join(_told(curve) for curve in weak)
    best = max(weak, key=lambda curve: curve.forecasts[0].gain.value)
    advice = f" If you can choose what to collect, begin with {isolated(best.name)}."
    return (
        f"Weakest, by {score} now and with twice all pictures: {told}."
        + (advice if best.forecasts[0].gain.value >= _WORTHWHILE else ""),
    )


def _told(curve: ScoreCurve) -> str:
    return f"{isolated(curve.name)} {percent(curve.now.value, 0)} → {percent(curve.forecasts[0].score.value, 0)}"


def _basis(found: LearningCurve) -> str:
    sizes = found.overall.measured
    return (
        f"Measured at {len(sizes)} sizes from {count(sizes[0].size)} to {count(found.n)} pictures, {found.draws} draws "
        f"each, on {count(found.judged)} judged pictures; carried on by power laws. It holds for more pictures of the "
        "same kind, not for other places, cameras or times."
    )


def _name(forecast: Forecast) -> str:
    return _FACTOR_NAMES.get(forecast.factor, f"{forecast.factor:g} times")
