from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from distingo.errors import ErrorCode, UsageError
from distingo.options.fields import Option, check_options, options_of, require_keywords
from raising import raises


@dataclass(frozen=True, kw_only=True)
class Oven:
    heat: Annotated[int, Option(help="how hot it is", low=1, high=3000)] = 1800
    minutes: Annotated[float | None, Option(help="how long it bakes", low=0.5, default="until it is brown")] = None
    shelf: Annotated[Literal["low", "high"] | None, Option(help="where it stands", default="low")] = None
    tray: Annotated[tuple[str, ...], Option(help="what stands on it", default="nothing", accepts=Sequence[str])] = ()
    fan: Annotated[bool, Option(help="let the fan turn")] = False
    serial: str = ""

    def __post_init__(self) -> None:
        check_options(self)


def test_fields_with_an_option_are_options():
    known = options_of(Oven)
    assert list(known) == ["heat", "minutes", "shelf", "tray", "fan"]
    assert (known["heat"].type, known["heat"].value, known["heat"].flag) == (int, 1800, "--heat")
    assert (known["tray"].type, known["tray"].stored_type) == (Sequence[str], tuple[str, ...])
    assert known["shelf"].choices == ("low", "high")


def test_help_has_range_and_default():
    known = options_of(Oven)
    assert known["heat"].help == "how hot it is (1 to 3,000; default: 1,800)"
    assert known["minutes"].help == "how long it bakes (0.5 or more; default: until it is brown)"
    assert known["shelf"].help == "where it stands (default: low)"
    assert known["fan"].help == "let the fan turn"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"heat": 0}, "out_of_range"),
        ({"heat": 3001}, "out_of_range"),
        ({"heat": 2.5}, "invalid_type"),
        ({"heat": True}, "invalid_type"),
        ({"minutes": 0.1}, "out_of_range"),
        ({"minutes": float("nan")}, "out_of_range"),
        ({"minutes": "long"}, "invalid_type"),
        ({"shelf": "middle"}, "unknown_name"),
        ({"fan": 1}, "invalid_type"),
    ],
)
def test_other_values_are_refused(wrong: dict[str, Any], code: ErrorCode):
    with raises(UsageError, code=code, parameter=next(iter(wrong))):
        Oven(**wrong)


def test_errors_name_what_is_allowed():
    with pytest.raises(UsageError, match=r"^heat is 0; it must lie between 1 and 3,000$"):
        Oven(heat=0)
    with pytest.raises(UsageError, match=r"^minutes is 'long'; it must be a number or nothing$"):
        Oven(minutes="long")  # type: ignore[arg-type]


def test_allowed_values_pass():
    oven = Oven(heat=1, minutes=1, shelf="high", tray=("bread",), fan=True)
    assert (oven.minutes, oven.shelf) == (1, "high")


def test_unknown_keywords_are_refused_as_by_python():
    require_keywords({"heat": 3}, options_of(Oven), "bake")
    with pytest.raises(TypeError, match=r"^bake\(\) has no keyword 'heet'; did you mean heat\?$"):
        require_keywords({"heet": 3}, options_of(Oven), "bake")
