"""The review server with a real HTTP client."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from distingo.datasets.corrections import read_corrections
from distingo.datasets.layouts.detection import find_layout
from distingo.errors import ResourceError
from distingo.reviewing.decisions import Decisions
from distingo.reviewing.server import ReviewServer
from distingo.reviewing.session import ReviewSession
from raising import raises
from trees import draw, found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "data", *[f"{name}/{number}.png" for name in "ab" for number in range(12)])


@pytest.fixture
def server(root: Path) -> Iterator[ReviewServer]:
    findings = [found(root, "dark", f"a/{number}.png") for number in range(12)]
    session = ReviewSession(find_layout(root), findings, Decisions(root / "corrections.csv"))
    with ReviewServer(session) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def ask(server: ReviewServer, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    host = f"127.0.0.1:{server.server_port}"
    said = {
        "Host": host,
        **({"Origin": f"http://{host}", "Content-Type": "application/json"} if body is not None else {}),
    }
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", path, content, said)
    response = connection.getresponse()
    answer = response.status, dict(response.headers), response.read()
    connection.close()
    return answer


def path_of(server: ReviewServer, name: str) -> str:
    return f"/{server.guard.token}/{name}"


def test_the_page_and_its_parts_are_served(server: ReviewServer) -> None:
    for name, kind in (("", "text/html"), ("style.css", "text/css"), ("review.js", "text/javascript")):
        status, headers, content = ask(server, path_of(server, name))
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert content
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "Python" not in headers["Server"]
    status, headers, content = ask(server, path_of(server, "picture?number=0&place=0"))
    assert (status, headers["Content-Type"], content[:4]) == (200, "image/png", b"\x89PNG")


def test_it_listens_on_this_machine_only(server: ReviewServer, root: Path) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with raises(ResourceError, code="port_unavailable"):
        ReviewServer(server.session, port=server.server_port)
    with raises(ResourceError, code="port_unavailable"):
        ReviewServer(server.session, port=99999)


@pytest.mark.parametrize(
    "name",
    ["../review.html", "..%2f..%2fsession.py", "/etc/passwd", "%2e%2e/serving.py", "review.html", "picture/../state"],
)
def test_no_path_leads_to_a_file(server: ReviewServer, name: str) -> None:
    assert ask(server, path_of(server, name))[0] == 404


@pytest.mark.parametrize(
    "query",
    ["", "?number=-1&place=0", "?number=99&place=0", "?number=0&place=7", "?number=../x&place=0"],
)
def test_no_number_leads_to_another_image(server: ReviewServer, query: str) -> None:
    from urllib.parse import quote

    status, _, content = ask(server, path_of(server, "picture") + quote(query, safe="?&=/.-"))
    assert status == 409
    assert "error" in json.loads(content)


def test_a_foreign_name_or_page_is_refused(server: ReviewServer, root: Path) -> None:
    decision = {"number": 0, "action": "quarantine"}
    decide = path_of(server, "decide")
    assert ask(server, path_of(server, "state"), Host="evil.example")[0] == 403
    assert ask(server, decide, decision, Origin="http://evil.example")[0] == 403
    assert ask(server, decide, decision, Content_Type="text/plain")[0] == 415
    assert ask(server, decide, decision, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, "/wrong/decide", decision)[0] == 404
    assert ask(server, "/", None)[0] == 404
    assert not (root / "corrections.csv").exists()
    assert ask(server, decide, decision)[0] == 200
    assert read_corrections(root / "corrections.csv").entries[0].action == "quarantine"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"number": true, "action": "keep"}',
        b'{"number": 0, "action": "delete"}',
        b'{"number": 0, "action": "relabel", "labels": "a"}',
        b"[" * 5000,
        b'"' + b"x" * 70000 + b'"',
    ],
)
def test_what_is_no_decision_changes_nothing(server: ReviewServer, root: Path, body: bytes) -> None:
    status, _, content = ask(server, path_of(server, "decide"), body)
    assert status == 409
    assert json.loads(content)["error"]
    assert not (root / "corrections.csv").exists()
    assert ask(server, path_of(server, "state"))[0] == 200


def test_decisions_at_once_are_all_kept(server: ReviewServer, root: Path) -> None:
    def decide(number: int) -> int:
        return ask(server, path_of(server, "decide"), {"number": number, "action": "keep"})[0]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(decide, range(12))) == [200] * 12
    assert len(read_corrections(root / "corrections.csv").entries) == 12
    status, _, content = ask(server, path_of(server, "undo"), {})
    assert (status, len(json.loads(content)["touched"])) == (200, 1)
    assert len(read_corrections(root / "corrections.csv").entries) == 11
