from __future__ import annotations

import io
import sys

import pytest

from distingo.progress import TransferProgress, progress_bar, transfer_bar


def test_files_count_in_part_while_they_come_and_bytes_once() -> None:
    seen: list[tuple[float, int, int]] = []
    progress = TransferProgress(lambda *state: seen.append(state), done=2)
    progress.advance("a", 50, 100)
    progress.advance("b", 10, 40, done=40)  # 30 of an earlier run
    progress.advance("c", 7, None)
    assert seen == [(2.5, 2, 50), (3.5, 2, 60), (3.5, 2, 67)]
    progress.restart("a")
    progress.advance("a", 25, 100)
    assert seen[-1] == (3.25, 2, 92)
    for name in "abc":
        progress.finish(name)
    assert seen[-1] == (5.0, 5, 92)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_count_bytes_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with transfer_bar("fetching", 3, 1) as progress:
        progress.advance("a", 2_000_000, 2_000_000)
        for name in "ab":
            progress.finish(name)
    assert "fetching" in terminal.getvalue()
    assert "3/3 files" in terminal.getvalue() and "2.0 MB" in terminal.getvalue()


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with transfer_bar("fetching", 3) as progress:
        progress.advance("a", 1, 2)
        progress.finish("a")
    assert capsys.readouterr() == ("", "")


def test_a_bar_counts_though_nobody_knows_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("Predicting", None) as advance:
        advance(64)
    assert "64/?" in terminal.getvalue()
