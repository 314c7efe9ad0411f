from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_site import QUICK, LoopbackSite, Trouble

from distingo.download.connections import Connections
from distingo.download.table_streaming import TableQuery, TableSource, matching_lines
from distingo.errors import DataError
from raising import raises

WANTED = frozenset({b"a", b"c"})


def pieces(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def rows_of(text: bytes, column: str, size: int = 7) -> list[list[str]]:
    kept = b"".join(matching_lines(pieces(text, size), TableQuery("table.csv", column, WANTED)))
    return list(csv.reader(io.StringIO(kept.decode("utf-8"), newline="")))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_wanted_lines_by_the_first_and_by_a_later_column(size: int) -> None:
    text = b"ImageID,Label\na,x\nb,a\nc,y\nab,c\n"
    assert rows_of(text, "ImageID", size) == [["ImageID", "Label"], ["a", "x"], ["c", "y"]]
    assert rows_of(text, "Label", size) == [["ImageID", "Label"], ["b", "a"], ["ab", "c"]]


def test_windows_ends_a_byte_order_mark_empty_lines_and_no_end_at_the_end() -> None:
    text = b"\xef\xbb\xbfImageID,Label\r\n\r\nb,a\r\nshort\r\nx,c"
    assert rows_of(text, "Label") == [["ImageID", "Label"], ["b", "a"], ["x", "c"]]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_quoted_commas_and_line_breaks_come_whole(size: int) -> None:
    text = b'ImageID,Title,License\na,"one, ""two""\nb,three",free\nb,"x\ny",free\nc,"last\n\nline",free\n'
    assert rows_of(text, "ImageID", size) == [
        ["ImageID", "Title", "License"],
        ["a", 'one, "two"\nb,three', "free"],
        ["c", "last\n\nline", "free"],
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.text('xä", \n', max_size=8), st.sampled_from(["1", "0"])), max_size=12
    ),
    st.integers(1, 40),
)
def test_what_comes_is_what_the_csv_module_finds(rows: list[tuple[str, str, str]], size: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("ImageID", "Title", "Flag"), *rows])
    found = rows_of(text.getvalue().encode("utf-8"), "ImageID", size)[1:]
    # a line inside an unwanted row's quotes that begins like a wanted one would be taken: none of these does
    assert found == [list(row) for row in rows if row[0] in {"a", "c"}]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<!DOCTYPE html>\n<p>Sign in\n",
        b'ImageID,Title\na,"open\n',
        b"ImageID" + b"x" * (3 << 20),
    ],
)
def test_what_is_no_such_table_is_refused(text: bytes) -> None:
    with raises(DataError, code="unexpected_answer"):
        rows_of(text, "ImageID", 1 << 20)


LINES = [f"{number:016x},verification,/m/{number % 10},1\n".encode() for number in range(20_000)]
TABLE = b"ImageID,Source,LabelName,Confidence\n" + b"".join(LINES)
EXPECTED = b"ImageID,Source,LabelName,Confidence\n" + b"".join(LINES[3::10])
PATH = "/table.csv"

Keep = Callable[[], bytes]


@pytest.fixture
def keep(site: LoopbackSite, tmp_path: Path) -> Iterator[Keep]:
    site.pages[PATH] = TABLE
    with closing(Connections(QUICK)) as connections:
        source = TableSource(connections, QUICK, allow_private=True)

        def keep_lines() -> bytes:
            kept = tmp_path / "kept.csv"
            source.keep_lines(TableQuery(site.url + PATH, "LabelName", {b"/m/3"}), kept)
            return kept.read_bytes()

        yield keep_lines


def test_only_the_wanted_lines_are_kept(keep: Keep, site: LoopbackSite) -> None:
    assert keep() == EXPECTED
    assert site.requests == [(PATH, "")]


def test_a_broken_table_is_gone_on_from_where_it_broke(keep: Keep, site: LoopbackSite) -> None:
    site.troubles[PATH] = [Trouble(break_after=100_001), Trouble(break_after=7)]
    assert keep() == EXPECTED
    ranges = [wanted for _, wanted in site.requests]
    assert ranges[0] == ""
    assert all(wanted.startswith("bytes=") for wanted in ranges[1:])
    assert site.sent[PATH] <= len(TABLE)  # no byte twice


def test_a_server_that_always_breaks_off_at_once_is_given_up(keep: Keep, site: LoopbackSite) -> None:
    site.always[PATH] = Trouble(break_after=10)
    with raises(DataError, code="download_failed"):
        keep()
    assert len(site.requests) == 3


def test_a_stalling_server_is_asked_again(keep: Keep, site: LoopbackSite) -> None:
    site.troubles[PATH] = [Trouble(stall_after=50_000)]
    assert keep() == EXPECTED


def test_a_server_that_drips_is_asked_again(keep: Keep, site: LoopbackSite) -> None:
    site.troubles[PATH] = [Trouble(drip=0.005)]
    assert keep() == EXPECTED
    assert site.requests[1][1].startswith("bytes=")


def test_a_server_without_ranges_sends_it_again_and_no_line_comes_twice(keep: Keep, site: LoopbackSite) -> None:
    site.ranges = False
    site.troubles[PATH] = [Trouble(break_after=100_001)]
    assert keep() == EXPECTED


def test_a_table_that_changes_or_may_have_changed_is_begun_anew(keep: Keep, site: LoopbackSite) -> None:
    site.pages[PATH] = TABLE.replace(b"/m/3", b"/m/x")
    site.troubles[PATH] = [Trouble(break_after=100_001)]
    site.on_sent = lambda *_: site.pages.update({PATH: TABLE})
    assert keep() == EXPECTED
    site.validators = False
    site.troubles[PATH] = [Trouble(break_after=100_001)]
    assert keep() == EXPECTED
    assert site.requests[-1] == (PATH, "")


def test_what_has_not_the_announced_md5_is_begun_anew(keep: Keep, site: LoopbackSite, tmp_path: Path) -> None:
    digest = base64.b64encode(hashlib.md5(TABLE).digest()).decode()
    site.headers[PATH] = {"x-goog-hash": f"crc32c=AAAAAA==,md5={digest}"}
    assert keep() == EXPECTED
    (tmp_path / "kept.csv").unlink()
    site.pages[PATH] = TABLE.replace(b"/m/3", b"/m/4", 1)
    with raises(DataError, code="damaged_download"):
        keep()
    assert not (tmp_path / "kept.csv").exists()


def test_a_server_that_says_less_than_it_sends_is_not_believed(keep: Keep, site: LoopbackSite) -> None:
    site.troubles[PATH] = [Trouble(announce=-100_000)]
    assert keep() == EXPECTED


@pytest.mark.parametrize(("trouble", "reason"), [(404, "answers 404"), (503, "answers 503")])
def test_a_table_that_cannot_be_had(keep: Keep, site: LoopbackSite, tmp_path: Path, trouble: int, reason: str) -> None:
    site.always[PATH] = Trouble(status=trouble)
    with raises(DataError, code="download_failed", naming="table.csv"):
        keep()
    assert list(tmp_path.iterdir()) == []


MEASURED = """
import json, resource, sys
from contextlib import closing
from pathlib import Path
from distingo.download.connections import Connections
from distingo.download.records import Limits
from distingo.download.table_streaming import TableQuery
from distingo.download.table_streaming import TableSource

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with closing(Connections(Limits())) as connections:
    source = TableSource(connections, Limits(), allow_private=True)
    source.read(sys.argv[1] + "/small")
    before = peak()
    source.keep_lines(TableQuery(sys.argv[1] + "/large", "LabelName", {b"/m/wanted"}), Path(sys.argv[2]))
print(json.dumps(peak() - before))
"""


def test_a_table_of_a_hundred_megabytes_goes_by_in_eight(tmp_path: Path) -> None:
    block = b"".join(LINES) + b"%016x,verification,/m/wanted,1\n" % 7
    count = (100 << 20) // len(block)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            blocks = 0 if self.path == "/small" else count
            self.send_response(200)
            self.send_header("Content-Length", str(36 + blocks * len(block)))
            self.end_headers()
            self.wfile.write(b"ImageID,Source,LabelName,Confidence\n")
            for _ in range(blocks):
                self.wfile.write(block)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        words = [sys.executable, "-c", MEASURED, f"http://127.0.0.1:{server.server_port}", str(tmp_path / "kept.csv")]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    finally:
        server.shutdown()
        server.server_close()
    assert (tmp_path / "kept.csv").read_bytes().count(b"/m/wanted") == count
    assert json.loads(done.stdout) * 1024 < 8 << 20
