"""Write a run's model in another format."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.preparing import prepare


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("export", help="write a run's model as ONNX, OpenVINO or torch.export, and check it")
    parser.set_defaults(command=run)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--format", choices=("onnx", "openvino", "torch-export"), default="onnx")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="to make (default: one in RUN/exports)")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--half", action="store_true", help="keep weights in 16 bits")
    precision.add_argument(
        "--int8", action="store_true", help="compute in 8-bit integers, calibrated on training pictures"
    )
    parser.add_argument(
        "--check-on", metavar="FOLDER", help="pictures to check on instead of the run's test and validation pictures"
    )


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    exported = distingo.export(
        options.run,
        options.output,
        format=options.format,
        half=options.half,
        int8=options.int8,
        check_on=options.check_on,
    )
    print(f"{exported.folder / exported.description.file}: {exported.bytes / 1e6:.1f} MB")
    print(f"Checked: {exported.agreement.words}.")
    if exported.agreement.unreadable:
        print(f"Left out of the check: {exported.agreement.unreadable:,} pictures that can't be read.")
    return 0
