from __future__ import annotations

import pytest

from distingo.download.request import find_opt_out


@pytest.mark.parametrize(
    "value",
    [
        "noai",
        "NoImageAI",
        "nofollow, noindex",
        "none",
        "distingo: noai",
        "googlebot: nofollow, distingo: noindex",
        "*: noai",
    ],
)
def test_robots_headers_that_forbid(value: str) -> None:
    assert find_opt_out([("Content-Type", "image/png"), ("x-robots-tag", value)]) is not None


@pytest.mark.parametrize(
    "value",
    [
        "nofollow",
        "all",
        "",
        "googlebot: noai",
        "googlebot: nofollow, noai",
        "unavailable_after: 25 Jun 2030",
        "notranslate",
    ],
)
def test_robots_headers_that_allow(value: str) -> None:
    assert find_opt_out([("X-Robots-Tag", value)]) is None


def test_every_header_counts_and_text_mining_reservations_too() -> None:
    assert find_opt_out([("X-Robots-Tag", "all"), ("X-Robots-Tag", "noai")]) == "X-Robots-Tag: noai"
    assert find_opt_out([("TDM-Reservation", " 1 ")]) == "tdm-reservation: 1"
    assert find_opt_out([("tdm-reservation", "0")]) is None
