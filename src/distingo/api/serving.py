"""The function that serves models over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from distingo.errors import UsageError
from distingo.files import as_names, as_paths
from distingo.options.fields import require_known
from distingo.serving.settings import ServeOptions, ServeSettings

if TYPE_CHECKING:
    from distingo.serving.settings import NamedRun

_PARTS = ("fastapi", "httptools", "orjson", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    runs: str | Path | Sequence[str | Path],
    *,
    on_start: Callable[[str], None] | None = None,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve trained models over HTTP until SIGTERM or Ctrl-C; requests in flight are finished before it returns.

    SIGHUP reloads the run folders that have changed, without dropping a request.

    Args:
        runs: Run folders, or ``NAME=FOLDER``.
        on_start: Called with the server's URL as soon as it accepts requests.
        **options: Address, access control and limits of the server, as in `ServeOptions`.

    Raises:
        RunError: A run folder is missing, damaged or unfinished.
        UsageError: A setting is out of range, or others could reach the server without a key.
        DataError: The file of corrections has another format.
        ResourceError: The port is in use, or the file of corrections can't be created.
    """
    _require_parts()
    from distingo.serving.corrections import CorrectionStore
    from distingo.serving.http.access import read_keys
    from distingo.serving.settings import name_runs

    require_known(options, ServeOptions.__annotations__, "serve")
    values: dict[str, Any] = {**options}
    keys, corrections = values.pop("api_key_file", None), values.pop("corrections", None)
    values |= {name: as_names(values.get(name, ()), name) for name in ("allowed_hosts", "proxies")}
    settings = ServeSettings(
        key_hashes=() if keys is None else read_keys(Path(keys)),
        corrections=None if corrections is None else Path(corrections),
        **values,
    )
    settings.check()
    if settings.corrections is not None:
        CorrectionStore(settings.corrections)  # raises before any model is loaded
    _run(name_runs(as_paths(runs, "runs")), settings, on_start)


def _run(named: Sequence[NamedRun], settings: ServeSettings, on_start: Callable[[str], None] | None) -> None:
    from distingo.serving.http.access import listen, local_url
    from distingo.serving.settings import read_version

    for run in named:
        read_version(run.path)
    with listen(settings.host, settings.port) as listening:
        address = local_url(*listening.getsockname()[:2])

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
