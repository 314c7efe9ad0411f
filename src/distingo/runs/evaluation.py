"""``evaluation.json``: scores of a model and its baselines; ``data.json``: the images of another evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from distingo.errors import RunError
from distingo.files import read_json, write_json
from distingo.records import Evaluation
from distingo.runs.fields import Text, convert, read_record, write_record

_ADVICE = "evaluate the run again"


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation; each score is an object with the members ``value``, ``low``, ``high`` and ``n``."""
    write_record(path, evaluation)


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation.

    Raises:
        RunError: The file is missing, damaged or from a newer version.
    """
    evaluation = read_record(path, Evaluation, advice=_ADVICE)
    if fault := _find_fault(evaluation):
        raise RunError(f"{path}: damaged ({fault}); {_ADVICE}", code="damaged_file")
    return evaluation


def _find_fault(evaluation: Evaluation) -> str:
    count = len(evaluation.classes)
    if evaluation.confusion and [len(row) for row in evaluation.confusion] != [count] * count:
        return f"the confusion matrix is not {count} by {count}"
    if evaluation.per_label and tuple(entry.name for entry in evaluation.per_label) != evaluation.classes:
        return "the scores per label are not those of the classes"
    if evaluation.thresholds and len(evaluation.thresholds.values) != count:
        return f"{len(evaluation.thresholds.values)} thresholds for {count} labels"
    return ""


@dataclass(frozen=True, slots=True)
class OtherData:
    """The content of ``data.json``, next to an evaluation on other images than the run's own.

    Attributes:
        data: The source of the images: a folder, or a table of labels.
        root: The folder that file names are relative to.
    """

    data: Text
    root: Text


def write_other_data(place: Path, other: OtherData) -> None:
    """Write ``data.json`` to the folder of the evaluation.

    Raises:
        ResourceError: The file can't be written.
    """
    write_json(place / "data.json", asdict(other))


def read_other_data(place: Path) -> OtherData:
    """Read ``data.json`` from the folder of an evaluation.

    Raises:
        RunError: The file is missing or damaged.
    """
    path = place / "data.json"
    return convert(read_json(path), OtherData, path, advice="evaluate on that data again")
