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
"""Seconds within which a second Ctrl-C is the same option: it must not cut into what the first one tidies up."""


class _CtrlC:
    """What Ctrl-C does: quietly end what has not begun, stop what is at work once, leave at once when pressed again."""

    def __init__(self) -> None:
        self.is_working = False
        self.pressed: float | None = None

    def install(self) -> None:
        """Listen, unless whoever started us wants Ctrl-C to be ignored."""
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
        """End now; whatever is half-written has no name yet."""
        os.write(2, b"distingo: stopped\n")
        os._exit(130)

    def end(self, code: int) -> None:
        """End after all is told and tidied up, without waiting for threads of engines, which may abort the process."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    def _hear_lost(self, lost: Any) -> None:
        """Ctrl-C came while a destructor or a callback ran, which swallows it: stop all the same."""
        if lost.exc_type is not None and issubclass(lost.exc_type, KeyboardInterrupt):
            self.leave()
        sys.__unraisablehook__(lost)


_ctrl_c = _CtrlC()


def run() -> int:
    """The command as a process of its own.

    Nearly all that a short command allocates are the modules that it imports; to look through them for garbage again
    and again, and twice more at the end, would take a quarter of its time.

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
    except KeyboardInterrupt:  # while an error was being told
        return 130
    except BaseException as error:
        if _ctrl_c.pressed is not None and not isinstance(error, SystemExit):
            _ctrl_c.leave()  # a library made another error of it
        raise
    finally:
        _ctrl_c.is_working = False
        gc.disable()
        if "triton" not in sys.modules:  # it would complain at length of all that is not collected
            gc.freeze()


if __name__ == "__main__":
    raise SystemExit(run())
