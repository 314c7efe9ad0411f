import pytest

from distingo.curation.findings import FINDING_KINDS
from distingo.curation.thresholds import DEFAULT_THRESHOLDS, KEPT_FROM, read_wishes, settle_thresholds
from distingo.errors import UsageError


def test_every_kind_has_a_threshold_above_what_is_kept():
    assert set(DEFAULT_THRESHOLDS) == set(KEPT_FROM) == set(FINDING_KINDS)
    assert all(KEPT_FROM[kind] <= DEFAULT_THRESHOLDS[kind] <= 1 for kind in FINDING_KINDS)


def test_wishes_take_the_place_of_defaults():
    settled = settle_thresholds(read_wishes(["blurred=0.7", "dark=1"]))
    assert settled == {**DEFAULT_THRESHOLDS, "blurred": 0.7, "dark": 1.0}


def test_mistakes_are_explained():
    with pytest.raises(UsageError, match="blured: no such kind of finding; did you mean blurred"):
        settle_thresholds({"blured": 0.5})
    with pytest.raises(UsageError, match=r"dark=0\.1: is out of range; choose from 0\.5 to 1"):
        settle_thresholds({"dark": 0.1})
    with pytest.raises(UsageError, match="write KIND=VALUE, for example"):
        read_wishes(["dark"])
