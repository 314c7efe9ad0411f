"""List the models that training knows, and timm's backbones."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.options import image_size


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("models", help="list the models that train knows")
    parser.set_defaults(command=run)
    parser.add_argument("name", nargs="?", help="show this model's layers")
    parser.add_argument(
        "--pretrained", nargs="?", const="*", metavar="PATTERN", help="list timm's backbones: size, input, licence"
    )
    parser.add_argument("--image-size", type=image_size, metavar="N|HxW", help="for the layer table")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="for the layer table")
    parser.add_argument("--classes", type=int, default=10, help="for the layer table")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    if options.pretrained is not None:
        for backbone in distingo.list_backbones(options.pretrained):
            print(terminal.describe_backbone(backbone))
        return 0
    if options.name is None:
        for entry in distingo.list_models():
            print(f"{entry.name:<13} {entry.summary}")
        return 0
    from distingo.models.catalogue import build_network, find_model
    from distingo.models.layers import summarise

    size = options.image_size or find_model(options.name).image_size or 128
    height, width = (size, size) if isinstance(size, int) else size
    network = build_network(
        options.name, classes=options.classes, height=height, width=width, channels=options.channels
    )
    print(summarise(network, height, width, options.channels))
    return 0
