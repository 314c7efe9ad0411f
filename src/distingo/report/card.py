"""A run folder to its model card: ``model/README.md``, as the Hugging Face hub reads it."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import Any

from distingo.evaluation.reading import RunRecords, read_run
from distingo.files import read_json, write_text
from distingo.report.balance import balance_classes
from distingo.report.card_facts import describe_origin, describe_training, intended_against
from distingo.report.card_front_matter import front_matter
from distingo.report.card_limits import find_limits
from distingo.report.charts import best_epoch
from distingo.report.confusion import often_taken_for
from distingo.report.label_verdict import MAIN_SCORE, judge_labels
from distingo.report.skipped import group_skipped
from distingo.report.templating import fill_text
from distingo.report.verdict import Verdict, judge, other_baselines
from distingo.run_folder import RunFolder

CARD_FILE = "README.md"

_SEAL = re.compile(r"<!-- distingo \S+, sha256 ([0-9a-f]{64}) -->\n?\Z")
"""The last line: what the card's text was when it was written, so that a person's own words are never lost."""

log = logging.getLogger("distingo")


def write_card(run: Path) -> Path | None:
    """Write a run's model card, from the run folder alone; its pictures are not needed.

    Args:
        run: The run folder.

    Returns:
        The card; None where training has not ended, or where a person has changed the card: that one is left alone.

    Raises:
        RunError: The folder is no run, a file is damaged, or a newer version wrote it.
        ResourceError: The card can't be written.
    """
    folder = RunFolder(run)
    if not (folder.model / "model.json").is_file():
        return None
    path = folder.model / CARD_FILE
    if path.exists() and not _is_ours(path):
        log.warning("%s: was changed by hand and is left as it is; move it away to have a new one", path)
        return None
    records = read_run(run)
    model = read_json(folder.model / "model.json")
    body = fill_text("card.md", _context(records, model))
    text = front_matter(records, model) + re.sub(r"\n{3,}", "\n\n", body).rstrip() + "\n\n"
    write_text(path, f"{text}<!-- distingo {_maker(model)}, sha256 {_digest(text)} -->\n")
    return path


def _is_ours(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    seal = _SEAL.search(text)
    return seal is not None and _digest(text[: seal.start()]) == seal[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _maker(model: dict[str, Any]) -> str:
    return str(model.get("provenance", {}).get("distingo", "unknown")).replace(" ", "-")


def _context(records: RunRecords, model: dict[str, Any]) -> dict[str, Any]:
    evaluation = records.evaluation
    several = records.task == "multi-label"
    main = MAIN_SCORE if several else "accuracy"
    best = best_epoch(records.history, str(records.recipe.get("monitor", "")))
    return {
        "records": records,
        "several": several,
        "verdict": _verdict(records),
        "evaluation": evaluation,
        "baselines": other_baselines(evaluation, records.model, main),
        "balance": balance_classes(((row.side, row.labels) for row in records.split), records.classes),
        "skipped": group_skipped(records.manifest),
        "used": sum(row.status == "used" for row in records.manifest),
        "taken_for": often_taken_for(evaluation) if evaluation else {},
        "against": intended_against(records),
        "training": describe_training(records, model, best),
        "limits": find_limits(records),
        "origin": describe_origin(records, model),
    }


def _verdict(records: RunRecords) -> Verdict | None:
    if records.evaluation is None:
        return None
    judged = judge_labels if records.task == "multi-label" else judge
    return judged(records.evaluation, records.model)
