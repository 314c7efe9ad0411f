"""The interface of trackers, and a run's parameters, final scores and plots for them.

Plots label classes by their number in the list of classes, so that they need no font for the names' scripts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image, ImageDraw, ImageFont

from distingo.runs.contents import RunRecords
from distingo.scores import Evaluation

RunStatus = Literal["finished", "failed", "stopped"]
Color = tuple[int, int, int]

_SIDE, _MARGIN, _ROW, _MIN_CELL = 720, 34, 22, 4
"""Sizes in plots, in pixels."""

_INK, _PAPER, _GRID = (29, 33, 38), (255, 255, 255), (227, 224, 217)
_RIGHT, _WRONG = (42, 143, 130), (196, 71, 43)


@dataclass(frozen=True, slots=True)
class EpochPoint:
    """One epoch of a run.

    Attributes:
        epoch: Counted from 1.
        values: The measured values, by the names of their columns in ``history.csv``.
    """

    epoch: int
    values: dict[str, float]


class Destination(Protocol):
    """A tracker's run. Any method can raise any exception, since libraries and servers do."""

    @property
    def where(self) -> str:
        """The tracker's name and address, which identify it in messages and in ``tracking.json``."""

    def begin(self, records: RunRecords, run_id: str) -> str:
        """Create or continue the tracker's run, and write the parameters.

        Args:
            records: The run's records before training.
            run_id: The identifier returned to an earlier process of the same run, to continue it; otherwise empty.

        Returns:
            The identifier of the tracker's run.
        """

    def send_epochs(self, points: Sequence[EpochPoint]) -> None:
        """Write epochs; the same epoch may be sent more than once."""

    def send_result(self, records: RunRecords) -> None:
        """Write scores with intervals, plots, the report and the model."""

    def end(self, status: RunStatus) -> None:
        """Report how the run ended, and close the connection."""


def in_one_line(error: Exception) -> str:
    """Shorten an error of a library or server to one line of at most 240 characters, without passwords in URLs."""
    text = re.sub(r"//[^/@\s]+@", "//", " ".join(str(error).split()))
    return text[:240] or type(error).__name__


def parameters(records: RunRecords) -> dict[str, str | int | float | bool]:
    """A run's parameters: the recipe, the data set's name, task and classes, and the number of images by split."""
    splits = [row.split for row in records.split]
    counts = {f"{split}_pictures": splits.count(split) for split in ("train", "validation", "test")}
    data: dict[str, str | int] = {"data": records.data_name, "task": records.task, "classes": len(records.classes)}
    recipe = {name: "own" if value is None else value for name, value in records.recipe.items()}
    return {**recipe, **data, **counts}


def final_scores(records: RunRecords) -> dict[str, float]:
    """All scores, the bounds of their 95 % intervals and the baselines' scores, by names such as ``test/accuracy``."""
    evaluation = records.evaluation
    if evaluation is None:
        return {}
    values: dict[str, float] = {}
    for name, score in evaluation.scores.items():
        values[f"{evaluation.split}/{name}"] = score.value
        values[f"{evaluation.split}/{name}_low"], values[f"{evaluation.split}/{name}_high"] = score.low, score.high
    for baseline, scores in evaluation.baselines.items():
        values |= {f"baseline_{baseline}/{name}": score.value for name, score in scores.items()}
    return values


def draw_result(records: RunRecords) -> dict[str, Image.Image]:
    """The plots of an evaluated run by name: ``confusion``, or ``average_precision`` if multi-label."""
    evaluation = records.evaluation
    if evaluation is None:
        return {}
    if evaluation.task == "multi-label":
        return {"average_precision": _draw_labels(evaluation)}
    return {"confusion": _draw_confusion(evaluation)}


def _draw_confusion(evaluation: Evaluation) -> Image.Image:
    """Draw the confusion matrix: rows are true classes, columns predicted ones; shades show the share of the row."""
    count = len(evaluation.classes)
    cell = max(_MIN_CELL, (_SIDE - _MARGIN) // max(1, count))
    image = Image.new("RGB", (_MARGIN + cell * count + 2, _MARGIN + cell * count + 2), _PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(9, min(18, cell // 3)))
    for row, counts in enumerate(evaluation.confusion):
        total = sum(counts)
        for column, number in enumerate(counts):
            left, top = _MARGIN + column * cell, _MARGIN + row * cell
            share = number / total if total else 0.0
            shade = _blend(_RIGHT if row == column else _WRONG, share)
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), fill=shade, outline=_GRID)
            if number and cell >= 22:
                ink = _PAPER if share > 0.55 else _INK
                draw.text((left + cell / 2, top + cell / 2), str(number), fill=ink, font=font, anchor="mm")
        if cell >= 12:
            middle = _MARGIN + row * cell + cell / 2
            draw.text((_MARGIN - 6, middle), str(row + 1), fill=_INK, font=font, anchor="rm")
            draw.text((middle, _MARGIN - 6), str(row + 1), fill=_INK, font=font, anchor="mb")
    return image


def _draw_labels(evaluation: Evaluation) -> Image.Image:
    """Draw a bar for each label's average precision, with a line for its 95 % interval."""
    image = Image.new("RGB", (_SIDE, _ROW * max(1, len(evaluation.per_label)) + 8), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    width = _SIDE - _MARGIN - 60
    for row, label in enumerate(evaluation.per_label):
        top = 4 + row * _ROW
        draw.text((_MARGIN - 6, top + _ROW / 2), str(row + 1), fill=_INK, font=font, anchor="rm")
        score = label.average_precision
        if score is None:
            continue
        draw.rectangle((_MARGIN, top + 3, _MARGIN + width * score.value, top + _ROW - 3), fill=_blend(_RIGHT, 0.7))
        middle = top + _ROW // 2
        draw.line((_MARGIN + width * score.low, middle, _MARGIN + width * score.high, middle), fill=_INK, width=2)
        draw.text((_MARGIN + width + 8, middle), f"{score.value:.3f}", fill=_INK, font=font, anchor="lm")
    return image


def _blend(color: Color, share: float) -> Color:
    red, green, blue = (round(paper + (full - paper) * share) for paper, full in zip(_PAPER, color, strict=True))
    return red, green, blue
