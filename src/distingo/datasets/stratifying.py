"""Pictures with several labels divided so that every label is shared out alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stratify(labels: np.ndarray, sizes: Sequence[int], *, seed: int) -> np.ndarray:
    """Divide pictures by iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011).

    The label with the fewest pictures left is dealt out first, each picture to the side that lacks most of that
    label, then to the one that lacks most pictures, then by chance. Two things go beyond the paper: no side
    takes more than its size, and a label wants at least one picture on every side that it has pictures enough for.

    Sechidis, Tsoumakas, Vlahavas: "On the Stratification of Multi-label Data", ECML PKDD 2011, algorithm 1.

    Args:
        labels: bool of shape (pictures, labels); a picture may have none.
        sizes: How many pictures each side gets; together as many as there are.
        seed: Not negative.

    Returns:
        The side (its position in `sizes`) of every picture: int64 of shape (pictures,).

    Raises:
        ValueError: The sizes do not add up.
    """
    has = np.asarray(labels, bool)
    room = np.array(sizes, np.int64)
    if room.sum() != len(has) or (room < 0).any():
        raise ValueError(f"sizes {tuple(sizes)} do not add up to {len(has)} pictures")
    rng = np.random.default_rng(seed)
    chance = rng.permutation(len(has))
    sides = np.full(len(has), -1, np.int64)
    _deal(has, room, sides, chance, rng)
    rest = _shuffled(np.flatnonzero(sides < 0), chance)
    sides[rest] = np.repeat(np.arange(len(room)), room - np.bincount(sides[sides >= 0], minlength=len(room)))
    _give_every_side_one(has, sides, chance)
    return sides


def _deal(has: np.ndarray, sizes: np.ndarray, sides: np.ndarray, chance: np.ndarray, rng: np.random.Generator) -> None:
    """Deal out every picture that has a label, the rarest label first; fills `sides`."""
    left = has.sum(axis=0)
    # Plain lists: there are a handful of sides, and NumPy would take longer to start than to finish.
    wanted = _wanted(left, sizes).T.tolist()
    room = sizes.tolist()
    while left.any():
        label = int(np.where(left > 0, left, len(has) + 1).argmin())
        places = _shuffled(np.flatnonzero(has[:, label] & (sides < 0)), chance)
        for place in places.tolist():
            side = _neediest(wanted[label], room, rng)
            sides[place] = side
            room[side] -= 1
            for own in np.flatnonzero(has[place]).tolist():
                wanted[own][side] -= 1
        left -= has[places].sum(axis=0)


def _shuffled(places: np.ndarray, chance: np.ndarray) -> np.ndarray:
    return places[np.argsort(chance[places])]


def _neediest(wanted: Sequence[float], room: Sequence[int], rng: np.random.Generator) -> int:
    open_sides = [side for side, free in enumerate(room) if free > 0]
    most = max(wanted[side] for side in open_sides) - 1e-9  # sums of shares are exact to about 1e-12
    best = [side for side in open_sides if wanted[side] >= most]
    most_room = max(room[side] for side in best)
    best = [side for side in best if room[side] == most_room]
    return best[0] if len(best) == 1 else int(rng.choice(best))


def _wanted(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many pictures of each label each side should get: float64 of shape (sides, labels)."""
    wanted = np.outer(sizes / max(1, sizes.sum()), counts)
    takers = sizes > 0
    enough = counts >= takers.sum()
    raised = np.where(takers[:, None] & enough, np.maximum(wanted, 1.0), wanted)
    # what the small sides get more, the largest gets less
    raised[sizes.argmax()] -= raised.sum(axis=0) - counts
    return raised


def _give_every_side_one(has: np.ndarray, sides: np.ndarray, chance: np.ndarray) -> None:
    """Swap pictures so that a label that a side lacks comes to it; changes `sides` in place.

    A swap is made only if no other label loses its only picture on a side.
    """
    takers = np.unique(sides)
    counts = np.array([has[sides == side].sum(axis=0) for side in takers]).reshape(len(takers), has.shape[1])
    for label in np.argsort(has.sum(axis=0), kind="stable"):
        for at in np.flatnonzero(counts[:, label] == 0):
            if has[:, label].sum() >= len(takers):
                _swap_in(has, sides, counts, takers, chance, int(at), int(label))


def _swap_in(
    has: np.ndarray,
    sides: np.ndarray,
    counts: np.ndarray,
    takers: np.ndarray,
    chance: np.ndarray,
    at: int,
    label: int,
) -> None:
    held = (counts > 0).sum()
    inside = _shuffled(np.flatnonzero((sides == takers[at]) & ~has[:, label]), chance)
    for place in np.flatnonzero(has[:, label]):
        giver = int(np.searchsorted(takers, sides[place]))
        if counts[giver, label] < 2:
            continue
        moved = has[place].astype(np.int64) - has[inside].astype(np.int64)  # (pictures inside, labels)
        kept = ((counts[at] + moved > 0).sum(axis=1) + (counts[giver] - moved > 0).sum(axis=1)) > (
            held - (np.delete(counts, [at, giver], axis=0) > 0).sum()
        )
        if kept.any():
            other = inside[int(kept.argmax())]
            change = has[place].astype(np.int64) - has[other]
            counts[at] += change
            counts[giver] -= change
            sides[place], sides[other] = takers[at], takers[giver]
            return
