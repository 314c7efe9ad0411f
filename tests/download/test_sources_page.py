from __future__ import annotations

import re
from pathlib import Path

import pytest

from distingo.download.records import Limits
from distingo.download.sets import SETS, NamedSet

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("named", SETS.values(), ids=SETS)
def test_the_page_says_of_every_set_what_its_record_says(named: NamedSet) -> None:
    section = PAGE.partition(f"### `{named.name}`\n")[2].partition("\n### ")[0]
    assert f"distingo download {named.name} -o" in section
    for said in (named.title, named.home, named.address, named.served_by, named.license, named.checksums_from):
        assert said in section
    assert re.findall(r"  - `(\S+)` `(\S+)`", section) == [(file.name, file.checksum) for file in named.files]
    for split, count in named.images.items():
        assert f"{count:,} {split or 'images'}" in section


def test_the_page_names_no_set_that_is_not_there() -> None:
    known = PAGE.partition("## Well-known sets\n")[2].partition("\n## ")[0]
    assert re.findall(r"### `(.+)`", known) == list(SETS)


def test_the_page_says_the_limits() -> None:
    assert f"{Limits().connections} connections in all and {Limits().per_host} to one host" in PAGE
    assert (Limits().connect_timeout, Limits().stall_timeout, Limits().longest_wait) == (10.0, 30.0, 300.0)
