"""The multi-label report as text: complete, escaped, with remarks on rare labels."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_runs import COMMON, LABELS, NEVER, RARE, LabelRun, build_label_run, write_label_predictions
from markupsafe import escape
from run_folders import HOSTILE
from sklearn.metrics import average_precision_score, f1_score

from distingo.errors import RunError
from distingo.report.pages.run import write_report
from distingo.runs.evaluation import write_evaluation
from raising import raises


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LabelRun:
    return build_label_run(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def page(run: LabelRun) -> str:
    return _read(write_report(run.folder))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\u00a0", " ").translate({0x2060: None, 0x2068: None, 0x2069: None})


def _section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found, name
    return found[1]


def _cells(page: str) -> dict[str, Any]:
    block = re.search(r'<script type="application/json" id="label-cells">(.*?)</script>', page, re.DOTALL)
    assert block
    return dict(json.loads(block[1]))


def test_every_section_is_there(page: str) -> None:
    for name in ("scores", "samples", "mistakes", "labels", "thresholds", "curves", "balance", "pairs", "files"):
        assert f'<a href="#{name}">' in page
        assert _section(page, name)
    assert "a processor" in _section(page, "recipe")
    assert "because &lt;one&gt; does not fit all" in page
    assert "labels.csv names it" in _section(page, "files")


def test_nothing_is_loaded_and_no_label_becomes_markup(page: str) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert all(address.startswith(("data:", "#")) for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert HOSTILE not in page
    for label in LABELS:
        assert f"<bdi>{escape(label)}</bdi>" in page


def test_the_verdict_is_scikit_learns_mean_average_precision(page: str, run: LabelRun) -> None:
    kept = [at for at, label in enumerate(LABELS) if label not in (RARE, NEVER)]
    value = average_precision_score(run.truth[:, kept], run.probabilities[:, kept], average="macro")
    heading = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert heading
    text = re.sub("<.*?>", "", heading[1])
    assert text.startswith(
        f"Mean average precision {value * 100:.1f} % over 23 labels on 48 test pictures (95 % interval"
    )
    assert "above answering every label" in html.unescape(text)
    assert f"random order it would be {run.truth[:, kept].mean() * 100:.0f} %" in page


def test_the_share_of_right_cells_never_stands_alone(page: str, run: LabelRun) -> None:
    scores = _section(page, "scores")
    nothing = 1 - run.truth.mean()
    assert scores.count("Correct cells") == 1
    assert f"predicting no label at all: {nothing * 100:.1f} %" in scores


def test_without_its_floor_the_share_of_right_cells_is_not_shown(tmp_path: Path) -> None:
    made = build_label_run(tmp_path, predicted=False)
    scores = {name: score for name, score in made.evaluation.scores.items() if name != "label_accuracy_of_nothing"}
    write_evaluation(made.folder / "evaluation.json", dataclasses.replace(made.evaluation, scores=scores))
    assert "Correct cells" not in _read(write_report(made.folder))


def test_labels_left_out_of_the_means_are_named_everywhere(page: str) -> None:
    for name in (RARE, NEVER):
        assert f"<bdi>{name}</bdi>" in _section(page, "scores")
    assert "fewer than 5 test pictures have them" in page
    assert _section(page, "labels").count("too few to evaluate") == 2
    thresholds = _section(page, "thresholds")
    assert thresholds.count("too few") - thresholds.count("too few images") == 2
    assert "No test picture has it." in _section(page, "labels")


def test_tuned_thresholds_stand_beside_a_half(page: str, run: LabelRun) -> None:
    kept = [at for at, label in enumerate(LABELS) if label not in (RARE, NEVER)]
    tuned, plain = (
        f1_score(run.truth[:, kept], given[:, kept], average="macro", zero_division=0)
        for given in (run.given, run.probabilities >= 0.5)
    )
    assert f"F1 (macro) is {tuned * 100:.1f} % with these thresholds and {plain * 100:.1f} % with 0.5" in page


def test_every_cell_counts_what_was_given(page: str, run: LabelRun) -> None:
    content = _cells(page)
    assert content["labels"] == list(LABELS)
    numbers = {(cell["label"], cell["outcome"]): cell["number"] for cell in content["cells"]}
    tables = {
        "found": run.truth & run.given,
        "missed": run.truth & ~run.given,
        "invented": ~run.truth & run.given,
        "rest": ~run.truth & ~run.given,
    }
    assert numbers == {
        (at, outcome): int(table[:, at].sum()) for outcome, table in tables.items() for at in range(len(LABELS))
    }
    for cell in content["cells"]:
        table = tables[cell["outcome"]][:, cell["label"]]
        files = [content["pictures"][place][0] for place, _ in cell["rows"]]
        assert len(set(files)) == len(files) == min(int(table.sum()), 24 if cell["outcome"] in _MISTAKES else 12)
        assert all(table[run.files.index(file)] for file in files)
    for file, number, labels in content["pictures"]:
        assert isinstance(number, int)
        assert labels == np.flatnonzero(run.truth[run.files.index(file)]).tolist()


_MISTAKES = ("missed", "invented")


def test_each_opening_cell_has_a_button(page: str) -> None:
    buttons = re.findall(r'<button type="button" class="outcome \w+" data-label="(.*?)" data-outcome="(\w+)"', page)
    content = _cells(page)
    expected = {(LABELS[cell["label"]], cell["outcome"]) for cell in content["cells"] if cell["number"]}
    assert {(html.unescape(label), outcome) for label, outcome in buttons} == expected


def test_a_sample_shows_truth_and_the_three_most_probable(page: str, run: LabelRun) -> None:
    samples = re.findall(r'<figure class="said-picture">(.*?)</figure>', _section(page, "samples"), re.DOTALL)
    assert len(samples) == 24
    row = run.files.index("Bilder/test 001.png")
    first = samples[0]
    assert "test 001.png" in first
    tags = re.findall(r'class="tag( missed)?" title=".*?"><bdi>(.*?)</bdi>', first)
    assert [(html.unescape(name), not missed) for missed, name in tags] == [
        (LABELS[at], bool(run.given[row, at])) for at in np.flatnonzero(run.truth[row])
    ]
    said = re.findall(r'class="name" title=.*?><bdi>(.*?)</bdi>.*?<span class="number">.*?(\d+) %', first, re.DOTALL)
    top = np.argsort(-run.probabilities[row])[:3]
    assert [(html.unescape(name), number) for name, number in said] == [
        (LABELS[at], f"{run.probabilities[row, at] * 100:.0f}") for at in top
    ]


def test_a_image_without_labels_is_told_so(page: str, run: LabelRun) -> None:
    assert run.files[-1] == "Bilder/test 047.png"
    last = _section(page, "samples").split('<figure class="said-picture">')[-1]
    assert "test 047.png" in last
    assert "no label" in last


def test_curves_are_of_mean_average_precision(page: str) -> None:
    curves = _section(page, "curves")
    assert "<b>Mean average precision</b>" in curves
    assert "<b>Loss</b>" in curves
    assert "Validation mean average precision</th>" in curves
    assert "those of epoch 3" in curves
    assert "ccuracy" not in curves


def test_balance_counts_labels_and_labels_per_image(page: str) -> None:
    balance = _section(page, "balance")
    assert "84 pictures with 25 labels" in balance
    assert "<bdi>no label</bdi>" in balance
    assert balance.index(f"<bdi>{COMMON}</bdi>") < balance.index(f"<bdi>{RARE}</bdi>")


def test_the_matrix_has_all_25_labels(page: str) -> None:
    pairs = _section(page, "pairs")
    assert pairs.count('<th scope="row"') == 25
    assert pairs.count("cell whole") == 25


def test_each_image_is_embedded_once(page: str) -> None:
    numbers = re.findall(r'data-picture="(\d+)" src=', page)
    block = re.search(r'<script type="application/json" id="thumbnails">(.*?)</script>', page, re.DOTALL)
    assert block
    rest = json.loads(block[1])
    assert len(numbers) == len(set(numbers)) > 0
    assert not set(numbers) & set(rest)


def test_before_an_evaluation_validation_speaks(tmp_path: Path) -> None:
    page = _read(write_report(build_label_run(tmp_path, evaluated=False).folder))
    assert "Not evaluated on test pictures yet; mean average precision <strong>33.0 %</strong>" in page
    assert 'id="scores"' not in page
    assert 'id="pairs"' in page


def test_without_predictions_scores_remain(tmp_path: Path) -> None:
    page = _read(write_report(build_label_run(tmp_path, predicted=False).folder))
    assert 'id="thresholds"' in page
    assert "F1 at 0.5" not in page
    assert 'id="mistakes"' not in page
    assert "<button" not in _section(page, "labels")


def test_the_same_run_gives_the_same_page(run: LabelRun, page: str) -> None:
    assert _read(write_report(run.folder)) == page


def test_predictions_of_other_labels_are_refused(tmp_path: Path) -> None:
    made = build_label_run(tmp_path)
    path = made.folder / "predictions.parquet"
    path.write_bytes(b"PAR1 nothing")
    with raises(RunError, code="damaged_file", naming="predictions.parquet"):
        write_report(made.folder)
    shorter = dataclasses.replace(
        made, files=made.files[:-1], truth=made.truth[:-1], probabilities=made.probabilities[:-1]
    )
    write_label_predictions(path, shorter)
    with raises(RunError, code="records_differ", naming="evaluation.json"):
        write_report(made.folder)
