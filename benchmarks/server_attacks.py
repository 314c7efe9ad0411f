"""Attacks on `distingo serve`: how often each struck, what another client's requests took, and what memory grew to.

    python benchmarks/server_attacks.py                       # 4 minutes: all attacks, 5 seconds each
    python benchmarks/server_attacks.py tile_bombs --seconds 20
    python benchmarks/server_attacks.py tile_bombs --large    # the other client sends a PNG of 12 megapixels

The attacks are those of `tests/serving/attacks.py`. Each is run by a process of its own from another address of this
machine (Linux), at a low priority since on another machine it would take nothing from the server; the other client asks
for one small photo after another, each on a new connection. The model is a small network. `busyness` says how many
times longer than alone a computation took here meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "serving"), str(ROOT / "tests")]

from attacked_server import attack, describe  # noqa: E402 - beside the tests
from attacks import ATTACKER, ATTACKS  # noqa: E402
from costly_images import large_image  # noqa: E402
from served_runs import command  # noqa: E402

from tiny_runs import train_tiny_runs  # noqa: E402
from turns import processor  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "server_attacks.json"
KEY = "a key that is long enough"
SAME_ADDRESS = ("held_connections", "stalled_uploads")


def busyness() -> float:
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < 0.2:
        sum(range(1000))
    return (time.monotonic() - began) / 0.2


def run(name: str, model: Path, keys: Path, seconds: float, address: str, body: bytes | None) -> dict[str, Any]:
    words = ["--api-key-file", keys] if name == "wrong_keys" else []
    with command(f"cnn={model}", *words) as server:
        time.sleep(3)
        key = KEY if name == "wrong_keys" else ""
        seen = attack(server.url, server.process.pid, name, seconds, address=address, key=key, body=body)
        found = describe(name, seen)
        found["what"] = (ATTACKS[name].__doc__ or "").strip()
        found["same_address"] = address != ATTACKER
        found["log_lines"] = len(server.lines) - 1
        found["busyness"] = busyness()
        began = time.monotonic()
        found["exit_code"] = server.stop()
        found["exit_seconds"] = time.monotonic() - began
    return found


def as_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| attack | struck, and what it was answered | another client: answered, p99 | memory | lines in the log |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        struck = ", ".join(f"{count:,} {what}" for what, count in row["struck"].items()) or "none answered"
        answered = row["other_client_statuses"].get("200", 0)
        where = " (from the same address)" if row["same_address"] else ""
        lines.append(
            f"| {row['what'].rstrip('.')}{where} | {struck} | {answered:,} of {row['other_client_requests']:,}, "
            f"{row['p99_seconds']:.2f} s | +{row['growth_mib']:.0f} MiB | {row['log_lines']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--large", action="store_true", help="what the other client sends is a PNG of 12 megapixels")
    options = parser.parse_args()
    body = large_image("PNG", 3464) if options.large else None
    names = options.names or list(ATTACKS)
    with tempfile.TemporaryDirectory() as folder:
        model, keys = train_tiny_runs(Path(folder))["small-cnn"], Path(folder) / "keys"
        keys.write_text(KEY)
        turns = [(name, ATTACKER) for name in names] + [(name, "127.0.0.1") for name in SAME_ADDRESS if name in names]
        rows = []
        for name, address in turns:
            rows.append(run(name, model, keys, options.seconds, address, body))
            print(json.dumps(rows[-1]), flush=True)
    print(as_table(rows))
    if not options.names and not options.large:
        machine = {"processor": processor(), "cores": len(os.sched_getaffinity(0))}
        RESULTS.write_text(
            json.dumps({"seconds_each": options.seconds, "attacks": rows, "machine": machine}, indent=1) + "\n"
        )
    held = all(set(row["other_client_statuses"]) == {"200"} and row["growth_mib"] < 500 for row in rows)
    slow = [row["attack"] for row in rows if row["p99_seconds"] > max(1.0, row["busyness"])]
    if slow or not held:
        raise SystemExit(f"did not hold: {', '.join(slow) or 'see the table'}")


if __name__ == "__main__":
    main()
