"""The call that puts models behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.errors import UsageError
from distingo.files import as_names, as_paths

if TYPE_CHECKING:
    from distingo.serving.settings import NamedRun, ServeSettings

_PARTS = ("fastapi", "httptools", "orjson", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    runs: str | Path | Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    device: str = "auto",
    max_upload: int = 32 * 2**20,
    max_pixels: int = 50_000_000,
    max_pictures: int = 64,
    max_wait: float = 0.005,
    max_batch: int = 32,
    queue: int = 256,
    client_connections: int = 100,
    decode_timeout: float = 10.0,
    decode_memory: int = 800 * 2**20,
    api_key_file: str | Path | None = None,
    rate_limit: int | None = None,
    allowed_hosts: str | Sequence[str] = (),
    proxies: str | Sequence[str] = (),
    corrections: str | Path | None = None,
    new_classes: bool = False,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve trained models over HTTP until SIGTERM or Ctrl-C; requests in flight are finished before it returns.

    SIGHUP reloads the run folders that have changed, without dropping a request.

    Args:
        runs: Run folders, or ``NAME=FOLDER``.
        host: The address to listen on. The default is reachable from this machine only; any other needs keys.
        port: 0 takes one that is free.
        workers: Processes that serve on one socket; one that dies is started again.
        device: Where networks compute.
        max_upload: Bytes of one request's body at most.
        max_pixels: Of one picture at most.
        max_pictures: In one request at most.
        max_wait: Seconds that a decoded picture waits at most for others that are being decoded.
        max_batch: Pictures judged together at most.
        queue: Pictures of each worker that are taken in and not answered yet, at most; more are answered with 503.
        client_connections: Of one address to each worker, those of `proxies` excepted; 0 sets no limit.
        decode_timeout: Seconds that decoding one picture may take; those of a request together three times that.
        decode_memory: Bytes of each worker's memory for decoding large and unusual pictures, of which one picture takes
            half at most; 128 MB or more.
        api_key_file: A file with one key a line; without one of them nobody is answered.
        rate_limit: Requests a minute of each key, or address.
        allowed_hosts: Names besides ``localhost`` under which the server may be called, for example a proxy's.
        proxies: Addresses of proxies whose word about the client's address is believed.
        corrections: An SQLite file in which corrections from the page are kept; None takes none.
        new_classes: Whether a correction may name a class that the model does not know.
        on_start: Called with the server's address once it answers.

    Raises:
        RunError: A run folder is missing, damaged or unfinished.
        UsageError: A setting is out of range, or others could reach the server without a key.
        DataError: The file of corrections is something else.
        ResourceError: The port is taken, or the file of corrections can't be made.
    """
    _require_parts()
    from distingo.serving.corrections import CorrectionStore
    from distingo.serving.guarding import read_keys
    from distingo.serving.settings import ServeSettings, name_runs

    settings = ServeSettings(
        host=host,
        port=port,
        workers=workers,
        device=device,
        max_upload=max_upload,
        max_pixels=max_pixels,
        max_pictures=max_pictures,
        max_wait=max_wait,
        max_batch=max_batch,
        queue=queue,
        client_connections=client_connections,
        decode_timeout=decode_timeout,
        decode_memory=decode_memory,
        rate_limit=rate_limit,
        key_hashes=() if api_key_file is None else read_keys(Path(api_key_file)),
        allowed_hosts=as_names(allowed_hosts, "allowed_hosts"),
        proxies=as_names(proxies, "proxies"),
        corrections=None if corrections is None else Path(corrections),
        new_classes=new_classes,
    )
    settings.check()
    if settings.corrections is not None:
        CorrectionStore(settings.corrections)  # one that can't be used is told before any model is loaded
    _run(name_runs(as_paths(runs, "runs")), settings, on_start)


def _run(named: Sequence[NamedRun], settings: ServeSettings, on_start: Callable[[str], None] | None) -> None:
    from distingo.serving.listening import address_of, listen
    from distingo.serving.settings import read_version

    for run in named:
        read_version(run.path)
    with listen(settings.host, settings.port) as listening:
        address = address_of(listening)

        def announce() -> None:
            if on_start is not None:
                on_start(address)

        if settings.workers > 1:
            from distingo.serving.supervisor import Supervisor

            Supervisor(named, settings, listening, announce).run()
        else:
            from distingo.serving.server import serve_process

            serve_process(named, settings, listening, on_ready=announce)


def _require_parts() -> None:
    from importlib.util import find_spec

    missing = [part for part in _PARTS if find_spec(part) is None]
    if missing:
        raise UsageError(
            f'serving needs {", ".join(missing)}; run: pip install "distingo[serve]"', code="missing_extra"
        )
