"""``distingo review`` as a process: the browser, Ctrl-C, and termination at any time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from distingo.cli import main
from distingo.curation.findings import write_findings
from distingo.datasets.corrections import read_corrections
from trees import draw, found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = draw(tmp_path / "data", *[f"{name}/{number}.png" for name in "ab" for number in range(40)])
    names = [f"{name}/{number}.png" for name in "ab" for number in range(40)]
    write_findings([found(root, "dark", name) for name in names], tmp_path / "check" / "findings.csv")
    return root


def start(root: Path, *options: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    words = ["review", str(root), "--findings", str(root.parent / "check"), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "distingo", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return process, re.findall(r"Page: (\S+)", said)[0]


def decide(url: str, number: int) -> None:
    origin = url[: url.index("/", len("http://"))]
    headers = {"Content-Type": "application/json", "Origin": origin}
    body = json.dumps({"number": number, "action": "quarantine"}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}decide", body, headers), timeout=10) as answer:
        assert answer.status == 200


def test_a_killed_server_has_kept_what_it_confirmed(root: Path) -> None:
    process, url = start(root, "--no-browser")
    confirmed: list[int] = []

    def go_on() -> None:
        for number in range(80):
            try:
                decide(url, number)
            except OSError:
                return
            confirmed.append(number)

    thread = threading.Thread(target=go_on)
    thread.start()
    while len(confirmed) < 15:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    thread.join()
    process.communicate()
    assert len(confirmed) < 80
    kept = {entry.file for entry in read_corrections(root / "corrections.csv").entries}
    assert len(confirmed) <= len(kept) <= len(confirmed) + 1
    process, url = start(root, "--no-browser")
    with urllib.request.urlopen(f"{url}state", timeout=10) as answer:
        assert len(json.load(answer)["answered"]) == len(kept)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert said == f"\n{len(kept)} of 80 questions answered; the same command continues\n"
    assert process.returncode == 0


def test_it_opens_the_browser(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "browser"
    part, opened = tmp_path / "opened.part", tmp_path / "opened"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > "{part}"\nmv "{part}" "{opened}"\n')
    script.chmod(0o755)
    process, url = start(root, BROWSER=f"{script} %s")
    try:
        for _ in range(400):
            if opened.exists():
                break
            time.sleep(0.02)
        assert opened.read_text() == url
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_mistakes_end_in_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = ("--findings", str(root.parent / "check"), "--no-browser")
    process, url = start(root, "--no-browser")
    port = url.split(":")[2].partition("/")[0]
    try:
        assert main(["review", str(root), *findings, "--port", port]) == 1
        assert f"port {port}: can't listen there" in capsys.readouterr().err
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert main(["review", str(root), *findings, "--corrections", "none"]) == 2
    assert "--corrections none: a review writes corrections" in capsys.readouterr().err
    (root / "corrections.csv").symlink_to(root.parent / "elsewhere.csv")
    assert main(["review", str(root), *findings]) == 2
    assert f"{root / 'corrections.csv'}: is a link; name the file that decisions" in capsys.readouterr().err
    (root / "corrections.csv").unlink()
    assert main(["review", str(root), "--findings", str(root.parent / "none")]) == 1
    assert "`distingo check DATA -o FOLDER` writes one" in capsys.readouterr().err
    (root / "corrections.csv").write_text("file,action\na/1.png,maybe\n")
    assert main(["review", str(root), *findings]) == 1
    assert "line 2: 'maybe' is no action" in capsys.readouterr().err
