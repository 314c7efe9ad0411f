"""Heat maps over the worst mistakes of a report."""

from __future__ import annotations

from collections.abc import Iterable

from distingo.evaluation.reading import RunRecords
from distingo.explanation.kept import read_heat_maps
from distingo.report.heat import heat_address
from distingo.report.label_mistakes import surest_mistakes
from distingo.report.label_predictions import read_label_predictions
from distingo.report.selection import take_turns, worst_mistakes
from distingo.report.thumbnails import Album
from distingo.run_folder import RunFolder

Mistake = tuple[str, str]
"""A file, and the class that was wrongly given or denied."""


def list_mistakes(records: RunRecords) -> list[Mistake]:
    """The mistakes that the report will show, the worst first.

    Args:
        records: Of an evaluation.
    """
    if records.task != "multi-label":
        return [(row.file, row.predicted) for row in worst_mistakes(records.predictions)]
    if records.evaluation is None:
        return []
    predictions = read_label_predictions(records.folder / "predictions.parquet", records.evaluation.classes)
    if predictions is None:
        return []
    kinds = [surest_mistakes(predictions, missed=missed) for missed in (False, True)]
    return list(dict.fromkeys(take_turns([[(each.file, each.label) for each in kind] for kind in kinds])))


def heat_layers(records: RunRecords, mistakes: Iterable[Mistake], album: Album) -> dict[Mistake, str]:
    """Heat maps to lie over thumbnails, as ``data:`` addresses by file and class.

    Args:
        records: Of an evaluation.
        mistakes: Those on the page.
        album: The page's thumbnails; without one there is no map.

    Raises:
        RunError: ``heat_maps.parquet`` is damaged.
    """
    kept = read_heat_maps(RunFolder(records.folder).heat_maps)
    layers = {}
    for mistake in mistakes:
        heat, thumbnail = kept.get(mistake), album.get(mistake[0])
        if heat is not None and thumbnail is not None:
            layers[mistake] = heat_address((thumbnail.width, thumbnail.height), heat.seen, heat.values)
    return layers
