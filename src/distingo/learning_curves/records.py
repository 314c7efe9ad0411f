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
    """A score with `size` training images."""

    size: int
    score: Score


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected score with more training images.

    Attributes:
        factor: Multiple of the current number of training images.
        size: The resulting number of training images.
        score: The expected score with its 95 % interval.
        gain: The expected improvement over the fitted score with the current images. Its interval is narrower than that
            of the score, as both are evaluated on the same images.
    """

    factor: float
    size: int
    score: Score
    gain: Score


@dataclass(frozen=True, slots=True)
class ScoreCurve:
    """One score over training sizes, measured and extrapolated.

    Attributes:
        name: Name of the class or label; empty for all images.
        support: Number of evaluated images: all, or those of the class.
        measured: Measured scores with bootstrap intervals over images and draws.
        forecasts: Forecasts for the requested factors.
        band: Expected scores at sizes between the largest measured and the largest requested size.
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
    """Scores as a function of the number of training images.

    Attributes:
        data: Path that the images were read from.
        task: ``single-label`` or ``multi-label``.
        score: Name of the overall score: accuracy, or mean average precision.
        class_score: Name of the score of a class: recall, or average precision.
        model: Name of the model, without folders.
        n: Number of training images, including those held out for validation.
        evaluated: Number of evaluated images.
        draws: Number of random subsets per size.
        overall: Curve of the overall score.
        classes: Curves of the evaluated classes, the weakest first.
        notes: Notes for the user.
        recipe: All settings.
        seconds: Total duration.
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
