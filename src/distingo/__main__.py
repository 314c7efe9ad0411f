"""``python -m distingo`` is the ``distingo`` command."""

import gc

from distingo.cli import main

_RARELY = (10_000, 50, 100)


def run() -> int:
    """The command as a process of its own.

    Nearly all that a short command allocates are the modules that it imports; to look through them for garbage again
    and again, and twice more at the end, would take a quarter of its time.

    Returns:
        The exit code, as from `main`.
    """
    gc.set_threshold(*_RARELY)
    try:
        return main()
    finally:
        gc.disable()
        gc.freeze()


if __name__ == "__main__":
    raise SystemExit(run())
