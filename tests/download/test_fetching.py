from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import encode, noise
from loopback_site import QUICK, LoopbackSite, Trouble, serve_site

from distingo.download.fetching import fetch
from distingo.download.folder import open_folder, read_outcomes
from distingo.download.records import IMAGES, Limits, Outcome, RemoteFile
from distingo.errors import ResourceError
from distingo.version import __version__

CONTENT = random.Random(3).randbytes(300_000)
Get = Callable[..., list[Outcome]]


def out(tmp_path: Path, name: str) -> Path:
    return tmp_path / "out" / name


def test_files_come_whole_with_an_account_of_each(site: LoopbackSite, get: Get, tmp_path: Path) -> None:
    site.pages = {f"/{number}": CONTENT[number:] for number in range(20)}
    outcomes = get(*site.pages, "/missing")
    assert [outcome.status for outcome in outcomes] == ["fetched"] * 20 + ["absent"]
    assert outcomes[-1].reason == "the server answers 404"
    for number in range(20):
        assert out(tmp_path, str(number)).read_bytes() == CONTENT[number:]
        assert outcomes[number].sha256 == hashlib.sha256(CONTENT[number:]).hexdigest()
    assert sorted(read_outcomes(tmp_path / "out" / "manifest.csv"), key=lambda each: each.name) == sorted(
        outcomes, key=lambda each: each.name
    )
    assert site.agents == {f"distingo/{__version__}"}


def test_what_is_there_is_not_asked_for_again(site: LoopbackSite, get: Get) -> None:
    site.pages = {"/a": CONTENT}
    first = get("/a", "/gone")
    assert get("/a", "/gone") == first
    assert len(site.requests) == 2
    get("/a", "/gone", try_refused=True)
    assert site.count("/a") == 1
    assert site.count("/gone") == 2


def test_what_a_person_removed_or_changed_stays_so(site: LoopbackSite, get: Get, tmp_path: Path) -> None:
    site.pages = {"/a": CONTENT, "/b": CONTENT}
    get("/a", "/b")
    out(tmp_path, "a").unlink()
    out(tmp_path, "b").write_bytes(b"mine")
    get("/a", "/b")
    assert not out(tmp_path, "a").exists() and len(site.requests) == 2
    get("/a", "/b", try_refused=True)
    assert out(tmp_path, "a").read_bytes() == CONTENT
    site.pages["/c"] = CONTENT
    (outcome,) = get(RemoteFile(f"{site.url}/c", "b"))
    assert outcome.status == "refused"
    assert out(tmp_path, "b").read_bytes() == b"mine"


def test_another_address_for_the_same_name_replaces_only_what_we_fetched(
    site: LoopbackSite, get: Get, tmp_path: Path
) -> None:
    site.pages = {"/a": CONTENT, "/c": CONTENT[::-1]}
    get("/a")
    (outcome,) = get(RemoteFile(f"{site.url}/c", "a"))
    assert outcome.status == "fetched"
    assert out(tmp_path, "a").read_bytes() == CONTENT[::-1]


def test_a_file_of_a_persons_is_left_alone(site: LoopbackSite, get: Get, tmp_path: Path) -> None:
    site.pages = {"/a": CONTENT}
    get("/b")
    out(tmp_path, "a").write_text("mine")
    (outcome,) = get("/a")
    assert (outcome.status, outcome.reason) == (
        "refused",
        "a exists already and is not part of this download; move it away",
    )
    assert out(tmp_path, "a").read_text() == "mine"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_passing_failures_are_tried_again(site: LoopbackSite, get: Get, status: int) -> None:
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(status=status)] * 2
    (outcome,) = get("/a")
    assert (outcome.status, outcome.attempts) == ("fetched", 3)


def test_lasting_failures_end_in_an_outcome_and_are_tried_by_the_next_run(site: LoopbackSite, get: Get) -> None:
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(status=503)] * 3
    (outcome,) = get("/a")
    assert (outcome.status, outcome.reason) == ("failed", "the server answers 503, 3 times")
    assert get("/a")[0].status == "fetched"


def test_a_host_that_asks_for_patience_gets_it_for_all_of_its_files(site: LoopbackSite, get: Get) -> None:
    site.pages = {f"/{number}": CONTENT[:100] for number in range(6)}
    site.troubles["/0"] = [Trouble(status=429, headers={"Retry-After": "1"})]
    started = time.monotonic()
    assert {outcome.status for outcome in get(*site.pages, limits=replace(QUICK, per_host=1))} == {"fetched"}
    assert time.monotonic() - started >= 1.0
    assert site.requests[0] == ("/0", "")
    assert site.times[1] - site.times[0] >= 1.0


def test_a_date_is_waited_for_too_and_too_much_patience_is_not_had(site: LoopbackSite, get: Get) -> None:
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})]
    assert get("/a")[0].status == "fetched"
    site.troubles["/b"] = [Trouble(status=429, headers={"Retry-After": "86400"})]
    (outcome,) = get("/b")
    assert (outcome.status, outcome.attempts) == ("failed", 1)
    assert outcome.reason == "the server answers 429 and asks to wait 86,400 seconds"


def test_a_broken_connection_is_gone_on_from(site: LoopbackSite, get: Get, tmp_path: Path) -> None:
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(break_after=100_000), Trouble(break_after=100_000)]
    (outcome,) = get("/a")
    assert outcome.status == "fetched"
    assert out(tmp_path, "a").read_bytes() == CONTENT
    assert site.requests == [("/a", ""), ("/a", "bytes=100000-"), ("/a", "bytes=200000-")]
    assert site.sent["/a"] == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_begun_anew(site: LoopbackSite, get: Get, tmp_path: Path) -> None:
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(break_after=100_000)]
    site.on_sent = lambda path, _: site.pages.update({path: CONTENT[::-1]})
    get("/a")
    assert out(tmp_path, "a").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("missing", ["ranges", "validators"])
def test_servers_that_can_not_go_on_send_all_again(site: LoopbackSite, get: Get, tmp_path: Path, missing: str) -> None:
    setattr(site, missing, False)
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(break_after=100_000)]
    get("/a")
    assert out(tmp_path, "a").read_bytes() == CONTENT


def test_a_known_checksum_stands_in_for_validators(site: LoopbackSite, get: Get) -> None:
    site.validators = False
    site.pages = {"/a": CONTENT}
    site.troubles["/a"] = [Trouble(break_after=100_000)]
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    assert get(RemoteFile(site.url + "/a", "a", checksum=checksum))[0].status == "fetched"
    assert site.requests[1] == ("/a", "bytes=100000-")


@pytest.mark.parametrize("trouble", [Trouble(stall_after=1000), Trouble(drip=0.02), Trouble(head_drip=0.02)])
def test_servers_that_stall_are_given_up(site: LoopbackSite, get: Get, tmp_path: Path, trouble: Trouble) -> None:
    site.pages = {"/a": CONTENT}
    site.always["/a"] = trouble
    started = time.monotonic()
    (outcome,) = get("/a", limits=replace(QUICK, attempts=1, stall_timeout=0.3))
    assert outcome.status == "failed"
    assert "nothing for too long" in outcome.reason or "too slow" in outcome.reason
    assert time.monotonic() - started < 2.0
    assert not out(tmp_path, "a").exists()


@pytest.mark.parametrize(
    ("announce", "said"), [(1000, "the connection broke"), (-1000, "announced 299,000 bytes and sent at least")]
)
def test_lies_about_the_length_are_found_out(
    site: LoopbackSite, get: Get, tmp_path: Path, announce: int, said: str
) -> None:
    site.pages = {"/a": CONTENT}
    site.always["/a"] = Trouble(announce=announce)
    (outcome,) = get("/a")
    assert outcome.status == "failed"
    assert said in outcome.reason
    assert not out(tmp_path, "a").exists()


def test_what_a_liar_sent_too_much_is_not_taken_for_the_next_answer(site: LoopbackSite, get: Get) -> None:
    inside = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    site.pages = {"/a": b"good" + inside, "/b": b"the real one"}
    site.always["/a"] = Trouble(announce=-len(inside))
    outcomes = get("/a", "/b", limits=replace(QUICK, connections=1, attempts=1))
    assert [outcome.status for outcome in outcomes] == ["failed", "fetched"]
    assert outcomes[1].size == len(b"the real one")


def test_a_file_may_not_be_larger_than_allowed_announced_or_not(site: LoopbackSite, get: Get) -> None:
    site.pages = {"/a": CONTENT, "/b": CONTENT}
    site.always["/b"] = Trouble(unannounced=True)
    outcomes = get("/a", "/b", limits=replace(QUICK, largest=1000))
    assert {(each.status, each.reason) for each in outcomes} == {("refused", "larger than the 1,000 bytes allowed")}
    assert get("/b", try_refused=True)[0].status == "fetched"


def test_only_the_formats_asked_for_are_taken_whatever_the_server_calls_them(
    site: LoopbackSite, get: Get, tmp_path: Path
) -> None:
    site.pages = {"/a.jpg": b"<html>" + b"x" * 300_000, "/b": encode(noise(1)), "/c.jpg": b"", "/d": b"MZ" + CONTENT}
    site.headers["/a.jpg"] = {"Content-Type": "image/jpeg"}
    wanted = [RemoteFile(site.url + path, f"p{at}", IMAGES, ending=True) for at, path in enumerate(site.pages)]
    outcomes = get(*wanted)
    assert [outcome.reason for outcome in outcomes] == [
        "an HTML page, not a picture",
        "",
        "an empty file",
        "not a picture (unknown)",
    ]
    assert outcomes[1].file == "p1.png"
    assert out(tmp_path, "p1.png").read_bytes() == site.pages["/b"]


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_wrong_checksum_never_gets_the_name(site: LoopbackSite, get: Get, tmp_path: Path, kind: str) -> None:
    site.pages = {"/a": CONTENT}
    right = f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}"
    wrong = f"{kind}:{hashlib.new(kind, b'').hexdigest()}"
    (outcome,) = get(RemoteFile(site.url + "/a", "a", checksum=wrong))
    assert outcome.status == "failed"
    assert f"its {kind} is" in outcome.reason
    assert not out(tmp_path, "a").exists()
    assert get(RemoteFile(site.url + "/a", "a", checksum=right))[0].status == "fetched"
    (outcome,) = get(RemoteFile(site.url + "/a", "b", size=5))
    assert outcome.reason == "the server announces 300,000 bytes where 5 belong"


@pytest.mark.parametrize(
    "headers",
    [{"X-Robots-Tag": "noai"}, {"x-robots-tag": "distingo: noindex, nofollow"}, {"TDM-Reservation": "1"}],
)
def test_who_opts_out_is_left_out(site: LoopbackSite, get: Get, tmp_path: Path, headers: dict[str, str]) -> None:
    site.pages = {"/a": CONTENT}
    site.headers["/a"] = headers
    (outcome,) = get("/a")
    assert outcome.status == "refused"
    assert outcome.reason.startswith("the server opts out")
    assert not out(tmp_path, "a").exists()


def test_redirects_are_followed_on_the_same_site(site: LoopbackSite, get: Get) -> None:
    site.pages = {"/real": CONTENT}
    site.redirects = {"/a": "/b", "/b": f"{site.url}/real", "/loop": "/loop"}
    (outcome,) = get("/a")
    assert (outcome.status, outcome.final_url) == ("fetched", f"{site.url}/real")
    assert get("/loop")[0].reason == "redirected more than 10 times"


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://localhost/x", "data:,x", "//user:secret@127.0.0.1/x", "http://"]
)
def test_redirects_out_of_the_web_are_refused(site: LoopbackSite, get: Get, target: str) -> None:
    site.redirects = {"/a": target}
    (outcome,) = get("/a")
    assert outcome.status == "refused"
    assert outcome.reason.startswith("redirected")


def test_redirects_to_private_addresses_are_refused(site: LoopbackSite, get: Get) -> None:
    with serve_site() as other:
        other.pages = {"/secret": CONTENT}
        names = ["http://127.0.0.1", "http://localhost", "http://[::1]", "http://2130706433", "http://[::ffff:7f00:1]"]
        targets = [f"{name}:{other.url.rpartition(':')[2]}/secret" for name in names]
        targets += ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://0.0.0.0/"]
        site.redirects = {f"/{number}": target for number, target in enumerate(targets)}
        outcomes = get(*site.redirects)
        assert {outcome.status for outcome in outcomes} == {"refused"}, outcomes
        assert {outcome.code for outcome in outcomes} == {"private_address"}
        assert other.requests == []


def test_private_addresses_need_to_be_allowed(site: LoopbackSite, get: Get) -> None:
    site.pages = {"/a": CONTENT}
    (outcome,) = get("/a", allow_private=False)
    assert (outcome.status, outcome.code) == ("refused", "private_address")
    assert site.requests == []


@pytest.mark.parametrize("address", ["ftp://host/x", "/a/file", "http://", "not an address"])
def test_what_is_no_web_address_is_said(get: Get, address: str) -> None:
    (outcome,) = get(RemoteFile(address, "a"))
    assert outcome.status == "refused"
    assert "is no web address" in outcome.reason


def test_many_at_once_but_few_from_one_host(site: LoopbackSite, get: Get) -> None:
    site.slowness = 0.03
    site.pages = {f"/{number}": b"x" for number in range(30)}
    get(*site.pages, limits=replace(QUICK, per_host=3))
    assert site.most_at_once == 3
    assert len(site.requests) == 30


FETCH = """
import sys
from pathlib import Path
from distingo.download.fetching import fetch
from distingo.download.folder import open_folder
from distingo.download.records import Limits, RemoteFile
with open_folder(Path(sys.argv[1]), {"command": "test"}) as folder:
    wanted = [RemoteFile(sys.argv[2] + path, path.strip("/")) for path in sys.argv[3:]]
    fetch(wanted, folder, Limits(connections=1, backoff=0.01), allow_private=True)
"""


def test_a_killed_run_is_gone_on_with_and_nothing_comes_twice(site: LoopbackSite, get: Get, tmp_path: Path) -> None:
    site.pages = {f"/{number}": CONTENT[number:] for number in range(6)}
    reached = threading.Event()
    site.troubles["/3"] = [Trouble(stall_after=150_000)]
    site.on_sent = lambda path, _: reached.set() if path == "/3" else None
    process = subprocess.Popen([sys.executable, "-c", FETCH, str(tmp_path / "out"), site.url, *site.pages])
    assert reached.wait(20)
    part = tmp_path / "out" / ".distingo-download" / "parts"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and sum(each.stat().st_size for each in part.glob("*.part")) < 150_000:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert sorted(each.name for each in (tmp_path / "out").iterdir() if each.is_file()) == ["0", "1", "2"]
    site.on_sent = None
    assert {outcome.status for outcome in get(*site.pages)} == {"fetched"}
    assert site.sent == {path: len(content) for path, content in site.pages.items()}
    assert [request for request in site.requests if request[0] == "/3"] == [("/3", ""), ("/3", "bytes=150000-")]
    for number in range(6):
        assert out(tmp_path, str(number)).read_bytes() == CONTENT[number:]


def test_a_file_killed_between_its_record_and_its_name_gets_the_name(
    site: LoopbackSite, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages = {"/a": CONTENT}

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("distingo.download.transfer.PartialFile.finish", die)
        with pytest.raises(KeyboardInterrupt):
            get("/a")
    assert not out(tmp_path, "a").exists()
    assert get("/a")[0].status == "fetched"
    assert out(tmp_path, "a").read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_a_file_killed_after_its_last_byte_is_not_asked_for_again(
    site: LoopbackSite, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages = {"/a": CONTENT}

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("distingo.download.transfer._finish", die)
        with pytest.raises(KeyboardInterrupt):
            get("/a")
    (outcome,) = get("/a")
    assert (outcome.status, outcome.final_url) == ("fetched", f"{site.url}/a")
    assert out(tmp_path, "a").read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_a_full_disk_stops_the_run_and_is_said(site: LoopbackSite, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages = {"/a": CONTENT}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("distingo.download.transfer.PartialFile.begin", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        get("/a")


def test_names_must_differ(tmp_path: Path) -> None:
    wanted = [RemoteFile("http://h/a", "a"), RemoteFile("http://h/b", "A")]
    with open_folder(tmp_path / "out", {}) as folder, pytest.raises(ValueError, match="same name"):
        fetch(wanted, folder, Limits())
