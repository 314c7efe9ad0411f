"""Conversion of records to pandas data frames; pandas is optional and imported on first use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from distingo.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from distingo.records import Evaluation, Prediction
    from distingo.score import Score

EVALUATION_TABLES = ("scores", "classes", "confusion")

_CERTAINTY = ("abstained", "prediction_set", "unlike")


def import_pandas() -> Any:
    """Import pandas.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError(
            "to_pandas needs pandas, which is not installed; run `pip install pandas`", code="missing_extra"
        ) from error
    return pd


def predictions_to_pandas(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Convert predictions to a data frame with one row per image, in order.

    Columns: ``file``; ``label`` and ``probability`` of the most probable class (None and NaN if there is none);
    ``labels``, a tuple of the predicted labels, for multi-label models; ``abstained``, ``prediction_set`` and
    ``unlike`` if any prediction has them; ``error``; then ``p_<class>`` for every class for which any prediction has a
    probability, sorted by name, NaN where a prediction has none.

    Raises:
        UsageError: pandas is not installed.
    """
    pd = import_pandas()
    columns: dict[str, object] = {
        "file": [each.file for each in predictions],
        "label": pd.Series([each.label or None for each in predictions], dtype=object),
        "probability": _numbers(each.confidence if each.labels else None for each in predictions),
    }
    if any(each.given is not None for each in predictions):
        columns["labels"] = pd.Series([each.given for each in predictions], dtype=object)
    for name in _CERTAINTY:
        values = [getattr(each, name) for each in predictions]
        if any(value is not None for value in values):
            columns[name] = pd.Series(values, dtype=object)
    columns["error"] = [each.error for each in predictions]
    by_class = [dict(zip(each.labels, each.probabilities, strict=True)) for each in predictions]
    for label in sorted({label for each in predictions for label in each.labels}):
        columns[f"p_{label}"] = _numbers(each.get(label) for each in by_class)
    return pd.DataFrame(columns)


def evaluation_to_pandas(evaluation: Evaluation, what: str) -> pd.DataFrame:
    """Convert an evaluation to one of the data frames of `Evaluation.to_pandas`.

    Args:
        evaluation: The evaluation.
        what: One of `EVALUATION_TABLES`.

    Raises:
        UsageError: There is no such table, or pandas is not installed.
    """
    if what not in EVALUATION_TABLES:
        raise UsageError(
            f"to_pandas({what!r}): choose one of {', '.join(EVALUATION_TABLES)}", code="unknown_name", parameter="what"
        )
    pd = import_pandas()
    if what == "scores":
        models = [("model", evaluation.scores), *evaluation.baselines.items()]
        rows = [(model, name, *_cells(score)) for model, scores in models for name, score in scores.items()]
        return pd.DataFrame(rows, columns=["model", "score", "value", "low", "high", "n", "too_few"])
    if what == "confusion":
        names = list(evaluation.classes) if evaluation.confusion else []
        truth, predicted = pd.Index(names, name="truth"), pd.Index(names, name="predicted")
        return pd.DataFrame([list(row) for row in evaluation.confusion], index=truth, columns=predicted, dtype="int64")
    return pd.DataFrame(_class_rows(evaluation))


def _class_rows(evaluation: Evaluation) -> list[dict[str, object]]:
    shared = ("precision", "recall", "f1", "support")
    if evaluation.task == "single-label":
        return [{"class": each.name} | {name: getattr(each, name) for name in shared} for each in evaluation.per_class]
    rows = []
    for each in evaluation.per_label:
        (average,) = _numbers([each.average_precision])
        row = {"class": each.name} | {name: getattr(each, name) for name in shared}
        rows.append(row | {"average_precision": average, "threshold": each.threshold})
    return rows


def _cells(score: Score) -> tuple[float, float, float, int, bool]:
    return score.value, score.low, score.high, score.n, score.too_few


def _numbers(values: Iterable[float | Score | None]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]
