"""Calls that say why a model says what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.errors import ResourceError, UsageError
from distingo.files import as_names
from distingo.run_folder import RunFolder

if TYPE_CHECKING:
    from distingo.explanation.records import Explanation
    from distingo.prediction.pictures import PictureLike

_MOST_NEIGHBOURS = 8
"""As many as a sheet has room for."""


def explain(
    run: str | Path,
    picture: PictureLike,
    *,
    classes: str | Sequence[str] = (),
    output: str | Path | None = None,
    layers: str | Path | None = None,
    neighbours: int = 8,
    device: str = "auto",
    max_pixels: int | None = None,
) -> Explanation:
    """Show what speaks for a class in a picture, whether that means something, and the nearest training pictures.

    Args:
        run: A run folder.
        picture: A file, or one of the other forms that `distingo.load(run).predict` takes.
        classes: To explain; without any the predicted one, of a model for several labels those that it gives.
        output: A ``.png`` file to draw all of it on; an existing one is not overwritten.
        layers: A ``.png`` file to draw the network's first filters and feature maps on, layer by layer.
        neighbours: How many of the nearest training pictures to find, at most 8.
        device: Where a network computes.
        max_pixels: A larger image is not read; None is the run's own limit, else 178,956,970 (for images in memory
            none).

    Returns:
        Heat maps as arrays with what covering their hottest parts does, probabilities and neighbours.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or newer.
        ModelError: The model looks at no picture, or `layers` are wanted of one that is no network.
        UsageError: The model knows no such class, or a file does not end in ``.png``.
        DataError: The picture can't be read.
        ResourceError: A file exists already or can't be written.
    """
    from distingo.explanation.explaining import explain_picture, show_layers
    from distingo.report.explanation_sheet import write_explanation
    from distingo.report.layer_sheet import write_layers

    if not 0 <= neighbours <= _MOST_NEIGHBOURS:
        raise UsageError(f"neighbours {neighbours}: give 0 to {_MOST_NEIGHBOURS}")
    places = [Path(place) for place in (output, layers) if place is not None]
    for place in places:
        _check_place(place)
    if len(set(places)) < len(places):
        raise UsageError(f"{output}: is to hold the explanation and the layers; give two names")
    if layers is not None:
        write_layers(show_layers(Path(run), picture, device=device, max_pixels=max_pixels), Path(layers))
    explanation = explain_picture(
        Path(run), picture, as_names(classes, "classes"), neighbours=neighbours, device=device, max_pixels=max_pixels
    )
    if output is not None:
        write_explanation(explanation, Path(output))
    return explanation


def explain_mistakes(run: Path, judged: Path | None, *, device: str) -> None:
    """Keep heat maps of an evaluation's worst mistakes in ``heat_maps.parquet`` beside it, for its report.

    Args:
        run: A run folder.
        judged: The folder in it of an evaluation on other pictures; None for the run's own.
        device: Where a network computes.
    """
    from distingo.evaluation.reading import read_other_evaluation, read_run
    from distingo.explanation.worst import keep_heat_maps
    from distingo.models.saved import load_model
    from distingo.prediction.device import choose_device
    from distingo.report.explained_mistakes import list_mistakes

    records = read_run(run) if judged is None else read_other_evaluation(run, judged)
    folder = RunFolder(records.folder)
    keep_heat_maps(
        load_model(RunFolder(run).model),
        records.root,
        list_mistakes(records),
        folder.heat_maps,
        choose_device(device),
    )


def _check_place(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: ends in {path.suffix or 'nothing'!r}; give a name that ends in .png")
    if path.exists():
        raise ResourceError(f"{path}: exists already; choose another name")
