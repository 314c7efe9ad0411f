"""Which trial of a search is chosen, and which tie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distingo.experiments.tuning_records import ChosenBy, Search, Trial, choose_best, find_tied

LOW = Trial(1, "training", {"lr": 0.1}, "complete", 0.8, 0.6, (), 1.0, is_default=True)
FIRST = Trial(2, "training", {"lr": 0.2}, "complete", 0.9, 0.5, (), 1.0)
SURER = Trial(3, "training", {"lr": 0.3}, "complete", 0.9, 0.4, (), 1.0)
TWIN = replace(SURER, number=4)
GIVEN_UP = replace(SURER, number=5, state="pruned")
DEFAULT = replace(LOW, score=0.9)


def search_of(*trials: Trial) -> Search:
    best = choose_best(trials)
    return Search(
        "data", "fast", "single-label", "validation_accuracy", 60, 15, 20, (), {}, {}, best, True, find_tied(trials)
    )


@pytest.mark.parametrize(
    ("trials", "number", "tied", "chosen_by"),
    [
        ((LOW, FIRST, GIVEN_UP), 2, (), "score"),
        ((LOW, FIRST, SURER), 3, (2, 3), "loss"),
        ((LOW, TWIN, SURER), 3, (4, 3), "order"),
        ((DEFAULT, FIRST, SURER), 1, (1, 2, 3), "default"),
        ((GIVEN_UP,), None, (), None),
    ],
)
def test_of_tied_trials_one_is_chosen_and_all_are_named(
    trials: tuple[Trial, ...], number: int | None, tied: tuple[int, ...], chosen_by: ChosenBy | None
) -> None:
    search = search_of(*trials)
    assert (search.best_trial.number if search.best_trial else None) == number
    assert tuple(trial.number for trial in search.tied) == tied
    assert search.chosen_by == chosen_by
    assert [trial.number for trial in search.leaders] == list(tied or ([number] if number else []))
