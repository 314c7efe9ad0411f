"""The page that compares runs, as text: complete, escaped, self-contained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from run_folders import HOSTILE, SCRIPTS, build_run

from distingo.evaluation.compare_runs import compare_runs
from distingo.report.pages.comparison import MOST_SHOWN, draw_rail, write_comparison_page
from distingo.report.pages.comparison_tables import view_classes
from tiny_runs import answer, copy_run


def compare(runs: list[Path], folder: Path) -> str:
    return write_comparison_page(compare_runs(runs), folder).read_text(encoding="utf-8")


def addresses(page: str) -> list[str]:
    found: list[str] = []

    class Addresses(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if name in {"href", "src"})

    Addresses().feed(page)
    return found


@pytest.fixture(scope="module")
def page(tiny_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = [tiny_runs["majority"], tiny_runs["descriptors"], tiny_runs["small-cnn"]]
    return compare(runs, tiny_runs["majority"].parent / "compared")


@pytest.fixture
def hostile(tmp_path: Path) -> list[Path]:
    """Two runs whose folders, classes and images carry every kind of name; the second is right everywhere."""
    run = build_run(tmp_path, each=9)
    names = ("<b>bold & 'quoted'", "الثاني #2?")
    first, second = (copy_run(run, tmp_path / name) for name in names)

    def all_right(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["predicted"] = row["truth"]

    answer(second, all_right)
    for copy in (first, second):
        (copy / "report.html").write_text("a report")
    return [first, second]


def test_its_only_links_lead_to_the_reports(page: str, tiny_runs: dict[str, Path]) -> None:
    outside = [address for address in addresses(page) if not address.startswith(("data:", "#"))]
    assert sorted(outside) == sorted(f"../{name}/report.html" for name in tiny_runs)
    folder = tiny_runs["majority"].parent / "compared"
    assert all((folder / unquote(address)).is_file() for address in outside)
    assert "http://" not in page
    assert "https://" not in page


def test_it_shows_every_run_with_its_figures(page: str, tiny_runs: dict[str, Path]) -> None:
    rows = page[page.index('<table class="runs">') : page.index('id="scores"')]
    assert re.findall(r'<a href="[^"]+"><bdi>([^<]+)</bdi>', rows)[0] == "descriptors"
    for text in ("from scratch", "classic", "Parameters", "images/s", "100.0\u00a0%", "best", "−66.7"):
        assert text in rows
    assert rows.count("<circle") >= 3
    assert "always answering" not in rows


def test_curves_are_drawn_for_runs_with_epochs_alone(page: str) -> None:
    charts = page[page.index('id="curves"') : page.index('id="scores"')]
    assert charts.count('class="line s') == 2 + 1  # a chart of accuracy, one of loss, the key
    assert "small-cnn" in charts
    assert "majority" not in charts


def test_it_shows_images_on_which_runs_differ(page: str) -> None:
    right = page[page.index('id="right"') : page.index('id="cost"')]
    assert right.count("<figure>") == 8
    assert right.count('src="data:image/png') == 8
    assert 'id="wrong"' not in page  # the best is right everywhere


def test_names_never_become_markup(hostile: list[Path], tmp_path: Path) -> None:
    page = compare(hostile, tmp_path / "out put")
    assert "<b>bold" not in page
    assert HOSTILE not in page
    assert "&lt;b&gt;bold &amp; &#39;quoted&#39;" in page
    for name in SCRIPTS[1:4]:
        assert name.replace("&", "&amp;") in page
    links = [address for address in addresses(page) if address.startswith("..")]
    assert len(links) == 2
    assert not any(mark in link for link in links for mark in "<>'# ?\"")
    assert all((tmp_path / "out put" / unquote(link)).read_text() == "a report" for link in links)


def test_the_reverse_is_shown_when_the_best_fails_too(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    best, other = (copy_run(tiny_runs["majority"], tmp_path / name) for name in ("best", "other"))

    def say(rows: list[dict[str, str]], right: int) -> None:
        for at, row in enumerate(rows):
            row["predicted"] = row["truth"] if (at < right) == (right > 6) else "nothing"

    answer(best, lambda rows: say(rows, 8))
    answer(other, lambda rows: say(rows, 6))
    page = compare([best, other], tmp_path / "out")
    right, wrong = page.index('id="right"'), page.index('id="wrong"')
    assert page[right:wrong].count("<figure>") == 6
    assert page[wrong : page.index('id="scores"')].count("<figure>") == 4


def test_at_most_a_dozen_images_each(hostile: list[Path], tmp_path: Path) -> None:
    first, second = hostile

    def all_wrong(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["predicted"] = "none of them"

    answer(first, all_wrong)
    page = compare([first, second], tmp_path)
    assert page.count("<figure>") == MOST_SHOWN
    assert f"25\u00a0test pictures; {MOST_SHOWN} are here" in page


def test_a_run_without_a_report_is_named_without_a_link(hostile: list[Path], tmp_path: Path) -> None:
    (hostile[0] / "report.html").unlink()
    page = compare(hostile, tmp_path)
    assert len([address for address in addresses(page) if address.endswith("report.html")]) == 1


def test_images_that_are_gone_are_named(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = [copy_run(tiny_runs[model], tmp_path / model) for model in ("majority", "descriptors")]
    for run in runs:
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "gone")}))
    page = compare(runs, tmp_path)
    assert page.count("can’t be opened any more") == 8


def test_several_labels_are_shown_with_what_each_run_gives(tiny_label_runs: dict[str, Path], tmp_path: Path) -> None:
    page = compare(list(tiny_label_runs.values()), tmp_path)
    assert "descriptors\u2069 is better than" in page
    assert "Label by label" in page
    right = page[page.index('id="right"') : page.index('id="cost"')]
    assert "is nearer to the truth" in right
    assert right.count("<figure>") >= MOST_SHOWN
    assert right.count("has <bdi>") > 0
    for label in ("large", "red", "round"):
        assert f"<bdi>{label}</bdi>" in page[page.index('id="classes"') : page.index('id="right"')]


def test_it_shows_what_runs_cost(page: str) -> None:
    cost = page[page.index('id="cost"') : page.index('id="curves"')]
    for text in ("Training", "Memory for training", "images/s", "Model on disk", "Parameters", "of it"):
        assert text in cost
    assert cost.count("<tr>") == 1 + 1 + 6


def test_a_cost_that_no_run_tells_is_left_out(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = [copy_run(tiny_runs[model], tmp_path / model) for model in ("majority", "descriptors")]
    for run in runs:
        (run / "cost.json").unlink()
    page = compare(runs, tmp_path)
    cost = page[page.index('id="cost"') : page.index('id="scores"')]
    assert "Model on disk" in cost
    assert "Memory" not in cost
    assert "Parameters" not in cost


def test_every_class_stands_beside_its_difference(page: str) -> None:
    classes = page[page.index('id="classes"') : page.index('id="right"')]
    assert classes.count("<details") == 2
    assert classes.count('<th scope="row">') == 6
    assert classes.count("<circle") == 6
    assert "+100.0" in classes


def test_many_clear_differences_among_classes_come_first(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    table = view_classes(compare_runs([tiny_runs["majority"], tiny_runs["descriptors"]]).runs[1])
    assert table is not None
    assert [row.difference for row in table.rows] == [1.0, 1.0, 0.0]
    assert (table.scale, table.clear) == (1.0, 0)  # four images a class prove nothing once it is corrected
    assert [row.places[1] for row in table.rows] == [100.0, 100.0, 50.0]


def test_the_rail_holds_every_interval_and_baseline(tiny_runs: dict[str, Path]) -> None:
    comparison = compare_runs([tiny_runs["descriptors"], tiny_runs["small-cnn"]])
    rail = draw_rail(comparison)
    scores = [run.evaluation.scores["accuracy"] for run in comparison.runs]
    places = [rail.place(value) for score in scores for value in (score.low, score.value, score.high)]
    places += [place for _, _, place in rail.baselines]
    assert all(0 <= place <= 100 for place in places)
    assert [name for name, _, _ in rail.baselines] == ["majority"]
    assert (rail.ticks[0].position, rail.ticks[-1].position) == (0, 100)
    assert 0 <= rail.low < rail.high <= 1


def test_the_same_comparison_gives_the_same_page(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = list(tiny_runs.values())
    assert compare(runs, tmp_path / "out") == compare(runs, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["comparison.html"]


def test_comparing_imports_no_torch(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    code = "import sys, distingo; distingo.compare(sys.argv[2:], sys.argv[1]); print('torch' in sys.modules)"
    words = [sys.executable, "-c", code, str(tmp_path), *map(str, tiny_runs.values())]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert sorted(path.name for path in tmp_path.glob("comparison.*")) == ["comparison.html", "comparison.json"]
