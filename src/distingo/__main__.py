"""``python -m distingo`` is the ``distingo`` command."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

from distingo.machine.process import collect_seldom

_ONE_PRESS = 1.0
"""Seconds within which a second Ctrl-C counts as the same press, so that it can't interrupt the cleanup."""


class _CtrlC:
    """Handles Ctrl-C: exit quietly before work begins, interrupt running work, exit at once on a second press."""

    def __init__(self) -> None:
        self.is_working = False
        self.pressed: float | None = None

    def install(self) -> None:
        """Install the handlers, unless the parent process set Ctrl-C to be ignored."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._hear)
            sys.unraisablehook = self._hear_lost

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        now = time.monotonic()
        if self.pressed is not None and now - self.pressed < _ONE_PRESS:
            return
        if self.is_working and self.pressed is None:
            self.pressed = now
            raise KeyboardInterrupt
        self.leave()

    def leave(self) -> None:
        """Exit immediately; half-written files have no final name yet."""
        os.write(2, b"distingo: stopped\n")
        os._exit(130)

    def end(self, code: int) -> None:
        """Flush the output and exit without waiting for engine threads, which may abort the process."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    def _hear_lost(self, lost: Any) -> None:
        """Exit when Ctrl-C was pressed during a destructor or callback, where Python discards the exception."""
        if lost.exc_type is not None and issubclass(lost.exc_type, KeyboardInterrupt):
            self.leave()
        sys.__unraisablehook__(lost)


_ctrl_c = _CtrlC()


def run() -> int:
    """Run the command line in a process of its own.

    Nearly everything that a short command allocates is its imported modules. Scanning them for garbage repeatedly,
    and twice more at exit, would take a quarter of its run time, so the garbage collector runs seldom.

    Returns:
        The exit code, as from `distingo.cli.main`.
    """
    _ctrl_c.install()
    collect_seldom()
    from distingo.cli import main

    try:
        _ctrl_c.is_working = True
        code = main()
        if _ctrl_c.pressed is not None:
            _ctrl_c.end(code)
        return code
    except KeyboardInterrupt:  # while an error was being printed
        return 130
    except BaseException as error:
        if _ctrl_c.pressed is not None and not isinstance(error, SystemExit):
            _ctrl_c.leave()  # a library turned the interrupt into another error
        raise
    finally:
        _ctrl_c.is_working = False
        gc.disable()
        if "triton" not in sys.modules:  # triton would print a long warning about uncollected objects
            gc.freeze()


if __name__ == "__main__":
    raise SystemExit(run())
