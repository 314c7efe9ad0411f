from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from httpx2 import URL
from loopback_site import QUICK, LoopbackSite, Trouble, serve_site

from distingo.download.connections import follow_redirect, is_public, parse_address, resolve
from distingo.download.records import Outcome, PermanentError, RemoteFile, TemporaryError

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
    with pytest.raises(TemporaryError, match=r"^nobody\.invalid: no such host, or no network$"):
        resolve("nobody.invalid", public_only=True)


def test_letters_outside_ascii_are_encoded() -> None:
    url = parse_address(" https://Bücher.example/a b/ü.jpg?q=é#part ")
    assert str(url) == "https://xn--bcher-kva.example/a%20b/%C3%BC.jpg?q=%C3%A9"


@pytest.mark.parametrize("text", ["", "mailto:a@b", "//h/a", "file:///etc/passwd", "http://", "http://u:p@h/a"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(PermanentError):
        parse_address(text)


def test_redirects_may_gain_encryption_but_not_lose_it() -> None:
    assert str(follow_redirect(URL("http://h/a/b"), "../c")) == "http://h/c"
    assert str(follow_redirect(URL("http://h/a"), "https://k/b")) == "https://k/b"
    assert str(follow_redirect(URL("https://h/a"), "//k/b")) == "https://k/b"
    with pytest.raises(PermanentError, match="from https to http://k/b, which is not encrypted"):
        follow_redirect(URL("https://h/a"), "http://k/b")


CONTENT = bytes(range(256)) * 1000
Get = Callable[..., list[Outcome]]


def test_a_name_is_looked_up_once_and_that_very_address_connected_to(
    site: LoopbackSite, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding lives from a second look-up, after the check, that gives another address."""
    port = site.url.rpartition(":")[2]
    site.pages = {"/a": CONTENT}
    real, hosts = socket.getaddrinfo, []

    def look_up(host: str, *rest: object, **options: object) -> object:
        if host != "rebinding.example":
            return real(host, *rest, **options)
        hosts.append(host)
        return real("127.0.0.1" if len(hosts) == 1 else "10.0.0.9", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    (outcome,) = get(RemoteFile(f"http://rebinding.example:{port}/a", "a"))
    assert outcome.status == "fetched"
    assert len(hosts) == 1


def test_who_answered_is_checked_besides(site: LoopbackSite, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distingo.download.connections.resolve", lambda *_, **__: ["127.0.0.1"])
    port = site.url.rpartition(":")[2]
    (outcome,) = get(RemoteFile(f"http://public.example:{port}/a", "a"), allow_private=False)
    assert (outcome.status, site.requests) == ("refused", [])
    assert outcome.code == "private_address"


def test_a_redirect_never_travels_on_a_connection_that_a_list_was_allowed(site: LoopbackSite, get: Get) -> None:
    with serve_site() as other:
        other.pages = {"/own": CONTENT, "/secret": CONTENT}
        site.redirects = {"/trap": f"{other.url}/secret"}
        site.slowness = 0.1
        outcomes = get(RemoteFile(f"{other.url}/own", "own"), "/trap", limits=replace(QUICK, connections=1))
        assert [outcome.status for outcome in outcomes] == ["fetched", "refused"]
        assert [path for path, _ in other.requests] == ["/own"]


def test_connections_are_used_again(site: LoopbackSite, get: Get) -> None:
    site.pages = {f"/{number}": b"x" for number in range(20)}
    get(*site.pages, limits=replace(QUICK, per_host=2))
    assert len(site.callers) == 2


NASTY = (
    b"",
    b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 999 ?\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n",
    b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\n\r\nxxx",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: //\xff\xfe:99999999/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a" * 300 + b".example/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 500 + b"\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
)


def test_whatever_a_server_sends_ends_in_an_outcome(get: Get) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                number = int(connection.recv(65536).split(b"/", 2)[1].split()[0])
                connection.sendall(NASTY[number])

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        wanted = [RemoteFile(f"http://127.0.0.1:{port}/{at}", str(at)) for at in range(len(NASTY))]
        outcomes = get(*wanted, limits=replace(QUICK, attempts=2))
        server.shutdown(socket.SHUT_RDWR)
    assert len(outcomes) == len(NASTY)
    good = {at for at, outcome in enumerate(outcomes) if outcome.status == "fetched"}
    assert not good, [outcomes[at] for at in good]
    assert all(outcome.reason and "\n" not in outcome.reason for outcome in outcomes)


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[LoopbackSite], None]:
    """Encrypt a site with a certificate that this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def encrypt(site: LoopbackSite) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        site.encrypt(context)

    return encrypt


def test_encrypted_sites_are_watched_alike(site: LoopbackSite, get: Get, encrypted, tmp_path: Path) -> None:
    encrypted(site)
    site.pages = {"/a": CONTENT, "/b": CONTENT, "/c": CONTENT}
    site.troubles["/b"] = [Trouble(break_after=1000)]
    site.always["/c"] = Trouble(announce=-1000)
    site.redirects["/d"] = site.url.replace("https", "http") + "/a"
    outcomes = get("/a", "/b", "/c", "/d")
    assert [outcome.status for outcome in outcomes] == ["fetched", "fetched", "failed", "refused"]
    assert "announced 255,000 bytes and sent" in outcomes[2].reason
    assert "not encrypted" in outcomes[3].reason
    assert (tmp_path / "out" / "b").read_bytes() == CONTENT


def test_certificates_are_checked(site: LoopbackSite, get: Get, encrypted, monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted(site)
    monkeypatch.delenv("SSL_CERT_FILE")
    site.pages = {"/a": CONTENT}
    (outcome,) = get("/a", limits=replace(QUICK, attempts=1))
    assert outcome.status == "failed"
    assert "certificate" in outcome.reason.lower()


def test_proxies_are_used_and_private_addresses_not_asked_of_them(
    site: LoopbackSite, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("no_proxy", "")
    site.pages = {"http://pictures.invalid/a": CONTENT}
    wanted = [RemoteFile(f"http://{host}/a", host[:3]) for host in ("pictures.invalid", "169.254.169.254")]
    outcomes = get(*wanted, allow_private=False)
    assert [outcome.status for outcome in outcomes] == ["fetched", "refused"]
    assert [path for path, _ in site.requests] == ["http://pictures.invalid/a"]


FETCH = """
import sys
from distingo.cli import main
sys.exit(main(["download", "urls", sys.argv[1], "-o", sys.argv[2], "--allow-private-addresses"]))
"""


def test_ctrl_c_stops_at_once_and_keeps_what_came(site: LoopbackSite, tmp_path: Path) -> None:
    from drawing import encode, noise

    image = encode(noise(1, (200, 200)))
    site.pages = {"/0.png": image, "/1.png": image}
    reached = threading.Event()
    site.troubles["/1.png"] = [Trouble(stall_after=50_000)]
    site.on_sent = lambda path, _: reached.set() if path == "/1.png" else None
    table = tmp_path / "list.csv"
    table.write_text(f"url,label\n{site.url}/0.png,a\n{site.url}/1.png,b\n")
    command = [sys.executable, "-c", FETCH, str(table), str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert reached.wait(20)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    started = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.strip() == "distingo: stopped"
    assert time.monotonic() - started < 3.0
    site.on_sent = None
    assert subprocess.run(command, check=True, capture_output=True).returncode == 0
    assert site.sent == {path: len(image) for path in site.pages}
