"""A process that only decodes, and may be killed at it: ``python -m distingo.serving.decoder``, asked over pipes.

Each question is a head of JSON and a file, each answer a head of JSON and pixels; both lengths come first. Memory and
processor time of each question are limited by the operating system where it can.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from distingo.datasets.decoding.rendering import render
from distingo.features.descriptors import describe
from distingo.records import Rendition, ValueRange, ValueRanges
from distingo.serving.pictures import decode_upload
from distingo.serving.refused import RefusedError

LENGTHS = struct.Struct(">II")
_LIBRARIES = 32 * 2**20
"""What libraries that are loaded for one format only may take besides."""

_MOST_PIXELS_SHOWN = 4_000_000


def main() -> None:
    """Answer questions until there are no more."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    questions = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not stand among the answers
        _load_libraries()
        while (question := _read(questions)) is not None:
            head, content = question
            answer, pixels = _answer(head, content)
            del content
            said = json.dumps(answer).encode("ascii")
            answers.write(LENGTHS.pack(len(said), len(pixels)) + said)
            answers.write(pixels)
            answers.flush()


def _load_libraries() -> None:
    """So that the first question is answered as quickly as the next."""
    from distingo.datasets.decoding.pillow_files import quiet_pillow

    quiet_pillow()
    for name in ("tifffile", "imagecodecs"):
        with contextlib.suppress(ImportError):
            __import__(name)


def _read(questions: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    lengths = questions.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, content = LENGTHS.unpack(lengths)
    said, file = questions.read(head), questions.read(content)
    return (json.loads(said), file) if len(file) == content else None


def _answer(head: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        with _limited(head["memory"], head["seconds"]):
            return _decode(head, content)
    except RefusedError as refusal:
        return {"status": refusal.status, "reason": refusal.reason}, b""
    except MemoryError:
        reason = "decoding it takes more memory than is allowed; send a smaller picture"
        return {"status": 413, "reason": reason}, b""


def _decode(head: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    image = decode_upload(
        content, max_pixels=head["max_pixels"], enough=head["enough"], value_ranges=_ranges(head["value_ranges"])
    )
    if head["result"] == "row":
        spec = head["rendition"]
        row = describe(image).astype(np.float32) if spec is None else render(image, Rendition(**spec))
        return {"dtype": str(row.dtype), "shape": row.shape}, row.tobytes()
    if image.width * image.height > _MOST_PIXELS_SHOWN:
        image.thumbnail((2000, 2000), Image.Resampling.BICUBIC)
    return {"mode": image.mode, "size": image.size}, image.tobytes()


def _ranges(said: dict[str, Any] | None) -> ValueRanges | None:
    if said is None:
        return None
    return ValueRanges(**{kind: None if each is None else ValueRange(**each) for kind, each in said.items()})


@contextlib.contextmanager
def _limited(memory: int, seconds: float) -> Any:
    """While the block lasts, have the system refuse more memory, and end the process after more time."""
    try:
        import resource

        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        yield
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = resource.getrlimit(resource.RLIMIT_DATA)[1], resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (taken + memory + _LIBRARIES, most[0]))
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, most[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, most[0]))


if __name__ == "__main__":
    main()
