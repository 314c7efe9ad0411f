from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from served_runs import Server, image, running, wait_until

from distingo.serving.http.access import hash_key

KEY = "a key that is long enough"


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    limits = {"max_upload": 100_000, "body_timeout": 1.5, "header_timeout": 1.5, "queue": 4, "max_images": 4}
    with running({"cnn": tiny_runs["small-cnn"]}, **limits) as started:
        yield started


@pytest.fixture(scope="module")
def locked(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    keys = (hash_key("another key of somebody"), hash_key(KEY))
    with running({"cnn": tiny_runs["small-cnn"]}, key_hashes=keys) as started:
        yield started


def talk(server: Server, *parts: bytes, pause: float = 0.0, close: bool = False) -> bytes:
    """Send these bytes as they are, and all that comes back until the server closes or falls silent."""
    got = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            if close:
                connection.shutdown(socket.SHUT_WR)
            while b"\r\n\r\n" not in got or b"connection: close" in got:
                came = connection.recv(65536)
                if not came:
                    break
                got += came
        except ConnectionError:
            pass
    return got


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


def test_every_answer_carries_the_security_headers(server: Server) -> None:
    for path in ("/livez", "/models", "/nothing", "/metrics"):
        headers = httpx2.get(server.url + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_a_key_is_asked_for_everywhere_but_at_the_doors_for_probes(locked: Server) -> None:
    for path in ("/models", "/metrics", "/v2", "/v2/models/cnn", "/nothing"):
        refused = httpx2.get(locked.url + path)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        assert httpx2.get(locked.url + path, headers={"X-API-Key": "wrong"}).status_code == 401
        assert httpx2.get(locked.url + path, headers={"Authorization": f"Basic {KEY}"}).status_code == 401
        assert httpx2.get(locked.url + path, headers={"X-API-Key": KEY}).status_code != 401
        assert httpx2.get(locked.url + path, headers={"Authorization": f"Bearer {KEY}"}).status_code != 401
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/openapi.json"):
        assert httpx2.get(locked.url + path).status_code == 200
    assert httpx2.post(locked.url + "/models/cnn/reload").status_code == 401
    good = httpx2.post(locked.url + "/predict", content=image(), headers={"X-API-Key": KEY})
    assert good.status_code == 200


def test_names_that_lead_here_and_pages_from_elsewhere_are_refused(server: Server) -> None:
    refused = httpx2.get(server.url + "/models", headers={"Host": "attacker.example"})
    assert refused.status_code == 400 and "host name" in refused.json()["error"]["reason"]
    for headers in ({"Origin": "https://attacker.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        refused = httpx2.post(server.url + "/predict", content=image(), headers=headers)
        assert refused.status_code == 403
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert httpx2.post(server.url + "/predict", content=image(), headers=own).status_code == 200


def test_a_rate_that_is_too_high_is_429(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}, rate_limit=3) as server:
        statuses = [httpx2.get(server.url + "/models").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert 10 <= int(httpx2.get(server.url + "/models").headers["retry-after"]) <= 20
        assert httpx2.get(server.url + "/livez").status_code == 200


def test_a_body_too_long_is_refused_before_it_has_come(server: Server) -> None:
    said = talk(server, HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + bytes(1000))
    assert said.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    said = talk(server, HEAD + b"Content-Length: 100001\r\n\r\n" + bytes(1000))
    assert said.startswith(b"HTTP/1.1 413") and b"100,000 bytes" in said and b"connection: close" in said


def test_an_endless_body_is_refused_while_it_comes(server: Server) -> None:
    chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    said = talk(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20)
    assert said.startswith(b"HTTP/1.1 413")


def test_an_endless_body_at_an_address_that_reads_none_ends_too(server: Server) -> None:
    began = time.monotonic()
    head = b"POST /elsewhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = talk(server, head, *[b"1\r\nx\r\n"] * 10, pause=0.05)
    assert said.startswith(b"HTTP/1.1 404") and time.monotonic() - began < 8


def test_slow_senders_time_out(server: Server) -> None:
    said = talk(server, HEAD + b"Content-Length: 5000\r\n\r\n" + bytes(10))
    assert said.startswith(b"HTTP/1.1 408") and b'"status":408' in said
    said = talk(server, b"POST /predict HT", pause=2.0)
    assert said.startswith(b"HTTP/1.1 408")
    assert talk(server, b"") == b""


def test_a_body_that_breaks_off_leaves_nothing_behind(server: Server) -> None:
    talk(server, HEAD + b"Content-Length: 5000\r\n\r\n" + bytes(10), close=True)
    assert httpx2.post(server.url + "/predict", content=image()).status_code == 200


def test_heads_have_limits(server: Server) -> None:
    assert talk(server, HEAD + b"X: " + bytes([65]) * 70_000).startswith(b"HTTP/1.1 431")
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(200))
    assert talk(server, HEAD + many + b"Content-Length: 1\r\n\r\nx").startswith(b"HTTP/1.1 431")
    assert talk(server, b"\x16\x03\x01 not http\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_request_in_many_small_pieces_is_answered(server: Server) -> None:
    body = image()
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    said = talk(server, *(whole[at : at + 97] for at in range(0, len(whole), 97)))
    assert said.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_one_after_another(server: Server) -> None:
    body = image()
    one = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    last = one.replace(b"Content-Type", b"Connection: close\r\nContent-Type")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(one + one + last)
        got = b""
        while came := connection.recv(65536):
            got += came
    assert got.count(b"HTTP/1.1 200") == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="counts files by /proc")
def test_connections_that_go_away_leave_no_file_open(server: Server) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(HEAD[:40])
    wait_until(lambda: count() <= before + 2)


def test_nobody_waits_for_a_slow_sender(server: Server) -> None:
    slow = [
        threading.Thread(target=talk, args=(server, HEAD + b"Content-Length: 5000\r\n\r\n" + bytes(10)))
        for _ in range(8)
    ]
    for thread in slow:
        thread.start()
    assert httpx2.post(server.url + "/predict", content=image()).status_code == 200
    for thread in slow:
        thread.join()


def test_wrong_keys_are_counted_and_right_ones_are_not_held_up(tiny_runs: dict[str, Path]) -> None:
    with running({"cnn": tiny_runs["small-cnn"]}, key_hashes=(hash_key(KEY),)) as server:
        statuses = [httpx2.get(server.url + "/models", headers={"X-API-Key": "wrong"}).status_code for _ in range(35)]
        assert statuses[:30] == [401] * 30 and statuses[-2:] == [429, 429]
        assert httpx2.get(server.url + "/models").headers["retry-after"] in {"1", "2"}
        assert httpx2.get(server.url + "/models", headers={"X-API-Key": KEY}).status_code == 200
