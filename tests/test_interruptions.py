"""Ctrl-C twice within 50 ms, wherever it comes: one line, no traceback, and the run can be gone on with."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiny_datasets import draw_classes

RECIPE = ["--model", "small-cnn", "--image-size", "16", "--batch-size", "16", "--epochs"]


@pytest.fixture
def _hearing_ctrl_c() -> Iterator[None]:
    """Tests that were started in the background ignore Ctrl-C, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Command:
    """A command under way, and what it has written."""

    def __init__(self, *words: object, options: tuple[str, ...] = ()) -> None:
        call = [sys.executable, *options, "-m", "distingo", *map(str, words)]
        self.process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.error = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        while data := self.process.stderr.read1(4096):  # type: ignore[attr-defined]
            self.error += data

    def wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.process.poll() is None, self.error.decode()
            time.sleep(0.001)

    def press_twice(self, apart: float) -> str:
        """What it says from then on."""
        for pause in (apart, 0.0):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
            time.sleep(pause)
        self.process.communicate(timeout=120)
        self.reader.join()
        return self.error.decode(errors="replace")


@pytest.mark.slow
@pytest.mark.usefixtures("_hearing_ctrl_c")
@pytest.mark.parametrize("stage", ["import", "reading", "training", "end"])
@pytest.mark.parametrize("seed", [1, 2])
def test_two_presses_leave_no_traceback(tmp_path: Path, stage: str, seed: int) -> None:
    generator = random.Random(f"{stage} {seed}")
    data, run = draw_classes(tmp_path / "data", per_class=12), tmp_path / "run"
    options = ("-X", "importtime") if stage == "import" else ()
    epochs = 2 if stage == "end" else 500
    command = Command("train", data, "-o", run, *RECIPE, epochs, "--cache", tmp_path / "cache", options=options)
    command.wait_for(
        {
            "import": lambda: b"distingo.errors" in command.error,
            "reading": (tmp_path / "cache").exists,
            "training": (run / "history.csv").is_file,
            "end": (run / "evaluation.json").is_file,
        }[stage]
    )
    time.sleep(generator.uniform(0, 0.5))
    said = command.press_twice(generator.uniform(0, 0.05))
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    code = command.process.returncode
    # when Python has taken its handlers away, the second press ends what has said its last word
    assert code in {0, 130} or (code == -signal.SIGINT and "stopped" in said)
    if stage == "training":
        assert code in {130, -signal.SIGINT}
        assert "--resume` continues" in said
    half = [path.name for path in run.rglob(".*")] if run.exists() else []
    assert not half


@pytest.mark.slow
@pytest.mark.usefixtures("_hearing_ctrl_c")
def test_a_later_press_leaves_at_once(tmp_path: Path) -> None:
    program = (
        "import distingo.cli, time, sys\n"
        "from distingo.__main__ import run\n"
        "def main():\n"
        "    try:\n"
        "        print('at work', file=sys.stderr, flush=True); time.sleep(60)\n"
        "    finally:\n"
        "        time.sleep(60)\n"
        "distingo.cli.main = main\n"
        "raise SystemExit(run())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True)
    assert process.stderr is not None
    assert process.stderr.readline() == b"at work\n"
    for pause in (1.2, 0.0):
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    assert process.wait(20) == 130
    assert process.stderr.read() == b"distingo: stopped\n"
