"""Whether runs were judged on the same pictures; only then do their scores stand side by side."""

from __future__ import annotations

from dataclasses import dataclass

from distingo.errors import RunError
from distingo.evaluation.reading import RunRecords
from distingo.records import Evaluation

_AS_THE_OTHER = "train both on the same DATA with the same --seed, --validation and --test, or with the same --split"


@dataclass(frozen=True, slots=True)
class TestPicture:
    """Classes, and the content's hash where the manifest knows it."""

    __test__ = False

    labels: tuple[str, ...]
    content: str

    def is_same(self, other: TestPicture | None) -> bool:
        """Whether the labels are equal, and the contents where both are known."""
        if other is None or self.labels != other.labels:
            return False
        return not (self.content and other.content) or self.content == other.content


def require_same_classes(first: RunRecords, second: RunRecords) -> None:
    """Refuse two runs with other tasks or other classes.

    Args:
        first: A run.
        second: Another.

    Raises:
        RunError: One line that names both runs and what differs.
    """
    for name, one, other in (
        ("tasks", first.task, second.task),
        ("classes", ", ".join(first.classes), ", ".join(second.classes)),
    ):
        if one != other:
            what = f"the {name} differ ({_short(one)} against {_short(other)})"
            raise RunError(f"{_both(first, second)}: {what}; {_AS_THE_OTHER}")


def require_same_test(first: RunRecords, second: RunRecords) -> None:
    """Refuse two runs whose test sides differ in task, classes, files, labels or content.

    Args:
        first: An evaluated run.
        second: Another.

    Raises:
        RunError: One line that names both runs, what differs and how many pictures they have in common.
    """
    require_same_classes(first, second)
    ours, theirs = test_side(first), test_side(second)
    if difference := _difference(first, second, ours, theirs):
        common = sum(picture.is_same(theirs.get(file)) for file, picture in ours.items())
        way_out = f"{common:,} test pictures are the same in both, and --common judges on those; or " if common else ""
        raise RunError(f"{_both(first, second)}: {difference}; {way_out}{_AS_THE_OTHER}")


def _difference(
    first: RunRecords, second: RunRecords, ours: dict[str, TestPicture], theirs: dict[str, TestPicture]
) -> str:
    """The first difference between two test sides in words; empty where there is none."""
    for run, only in ((first, ours.keys() - theirs.keys()), (second, theirs.keys() - ours.keys())):
        if only:
            return (
                f"{min(only)}, a test picture of {run.folder}, is not on the other's test side ({len(only):,} in all)"
            )
    for file in sorted(ours):
        if ours[file].labels != theirs[file].labels:
            one, other = (", ".join(side[file].labels) for side in (ours, theirs))
            return f"the test picture {file} is {one} in one and {other} in the other"
        if not ours[file].is_same(theirs[file]):
            return f"the test picture {file} has another content in each"
    return ""


def _both(first: RunRecords, second: RunRecords) -> str:
    return f"{first.folder} and {second.folder} can't be compared"


def require_own_judgement(run: RunRecords) -> Evaluation:
    """Refuse a run whose scores or predictions are missing, or are not those of its own test side.

    Args:
        run: Its predictions are looked at only where pictures carry one label each.

    Returns:
        Its evaluation.

    Raises:
        RunError: Names the run and what to do.
    """
    again = f"`distingo evaluate {run.folder}` judges it {'again' if run.evaluation else 'first'}"
    if run.evaluation is None:
        raise RunError(f"{run.folder}: not evaluated on test pictures yet; {again}")
    side = test_side(run)
    if run.evaluation.n != len(side):
        raise RunError(
            f"{run.folder}: evaluation.json tells of {run.evaluation.n} test pictures and split.csv of {len(side)}; "
            f"{again}"
        )
    if run.task == "single-label":
        _require_own_predictions(run, run.evaluation, side, again)
    return run.evaluation


def _require_own_predictions(run: RunRecords, evaluation: Evaluation, side: dict[str, TestPicture], again: str) -> None:
    if not run.predictions:
        raise RunError(f"{run.folder}: holds no predictions.parquet; {again}")
    predicted = {row.file: row.truth for row in run.predictions}
    if predicted.keys() != side.keys() or len(predicted) != len(run.predictions):
        raise RunError(f"{run.folder}: predictions.parquet and split.csv name different test pictures; {again}")
    for file, truth in predicted.items():
        if side[file].labels != (truth,):
            raise RunError(f"{run.folder}: predictions.parquet and split.csv disagree on the class of {file}; {again}")
    right = sum(row.truth == row.predicted for row in run.predictions)
    accuracy = evaluation.scores.get("accuracy")
    if accuracy is not None and round(accuracy.value * evaluation.n) != right:
        raise RunError(f"{run.folder}: predictions.parquet and evaluation.json give different accuracies; {again}")


def test_side(run: RunRecords) -> dict[str, TestPicture]:
    """The pictures on a run's test side by file."""
    contents = {row.file: row.content for row in run.manifest}
    return {row.file: TestPicture(row.labels, contents.get(row.file, "")) for row in run.split if row.side == "test"}


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
