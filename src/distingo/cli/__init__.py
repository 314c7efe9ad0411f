"""The ``distingo`` command: its options, one module per subject, and what they print."""

from distingo.cli.dispatch import main

__all__ = ["main"]
