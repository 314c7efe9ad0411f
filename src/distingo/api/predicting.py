"""Calls that put a trained model to work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distingo.prediction.pictures import PictureLike
    from distingo.prediction.predictor import Predictor
    from distingo.records import Prediction


def predict(
    run: str | Path,
    paths: Sequence[str | Path],
    *,
    topk: int | None = None,
    abstain: float | None = None,
    coverage: float | None = None,
    output: str | Path | None = None,
    device: str = "auto",
) -> list[Prediction]:
    """Name what pictures show.

    Args:
        run: A run folder.
        paths: Files, or folders that are searched.
        topk: Keep the so many most probable labels per picture. None keeps all of a single-label model, and with
            several labels those that reach their thresholds.
        abstain: Answer only where at most this share of answers is wrong, as the validation pictures vouch for; the
            other pictures are marked as not known.
        coverage: Give each picture the set of labels that holds this share of the true ones.
        output: A ``.csv``, ``.jsonl`` or ``.parquet`` file to write; an existing one is not overwritten.
        device: Where networks compute.

    Returns:
        One prediction per picture; one that can't be read carries its error.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        UsageError: No path exists, there is no file, the output's ending is unknown, or the validation pictures can't
            vouch for a wanted level.
    """
    from distingo.prediction.pictures import find_pictures
    from distingo.prediction.tables import check_table, write_table

    if output is not None:
        check_table(Path(output))
    pictures: list[PictureLike] = list(find_pictures(paths))
    predictions = load(run, device=device).predict(pictures, topk=topk, abstain=abstain, coverage=coverage)
    if output is not None:
        write_table(predictions, Path(output))
    return predictions


def load(run: str | Path, *, device: str = "auto") -> Predictor:
    """Load a trained model; ``load(run).predict([...])`` names what pictures show.

    Args:
        run: A run folder.
        device: Where networks compute.

    Returns:
        A predictor.

    Raises:
        RunError: The folder is missing, damaged, unfinished or from a newer version.
    """
    from distingo.prediction.predictor import load as load_predictor

    return load_predictor(run, device=device)
