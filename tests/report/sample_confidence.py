"""An artificial evaluation of confidence with all parts."""

from __future__ import annotations

from distingo.metrics.calibration import Calibration, CalibrationBin
from distingo.runs.evaluation import AbstentionResult, Confidence, CoverageResult, OutlierCounts
from distingo.scores import Score

BINS = (CalibrationBin(40, 0.0, 0.1, 0.0, 0.2), CalibrationBin(10, 1.0, 1.0, 0.8, 1.0))
SAID = Calibration(Score(0.02, 0.0, 0.05, 50), BINS)


def made_up(*, before: bool = True) -> Confidence:
    return Confidence(
        n=50,
        validation=40,
        before=SAID if before else None,
        after=SAID,
        curve=((0.5, 0.0), (1.0, 0.2)),
        area=Score(0.05, 0.01, 0.1, 50),
        answers=(
            AbstentionResult(0.01, takes=299),
            AbstentionResult(0.2, 0.6, 0.9, Score(0.1, 0.0, 0.2, 45), takes=14),
        ),
        sets=(
            CoverageResult(0.9, 0.3, Score(0.91, 0.8, 1.0, 50), 1.2, 0.0, low=0.83, high=0.96, takes=14),
            CoverageResult(0.99, takes=149),
        ),
        outliers=OutlierCounts(1, 1 / 41, ("class 0/picture 3.png",)),
    )
