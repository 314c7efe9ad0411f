from distingo.checking.thresholds import DEFAULT_THRESHOLDS, KEPT_FROM, read_wishes, settle_thresholds
from distingo.errors import UsageError
from distingo.findings import FINDING_KINDS
from raising import raises


def test_every_kind_has_a_threshold_above_what_is_kept():
    assert set(DEFAULT_THRESHOLDS) == set(KEPT_FROM) == set(FINDING_KINDS)
    assert all(KEPT_FROM[kind] <= DEFAULT_THRESHOLDS[kind] <= 1 for kind in FINDING_KINDS)


def test_wishes_take_the_place_of_defaults():
    settled = settle_thresholds(read_wishes(["blurred=0.7", "dark=1"]))
    assert settled == {**DEFAULT_THRESHOLDS, "blurred": 0.7, "dark": 1.0}


def test_mistakes_are_explained():
    with raises(UsageError, code="unknown_name", parameter="thresholds"):
        settle_thresholds({"blured": 0.5})
    with raises(UsageError, code="out_of_range", parameter="thresholds"):
        settle_thresholds({"dark": 0.1})
    with raises(UsageError, code="invalid_value", parameter="thresholds"):
        read_wishes(["dark"])
