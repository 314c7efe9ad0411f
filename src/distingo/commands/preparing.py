"""What commands that compute do first."""

from __future__ import annotations

import sys

from distingo.errors import escape_controls


def prepare(*, networks: bool = True) -> None:
    """Place OpenMP's threads and let choices and epochs be heard.

    Args:
        networks: Whether the command is sure to load torch, before which threads must be placed.
    """
    import logging

    from distingo.datasets.decoding import failures as decoder_noise
    from distingo.machine.process import configure_process

    configure_process(threads=networks)

    class PlainLines(logging.Formatter):
        """Sentences with names from anywhere, as a terminal may show them."""

        def format(self, record: logging.LogRecord) -> str:
            return escape_controls(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines("%(message)s"))
    logger = logging.getLogger("distingo")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    decoder_noise.enable()
