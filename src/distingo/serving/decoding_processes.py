"""Images that may take long, decoded by processes that can be killed: each within its time and memory."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from distingo.records import Rendition, ValueRanges
from distingo.serving.decoder import LENGTHS
from distingo.serving.refused import RefusedError, free_frames
from distingo.serving.settings import ServeSettings
from distingo.serving.turns import Job, Share, TurnPool

_PROCESSES = 2
_OF_REQUEST = 3
"""So many times the seconds of one image may all images of a request take."""

_WAITS = 6
"""So many times the seconds of one image an image waits for its turn at most."""

_MOST_ANSWER = 2**30
_log = logging.getLogger("distingo.serving")


@dataclass(frozen=True, slots=True)
class Question:
    """What to make of a file.

    Attributes:
        result: ``row`` for what a model looks at, ``image`` for an image of up to 4 million pixels.
        max_pixels: As for `distingo.serving.pictures.decode_upload`.
        enough: Likewise.
        value_ranges: Likewise.
        rendition: How a row is made; None makes descriptors.
    """

    result: str
    max_pixels: int
    enough: int | None = None
    value_ranges: ValueRanges | None = None
    rendition: Rendition | None = None


class DecodingProcesses:
    """A few processes, and whose turn it is.

    A client has all of them but one at the most, each image its process's part of the memory, and the client whose
    last image was done longest ago comes next: whatever one client's images take, another's need not wait for them.

    Args:
        settings: Of the server.

    Attributes:
        memory: Bytes that one image may take.
        pool: Whose turn it is.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._seconds = settings.decode_timeout
        self.memory = settings.decode_memory // _PROCESSES
        self._local = threading.local()
        self._all: set[_Process] = set()
        self._closed = False
        self.pool = TurnPool(
            _PROCESSES,
            "asking",
            begin=self._begin,
            of_client=_PROCESSES - 1,
            memory=settings.decode_memory,
            most=max(1, settings.queue // 2),
            most_of_client=max(settings.queue // 4, min(settings.max_pictures, settings.queue // 2), 1),
        )

    def row(self, question: Question, content: bytes, memory: int, share: Share) -> np.ndarray:
        """Decode a file to what a model looks at; called by a thread of the pool.

        Raises:
            RefusedError: As `distingo.serving.pictures.decode_upload`, and where it takes more time or memory than it
                may (413), or its turn did not come (503).
        """
        said, pixels = self._ask(question, content, memory, share)
        if "dtype" not in said:
            raise _broken()
        row = np.frombuffer(pixels, np.dtype(said["dtype"])).reshape(said["shape"])
        spec = question.rendition
        if spec is not None and (row.dtype != np.uint8 or row.shape != (spec.height, spec.width, spec.channels)):
            raise _broken()
        return row

    def image(self, question: Question, content: bytes, memory: int, share: Share) -> Image.Image:
        """Decode a file to an image of up to 4 million pixels, and wait for it; as `row`."""
        done = threading.Event()
        found: list[Image.Image | Exception] = []

        def work() -> None:
            try:
                said, pixels = self._ask(question, content, memory, share)
                found.append(Image.frombytes(said["mode"], tuple(said["size"]), pixels))
            except Exception as error:
                free_frames(error)  # they hold the content, and this list the error
                found.append(error)
            finally:
                done.set()

        if not self.pool.submit(Job(share, work, memory)):
            raise full()
        if not done.wait((_WAITS + 2) * self._seconds):
            raise full()
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def close(self) -> None:
        """End all processes, whatever they do."""
        self._closed = True
        self.pool.close()
        for process in list(self._all):
            process.kill()

    def _begin(self) -> None:
        with contextlib.suppress(OSError, RefusedError):
            self._process()

    def _process(self) -> _Process:
        """This thread's process, started again where it has ended."""
        process: _Process | None = getattr(self._local, "process", None)
        if process is None or not process.lives:
            if process is not None:
                self._all.discard(process)
            if self._closed:
                raise full()
            process = self._local.process = _Process()
            self._all.add(process)
        return process

    def _ask(self, question: Question, content: bytes, memory: int, share: Share) -> tuple[dict[str, Any], bytes]:
        if time.monotonic() - share.came > _WAITS * self._seconds:
            raise full()
        left = _OF_REQUEST * self._seconds - share.seconds
        too_many = RefusedError(
            413,
            f"the pictures of this request took more than {_OF_REQUEST * self._seconds:g} seconds to decode; "
            "send fewer at once",
        )
        if left <= 0:
            raise too_many
        reason = f"decoding it takes more than {self._seconds:g} seconds; send a smaller picture"
        too_long = too_many if left < self._seconds else RefusedError(413, reason)
        began = time.monotonic()
        try:
            said, pixels = self._process().ask(
                {**asdict(question), "memory": memory}, content, min(self._seconds, left), too_long
            )
        finally:
            share.seconds += time.monotonic() - began
        if "status" in said:
            raise RefusedError(int(said["status"]), str(said["reason"]))
        return said, pixels


def full() -> RefusedError:
    """Why an image is not decoded now."""
    return RefusedError(503, "too many large pictures wait to be decoded; try again soon")


def _broken() -> RefusedError:
    return RefusedError(422, "its decoder broke down at it; save it anew")


class _Process:
    def __init__(self) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_TRIM_THRESHOLD_": "1048576",
            "MALLOC_MMAP_THRESHOLD_": "1048576",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distingo.serving.decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is the server's to obey
        )

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()

    def ask(
        self, head: dict[str, Any], content: bytes, seconds: float, too_long: RefusedError
    ) -> tuple[dict[str, Any], bytes]:
        """Ask one question.

        Raises:
            RefusedError: `too_long`, or the process ended at it (422); it has ended then.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            return self._exchange(json.dumps({**head, "seconds": seconds}).encode("ascii"), content)
        except (OSError, EOFError, ValueError, KeyError) as error:
            self.kill()
            self._process.wait()
            if late.is_set():
                raise too_long from error
            _log.warning("a decoder ended at an image (exit code %s) and is started again", self._process.returncode)
            raise _broken() from error
        finally:
            timer.cancel()

    def _exchange(self, head: bytes, content: bytes) -> tuple[dict[str, Any], bytes]:
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None and answers is not None
        questions.write(LENGTHS.pack(len(head), len(content)) + head)
        questions.write(content)
        questions.flush()
        lengths = answers.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            raise EOFError
        said_length, length = LENGTHS.unpack(lengths)
        if length > _MOST_ANSWER:
            raise ValueError(length)
        said, pixels = answers.read(said_length), answers.read(length)
        if len(pixels) < length:
            raise EOFError
        return json.loads(said), pixels
