"""Precision-recall curves as geometry; the templates draw them as small inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt

from distingo.metrics.label_tables import PrecisionRecallCurve, precision_recall_curve
from distingo.records import LabelScores
from distingo.report.charts import scale_to

LEFT, RIGHT, TOP, BOTTOM = 34, 214, 8, 124
_POINTS = 80

across = scale_to(0.0, 1.0, LEFT, RIGHT)
"""Recall to pixels."""

upwards = scale_to(0.0, 1.0, BOTTOM, TOP)
"""Precision to pixels."""


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """One label's curve, ready to draw.

    Attributes:
        path: The SVG path of its steps; their area is the average precision.
        prevalence: The height of the line that an order of chance would follow, in pixels.
        chosen: Where the threshold puts recall and precision, in pixels; None where the label is never given.
    """

    path: str
    prevalence: float
    chosen: tuple[float, float] | None


def draw_precision_recall(scores: LabelScores, truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> CurveDrawing:
    """Lay out one label's precision over recall.

    Args:
        scores: Of the label; at least one picture has it.
        truth: Bool (n,).
        probabilities: Floats (n,).
    """
    curve = precision_recall_curve(truth, probabilities, points=_POINTS)
    cells = scores.two_by_two
    given = cells.true_positives + cells.false_positives
    pictures = given + cells.false_negatives + cells.true_negatives
    return CurveDrawing(
        path=_steps(curve),
        prevalence=upwards(scores.support / pictures),
        chosen=(across(scores.recall), upwards(scores.precision)) if given else None,
    )


def _steps(curve: PrecisionRecallCurve) -> str:
    """A recall that is not reached yet has the precision of the next one that is: no straight line between points."""
    points = [(recall, precision) for recall, precision in zip(curve.recall, curve.precision, strict=True) if recall]
    steps = "".join(f"V{upwards(precision):g}H{across(recall):g}" for recall, precision in points)
    return f"M{across(0.0):g},{upwards(points[0][1]):g}{steps}"
