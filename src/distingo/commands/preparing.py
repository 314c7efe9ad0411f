"""What commands that compute do first."""

from __future__ import annotations

import sys


def prepare() -> None:
    """Place OpenMP's threads (which must happen before torch loads) and let choices and epochs be heard."""
    import logging

    from distingo.threads import set_thread_environment

    set_thread_environment()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("distingo")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
