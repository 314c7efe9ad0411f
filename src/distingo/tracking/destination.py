"""What a tracker must take of a run, and the run's result as scores and plots, where it can show no page.

In plots, classes are numbered as in the list of classes, so that no font need have their letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image, ImageDraw, ImageFont

from distingo.records import Evaluation
from distingo.runs.contents import RunRecords

Ending = Literal["finished", "failed", "stopped"]
Color = tuple[int, int, int]

_SIDE, _MARGIN, _ROW, _LEAST_CELL = 720, 34, 22, 4
"""Pixels of plots."""

_INK, _PAPER, _GRID = (29, 33, 38), (255, 255, 255), (227, 224, 217)
_RIGHT, _WRONG = (42, 143, 130), (196, 71, 43)


@dataclass(frozen=True, slots=True)
class EpochPoint:
    """One epoch of a run.

    Attributes:
        epoch: Counted from 1.
        values: What was measured, by its column in ``history.csv``.
    """

    epoch: int
    values: dict[str, float]


class Destination(Protocol):
    """Where runs are tracked; any call may raise any error, as libraries and servers do."""

    @property
    def where(self) -> str:
        """Its name and address, for messages and to distinguish it from others of its kind."""

    def begin(self, records: RunRecords, known: str) -> str:
        """Open the run there, and write its parameters.

        Args:
            records: What is known before training.
            known: The identifier that an earlier process of the same run got, to continue there; else empty.

        Returns:
            The identifier.
        """

    def send_epochs(self, points: Sequence[EpochPoint]) -> None:
        """Write epochs; one that came before may come again."""

    def send_result(self, records: RunRecords) -> None:
        """Write scores with intervals, plots, the report and the model."""

    def end(self, ending: Ending) -> None:
        """Report how the run ended, and close the connection."""


def in_one_line(error: Exception) -> str:
    """An error of a library or server, short, and without the password of an address."""
    text = re.sub(r"//[^/@\s]+@", "//", " ".join(str(error).split()))
    return text[:240] or type(error).__name__


def parameters(records: RunRecords) -> dict[str, str | int | float | bool]:
    """A run's parameters: the recipe, the data and its splits."""
    splits = [row.split for row in records.split]
    counts = {f"{split}_pictures": splits.count(split) for split in ("train", "validation", "test")}
    data: dict[str, str | int] = {"data": records.data_name, "task": records.task, "classes": len(records.classes)}
    recipe = {name: "own" if value is None else value for name, value in records.recipe.items()}
    return {**recipe, **data, **counts}


def final_scores(records: RunRecords) -> dict[str, float]:
    """Every score with both ends of its 95 % interval, and the baselines', by a name such as ``test/accuracy``."""
    evaluation = records.evaluation
    if evaluation is None:
        return {}
    found: dict[str, float] = {}
    for name, score in evaluation.scores.items():
        found[f"{evaluation.split}/{name}"] = score.value
        found[f"{evaluation.split}/{name}_low"], found[f"{evaluation.split}/{name}_high"] = score.low, score.high
    for baseline, scores in evaluation.baselines.items():
        found |= {f"baseline_{baseline}/{name}": score.value for name, score in scores.items()}
    return found


def draw_result(records: RunRecords) -> dict[str, Image.Image]:
    """The plots of an evaluated run, by name: ``confusion``, or with several labels ``average_precision``."""
    evaluation = records.evaluation
    if evaluation is None:
        return {}
    if evaluation.task == "multi-label":
        return {"average_precision": _draw_labels(evaluation)}
    return {"confusion": _draw_confusion(evaluation)}


def _draw_confusion(evaluation: Evaluation) -> Image.Image:
    """Rows are true classes, columns predicted ones; the darker, the larger the share of the row."""
    count = len(evaluation.classes)
    cell = max(_LEAST_CELL, (_SIDE - _MARGIN) // max(1, count))
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
    """A bar for each label's average precision, with a line for its 95 % interval."""
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
