"""Everything that README.md states a figure for, one command after another (about three hours on 2 cores)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = (
    ["descriptors.py"],
    ["start_up.py"],
    ["heads.py"],
    ["keras_training.py"],
    ["embedding.py"],
    ["transfer.py"],
    ["accuracy.py"],
    ["posters.py"],
    ["coverage_posters.py"],
    ["planted_faults.py"],
    ["check_speed.py"],
    ["false_differences.py"],
    ["crossval.py"],
    ["learning_curve.py"],
    ["bulk_predict.py"],
    ["exports.py"],
    ["serving_load.py"],
    ["hostile_requests.py"],
)


def main() -> None:
    for command in COMMANDS:
        print(f"\n== {command[0]}", flush=True)
        subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], check=True)


if __name__ == "__main__":
    main()
