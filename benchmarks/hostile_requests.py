"""10,000 hostile requests to `distingo serve`: no 5xx but 503, no growing memory, and the next good one answered.

    python benchmarks/hostile_requests.py --schemathesis OTHER/bin/schemathesis    # 10 minutes
    python benchmarks/hostile_requests.py --count 500                              # a try, without schemathesis

Mutated images of every accepted format, wrong types, lengths, encodings and JSON, broken heads and bodies, bombs
(a huge PNG, a JPEG of thousands of scans, a strip of 1 x 1,000,000), over eight connections at once, seeded. Memory is
the server's resident set after a tenth of the requests, when everything has been used once, and at the end.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from serving_load import contenders, serving, train
from turns import processor

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "hostile_requests.json"
TYPES = (
    "image/jpeg",
    "application/octet-stream",
    "application/json",
    "multipart/form-data; boundary=b",
    "text/html",
    "",
)
PATHS = (
    "/predict",
    "/models/sports",
    "/v2/models/sports/infer",
    "/predict?top_k=%00",
    "/predict?explain=1",
    "/models/%2e%2e",
)
CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"
Hostile = Callable[[random.Random], bytes]


def images() -> list[bytes]:
    generator, found = np.random.default_rng(0), []
    for form, mode in (
        ("JPEG", "RGB"),
        ("PNG", "RGBA"),
        ("GIF", "P"),
        ("WEBP", "RGB"),
        ("BMP", "RGB"),
        ("TIFF", "L"),
        ("AVIF", "RGB"),
    ):
        image = Image.fromarray(generator.integers(0, 255, (120, 160, 3), np.uint8)).convert(mode)
        encoded = io.BytesIO()
        image.save(encoded, form)
        found.append(encoded.getvalue())
    encoded = io.BytesIO()
    Image.fromarray(generator.integers(0, 255, (120, 160, 3), np.uint8)).save(encoded, "JPEG", progressive=True)
    return [*found, encoded.getvalue()]


IMAGES = images()


def mutate(chance: random.Random) -> bytes:
    data = bytearray(chance.choice(IMAGES))
    for _ in range(chance.choice((1, 4, 30))):
        place = chance.randrange(min(len(data), chance.choice((64, len(data)))))
        data[place] = chance.randrange(256)
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    if chance.random() < 0.1:
        data += chance.randbytes(1000)
    return bytes(data)


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    lines = zlib.compress(bytes(min(width * height + height, 50_000_000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


BOMBS = [
    png(60_000, 60_000),
    png(1, 1_000_000),
    png(1_000_000, 1),
    png(2**31 - 1, 1),
    IMAGES[-1][:-2] + b"\xff\xda" * 5000,
]


def post(chance: random.Random, body: bytes, kind: str | None = None, path: str | None = None) -> bytes:
    kind = chance.choice(TYPES) if kind is None else kind
    head = f"POST {path or chance.choice(PATHS)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: {kind}\r\n" if kind else ""
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def mutated(chance: random.Random) -> bytes:
    return post(chance, mutate(chance), "image/jpeg", "/predict")


def bomb(chance: random.Random) -> bytes:
    return post(chance, chance.choice(BOMBS), "image/png", "/predict")


def wrong_type(chance: random.Random) -> bytes:
    return post(chance, mutate(chance))


def form(chance: random.Random) -> bytes:
    name = chance.choice(("images", "picture", "", "top_k", "\u732b"))
    file = chance.choice(("a", "../../x", chr(0)))
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
    whole = b"".join(head.encode() + mutate(chance) + b"\r\n" for _ in range(chance.choice((1, 2, 70)))) + b"--b--\r\n"
    return post(chance, whole[: chance.choice((len(whole), chance.randrange(len(whole))))], TYPES[3], "/predict")


def as_json(chance: random.Random) -> bytes:
    data = chance.choice(
        (base64.b64encode(mutate(chance)).decode(), "***", "", None, 5, [], {}, "http://127.0.0.1:1/", "\ud800")
    )
    tensor = {
        "name": "images",
        "datatype": chance.choice(("UINT8", "FP32", "BYTES", "X")),
        "data": chance.choice(([], [1e308] * 12, [data], data, [[0] * 12], [-1] * 12)),
        "shape": chance.choice(([1, 2, 2, 3], [2**40, 1, 1, 3], [1], [], None, [0], [1.5])),
    }
    said: Any = chance.choice(
        (
            {"images": [{"data": data}] * chance.choice((0, 1, 3, 500))},
            {"images": data, "top_k": data},
            {"inputs": data, "parameters": chance.choice((None, data, {"top_k": data}))},
            {"inputs": [tensor] * chance.choice((0, 1, 2)), "id": data, "outputs": chance.choice((None, data, [data]))},
            data,
        )
    )
    body = json.dumps(said).encode("utf-8")
    if chance.random() < 0.2:
        body = chance.choice(
            (body[: len(body) // 2], b"[" * 100_000, body.decode().encode("utf-16"), chance.randbytes(50))
        )
    return post(chance, body, "application/json")


def broken(chance: random.Random) -> bytes:
    body = chance.choice(IMAGES)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunks = (b"zz\r\n", b"5\r\nabc", b"FFFFFFFFFFFFFFFFF\r\n", b"0\r\n\r\n")
    lengths = (b"-1", b"99999999999", b"1e3", b"", b"18446744073709551616", str(len(body) - 5).encode())
    return chance.choice(
        (
            chance.randbytes(300),
            head + b"Content-Length: " + chance.choice(lengths) + b"\r\n\r\n" + body,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + chance.choice(chunks),
            head + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            head + b"X: " + b"a" * chance.choice((10, 100_000)) + b"\r\n\r\n",
            head + b"\r\n".join(b"X%d: 1" % each for each in range(500)) + b"\r\n\r\n",
            b"GET /" + b"%ff" * 200 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"BREW /predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n\r\n",
            head + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
            head + b"Authorization: Bearer \xff\r\nContent-Length: 0\r\n\r\n",
        )
    )  # fmt: skip


KINDS: tuple[tuple[Hostile, int], ...] = (
    (mutated, 40),
    (wrong_type, 15),
    (form, 15),
    (as_json, 18),
    (broken, 11),
    (bomb, 1),
)


def send(port: int, request: bytes) -> str:
    """The status that came back; ``closed`` for none, ``unanswered`` where the rest of a request is waited for."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(request)
            connection.settimeout(2.0)
            return connection.recv(65536)[9:12].decode("ascii", "replace") or "closed"
    except TimeoutError:
        return "unanswered"
    except OSError:
        return "closed"


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def is_good(url: str) -> bool:
    asked = urllib.request.Request(url, IMAGES[0], {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.status == 200 and bool(json.loads(answer.read())["predictions"][0]["label"])


def attack(url: str, pid: int, count: int) -> dict[str, Any]:
    port, chance = urlsplit(url).port or 80, random.Random(7)
    kinds = [kind for kind, weight in KINDS for _ in range(weight)]
    statuses: Counter[str] = Counter()
    curve: list[float] = []
    began, early, slowest = time.monotonic(), 0, 0.0

    def one(request: bytes) -> tuple[str, float]:
        start = time.monotonic()
        return send(port, request), time.monotonic() - start

    with ThreadPoolExecutor(8) as senders:
        for start in range(0, count, 100):
            requests = [chance.choice(kinds)(chance) for _ in range(min(100, count - start))]
            for status, seconds in senders.map(one, requests):
                statuses[status] += 1
                slowest = max(slowest, seconds)
            assert is_good(url)
            if start % 1000 == 900:
                curve.append(resident(pid) / 2**20)
            if start < count // 10 <= start + 100:
                early = resident(pid)
    late = resident(pid)
    return {
        "requests": count,
        "seconds": time.monotonic() - began,
        "statuses": dict(sorted(statuses.items())),
        "server_errors_but_503": sum(n for status, n in statuses.items() if status.startswith("5") and status != "503"),
        "slowest_seconds": slowest,
        "resident_early_mib": early / 2**20,
        "resident_late_mib": late / 2**20,
        "resident_each_1000_mib": curve,
        "growth": late / early - 1,
        "next_good_request_answered": is_good(url),
    }


def ask_schemathesis(command: str, url: str, examples: int) -> dict[str, Any]:
    document = url.replace("/predict", "/openapi.json")
    words = [
        command,
        "run",
        document,
        "--checks",
        "not_a_server_error",
        "-n",
        str(examples),
        "--seed",
        "7",
        "--no-color",
    ]
    with tempfile.TemporaryDirectory() as folder:  # where it leaves what it found
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=folder)
    told = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return {"exit_code": done.returncode, "examples_an_operation": examples, "summary": told[-12:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--schemathesis", metavar="COMMAND")
    parser.add_argument("--examples", type=int, default=100, help="schemathesis's, for each operation")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = contenders(None, train(Path(folder)))["distingo serve"]
        with serving(command, IMAGES[0]) as (url, process):
            results = attack(url, process.pid, options.count)
            if options.schemathesis:
                results["schemathesis"] = ask_schemathesis(options.schemathesis, url, options.examples)
                results["resident_after_schemathesis_mib"] = resident(process.pid) / 2**20
                results["next_good_request_answered"] = is_good(url)
    results["machine"] = {"processor": processor(), "cores": len(os.sched_getaffinity(0))}
    print(json.dumps(results, indent=1))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if results["server_errors_but_503"] or results.get("schemathesis", {}).get("exit_code"):
        raise SystemExit("the server failed at a request")


if __name__ == "__main__":
    main()
