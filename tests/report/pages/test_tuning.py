from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searches import build_search, without_trials

from browsing import CONTRASTS, TEXTS
from distingo.experiments.tuning_records import Search, SearchFolder, choose_best, find_tied, write_search
from distingo.report.pages.tuning import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    cautions,
    describe_choice,
    draw_history,
    draw_slices,
    format_score,
    name_trials,
    summarize_gain,
    write_tuning_page,
)


def read(search: Any, place: Path) -> str:
    return write_tuning_page(search, place / "tune.html").read_text(encoding="utf-8")


def test_the_page_says_by_how_much_and_what_to_doubt(tmp_path: Path) -> None:
    search = build_search()
    page = re.sub(r"\s+", " ", read(search, tmp_path))
    assert search.best_trial is not None
    assert search.best_trial.number == 10
    assert (
        summarize_gain(search)
        == "The best recipe: accuracy 91.0% on validation, 10.0 points better than the default's 81.0%."
    )
    assert "The best recipe reaches <strong>91.0%</strong> accuracy" in page
    assert "<strong>10.0 points</strong> better" in page
    assert "the best of 25 trials evaluated on the same 150 validation pictures" in page
    assert "The 200 test pictures were not used" in page
    assert "&lt;b&gt;data&lt;/b&gt;" in page
    assert "memory &lt;ran&gt; out" in page


def test_an_accuracy_is_as_uncertain_as_its_images_are_few() -> None:
    few, many = (cautions(replace(build_search(), validation=count))[1] for count in (50, 5000))
    assert "from 81.2% to 96.8%" in few
    assert "from 90.2% to 91.8%" in many


def test_a_search_without_gain_says_so(tmp_path: Path) -> None:
    search = build_search()
    same = replace(search, best_trial=search.default_trial, best=search.default)
    page = read(same, tmp_path)
    assert "No recipe is better than the default" in page
    assert "It is the default recipe." in page


def tie(search: Search, *, with_default: bool = False) -> Search:
    """The best trial's score for another one too, which is less sure."""
    assert search.best_trial is not None
    number = 1 if with_default else 6
    stages = tuple(
        replace(
            stage,
            trials=tuple(
                replace(trial, score=search.best_trial.score, loss=0.9) if trial.number == number else trial
                for trial in stage.trials
            ),
        )
        for stage in search.stages
    )
    trials = [trial for stage in stages for trial in stage.trials]
    return replace(search, stages=stages, best_trial=choose_best(trials), tied=find_tied(trials))


def test_no_recipe_is_called_the_best_where_several_tie(tmp_path: Path) -> None:
    search = tie(build_search())
    page = re.sub(r"\s+", " ", read(search, tmp_path))
    assert (
        summarize_gain(search)
        == "Trials 6 and 10 tie: accuracy 91.0% on validation, 10.0 points better than the default's 81.0%."
    )
    assert "Trials 6 and 10 tie: they reach <strong>91.0%</strong> accuracy" in page
    choice = "trial 10, of the 2 that tie the one with the lowest validation loss"
    assert f"Trials 6 and 10 tie, so none is the best. best-recipe.json holds {choice}." in page
    assert "best recipe" not in page
    assert '<th scope="col">Trial 10</th>' in page
    assert page.count('class="best-row"') == 2
    assert "They are the best of 25 trials" in page


def test_the_default_is_chosen_where_others_tie_with_it(tmp_path: Path) -> None:
    search = tie(build_search(), with_default=True)
    assert (
        summarize_gain(search)
        == "No recipe is better than the default: accuracy 91.0% on validation; trial 10 ties with it."
    )
    assert describe_choice(search) == "trial 1, of the 2 that tie the default recipe"
    assert "on validation; others tie with it." in read(search, tmp_path)


def test_the_recipe_file_names_the_trials_that_tie(tmp_path: Path) -> None:
    write_search(SearchFolder(tmp_path), tie(build_search()))
    found = json.loads((tmp_path / "best-recipe.json").read_text(encoding="utf-8"))["found"]
    assert (found["trial"], found["tied"], found["chosen_by"]) == (10, [6], "loss")
    write_search(SearchFolder(tmp_path), build_search())
    found = json.loads((tmp_path / "best-recipe.json").read_text(encoding="utf-8"))["found"]
    assert (found["trial"], found["tied"], found["chosen_by"]) == (10, [], "score")


def test_many_tied_trials_are_counted() -> None:
    trials = [trial for trial in build_search().trials if trial.stage == "training"]
    assert name_trials(trials[:6]) == "trials 5, 6, 7, 8, 9 and 10"
    assert name_trials(trials[:7], starts=True) == "7 trials"


def test_a_search_that_has_found_nothing_yet_has_a_page(tmp_path: Path) -> None:
    assert "No trial is complete yet." in read(without_trials(), tmp_path)


def test_every_scored_trial_lies_inside_its_charts() -> None:
    search = build_search()
    history = draw_history(search.trials, search.monitor, search.leaders)
    assert history is not None
    slices = draw_slices(search.stages[1], search.monitor, search.leaders)
    assert [chart.name for chart in slices] == ["lr", "augment", "dropout"]
    assert (len(history.dots), {len(chart.dots) for chart in slices}) == (24, {20})
    for dot in [dot for chart in (history, *slices) for dot in chart.dots]:
        assert LEFT <= dot.x <= RIGHT
        assert TOP <= dot.y <= BOTTOM
    best = next(dot for dot in history.dots if dot.look == "best-dot")
    assert best.y == min(dot.y for dot in history.dots if dot.look != "pruned")


def test_a_higher_learning_rate_lies_further_right() -> None:
    search = build_search()
    chart = draw_slices(search.stages[1], search.monitor, ())[0]
    rates = [trial.values["lr"] for trial in search.stages[1].trials if trial.score is not None]
    places = [dot.x for dot in chart.dots]
    assert sorted(range(20), key=lambda at: rates[at]) == sorted(range(20), key=lambda at: places[at])


def test_a_loss_is_told_as_one() -> None:
    assert format_score("validation_loss", -0.25) == "0.2500"


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (375, "light")])
def test_the_page_in_a_browser(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(write_tuning_page(build_search(), tmp_path / "tune.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("#history figure circle").count() == 24
    for ratio, what in page.evaluate(CONTRASTS, TEXTS):
        assert ratio >= 4.5, (scheme, what, ratio)
    assert complaints == []
    page.close()
