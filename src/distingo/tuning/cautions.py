"""What a person should know before trusting the best score of a search."""

from __future__ import annotations

from distingo.metrics.intervals import wilson
from distingo.tuning.records import Search


def cautions(search: Search) -> tuple[str, ...]:
    """What a person should know before trusting the best score."""
    best = search.best_trial
    if best is None or best.score is None:
        return ()
    number = len(search.trials)
    notes = [
        f"{'They are' if search.tied else 'It is'} the best of {number} trials judged on the same "
        f"{search.validation:,} validation pictures, so {'their' if search.tied else 'its'} score is optimistic: part "
        "of it is luck."
    ]
    if search.monitor == "validation_accuracy":
        low, high = wilson(round(best.score * search.validation), search.validation)
        notes.append(
            f"On so many pictures an accuracy of {best.score:.1%} is uncertain by itself, from {low:.1%} to {high:.1%}"
            " (95 %); smaller differences between recipes may be chance."
        )
    notes.append(
        f"The {search.test:,} test pictures were not looked at; training with --recipe best-recipe.json judges on them."
    )
    return tuple(notes)
