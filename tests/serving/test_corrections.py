"""Corrections in SQLite: what is kept, what is refused, and several processes at once."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

from distingo.errors import DataError, ResourceError
from distingo.serving.corrections import CorrectionStore, SentCorrection, StoreFullError
from raising import raises

IMAGE = b"\x89PNG\r\n\x1a\n and more"


def sent(image: bytes = IMAGE, *labels: str, model: str = "fruit") -> SentCorrection:
    return SentCorrection(
        image, "PNG", model, "3f2a", "single-label", labels or ("pear",), {"label": "apple", "probability": 0.6}
    )


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "new" / "corrections.sqlite")
    number = store.add(sent(IMAGE, "Äpfel, 梨"))
    (kept,) = CorrectionStore(store.path, create=False).latest("fruit")
    assert (kept.id, kept.labels, kept.version, kept.times) == (number, ("Äpfel, 梨",), "3f2a", 1)
    assert kept.predicted == {"label": "apple", "probability": 0.6}
    assert kept.sha256 == hashlib.sha256(IMAGE).hexdigest()
    assert store.image(kept.sha256) == IMAGE
    assert kept.at.endswith("Z")


def test_the_latest_correction_counts_and_earlier_ones_stay(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "c.sqlite")
    for label in ("pear", "quince", "medlar"):
        store.add(sent(IMAGE, label))
    store.add(sent(b"another", "fig"))
    store.add(sent(IMAGE, "tree", model="plants"))
    latest = store.latest("fruit")
    assert [(kept.labels, kept.times) for kept in latest] == [(("medlar",), 3), (("fig",), 1)]
    past = store.history(latest[0].sha256, "fruit")
    assert [(kept.labels, kept.times) for kept in past] == [(("pear",), 1), (("quince",), 2), (("medlar",), 3)]
    assert store.models() == {"fruit": 2, "plants": 1}
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(*) FROM pictures").fetchone() == (2,)


def test_nothing_of_the_sender_is_kept(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "c.sqlite")
    with sqlite3.connect(store.path) as connection:
        columns = {
            row[1] for table in ("pictures", "corrections") for row in connection.execute(f"PRAGMA table_info({table})")
        }
    assert columns == {"sha256", "format", "content", "id", "at", "model", "version", "task", "labels", "predicted"}
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_full_store_refuses_and_stays_whole(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "c.sqlite", most_bytes=200_000)
    store.add(sent(b"a" * 100_000))
    with raises(StoreFullError, code="store_full"):
        store.add(sent(b"b" * 100_000))
    store.add(sent(b"a" * 100_000, "quince"))  # an image that is there already takes no room
    assert [kept.times for kept in store.latest("fruit")] == [2]


def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("my notes, " * 100, encoding="utf-8")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = other.read_bytes()
    with raises(DataError, code="damaged_file", naming="notes.txt"):
        CorrectionStore(text)
    with raises(DataError, code="wrong_format"):
        CorrectionStore(other)
    assert text.read_text(encoding="utf-8").startswith("my notes")
    assert list(sqlite3.connect(other).execute("SELECT name FROM sqlite_master")) == [("mine",)]
    assert len(before) == other.stat().st_size
    with raises(DataError, code="not_found"):
        CorrectionStore(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()
    with raises(ResourceError, code="cannot_write"):
        CorrectionStore(text / "below.sqlite")


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "c.sqlite")
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with raises(DataError, code="newer_version"):
        CorrectionStore(store.path)


def test_a_damaged_image_is_told(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "c.sqlite")
    store.add(sent())
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE pictures SET content = x'00'")
    with raises(DataError, code="damaged_file"):
        store.image(store.latest("fruit")[0].sha256)


WRITER = """
import sys
from pathlib import Path
from distingo.serving.corrections import CorrectionStore, SentCorrection
store = CorrectionStore(Path(sys.argv[1]))
for number in range(25):
    picture = f"{number % 5}".encode()
    store.add(SentCorrection(picture, "PNG", "fruit", sys.argv[2], "single-label", (f"{number}",), None))
"""


def test_several_processes_and_threads_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    words = [sys.executable, "-c", WRITER, str(path)]
    processes = [subprocess.Popen([*words, f"worker {number}"], stderr=subprocess.PIPE) for number in range(3)]
    store = CorrectionStore(path)
    threads = [threading.Thread(target=lambda: [store.add(sent()) for _ in range(10)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(process.communicate()[1], process.returncode) for process in processes] == [(b"", 0)] * 3
    latest = store.latest("fruit")
    assert sum(kept.times for kept in latest) == 3 * 25 + 2 * 10
    assert len(latest) == 6
