"""What a model may claim at the levels a person wants, from what it said about the validation pictures."""

from __future__ import annotations

from dataclasses import dataclass

from distingo.errors import UsageError
from distingo.metrics.conformal import highest_coverage, set_threshold, upper_threshold
from distingo.metrics.rejection import GivenLabels, answer_threshold, lowest_error
from distingo.models.evidence import Evidence
from distingo.models.saved import SavedModel

FALSE_ALARMS = 0.01
"""The share of pictures like those of training that may be called unlike them."""

_NO_EVIDENCE = "the model keeps nothing to go by (an older distingo trained it, or it looks at no picture); train again"


@dataclass(frozen=True, slots=True)
class Certainty:
    """Thresholds for one call.

    Attributes:
        answer_from: The probability from which a label is answered with; None answers always.
        set_from: The probability from which a label belongs to the prediction set; None makes no sets.
        unlike_from: The distance to the bank above which a picture is unlike training; None does not tell.
    """

    answer_from: float | None = None
    set_from: float | None = None
    unlike_from: float | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """Which levels the validation pictures can vouch for.

    Attributes:
        abstain_from: The lowest share of wrong answers that can be asked for; None where none can.
        coverage_to: The highest coverage that can be asked for; None where none can.
    """

    abstain_from: float | None
    coverage_to: float | None


def possible_levels(model: SavedModel) -> Levels:
    """Which levels `settle_certainty` grants.

    Args:
        model: With its evidence, where it has any.
    """
    if model.evidence is None:
        return Levels(None, None)
    highest = highest_coverage(model.evidence.n)
    return Levels(lowest_error(given_labels(model.evidence)), highest if highest > 0 else None)


def settle_certainty(model: SavedModel, *, abstain: float | None = None, coverage: float | None = None) -> Certainty:
    """Derive a call's thresholds.

    Args:
        model: With its evidence, where it has any.
        abstain: The wanted share of wrong answers; None always answers.
        coverage: The wanted share of true labels in the prediction sets; None makes no sets.

    Raises:
        UsageError: A level is no share, or the validation pictures can't vouch for it; says for which they can.
    """
    for option, wanted in (("--abstain", abstain), ("--coverage", coverage)):
        if wanted is not None and not 0 < wanted < 1:
            raise UsageError(f"{option} {wanted:g}: give a share above 0 and below 1, for example 0.05")
        if wanted is not None and model.evidence is None:
            raise UsageError(f"{option} {wanted:g}: {_NO_EVIDENCE}")
    evidence = model.evidence
    if evidence is None:
        return Certainty()
    return Certainty(
        answer_from=None if abstain is None else _answer_from(evidence, abstain),
        set_from=None if coverage is None else _set_from(evidence, coverage),
        unlike_from=unlike_threshold(model)[0] if model.bank is not None and len(evidence.distances) else None,
    )


def given_labels(evidence: Evidence) -> GivenLabels:
    """The labels that the model gave to the validation pictures."""
    return GivenLabels(evidence.owners, evidence.confidences, evidence.right)


def unlike_threshold(model: SavedModel) -> tuple[float, float]:
    """The distance above which a picture is unlike training, and the rate of false alarms that it keeps to.

    Args:
        model: With a bank and evidence.
    """
    if model.evidence is None:
        raise ValueError("a model without evidence knows no distances")
    return upper_threshold(model.evidence.distances, FALSE_ALARMS)


def _answer_from(evidence: Evidence, wanted: float) -> float:
    found = answer_threshold(given_labels(evidence), wanted)
    if found is None:
        lowest = lowest_error(given_labels(evidence))
        instead = "for none at all" if lowest is None else f"for {lowest:g} at the lowest"
        raise UsageError(
            f"--abstain {wanted:g}: the {evidence.n:,} validation pictures can't vouch for so few wrong answers of "
            f"this model, {instead}; ask for less, or train with more validation pictures"
        )
    return found


def _set_from(evidence: Evidence, wanted: float) -> float:
    found = set_threshold(evidence.truths, evidence.weights, evidence.n, wanted)
    if found is None:
        raise UsageError(
            f"--coverage {wanted:g}: the {evidence.n:,} validation pictures can vouch for "
            f"{int(highest_coverage(evidence.n) * 1000) / 1000:g} at the highest; ask for less, or train with more "
            "validation pictures"
        )
    return found
