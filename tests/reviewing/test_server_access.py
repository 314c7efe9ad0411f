"""Who may speak to the server."""

from __future__ import annotations

import pytest

from distingo.reviewing.server import Guard

GUARD = Guard("127.0.0.1", 8123, "secret")
OURS = {"Host": "127.0.0.1:8123", "Origin": "http://127.0.0.1:8123", "Content-Type": "application/json"}


def status(method: str = "GET", path: str = "secret/state", guard: Guard = GUARD, **headers: str) -> int:
    said = {**OURS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    refused = guard.refuse(method, path, said)
    return refused.status if refused else 200


def test_the_page_itself_is_heard() -> None:
    assert GUARD.url == "http://127.0.0.1:8123/secret/"
    assert status() == status("POST") == 200
    assert status(Host="localhost:8123", Sec_Fetch_Site="same-origin") == 200
    assert status(Host="[::1]:8123") == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8123",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1.evil.example:8123",
        "192.168.0.7:8123",
        "",
        "x@127.0.0.1:8123",
        "127.0.0.1:8123/x",
        "localhost:99999",
        "[::1",
        "2130706433:8123",
    ],
)
def test_a_foreign_name_is_not(host: str) -> None:
    assert status(Host=host) == 403


@pytest.mark.parametrize("path", ["", "state", "secre/state", "secret2/state", "Secret/state", "sécret/state"])
def test_without_the_token_nothing_is_there(path: str) -> None:
    assert status(path=path) == 404


def test_another_page_may_not_write() -> None:
    for origin in ("http://evil.example", "null", "", "https://127.0.0.1:8123", "http://127.0.0.1:9000"):
        assert status("POST", Origin=origin) == 403
    for site in ("cross-site", "same-site"):
        assert status("POST", Sec_Fetch_Site=site) == 403
        assert status("GET", Sec_Fetch_Site=site) == 403
        assert status("GET", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate") == 200
    assert status("POST", Content_Type="text/plain") == 415


def test_told_to_listen_elsewhere_it_answers_to_addresses_only() -> None:
    everywhere = Guard("0.0.0.0", 8123, "secret")
    assert everywhere.url == "http://127.0.0.1:8123/secret/"
    assert Guard("::", 8123, "t").url == "http://[::1]:8123/t/"
    assert status(guard=everywhere, Host="192.168.0.7:8123") == 200
    assert status(guard=everywhere, Host="evil.example:8123") == 403
    assert status(guard=Guard("box.lan", 8123, "secret"), Host="box.lan:8123") == 200


def test_every_start_has_a_token_of_its_own() -> None:
    assert Guard("127.0.0.1", 1).token != Guard("127.0.0.1", 1).token
    assert len(Guard("127.0.0.1", 1).token) >= 32
