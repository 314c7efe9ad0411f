"""Records as pandas data frames, and as HTML for notebooks: self-contained, with all text from files escaped.

pandas is optional and imported on first use.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from distingo.errors import UsageError, escape_controls

if TYPE_CHECKING:
    import pandas as pd

    from distingo.scores import Evaluation, Prediction, Score


THUMBNAIL = 96
"""Longer side of a thumbnail in a strip, in pixels."""

_CELL = "padding:2px 12px 2px 0;font-variant-numeric:tabular-nums;text-align:"


def in_notebook() -> bool:
    """Whether IPython is active in this process, so that returned values may be shown as HTML."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def as_html(text: str, most: int = 60) -> str:
    """Shorten and escape untrusted text for HTML, including control characters and lone surrogates."""
    shown = text if len(text) <= most else f"{text[: most - 3]}..."
    return escape(escape_controls(shown, keep="").encode("utf-8", "backslashreplace").decode("utf-8"))


def show_evaluation(evaluation: Evaluation, headline: str) -> str:
    """Render an evaluation as a table with one row per score: value, 95 % interval, n, and each baseline's value.

    Args:
        evaluation: The evaluation.
        headline: Plain text above the table.
    """
    heads = ["Score", "Value", "95 % interval", "n", *(f"{name} (baseline)" for name in evaluation.baselines)]
    rows = [
        [name, _value(score), _interval(score), f"{score.n:,}", *_of_baselines(evaluation.baselines, name)]
        for name, score in evaluation.scores.items()
    ]
    lines = "".join(f"<tr>{_row('td', row)}</tr>" for row in rows)
    notes = "".join(f"<li>{as_html(str(note), 400)}</li>" for note in evaluation.notes)
    return (
        f'<div><div style="font-weight:600;margin-bottom:4px">{as_html(headline, 200)}</div>'
        f'<table style="border-collapse:collapse;font-size:inherit"><thead><tr>{_row("th", heads)}</tr></thead>'
        f"<tbody>{lines}</tbody></table>{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    alignments = ["left"] + ["right"] * (len(cells) - 1)
    return "".join(
        f'<{tag} style="{_CELL}{alignment}">{as_html(cell)}</{tag}>'
        for alignment, cell in zip(alignments, cells, strict=True)
    )


def _value(score: Score) -> str:
    return f"{score.value:.4f}" if math.isfinite(score.value) else "undefined"


def _interval(score: Score) -> str:
    if score.too_few:
        return "too few images"
    return f"{score.low:.4f} to {score.high:.4f}" if math.isfinite(score.low + score.high) else "undefined"


def _of_baselines(baselines: Mapping[str, Mapping[str, Score]], name: str) -> list[str]:
    return [_value(scores[name]) if name in scores else "" for scores in baselines.values()]


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a strip.

    Attributes:
        name: The image's name.
        address: A thumbnail as a ``data:`` URL; empty if there is none.
        lines: Lines below the image: labels with probabilities, or the error.
    """

    name: str
    address: str
    lines: tuple[str, ...]


def show_strip(tiles: Sequence[Tile], left: int) -> str:
    """Render images with their predictions in a row.

    Args:
        tiles: The images, in order.
        left: Number of further images that are not shown.
    """
    more = f'<div style="align-self:center">and {left:,} more</div>' if left else ""
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(map(_show_tile, tiles))}{more}</div>'


def _show_tile(tile: Tile) -> str:
    box = f"width:{THUMBNAIL}px;height:{THUMBNAIL}px"
    name = as_html(tile.name, 200)
    if tile.address:
        image = f'<img src="{escape(tile.address)}" alt="{name}" style="{box};object-fit:contain;margin:0">'
    else:
        image = f'<div style="{box};border:1px dashed currentColor;box-sizing:border-box;opacity:.5"></div>'
    lines = "".join(f'<div style="overflow-wrap:anywhere">{as_html(line, 80)}</div>' for line in tile.lines)
    return (
        f'<figure title="{name}" style="width:{THUMBNAIL + 40}px;margin:0;font-size:12px;line-height:1.4">{image}'
        f"<figcaption>{lines}</figcaption></figure>"
    )


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
