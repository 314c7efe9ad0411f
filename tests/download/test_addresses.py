from __future__ import annotations

import socket

import pytest
from httpx2 import URL

from distingo.download.connections import follow_redirect, is_public, parse_address, resolve
from distingo.download.records import LastingError, PassingError

PRIVATE = (
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "192.0.2.1"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_known_however_they_are_written(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_a_host_with_public_and_private_addresses_is_asked_on_the_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in ("10.0.0.1", "8.8.8.8")]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert resolve("mixed.example", public_only=True) == ["8.8.8.8"]
    assert resolve("mixed.example", public_only=False) == ["10.0.0.1", "8.8.8.8"]


def test_hosts_that_are_not_there_may_be_later() -> None:
    with pytest.raises(PassingError, match=r"^nobody\.invalid: no such host, or no network$"):
        resolve("nobody.invalid", public_only=True)


def test_letters_outside_ascii_are_encoded() -> None:
    url = parse_address(" https://Bücher.example/a b/ü.jpg?q=é#part ")
    assert str(url) == "https://xn--bcher-kva.example/a%20b/%C3%BC.jpg?q=%C3%A9"


@pytest.mark.parametrize("text", ["", "mailto:a@b", "//h/a", "file:///etc/passwd", "http://", "http://u:p@h/a"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(LastingError):
        parse_address(text)


def test_redirects_may_gain_encryption_but_not_lose_it() -> None:
    assert str(follow_redirect(URL("http://h/a/b"), "../c")) == "http://h/c"
    assert str(follow_redirect(URL("http://h/a"), "https://k/b")) == "https://k/b"
    assert str(follow_redirect(URL("https://h/a"), "//k/b")) == "https://k/b"
    with pytest.raises(LastingError, match="from https to http://k/b, which is not encrypted"):
        follow_redirect(URL("https://h/a"), "http://k/b")
