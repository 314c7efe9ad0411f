"""Images a second and latencies of `distingo serve`, LitServe and a plain FastAPI route at 1, 8 and 64 connections.

    pip install litserve            # in an environment of its own that also sees distingo
    python benchmarks/serving_load.py --litserve OTHER/bin/python                  # 25 minutes
    python benchmarks/serving_load.py --litserve OTHER/bin/python --rounds 1 --seconds 2   # a try
    python benchmarks/serving_load.py --faults                                     # kill -9 and reload under load only

Needs wrk (Debian: `apt install wrk`) and the frozen MobileNetV2 and photos of the test data. All contenders have the
same model, preprocessing and uploads (multipart, photos of 224 pixels); each turn starts one server, lets it warm up
and loads it from one wrk over loopback. Turns are interleaved; what is told are medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turns import processor

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "serving_load.json"
CONNECTIONS = (1, 8, 64)

POST = """
local boundary = "0123456789abcdef"
local bodies = {}
for path in io.lines(os.getenv("PICTURES")) do
  local file = io.open(path, "rb")
  bodies[#bodies + 1] = "--" .. boundary
    .. '\\r\\nContent-Disposition: form-data; name="images"; filename="a.jpg"\\r\\n'
    .. "Content-Type: image/jpeg\\r\\n\\r\\n" .. file:read("*a") .. "\\r\\n--" .. boundary .. "--\\r\\n"
  file:close()
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=" .. boundary
local next = 0
request = function()
  next = next % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next])
end
done = function(summary, latency, requests)
  local errors = summary.errors
  print(string.format('{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "errors": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def contenders(python: str | None, run: Path) -> dict[str, list[str]]:
    ours = [sys.executable, "-m", "distingo", "serve", f"sports={run}", "--port", "{port}"]
    others = [str(ROOT / "benchmarks" / "serving_contenders.py")]
    found = {
        "distingo serve": ours,
        "distingo serve --workers 2": [*ours, "--workers", "2"],
        "FastAPI route, OpenVINO": [sys.executable, *others, "fastapi", str(run), "{port}"],
    }
    if python is not None:
        lit = [python, *others, "litserve", str(run), "{port}"]
        found["LitServe, torch"] = [*lit, "--engine", "torch"]
        found["LitServe, OpenVINO"] = lit
        found["LitServe, OpenVINO, 2 workers"] = [*lit, "--workers", "2"]
    return found


@contextlib.contextmanager
def serving(command: list[str], body: bytes) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A contender, once it has answered a few requests."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [word.format(port=port) for word in command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}/predict"
    try:
        deadline = time.monotonic() + 120
        while not answers(url, body):
            assert process.poll() is None and time.monotonic() < deadline, f"{words}: does not answer"
            time.sleep(0.2)
        yield url, process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):  # processes of its own that it leaves would disturb the next
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str, content: bytes) -> bool:
    head = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    body = head + content + b"\r\n--b--\r\n"
    asked = urllib.request.Request(url, body, {"Content-Type": "multipart/form-data; boundary=b"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def load(url: str, connections: int, seconds: int, environment: dict[str, str]) -> dict[str, float]:
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", environment["SCRIPT"], url]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "images_per_second": told["requests"] / told["seconds"],
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "errors": told["errors"],
    }


def measure(commands: dict[str, list[str]], rounds: int, seconds: int, images: list[Path]) -> dict[str, Any]:
    turns: dict[str, dict[int, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PICTURES": f"{folder}/pictures", "SCRIPT": f"{folder}/post.lua"}
        Path(environment["PICTURES"]).write_text("\n".join(map(str, images)) + "\n")
        Path(environment["SCRIPT"]).write_text(POST)
        for number in range(rounds):
            for name, command in commands.items():
                with serving(command, images[0].read_bytes()) as (url, _):
                    load(url, 16, min(2, seconds), environment)
                    for connections in CONNECTIONS:
                        told = load(url, connections, seconds, environment)
                        turns.setdefault(name, {}).setdefault(connections, []).append(told)
                        print(f"round {number + 1}, {name}, {connections} connections: {describe(told)}", flush=True)
    return {
        name: {
            str(connections): {key: statistics.median(each[key] for each in told) for key in told[0]}
            for connections, told in by_connections.items()
        }
        for name, by_connections in turns.items()
    }


def describe(told: dict[str, float]) -> str:
    return (
        f"{told['images_per_second']:.0f} images/s, p50 {told['p50_ms']:.1f} ms, p99 {told['p99_ms']:.1f} ms, "
        f"{told['errors']:.0f} errors"
    )


class Clients:
    """Clients that ask on and on over connections of their own, and note when what came."""

    def __init__(self, url: str, body: bytes, count: int) -> None:
        import httpx2

        self.came: list[tuple[float, bool]] = []
        self._end = threading.Event()

        def ask() -> None:
            with httpx2.Client(timeout=30) as client:
                while not self._end.is_set():
                    try:
                        good = client.post(url, content=body).status_code == 200
                    except httpx2.TransportError:
                        good = False
                    self.came.append((time.monotonic(), good))

        self._threads = [threading.Thread(target=ask) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


def workers_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    below = [child for child, parent in pairs if parent == pid]
    return sorted(child for child, parent in pairs if parent in below)


def kill_a_worker(command: list[str], body: bytes) -> dict[str, Any]:
    """Kill -9 one of two workers under load: what fails, the longest silence, and until both serve again."""
    with serving([*command, "--workers", "2"], body) as (url, process):
        before = workers_of(process.pid)
        clients = Clients(url, body, 16)
        time.sleep(3)
        os.kill(before[0], signal.SIGKILL)
        killed = time.monotonic()
        while before[0] in workers_of(process.pid) or len(workers_of(process.pid)) < 2:
            time.sleep(0.02)
        new = next(pid for pid in workers_of(process.pid) if pid not in before)
        while not accepts(new) and time.monotonic() < killed + 60:
            time.sleep(0.05)
        back = time.monotonic() - killed
        time.sleep(2)
        clients.end()
    after = sorted(when - killed for when, good in clients.came if good and when > killed)
    silences = [0.0, *after]
    return {
        "clients": 16,
        "requests": len(clients.came),
        "failed": sum(not good for _, good in clients.came),
        "longest_silence_seconds": max(late - early for early, late in zip(silences, after, strict=False)),
        "worker_back_after_seconds": back,
    }


def accepts(pid: int) -> bool:
    """Whether a worker serves: it has a poll of the listening socket once its models are loaded."""
    try:
        return any("eventpoll" in str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def reload_under_load(command: list[str], run: Path, body: bytes, times: int = 5) -> dict[str, Any]:
    """Change the run folder and reload, again and again, under load."""
    with serving(command, body) as (url, _):
        clients = Clients(url, body, 16)
        seconds = []
        for number in range(times):
            time.sleep(1)
            description = json.loads((run / "model" / "model.json").read_text())
            description["provenance"]["benchmark"] = number
            (run / "model" / "model.json").write_text(json.dumps(description))
            began = time.monotonic()
            asked = urllib.request.Request(url.replace("/predict", "/models/sports/reload"), b"", method="POST")
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert json.loads(answer.read())["changed"]
            seconds.append(time.monotonic() - began)
        time.sleep(1)
        clients.end()
    failed = sum(not good for _, good in clients.came)
    told = {"clients": 16, "reloads": times, "requests": len(clients.came), "failed": failed}
    return {**told, "median_seconds": statistics.median(seconds)}


def train(folder: Path) -> Path:
    weights = f"local-dir:{DATA / 'weights' / 'mobilenetv2_100.tf_in1k'}"
    words = ["train", str(DATA / "two-sports"), "-o", str(folder / "run"), "--model", weights]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-m", "distingo", *words], check=True, capture_output=True, env=environment)
    return folder / "run"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litserve", metavar="PYTHON", help="an interpreter that has litserve and distingo's needs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--faults", action="store_true", help="only kill -9 and reload under load")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt install wrk")
    images = sorted((DATA / "two-sports" / "test").glob("*/*.jpg"))
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results["machine"] = {"processor": processor(), "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as folder:
        run = train(Path(folder))
        commands = contenders(options.litserve, run)
        if not options.faults:
            wanted = {name: command for name, command in commands.items() if not options.only or name in options.only}
            settings = {"rounds": options.rounds, "seconds_a_turn": options.seconds}
            results["load"] = {**settings, "contenders": measure(wanted, options.rounds, options.seconds, images)}
        ours, body = commands["distingo serve"], images[0].read_bytes()
        results["killed_worker"] = kill_a_worker(ours, body)
        results["reload"] = reload_under_load(ours, run, body)
    print(json.dumps(results, indent=1))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
