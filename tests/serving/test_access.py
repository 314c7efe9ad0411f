from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from served_runs import image, running

from distingo.errors import UsageError
from distingo.serving.http.access import host_name, is_same_origin
from distingo.serving.settings import ServeSettings
from raising import raises


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("LOCALHOST", "localhost"),
        ("Pictures.Example.org:8443", "pictures.example.org"),
        ("pictures.example.org.", "pictures.example.org"),
        ("B\u00fccher.example", "xn--bcher-kva.example"),
        ("my_host", "my_host"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("::1", "::1"),
        ("[2001:DB8:0::1]:80", "2001:db8::1"),
        ("", None),
        ("http://a", None),
        ("a/b", None),
        ("a b", None),
        ("user@host", None),
        ("name:99999", None),
        ("[zz]", None),
    ],
)
def test_names_are_written_in_one_way(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://name:8443", "name:8443", True),
        ("https://name:8443", "name", False),
        ("https://name", "name", True),
        ("https://name", "Name:443", True),
        ("http://name", "name:80", True),
        ("http://name", "name:443", False),
        ("https://name", "other", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("null", "name", False),
        ("null", "", False),
        ("https://", "", False),
    ],
)
def test_an_origin_is_compared_with_its_port(origin: str, host: str, *, same: bool) -> None:
    assert is_same_origin(origin, host) == same


def test_names_that_are_allowed_are_known_in_any_case(tiny_runs: dict[str, Path]) -> None:
    allowed = ("Pictures.Example.org", "b\u00fccher.example")
    with running({"cnn": tiny_runs["small-cnn"]}, allowed_hosts=allowed) as server:
        names = ["pictures.example.org", "PICTURES.example.org:8443", "pictures.example.org.", "xn--bcher-kva.example"]
        for name in [*names, "LocalHost", "[::1]"]:
            assert httpx2.get(server.url + "/models", headers={"Host": name}).status_code == 200
        for name in ("example.org", "pictures.example.org.attacker.example", "xpictures.example.org"):
            assert httpx2.get(server.url + "/models", headers={"Host": name}).status_code == 400
        own = {"Host": "pictures.example.org:8443", "Origin": "https://pictures.example.org:8443"}
        assert httpx2.post(server.url + "/predict", content=image(), headers=own).status_code == 200
        other = {"Host": "pictures.example.org", "Origin": "https://pictures.example.org:8443"}
        assert httpx2.post(server.url + "/predict", content=image(), headers=other).status_code == 403


@pytest.mark.parametrize("name", ["", "https://images.example.org", "a b"])
def test_what_is_no_host_name_is_refused_at_the_start(name: str) -> None:
    with raises(UsageError, code="invalid_name", parameter="allowed_hosts"):
        ServeSettings(allowed_hosts=(name,)).check()


@pytest.mark.parametrize("name", ["", "proxy.internal", "10.0.0.0/40"])
def test_what_is_no_address_of_a_proxy_is_refused_at_the_start(name: str) -> None:
    with raises(UsageError, code="invalid_value", parameter="proxies"):
        ServeSettings(proxies=(name,)).check()
    ServeSettings(proxies=("*", "10.0.0.1/8", "::1")).check()
