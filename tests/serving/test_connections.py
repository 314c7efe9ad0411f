from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from attacks import GET, HEAD
from served_runs import Server, image, running, wait_until
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from distingo.serving.http.access import Proxies, client_of, hash_key


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    limits = {"body_timeout": 2.0, "header_timeout": 2.0, "idle_timeout": 1.0, "write_timeout": 1.0}
    with running({"cnn": tiny_runs["small-cnn"]}, client_connections=20, **limits) as started:
        yield started


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def until_closed(connection: socket.socket) -> bytes:
    got = b""
    try:
        while came := connection.recv(65536):
            got += came
    except ConnectionError:
        pass
    return got


def test_empty_lines_after_an_answer_do_not_hold_a_connection(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(GET % b"/livez")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        connection.settimeout(0.2)
        while time.monotonic() - began < 8:
            try:
                connection.sendall(b"\r\n")
                if not connection.recv(10):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 0.7 < time.monotonic() - began < 6


def test_who_takes_no_answer_is_cut_off(server: Server) -> None:
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 20:
                try:
                    connection.sendall(GET % b"/openapi.json" * 20)
                except TimeoutError:
                    continue


@pytest.mark.parametrize("start", [b"1\r\na\r\n0\r\nX: ", b"1\r\na\r\n0\r\n", b"1;x=", b"0" * 60_000])
def test_trailers_and_extensions_have_limits(server: Server, start: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(HEAD % b"image/jpeg" + b"Transfer-Encoding: chunked\r\n\r\n" + start)
        with pytest.raises(ConnectionError):
            for _ in range(40_000):
                connection.sendall(b"X: " + b"a" * 1000 + (b"\r\n" if start.endswith(b"0\r\n") else b""))


def test_a_trailer_is_not_taken_for_a_header(server: Server) -> None:
    body = image()
    chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    head = HEAD % b"image/jpeg" + b"Transfer-Encoding: chunked\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(head + chunk)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "twice",
    [
        b"Host: localhost\r\nHost: localhost\r\n",
        b"Host: localhost\r\nContent-Type: image/jpeg\r\nContent-Type: image/png\r\n",
        b"Host: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        b"Host: attacker.example@localhost\r\n",
        b"Host: local host\r\n",
        b"Accept: */*\r\n",
    ],
)
def test_heads_that_can_be_read_in_two_ways_are_refused(server: Server, twice: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n" + twice + b"\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 400")


H2C = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
)
"""What Java's HttpClient sends first, and curl with --http2."""


def answers(got: bytes) -> list[bytes]:
    return [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]]


def upload(extra: bytes, body: bytes) -> tuple[bytes, bytes]:
    return HEAD % b"image/jpeg" + extra + b"Content-Length: %d\r\n\r\n" % len(body), body


@pytest.mark.parametrize("upgrade", [H2C, b"Connection: upgrade\r\nUpgrade: websocket\r\n"])
@pytest.mark.parametrize("pieces", ["one", "head and body", "bytes"])
def test_a_wish_for_another_protocol_is_ignored_and_the_body_read(server: Server, upgrade: bytes, pieces: str) -> None:
    head, body = upload(upgrade, image())
    parts = {"one": [head + body], "head and body": [head, body], "bytes": [head[n : n + 1] for n in range(len(head))]}
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            for part in parts[pieces] + ([body] if pieces == "bytes" else []):
                connection.sendall(part)
                time.sleep(0.002)
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200") and b'"predictions"' in answer
        chunked = HEAD % b"image/jpeg" + upgrade + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)
        connection.sendall(chunked + body + b"\r\n0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_body_behind_a_wish_for_another_protocol_is_no_further_request(server: Server) -> None:
    smuggled = GET % b"/livez"
    head, _ = upload(H2C, smuggled)
    last = (GET % b"/livez")[:-2] + b"Connection: close\r\n\r\n"
    for parts in ([head + smuggled + last], [head, smuggled, last]):
        with connect(server) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(0.05)
            assert answers(until_closed(connection)) == [b"415", b"200"]


def test_pipelined_requests_that_ask_for_another_protocol_are_answered_in_order(server: Server) -> None:
    head, body = upload(H2C, image())
    get = (GET % b"/nothing")[:-2] + H2C + b"\r\n"
    last = (GET % b"/livez")[:-2] + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with connect(server) as connection:
        connection.sendall((get + head + body) * 3 + last)
        assert answers(until_closed(connection)) == [b"404", b"200"] * 3 + [b"200"]


def test_limits_on_heads_hold_where_another_protocol_is_asked_for(server: Server) -> None:
    for fault, status in ((b"Host: b\r\n", b"400"), (b"X: a\r\n" * 100, b"431"), (b"X: " + b"a" * 70_000, b"431")):
        with connect(server) as connection:
            connection.sendall((GET % b"/livez")[:-2] + H2C + fault + b"\r\n")
            assert answers(until_closed(connection)) == [status]


def test_no_tunnel_is_opened(server: Server) -> None:
    for target in (b"localhost:80", b"/livez"):
        with connect(server) as connection:
            connection.sendall(b"CONNECT " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET % b"/livez")
            assert answers(until_closed(connection)) == [b"501"]


def test_answers_to_pipelined_requests_come_in_order(server: Server) -> None:
    paths = [b"/livez", b"/nothing", b"/models"] * 100
    with connect(server) as connection:
        whole = b"".join(GET % path for path in paths) + (GET % b"/livez")[:-2] + b"Connection: close\r\n\r\n"
        connection.sendall(whole)
        got = until_closed(connection)
    statuses = [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200"] * 100 + [b"200"]


def test_a_half_head_behind_a_request_does_not_take_its_answer(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(GET % b"/livez" + b"GET /li")
        assert until_closed(connection).startswith(b"HTTP/1.1 200")


def test_one_address_has_so_many_connections_and_new_ones_take_the_place_of_idle_ones(server: Server) -> None:
    held = [connect(server) for _ in range(40)]
    assert httpx2.get(server.url + "/livez").status_code == 200
    ended = 0
    for connection in held:
        connection.settimeout(0.05)
        try:
            ended += not connection.recv(10)
        except TimeoutError:
            continue
        except ConnectionError:
            ended += 1
    assert ended >= 20
    for connection in held:
        connection.close()


def test_connections_that_are_busy_are_not_ended_for_new_ones(server: Server) -> None:
    held = [connect(server) for _ in range(20)]
    for connection in held:
        connection.sendall(HEAD % b"image/jpeg" + b"Content-Length: 5000\r\n\r\nabc")
    time.sleep(0.3)
    with connect(server) as one_more:
        said = until_closed(one_more)
    assert said.startswith(b"HTTP/1.1 503") and b"more than 20 connections of one address" in said
    assert until_closed(held[0]).startswith(b"HTTP/1.1 408")
    for connection in held:
        connection.close()
    wait_until(lambda: connect(server).getpeername()[1] == server.port)


def test_the_end_is_on_time_whatever_clients_do(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}, grace=2.0) as server:
        stalled, unread, half = (connect(server) for _ in range(3))
        stalled.sendall(HEAD % b"image/jpeg" + b"Content-Length: 5000\r\n\r\nabc")
        unread.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                unread.sendall(GET % b"/openapi.json" * 50)
        half.sendall(b"GET /")
        time.sleep(0.3)
        began = time.monotonic()
    assert 1.8 < time.monotonic() - began < 5
    for connection in (stalled, unread, half):
        connection.close()


def test_clients_are_counted_by_address_or_network() -> None:
    assert client_of("192.0.2.1") == "192.0.2.1" == client_of("::ffff:192.0.2.1")
    assert client_of("2001:db8::1") == "2001:db8::/64" == client_of("2001:db8::ffff:1")
    assert client_of("unix") == "unix"


def test_proxies_are_the_same_however_their_addresses_are_written() -> None:
    for listed in (
        ("192.0.2.1", "10.0.0.0/8"),
        ("::ffff:192.0.2.1", "::FFFF:10.0.0.0/104"),
        ("192.0.2.1/32", "10.1.2.3/8"),
    ):
        proxies = Proxies(listed)
        for held in ("192.0.2.1", "::ffff:192.0.2.1", "10.9.9.9", "::ffff:10.9.9.9"):
            assert proxies.contains(held)
        for other in ("192.0.2.2", "::ffff:192.0.2.2", "11.0.0.1", "::192.0.2.1", "unix"):
            assert not proxies.contains(other)
        assert proxies.text_forms() == [
            "192.0.2.1/32", "::ffff:192.0.2.1/128", "10.0.0.0/8", "::ffff:10.0.0.0/104"
        ]  # fmt: skip
    assert Proxies(("2001:DB8::1",)).contains("2001:db8:0::1") and Proxies(("::/0",)).text_forms() == ["::/0"]
    assert Proxies(("192.0.2.1", "*")).text_forms() == ["*"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_proxy_is_believed_whether_its_socket_is_of_ipv4_or_ipv6(peer: str) -> None:
    clients = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        clients.append(scope["client"][0])

    believing = ProxyHeadersMiddleware(app, Proxies(("127.0.0.1", "10.0.0.0/8")).text_forms())
    for forwarded in (b"203.0.113.7", b"203.0.113.7, ::ffff:10.1.1.1"):
        scope: Any = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded)]}
        asyncio.run(believing(scope, None, None))  # type: ignore[arg-type]
    assert clients == ["203.0.113.7"] * 2


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_a_proxy_that_reaches_a_server_on_all_addresses_over_ipv4_is_believed(tiny_runs: dict[str, Path]) -> None:
    locked = {"host": "::", "key_hashes": (hash_key("a key that is long enough"),), "proxies": ("127.0.0.1",)}
    with running({"cnn": tiny_runs["small-cnn"]}, address="::", **locked) as server:
        url = f"http://127.0.0.1:{server.port}/models"
        first = {httpx2.get(url, headers={"X-Forwarded-For": "203.0.113.7"}).status_code for _ in range(60)}
        assert first == {401, 429}
        assert httpx2.get(url, headers={"X-Forwarded-For": "198.51.100.9"}).status_code == 401


def test_proxies_are_named_by_address_network_or_all() -> None:
    listed = Proxies(("192.0.2.1", "10.0.0.0/8"))
    assert listed.contains("192.0.2.1") and listed.contains("10.1.2.3")
    assert not listed.contains("192.0.2.2") and not listed.contains("unix")
    assert Proxies(("*",)).contains("192.0.2.2") and not Proxies(()).contains("192.0.2.2")
