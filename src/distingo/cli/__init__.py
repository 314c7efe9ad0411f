"""The ``distingo`` command line: options and output, with one module per group of commands."""

from distingo.cli.dispatch import main

__all__ = ["main"]
