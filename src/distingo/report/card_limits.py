"""What limits of a model its own run folder shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from distingo.evaluation.reading import RunRecords
from distingo.language import count, gettext
from distingo.report.class_balance import balance_classes
from distingo.report.label_verdict import judge_labels
from distingo.report.verdict import FEW_PICTURES, judge
from distingo.report.wording import counted, isolated, percent, side_pictures

LOPSIDED = 10
"""From so many times as many pictures in the largest class as in the smallest on, it is worth telling."""

WIDE_INTERVAL = 0.1
"""An interval of ten points and more leaves much open."""

TELLING = 0.5
"""The share of the way from the commonest class to certainty from which on file facts are called a shortcut."""

_LEAST_PICTURES = 50


def find_limits(records: RunRecords) -> tuple[str, ...]:
    """Sentences on what to know before relying on a model, the gravest first.

    Args:
        records: Of the run.
    """
    return (
        *_judged(records),
        *_rough(records),
        *_imbalance(records),
        *_shortcut(records),
        *_left_out(records),
        *_near_copies(records),
    )


def leaks(records: RunRecords) -> tuple[str, ...]:
    """A sentence where near-duplicates lie on two splits."""
    counts = records.near_duplicates
    if counts is None or not counts.straddling_pairs:
        return ()
    return (
        gettext(
            "Pictures that are almost the same lie on two sides, which flatters the scores: %(pairs)s.",
            pairs=counted(counts.straddling_pairs, "pair", "pairs"),
        ),
    )


def _near_copies(records: RunRecords) -> tuple[str, ...]:
    counts = records.near_duplicates
    if counts is not None and not counts.not_searched:
        return leaks(records)
    if "split" in records.config:  # made by a command that keeps near copies together, or by a person
        return ()
    return (
        gettext(
            "Pictures that are almost the same were not looked for on both sides; if there are some, the scores "
            "flatter (distingo check finds them)."
        ),
    )


def _judged(records: RunRecords) -> tuple[str, ...]:
    if records.evaluation is None:
        return (gettext("Not judged on test pictures: nothing is known about how well it does."),)
    judged = judge_labels if records.task == "multi-label" else judge
    return judged(records.evaluation, records.model).remarks


def _rough(records: RunRecords) -> tuple[str, ...]:
    scores = records.evaluation.scores if records.evaluation else {}
    main = scores.get("mean_average_precision_macro" if records.task == "multi-label" else "accuracy")
    if main is None or main.high - main.low < WIDE_INTERVAL:
        return ()
    return (
        gettext(
            "Judged on only %(pictures)s: the interval of the main score is %(width)s percentage points wide.",
            pictures=side_pictures(main.n, "test"),
            width=f"{(main.high - main.low) * 100:.0f}",
        ),
    )


def _imbalance(records: RunRecords) -> tuple[str, ...]:
    rows = balance_classes(((row.side, row.labels) for row in records.split if row.side == "train"), records.classes)
    if len(rows) < 2 or rows[0].number < LOPSIDED * max(1, rows[-1].number):
        return ()
    few = [row for row in rows if row.number < FEW_PICTURES]
    sentence = gettext(
        "Lopsided training pictures: %(most)s of %(largest)s, %(least)s of %(smallest)s.",
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
        gettext("%(names)s have fewer than %(few)s training pictures.", names=names, few=FEW_PICTURES),
    )


def _shortcut(records: RunRecords) -> tuple[str, ...]:
    """Whether format and size of the files alone tell the classes apart, each picture judged by the others."""
    if records.task == "multi-label":
        return ()
    used = [row for row in records.manifest if row.status == "used" and len(row.labels) == 1]
    found = told_by([(row.format, row.width, row.height) for row in used], [row.labels[0] for row in used])
    commonest = max(Counter(row.labels[0] for row in used).values(), default=0) / max(1, len(used))
    if len(used) < _LEAST_PICTURES or found - commonest < TELLING * (1 - commonest):
        return ()
    return (
        gettext(
            "A possible shortcut: the format and the size of the files alone tell the class of %(share)s of the "
            "pictures (always saying the commonest class: %(commonest)s). The model may have learned what goes with "
            "them instead of what is shown.",
            share=percent(found, 0),
            commonest=percent(commonest, 0),
        ),
    )


def told_by(facts: Sequence[Hashable], labels: Sequence[str]) -> float:
    """The share of pictures whose class is the commonest among the others of the same facts (leave one out).

    Args:
        facts: What is known of each picture beside its content.
        labels: Its class; as many.

    Returns:
        From 0 to 1; ties and pictures that are alone with their facts count as wrong.
    """
    groups: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for fact, label in zip(facts, labels, strict=True):
        groups[fact][label] += 1
    right = 0
    for group in groups.values():
        for label, number in group.items():
            others = max((other for name, other in group.items() if name != label), default=0)
            right += number if number - 1 > others else 0
    return right / max(1, len(labels))


def _left_out(records: RunRecords) -> tuple[str, ...]:
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
                "%(files)s with contradicting labels were left out; others may be labelled wrongly.",
                files=counted(conflicts, "file", "files"),
            )
        )
    return tuple(sentences)
