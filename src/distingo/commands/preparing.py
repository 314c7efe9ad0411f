"""What commands that compute do first."""

from __future__ import annotations

import sys


def prepare(*, networks: bool = True) -> None:
    """Place OpenMP's threads and let choices and epochs be heard.

    Args:
        networks: Whether the command is sure to load torch, before which threads must be placed.
    """
    import logging

    from distingo.datasets import decoder_noise
    from distingo.threads import set_thread_environment

    if networks:
        set_thread_environment()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("distingo")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    decoder_noise.enable()
