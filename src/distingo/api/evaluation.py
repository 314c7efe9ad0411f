"""Functions that evaluate, compare and explain finished runs and write their pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.api.keywords import resolve_language
from distingo.datasets.options import Reading, ReadingOptions
from distingo.errors import ResourceError, UsageError
from distingo.language import Language, use_language
from distingo.options.fields import as_names, as_paths, warn_of_former_names
from distingo.runs.config import read_config
from distingo.runs.folder import RunFolder

if TYPE_CHECKING:
    from distingo.evaluation.comparison_records import Comparison
    from distingo.explanation.records import Explanation
    from distingo.prediction.images import ImageLike
    from distingo.scores import Evaluation


_MOST_NEIGHBORS = 8
"""Maximum number of nearest training images, limited by the space on an explanation sheet."""


def explain(
    run: str | Path,
    image: ImageLike,
    *,
    classes: str | Sequence[str] = (),
    output: str | Path | None = None,
    layers: str | Path | None = None,
    neighbors: int = 8,
    device: str = "auto",
    max_pixels: int | None = None,
    neighbours: int | None = None,
) -> Explanation:
    """Explain a prediction by heat maps, a check of these maps, and the nearest training images.

    Args:
        run: A run folder.
        image: A file, or one of the other forms that `distingo.load(run).predict` takes.
        classes: Classes to explain; if empty, the predicted class, or all predicted labels of a multi-label model.
        output: A ``.png`` file for the explanation; an existing one is not overwritten.
        layers: A ``.png`` file for the network's first filters and the feature maps of its layers.
        neighbors: Number of nearest training images to find, at most 8.
        device: Where a network computes.
        max_pixels: Maximum number of pixels; a larger image is not read. None takes the run's own limit, else
            178,956,970 (no limit for images in memory).
        neighbours: The former name of `neighbors`.

    Returns:
        Heat maps as arrays with the effect of occluding their hottest parts, probabilities and nearest images.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or from a newer version.
        ModelError: The model does not use the image, or `layers` is set and the model is not a network.
        UsageError: The model has no such class, or a file name does not end in ``.png``.
        DataError: The image can't be read.
        ResourceError: A file exists already or can't be written.
    """
    from distingo.explanation.explaining import explain_file, show_layers
    from distingo.report.pages.explanation_sheet import write_explanation
    from distingo.report.pages.samples import write_layers

    if neighbours is not None:
        warn_of_former_names(["neighbours"])
        neighbors = neighbours
    if not 0 <= neighbors <= _MOST_NEIGHBORS:
        raise UsageError(
            f"neighbors {neighbors}: give 0 to {_MOST_NEIGHBORS}", code="out_of_range", parameter="neighbors"
        )
    paths = [Path(place) for place in (output, layers) if place is not None]
    for place in paths:
        _check_picture_path(place)
    if len(set(paths)) < len(paths):
        raise UsageError(
            f"{output}: is to hold the explanation and the layers; give two names",
            code="options_conflict",
            parameter="output",
        )
    if layers is not None:
        write_layers(show_layers(Path(run), image, device=device, max_pixels=max_pixels), Path(layers))
    explanation = explain_file(
        Path(run), image, as_names(classes, "classes"), neighbors=neighbors, device=device, max_pixels=max_pixels
    )
    if output is not None:
        write_explanation(explanation, Path(output))
    return explanation


def explain_errors(run: Path, evaluated: Path | None, *, device: str) -> None:
    """Compute heat maps of an evaluation's most confident errors and write ``heat_maps.parquet`` for its report.

    Args:
        run: A run folder.
        evaluated: The folder in it of an evaluation on other images; None for the run's own evaluation.
        device: Where a network computes.
    """
    from distingo.explanation.worst import write_top_loss_maps
    from distingo.machine.device import choose_device
    from distingo.models.saved import load_model
    from distingo.report.thumbnails import list_mistakes
    from distingo.runs.contents import read_other_evaluation, read_run

    records = read_run(run) if evaluated is None else read_other_evaluation(run, evaluated)
    folder = RunFolder(records.folder)
    write_top_loss_maps(
        load_model(RunFolder(run).model),
        records.root,
        list_mistakes(records),
        folder.heat_maps,
        choose_device(device),
    )


def _check_picture_path(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"{path}: ends in {path.suffix or 'nothing'!r}; give a name that ends in .png", code="invalid_file_name"
        )
    if path.exists():
        raise ResourceError(f"{path}: exists already; choose another name", code="already_exists")


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    device: str = "auto",
    language: str | None = None,
    **reading: Unpack[ReadingOptions],
) -> Evaluation:
    """Evaluate a run's model and its baselines.

    Args:
        run: A run folder.
        data: Other images to evaluate on; None takes the run's own test split.
        device: Where networks compute.
        language: Language of the pages, as in `write_report`.
        **reading: How images and labels of `data` are found and read, as in `ReadingOptions`. The run's own images are
            read and corrected as in training. The default of `max_pixels` is the run's limit, and deep images are
            always scaled as in training.

    Returns:
        The scores. They are also written to ``evaluation.json`` and ``report.html`` in the run folder or, for other
        data, in its subfolder ``evaluations/<name of the data>``.

    Raises:
        RunError: The run folder is damaged, unfinished or from a newer version.
        DataError: The data can't be used for the evaluation.
    """
    from distingo.evaluation.evaluating import EvaluateRequest, evaluate_run

    page_language = resolve_language(language)
    request = EvaluateRequest(
        run=Path(run),
        data=None if data is None else Path(data),
        reading=Reading.of(**reading),
        device=device,
    )
    evaluation, folder = evaluate_run(request)
    evaluated = None if data is None else folder
    explain_errors(Path(run), evaluated, device=device)
    _write_pages(Path(run), evaluated, page_language)
    return evaluation


def compare(runs: Sequence[str | Path], output: str | Path = "comparison", *, common: bool = False) -> Comparison:
    """Compare finished runs that were evaluated on the same images.

    Args:
        runs: At least two run folders.
        output: A folder for ``comparison.json`` and ``comparison.html``, which are overwritten.
        common: Whether to compare runs with different test splits on the images that all of these contain, instead of
            raising an error.

    Returns:
        The comparison, the best run first.

    Raises:
        RunError: A run is missing, damaged or not evaluated, or two were not evaluated on the same images.
        UsageError: There are fewer than two runs, or one is listed twice.
        ResourceError: The output can't be written.
    """
    from distingo.evaluation.compare_runs import compare_runs
    from distingo.evaluation.comparison_records import write_comparison
    from distingo.report.pages.comparison import write_comparison_page

    comparison = compare_runs([Path(run) for run in as_paths(runs, "runs")], common=common)
    write_comparison_page(comparison, Path(output))
    write_comparison(comparison, Path(output))
    return comparison


def write_report(run: str | Path, *, language: str | None = None) -> Path:
    """Write a run's report, the self-contained page ``report.html``, and its model card, ``model/README.md``.

    Args:
        run: A run folder.
        language: ``en``, ``es`` or ``zh``; None takes the environment variable ``DISTINGO_LANGUAGE``, else English.
            Names of classes and files are not translated.

    Returns:
        The path of the page.

    Raises:
        RunError: The run folder is damaged or from a newer version.
        UsageError: There is no such language.
    """
    page_language = resolve_language(language)
    read_config(RunFolder(Path(run)))
    return _write_pages(Path(run), None, page_language)


def _write_pages(run: Path, evaluated: Path | None, language: Language) -> Path:
    from distingo.report.pages.card import write_card
    from distingo.report.pages.run import write_report as write_page

    with use_language(language):
        page = write_page(run, evaluated)
        if evaluated is None:
            write_card(run)
    return page
