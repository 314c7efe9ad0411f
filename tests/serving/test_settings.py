from __future__ import annotations

import os
from pathlib import Path

import pytest

from distingo.errors import ErrorCode, UsageError
from distingo.serving.http.access import RateLimit, RefusedError, find_key, hash_key, read_keys
from distingo.serving.service import Slots
from distingo.serving.settings import ServeSettings, name_runs, read_size
from raising import raises


def test_sizes_are_read_as_people_write_them() -> None:
    sizes = {"1000": 1000, "20MB": 20 * 2**20, "1.5k": 1536, " 2 GiB ": 2**31}
    assert {text: read_size(text) for text in sizes} == sizes
    for text in ("", "MB", "-1", "1TB", "1e3"):
        with raises(UsageError, code="invalid_value", parameter="max_upload"):
            read_size(text)


@pytest.mark.parametrize(
    "settings, code",
    [
        ({"port": 65536}, "out_of_range"),
        ({"workers": 0}, "out_of_range"),
        ({"max_upload": 10}, "out_of_range"),
        ({"max_wait": -1.0}, "out_of_range"),
        ({"max_wait": float("nan")}, "out_of_range"),
        ({"queue": 0}, "out_of_range"),
        ({"rate_limit": 0}, "out_of_range"),
        ({"max_images": 300}, "options_conflict"),
        ({"host": "0.0.0.0"}, "unsafe_setting"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], code: ErrorCode) -> None:
    with raises(UsageError, code=code):
        ServeSettings(**settings).check()  # type: ignore[arg-type]


def test_others_may_reach_a_server_that_asks_for_keys() -> None:
    ServeSettings(host="0.0.0.0", key_hashes=(hash_key("x" * 20),)).check()


def test_runs_are_named_by_their_folders_or_as_wanted(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    named = name_runs([f"sports={tmp_path}", str(tmp_path / "runs" / "猫"), str(odd)])
    assert [(run.name, run.path) for run in named] == [
        ("sports", tmp_path),
        ("猫", tmp_path / "runs" / "猫"),
        ("a=b", odd),
    ]
    wrong: tuple[tuple[list[str], ErrorCode], ...] = (
        ([], "missing_argument"),
        (["a=x", "a=y"], "named_twice"),
        ([f"a?b={tmp_path}"], "invalid_name"),
    )
    for given, code in wrong:
        with raises(UsageError, code=code):
            name_runs(given)
    for unnamed in (["=x"], ["x="]):
        with raises(UsageError, code="invalid_name"):
            name_runs(unnamed)


def test_keys_come_from_a_file_and_are_kept_as_hashes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\n\n  0123456789abcdef  \nschlüssel-der-lang-genug-ist\n", encoding="utf-8")
    keys = read_keys(file)
    assert len(keys) == 2 and b"0123456789abcdef" not in b"".join(keys)
    assert find_key({"x-api-key": "0123456789abcdef"}, keys) == keys[0]
    assert find_key({"authorization": "Bearer schlüssel-der-lang-genug-ist"}, keys) == keys[1]
    assert find_key({"x-api-key": "0123456789abcde"}, keys) is None and find_key({}, keys) is None


@pytest.mark.parametrize("content, code", [("", "empty_file"), ("# nothing\n", "empty_file"), ("short\n", "weak_key")])
def test_a_file_without_good_keys_is_refused(tmp_path: Path, content: str, code: ErrorCode) -> None:
    file = tmp_path / "keys"
    file.write_text(content, encoding="utf-8")
    with raises(UsageError, code=code, parameter="api_key_file"):
        read_keys(file)
    with raises(UsageError, code="cannot_read", parameter="api_key_file"):
        read_keys(tmp_path / "none")


def test_rates_recover_at_an_even_pace() -> None:
    now = [0.0]
    rates = RateLimit(6, lambda: now[0])
    assert [rates.seconds_to_wait("a") for _ in range(8)] == [0] * 6 + [10, 10]
    assert rates.seconds_to_wait("b") == 0
    now[0] = 10.0
    assert [rates.seconds_to_wait("a") for _ in range(2)] == [0, 10]
    now[0] = 1e6
    assert [rates.seconds_to_wait("a") for _ in range(7)] == [0] * 6 + [10]


def test_rates_do_not_remember_everybody() -> None:
    rates = RateLimit(1)
    for number in range(20_000):
        rates.seconds_to_wait(number)
    assert len(rates._left) <= 10_000


def test_slots_come_back_whatever_happens() -> None:
    seen: list[int] = []
    slots = Slots(3, seen.append)
    with pytest.raises(KeyError), slots.hold(3):
        with pytest.raises(RefusedError) as refused, slots.hold(1):
            pass
        assert refused.value.status == 503
        with pytest.raises(RefusedError):
            slots.check()
        raise KeyError(os.name)
    assert slots.used == 0
    assert seen == [3, 0]
    slots.check()
