"""The limits of a model that its run shows, for its card and report."""

from __future__ import annotations

from distingo.curation.findings import DEFAULT_THRESHOLDS
from distingo.curation.shortcuts import find_file_shortcuts
from distingo.language import count, gettext
from distingo.report.charts.class_balance import balance_classes
from distingo.report.text.summaries import FEW_IMAGES, summarize_evaluation, summarize_label_evaluation
from distingo.report.text.wording import counted, isolated, percent, split_images
from distingo.runs.contents import RunRecords

LOPSIDED = 10
"""Ratio of the largest to the smallest class from which the imbalance is reported."""

WIDE_INTERVAL = 0.1
"""Width of the main score's interval from which it is reported."""


def describe_limits(records: RunRecords) -> tuple[str, ...]:
    """Return sentences on the limits of a model, the most serious first.

    Args:
        records: The records of the run.
    """
    return (
        *_evaluation_remarks(records),
        *_rough(records),
        *_imbalance(records),
        *_shortcut(records),
        *_unused_files(records),
        *_near_copies(records),
    )


def leaks(records: RunRecords) -> tuple[str, ...]:
    """Return a warning if near-duplicates are in two splits."""
    counts = records.near_duplicates
    if counts is None or not counts.straddling_pairs:
        return ()
    return (
        gettext(
            "Pictures that are almost the same are on two splits, so the scores are too high: %(pairs)s.",
            pairs=counted(counts.straddling_pairs, "pair", "pairs"),
        ),
    )


def _near_copies(records: RunRecords) -> tuple[str, ...]:
    counts = records.near_duplicates
    if counts is not None and not counts.not_searched:
        return leaks(records)
    if records.config.split is not None:  # made by a command that keeps near-duplicates together, or by the user
        return ()
    return (
        gettext(
            "Pictures that are almost the same were not searched for across splits; if there are "
            "any, the scores are too high (distingo check finds them)."
        ),
    )


def _evaluation_remarks(records: RunRecords) -> tuple[str, ...]:
    if records.evaluation is None:
        return (gettext("Not evaluated on test pictures: its performance is unknown."),)
    evaluated = summarize_label_evaluation if records.task == "multi-label" else summarize_evaluation
    return evaluated(records.evaluation, records.model).remarks


def _rough(records: RunRecords) -> tuple[str, ...]:
    scores = records.evaluation.scores if records.evaluation else {}
    main = scores.get("mean_average_precision_macro" if records.task == "multi-label" else "accuracy")
    if main is None or main.high - main.low < WIDE_INTERVAL:
        return ()
    return (
        gettext(
            "Evaluated on only %(images)s: the interval of the main score is %(width)s percentage points wide.",
            images=split_images(main.n, "test"),
            width=f"{(main.high - main.low) * 100:.0f}",
        ),
    )


def _imbalance(records: RunRecords) -> tuple[str, ...]:
    rows = balance_classes(((row.split, row.labels) for row in records.split if row.split == "train"), records.classes)
    if len(rows) < 2 or rows[0].number < LOPSIDED * max(1, rows[-1].number):
        return ()
    few = [row for row in rows if row.number < FEW_IMAGES]
    sentence = gettext(
        "Unbalanced training pictures: %(most)s of %(largest)s, %(least)s of %(smallest)s.",
        most=count(rows[0].number),
        largest=isolated(rows[0].name),
        least=count(rows[-1].number),
        smallest=isolated(rows[-1].name),
    )
    if len(few) < 2:
        return (sentence,)
    several = records.task == "multi-label"
    names = counted(len(few), "label", "labels") if several else counted(len(few), "class", "classes")
    return (
        sentence,
        gettext("%(names)s have fewer than %(few)s training pictures.", names=names, few=FEW_IMAGES),
    )


def _shortcut(records: RunRecords) -> tuple[str, ...]:
    """Return the shortcut that `distingo check` would find in the format and dimensions of the files."""
    shortcuts = find_file_shortcuts(records.manifest, records.task)
    if not shortcuts or shortcuts[0].score < DEFAULT_THRESHOLDS["shortcut"]:
        return ()
    dimensions = gettext(
        "A possible shortcut: the dimensions of the images alone distinguish the classes "
        "(%(share)s of the way from guessing to perfect). The model may have learned what "
        "goes with them instead of what is shown.",
        share=percent(shortcuts[0].score, 0),
    )
    formats = gettext(
        "A possible shortcut: the format of the files alone distinguishes the classes "
        "(%(share)s of the way from guessing to perfect). The model may have learned what "
        "goes with it instead of what is shown.",
        share=percent(shortcuts[0].score, 0),
    )
    return (dimensions if shortcuts[0].name == "dimensions" else formats,)


def _unused_files(records: RunRecords) -> tuple[str, ...]:
    copies = sum(row.status == "duplicate" for row in records.manifest)
    conflicts = sum(row.status == "conflict" for row in records.manifest)
    sentences = []
    if copies:
        sentences.append(
            gettext(
                "%(files)s that repeat another picture were left out, so that no test picture is a copy of a training "
                "picture.",
                files=counted(copies, "file", "files"),
            )
        )
    if conflicts:
        sentences.append(
            gettext(
                "%(files)s with contradicting labels were left out; others may be labeled wrongly.",
                files=counted(conflicts, "file", "files"),
            )
        )
    return tuple(sentences)
