"""The records of a learning curve, and ``learning-curve.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from distingo.files import write_json
from distingo.messages.notes import Note
from distingo.records import Score, Task
from distingo.runs.fields import Plain
from distingo.runs.folder import FORMAT


@dataclass(frozen=True, slots=True)
class SizeScore:
    """A score with so many training images."""

    size: int
    score: Score


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be expected with more training images.

    Attributes:
        factor: How many times as many as there are.
        size: How many that is.
        score: The expected score with its 95 % interval.
        gain: By how much it would be above what is expected with the images there are; its interval is narrower than
            the score's, as both are evaluated on the same images.
    """

    factor: float
    size: int
    score: Score
    gain: Score


@dataclass(frozen=True, slots=True)
class ScoreCurve:
    """One score over training sizes, measured and carried on.

    Attributes:
        name: Of the class or label; empty for all images.
        support: How many evaluated images it rests on: all, or those of the class.
        measured: With bootstrap intervals over images and draws.
        forecasts: For the requested factors.
        band: The expected score at sizes between the largest measured and the largest requested.
    """

    name: str
    support: int
    measured: tuple[SizeScore, ...]
    forecasts: tuple[Forecast, ...]
    band: tuple[SizeScore, ...]

    @property
    def now(self) -> Score:
        """The score with all training images."""
        return self.measured[-1].score


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How scores grow with training images.

    Attributes:
        data: What the images were read from.
        task: One label per image, or several.
        score: Name of the score of all images: accuracy, or mean average precision.
        class_score: Name of the score of a class: recall, or average precision.
        model: The model's name, without folders.
        n: How many training images there are, those chosen by among them.
        evaluated: How many images were evaluated.
        draws: How many times images were drawn for each size.
        overall: Of all images.
        classes: Of each class that was evaluated, the weakest first.
        notes: Notes for the user.
        recipe: All settings.
        seconds: For all of it.
    """

    data: Path
    task: Task
    score: str
    class_score: str
    model: str
    n: int
    evaluated: int
    draws: int
    overall: ScoreCurve
    classes: tuple[ScoreCurve, ...]
    notes: tuple[Note, ...]
    recipe: dict[str, Plain]
    seconds: float

    def __repr__(self) -> str:
        return (
            f"LearningCurve({self.model!r}, {self.score} at {len(self.overall.measured)} sizes up to {self.n:,} images)"
        )


def write_learning_curve(found: LearningCurve, path: Path) -> None:
    """Write ``learning-curve.json``.

    Raises:
        ResourceError: It can't be written.
    """
    write_json(path, {"format": FORMAT, **asdict(found), "data": str(found.data)})
