"""Output of commands for people, and the setup of the process before a command computes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.datasets.walking import display_name
from distingo.errors import escape_controls

if TYPE_CHECKING:
    from distingo.datasets.splits.group_splitting import Division
    from distingo.download.sets import NamedSet
    from distingo.evaluation.comparison_records import Comparison
    from distingo.experiments.crossval_folder import CrossValidation
    from distingo.experiments.curve_measuring import LearningCurve
    from distingo.models.hub import ListedBackbone
    from distingo.runs.history import EpochRecord
    from distingo.scores import Evaluation, Prediction, Score

_FOR_PAGES_ONLY = {0x00A0: " ", **dict.fromkeys((0x2060, 0x2066, 0x2067, 0x2068, 0x2069))}
"""Characters for HTML pages that some terminals show as boxes: no-break spaces, word joiners and isolates."""


_MOST_CLASSES = 40


def prepare(*, networks: bool = True) -> None:
    """Configure OpenMP threads and the log output to stderr.

    Args:
        networks: Whether the command always loads torch; the threads must be configured before that.
    """
    import logging

    from distingo.datasets.decoding import failures as decoder_noise
    from distingo.machine.process import configure_process

    configure_process(threads=networks)

    class PlainLines(logging.Formatter):
        """Formats messages, which may contain untrusted names, for a terminal."""

        def format(self, record: logging.LogRecord) -> str:
            return escape_controls(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines("%(message)s"))
    logger = logging.getLogger("distingo")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    decoder_noise.enable()


def _plain(text: str) -> str:
    """Escape a text, which may contain untrusted names, for a terminal."""
    return escape_controls(text.translate(_FOR_PAGES_ONLY))


def print_epoch(record: EpochRecord) -> None:
    """Print one line about an epoch to stderr."""
    accuracy, precision = record.validation_accuracy, record.validation_mean_average_precision
    score = f"accuracy {accuracy:.1%}" if accuracy is not None else f"mean average precision {precision or 0:.3f}"
    print(
        f"epoch {record.epoch:>3}  loss {record.train_loss:.3f}  validation loss {record.validation_loss:.3f}  "
        f"validation {score}  {record.images_per_second:,.0f} images/s",
        file=sys.stderr,
    )


def print_evaluation(evaluation: Evaluation, run: Path) -> None:
    """Print all scores in a table, then a summary and remarks.

    Args:
        evaluation: The scores.
        run: The run folder.
    """
    from rich.console import Console
    from rich.table import Table

    from distingo.report.text.summaries import summarize_evaluation, summarize_label_evaluation
    from distingo.runs.config import read_config
    from distingo.runs.folder import RunFolder

    table = Table(title=f"{evaluation.split} split, n = {evaluation.n:,}")
    for heading in ("score", "this model", "95 % interval", *evaluation.baselines):
        table.add_column(heading, justify="left" if heading == "score" else "right", overflow="fold")
    for name, score in evaluation.scores.items():
        others = [f"{scores[name].value:.4f}" for scores in evaluation.baselines.values()]
        table.add_row(name, f"{score.value:.4f}", _interval(score), *others)
    Console().print(table)
    model = str(read_config(RunFolder(run)).recipe["model"])
    summary = (summarize_label_evaluation if evaluation.task == "multi-label" else summarize_evaluation)(
        evaluation, model
    )
    for line in (summary.text, *(f"- {remark}" for remark in summary.remarks)):
        print(_plain(line))


def print_comparison(comparison: Comparison) -> None:
    """Print the runs in a table, the best one first, then a summary and remarks."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from distingo.report.pages.comparison_summary import summarize_comparison
    from distingo.report.text.wording import p_value

    table = Table(title=f"{comparison.score} on {comparison.n:,} test pictures")
    for heading in ("run", "model", "score", "95 %", "vs best", "p"):
        is_text = heading in {"run", "model"}
        table.add_column(heading, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for run in comparison.runs:
        score, versus = run.evaluation.scores[comparison.score], run.versus_best
        difference_cells = ("", "")
        if versus is not None:
            lead = "tied" if run in comparison.tied else f"{versus.score.difference:+.3f}"
            difference_cells = (lead, p_value(versus.adjusted_p_value))
        model = Text(_plain(f"{run.model}, {run.mode}"))
        table.add_row(Text(_plain(run.name)), model, f"{score.value:.3f}", _interval(score, 3), *difference_cells)
    Console().print(table)
    summary = summarize_comparison(comparison)
    for line in (summary.text, *(f"- {remark}" for remark in summary.remarks)):
        print(_plain(line))


def print_cross_validation(result: CrossValidation) -> None:
    """Print the scores of each fold and their means in a table, then a summary and remarks."""
    from rich.console import Console
    from rich.table import Table

    from distingo.report.pages.experiments import summarize_cross_validation

    key = result.main_score
    table = Table(title=f"{key}, {result.folds_each} folds of {result.n:,} pictures")
    for heading in ("fold", "pictures", "this model", *result.baseline_means):
        table.add_column(heading, justify="right", overflow="fold")
    for fold in result.folds:
        name = f"{fold.repeat}-{fold.fold}" if result.repeats > 1 else str(fold.fold)
        scores = [fold.scores, *fold.baselines.values()]
        cells = [f"{each[key]:.4f}" if key in each else "-" for each in scores]
        table.add_row(name, f"{fold.test:,}", *cells)
    means = [result.means, *result.baseline_means.values()]
    for heading, show in (("mean", lambda score: f"{score.value:.4f}"), ("95 %", _interval)):
        table.add_row(heading, "", *(show(each[key]) if key in each else "-" for each in means))
    table.add_row("pooled", f"{result.n:,}", *_pooled(result.pooled, key))
    Console().print(table)
    summary = summarize_cross_validation(result)
    for line in (summary.text, *(f"- {remark}" for remark in summary.remarks)):
        print(_plain(line))


def _interval(score: Score, digits: int = 4) -> str:
    return "too few images" if score.too_few else f"{score.low:.{digits}f} - {score.high:.{digits}f}"


def _pooled(evaluation: Evaluation, key: str) -> list[str]:
    all_scores = [evaluation.scores, *evaluation.baselines.values()]
    return [f"{scores[key].value:.4f}" if key in scores else "-" for scores in all_scores]


def print_learning_curve(result: LearningCurve) -> None:
    """Print scores by number of training images and forecasts in a table, then a summary and remarks."""
    from rich.console import Console
    from rich.table import Table

    from distingo.report.pages.experiments import summarize_learning_curve

    table = Table(title=f"{result.score} by number of training pictures")
    for heading in ("pictures", "score", "95 %", ""):
        table.add_column(heading, justify="right" if heading else "left")
    rows = [(entry.size, entry.score, "") for entry in result.overall.measured]
    rows += [(entry.size, entry.score, f"expected: {entry.factor:g} times") for entry in result.overall.forecasts]
    for size, score, note in rows:
        table.add_row(f"{size:,}", f"{score.value:.4f}", _interval(score), note)
    Console().print(table)
    summary = summarize_learning_curve(result)
    for line in (summary.text, *(f"- {remark}" for remark in summary.remarks)):
        print(_plain(line))


def print_division(division: Division) -> None:
    """Print the groups, the resulting share of each class in each split or fold, and the notes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    kinds = Counter(kind for group in division.grouping.kinds for kind in group)
    sizes = division.grouping.sizes()
    groups_text = "; ".join(f"{kind}: {count:,} group{'s' * (count != 1)}" for kind, count in kinds.items())
    grouped_images = int(sizes[sizes > 1].sum())
    grouped_text = f"{grouped_images:,} belong{'s' * (grouped_images == 1)} with others"
    summary = f"{grouped_text} ({groups_text})" if groups_text else "none belongs with another"
    print(f"{len(division.numbers):,} picture{'s' * (len(division.numbers) != 1)}; {summary}")
    table = Table()
    for heading in ("", *division.parts, "off"):
        table.add_column(heading, justify="left" if not heading else "right", overflow="fold")
    table.add_row("requested", *(f"{share:.1%}" if share else "-" for share in division.shares[0].requested), "")
    everything, *classes = division.shares
    if len(classes) > _MOST_CLASSES:
        classes = sorted(classes, key=lambda share: -share.farthest)[:_MOST_CLASSES]
    for share in (everything, *classes):
        numbers = [divided + preassigned for divided, preassigned in zip(share.counts, share.predefined, strict=True)]
        total = max(1, sum(numbers))
        cells = [f"{number:,}" if division.folds else f"{number:,} ({number / total:.1%})" for number in numbers]
        table.add_row(Text(_plain(share.name or "all")), *cells, f"{share.farthest * 100:.1f}")
    Console().print(table)
    if hidden := len(division.shares) - 1 - len(classes):
        print(f"and {hidden:,} more that came out closer to what was requested")
    preassigned = sum(everything.predefined)
    besides = f", not counting the {preassigned:,} that had a split" if preassigned else ""
    print(f"off: the largest difference from what was requested, in points{besides}")
    for note in division.notes:
        print(_plain(str(note)))


def describe_prediction(prediction: Prediction) -> str:
    """Format an image's labels with probabilities, or its error, as one line with tabs."""
    if prediction.error:
        return escape_line(f"{prediction.file}\tERROR: {prediction.error}")
    pairs = zip(prediction.labels, prediction.probabilities, strict=True)
    cells = [f"{label} {probability:.1%}" for label, probability in pairs]
    cells = cells or ["(no label)"]
    if prediction.abstained:
        cells.insert(0, "(don't know)")
    if prediction.prediction_set is not None:
        cells.append(f"{{{', '.join(prediction.prediction_set)}}}")
    if prediction.unlike:
        cells.append("(unlike anything in training)")
    return escape_line("\t".join([prediction.file, *cells]))


def escape_line(text: str) -> str:
    """Escape a line with untrusted file names for a terminal; tabs are kept."""
    return escape_controls(display_name((text,)), keep="\t")


def describe_backbone(backbone: ListedBackbone) -> str:
    """Describe a pretrained backbone in one line."""
    size = "?" if backbone.parameters is None else f"{backbone.parameters / 1e6:,.1f} M"
    line = f"{backbone.name:<62} {size:>10}  {backbone.height:>4}x{backbone.width:<4}  {backbone.license or 'unknown'}"
    return f"{line}  (preset {backbone.preset})" if backbone.preset else line


def describe_set(named: NamedSet) -> str:
    """Describe a well-known set in two lines."""
    return f"{named.name:<15} {named.title}; {named.bytes / 1e6:,.0f} MB\n{'':<15} {named.license}; {named.home}"


def describe_license(named: NamedSet) -> str:
    """Describe a well-known set's license and citation."""
    return f"{named.name}: {named.title}\nlicense: {named.license}\nplease cite: {named.citation}"
