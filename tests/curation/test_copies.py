"""Of copies one stays, and what goes has a copy that stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distingo.curation.planning import choose_copies

_PAIRS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")).filter(lambda p: p[0] != p[1]))


def test_of_the_same_one_stays() -> None:
    assert choose_copies([("b", "c"), ("a", "b")], [], str) == {"b": "a", "c": "a"}


def test_likeness_is_not_carried_over() -> None:
    chain = [("a", "b"), ("b", "c"), ("c", "d")]
    assert choose_copies([], chain, str) == {"b": "a", "d": "c"}


def test_a_copy_of_a_copy_names_the_one_that_stays() -> None:
    assert choose_copies([("b", "c")], [("a", "c")], str) == {"b": "a", "c": "a"}


@given(_PAIRS, _PAIRS)
def test_no_pair_is_left_and_no_group_goes_altogether(same: list, alike: list) -> None:
    goes = choose_copies(same, alike, str)
    assert not set(goes) & set(goes.values())
    for one, other in [*same, *alike]:
        assert one in goes or other in goes
    near = {frozenset(pair) for pair in [*same, *alike]}
    reached = {file: _connected(file, near) for file in goes}
    assert all(kept in reached[file] for file, kept in goes.items())


def _connected(file: str, pairs: set[frozenset[str]]) -> set[str]:
    known = {file}
    while True:
        more = {each for pair in pairs if pair & known for each in pair} - known
        if not more:
            return known
        known |= more
