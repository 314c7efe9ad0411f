"""Decoding of potentially expensive images in separate processes, each image with a time and memory limit.

The server sends tasks to ``python -m distingo.serving.decoding`` through pipes. A task is a JSON header and a file, a
result is a JSON header and pixels; both are preceded by the lengths of their two parts. Where the operating system
supports it, it enforces each task's limits on memory and processor time too.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal, TypedDict

import numpy as np
from PIL import Image

from distingo.datasets.decoding.rendering import render
from distingo.datasets.measurements import describe
from distingo.records import ImageSpec, ValueRange, ValueRanges
from distingo.serving.http.access import RefusedError, free_frames
from distingo.serving.images import decode_upload, too_much_memory
from distingo.serving.settings import ServeSettings
from distingo.serving.turns import Job, Share, TurnPool

_LENGTHS = struct.Struct(">II")
_PROCESSES = 2
_OF_REQUEST = 3
"""Time limit for all images of a request, as a multiple of the limit for one image."""

_WAITS = 6
"""Longest time that an image waits for a process, as a multiple of the time limit for one image."""

_MOST_RESULT = 2**30
_LIBRARIES = 32 * 2**20
"""Additional bytes for libraries that are loaded on demand for one format."""

_MOST_DISPLAY_PIXELS = 4_000_000
_log = logging.getLogger("distingo.serving")


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """How to decode a file.

    Attributes:
        result: ``row`` for a row of the model's input, ``image`` for an image of up to 4 million pixels.
        max_pixels: As for `distingo.serving.images.decode_upload`.
        enough: As for `distingo.serving.images.decode_upload`.
        value_ranges: As for `distingo.serving.images.decode_upload`.
        image_spec: The preprocessing for a row; None computes descriptors instead.
    """

    result: Literal["row", "image"]
    max_pixels: int
    enough: int | None = None
    value_ranges: ValueRanges | None = None
    image_spec: ImageSpec | None = None


class _Result(TypedDict, total=False):
    """The header of a result: a row, an image or a refusal."""

    dtype: str
    shape: list[int]
    mode: str
    size: list[int]
    status: int
    reason: str


class DecodingProcesses:
    """A small pool of decoding processes that is shared fairly between clients.

    One client can occupy all processes but one, and the client whose last image was finished longest ago comes next, so
    that expensive images of one client do not block the others. The memory limit is divided evenly among the processes.

    Args:
        settings: The server's settings.

    Attributes:
        memory: Memory limit of one image in bytes.
        pool: Determines the order of the images.
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
            most=max(1, settings.queue // 2),
            most_of_client=max(settings.queue // 4, min(settings.max_images, settings.queue // 2), 1),
        )

    def row(self, task: DecodeTask, content: bytes, memory: int, share: Share) -> np.ndarray:
        """Decode a file to a row of the model's input; called by a thread of the pool.

        Raises:
            RefusedError: As `distingo.serving.images.decode_upload`; also if it exceeds its time or memory limit (413)
                or waited too long (503).
        """
        result, pixels = self._run(task, content, memory, share)
        if "dtype" not in result:
            raise _broken()
        row = np.frombuffer(pixels, np.dtype(result["dtype"])).reshape(result["shape"])
        spec = task.image_spec
        if spec is not None and (row.dtype != np.uint8 or row.shape != (spec.height, spec.width, spec.channels)):
            raise _broken()
        return row

    def image(self, task: DecodeTask, content: bytes, memory: int, share: Share) -> Image.Image:
        """Decode a file to an image of up to 4 million pixels and wait for it; raises the same errors as `row`."""
        done = threading.Event()
        outcome: list[Image.Image | Exception] = []

        def work() -> None:
            try:
                result, pixels = self._run(task, content, memory, share)
                width, height = result["size"]
                outcome.append(Image.frombytes(result["mode"], (width, height), pixels))
            except Exception as error:
                free_frames(error)  # the list keeps the error, whose frames refer to the content
                outcome.append(error)
            finally:
                done.set()

        if not self.pool.submit(Job(share, work)) or not done.wait((_WAITS + 2) * self._seconds):
            raise too_many_waiting()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def close(self) -> None:
        """Kill all processes, including busy ones."""
        self._closed = True
        self.pool.close()
        for process in list(self._all):
            process.kill()

    def _begin(self) -> None:
        with contextlib.suppress(OSError, RefusedError):
            self._process()

    def _process(self) -> _Process:
        """This thread's process, which is restarted if it has ended."""
        process: _Process | None = getattr(self._local, "process", None)
        if process is None or not process.lives:
            if process is not None:
                self._all.discard(process)
            if self._closed:
                raise too_many_waiting()
            process = self._local.process = _Process()
            self._all.add(process)
        return process

    def _run(self, task: DecodeTask, content: bytes, memory: int, share: Share) -> tuple[_Result, bytes]:
        began = time.monotonic()
        if began - share.came > _WAITS * self._seconds:
            raise too_many_waiting()
        request_limit = _OF_REQUEST * self._seconds
        left = request_limit - share.seconds
        reason = f"decoding it takes more than {self._seconds:g} seconds; send a smaller image"
        if left < self._seconds:
            reason = (
                f"the images of this request took more than {request_limit:g} seconds to decode; send fewer at once"
            )
        if left <= 0:
            raise RefusedError(413, reason)
        seconds = min(self._seconds, left)
        try:
            head = json.dumps({"task": asdict(task), "memory": memory, "seconds": seconds}).encode("ascii")
            result, pixels = self._process().run(head, content, seconds, RefusedError(413, reason))
        finally:
            share.seconds += time.monotonic() - began
        if "status" in result:
            raise RefusedError(int(result["status"]), str(result["reason"]))
        return result, pixels


def too_many_waiting() -> RefusedError:
    """The refusal of an image that waited too long or does not fit into the queue (503)."""
    return RefusedError(503, "too many large images wait to be decoded; try again soon")


def _broken() -> RefusedError:
    return RefusedError(422, "its decoder broke down at it; save it again")


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
            [sys.executable, "-m", "distingo.serving.decoding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C must reach the server only
        )

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()

    def run(self, head: bytes, content: bytes, seconds: float, too_long: RefusedError) -> tuple[_Result, bytes]:
        """Run one task.

        Raises:
            RefusedError: `too_long` at the time limit, or another one if the process crashed (422); in both cases the
                process has ended.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            return self._exchange(head, content)
        except (OSError, EOFError, ValueError, KeyError) as error:
            self.kill()
            self._process.wait()
            if late.is_set():
                raise too_long from error
            _log.warning("a decoder ended at an image (exit code %s) and is started again", self._process.returncode)
            raise _broken() from error
        finally:
            timer.cancel()

    def _exchange(self, head: bytes, content: bytes) -> tuple[_Result, bytes]:
        tasks, results = self._process.stdin, self._process.stdout
        assert tasks is not None and results is not None
        _write(tasks, head, content)
        message = _read(results)
        if message is None:
            raise EOFError
        return json.loads(message[0]), message[1]


def _write(pipe: IO[bytes], head: bytes, content: bytes) -> None:
    pipe.write(_LENGTHS.pack(len(head), len(content)) + head)
    pipe.write(content)
    pipe.flush()


def _read(pipe: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Read the next message's header and content; None if the other end has closed the pipe."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_length, length = _LENGTHS.unpack(lengths)
    if length > _MOST_RESULT:
        raise ValueError(length)
    head, content = pipe.read(head_length), pipe.read(length)
    return (head, content) if len(content) == length else None


def main() -> None:
    """Run tasks from standard input until it is closed; the entry point of a decoding process."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    with os.fdopen(os.dup(1), "wb") as results:
        os.dup2(2, 1)  # text that a library prints must not mix with the results
        _load_libraries()
        while (message := _read(sys.stdin.buffer)) is not None:
            result, pixels = _do(*message)
            del message
            _write(results, json.dumps(result).encode("ascii"), pixels)


def _load_libraries() -> None:
    """Import libraries in advance, so that the first task takes no longer than the next."""
    from distingo.datasets.decoding.pillow_files import quiet_pillow

    quiet_pillow()
    for name in ("tifffile", "imagecodecs"):
        with contextlib.suppress(ImportError):
            __import__(name)


def _do(head: bytes, content: bytes) -> tuple[_Result, bytes]:
    options = json.loads(head)
    task = options["task"]
    ranges, spec = task["value_ranges"], task["image_spec"]
    task["value_ranges"] = ranges and ValueRanges(
        **{kind: each and ValueRange(**each) for kind, each in ranges.items()}
    )
    task["image_spec"] = spec and ImageSpec(**spec)
    try:
        with _limited(options["memory"], options["seconds"]):
            return _decode(DecodeTask(**task), content)
    except (RefusedError, MemoryError) as error:
        refusal = error if isinstance(error, RefusedError) else too_much_memory()
        return {"status": refusal.status, "reason": refusal.reason}, b""


def _decode(task: DecodeTask, content: bytes) -> tuple[_Result, bytes]:
    image = decode_upload(content, max_pixels=task.max_pixels, enough=task.enough, value_ranges=task.value_ranges)
    if task.result == "row":
        spec = task.image_spec
        row = describe(image).astype(np.float32) if spec is None else render(image, spec)
        return {"dtype": str(row.dtype), "shape": list(row.shape)}, row.tobytes()
    if image.width * image.height > _MOST_DISPLAY_PIXELS:
        image.thumbnail((2000, 2000), Image.Resampling.BICUBIC)
    return {"mode": image.mode, "size": list(image.size)}, image.tobytes()


@contextlib.contextmanager
def _limited(memory: int, seconds: float) -> Iterator[None]:
    """Within the block, let the operating system refuse more memory and kill the process after its time limit."""
    try:
        import resource

        data_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        yield
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard_limits = resource.getrlimit(resource.RLIMIT_DATA)[1], resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes + memory + _LIBRARIES, hard_limits[0]))
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + seconds) + 2, hard_limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, hard_limits[0]))


if __name__ == "__main__":
    main()
