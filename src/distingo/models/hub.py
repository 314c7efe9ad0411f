"""Weights from the Hugging Face hub, and the list of timm's pretrained backbones.

Weights are downloaded once, checked against the hub's hash, and stored in the hub's cache.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from distingo.datasets.cache.store import Cache
from distingo.errors import DistingoError, ModelError, ResourceError, option, suggest_names
from distingo.files import parse_json, write_json
from distingo.models.architectures import import_timm
from distingo.models.presets import PRESETS
from distingo.progress import progress_bar
from distingo.version import __version__

Result = TypeVar("Result")

_WAITS = (0.5, 1.0, 2.0)  # seconds before each further try

_TEMPORARY = {408, 425, 429}  # status codes that are retried, in addition to 500 and above

_CHUNK = 1 << 20


def find_cached(repository: str, filename: str) -> Path | None:
    """Return a file of a repository from the hub's cache if it is there and intact, without network access.

    A file whose content does not match the hash that it is stored under is treated as missing.

    Args:
        repository: ``OWNER/NAME``, followed by ``@REVISION`` for an older revision.
        filename: Name of the file in the repository.
    """
    from huggingface_hub import try_to_load_from_cache

    name, revision = _split(repository)
    cached = try_to_load_from_cache(name, filename, revision=revision)
    if not isinstance(cached, str):
        return None
    blob = Path(cached).resolve()
    return Path(cached) if _agrees(blob, blob.name) else None


def fetch_file(repository: str, filename: str, *, name: str) -> Path:
    """Download a file of a repository into the hub's cache, unless it is there unchanged.

    An interrupted download is resumed; its content is stored in steps of 10 MiB. The complete file is checked against
    the hub's hash (SHA-256 of large files, git's SHA-1 of small ones) and downloaded once more if it does not match.

    Args:
        repository: ``OWNER/NAME``, followed by ``@REVISION`` for an older revision.
        filename: Name of the file in the repository.
        name: Name that the user requested, for messages.

    Returns:
        The file in the cache.

    Raises:
        ModelError: The hub can't be reached, there is no such repository or file, or its content does not match its
            hash.
        ResourceError: The disk is full.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HTTPError

    repository_name, revision = _split(repository)
    try:
        url = hf_hub_url(repository_name, filename, revision=revision)
        metadata = _try_again(lambda: get_hf_file_metadata(url))
        if not metadata.etag or not metadata.commit_hash:
            raise ModelError(
                f"{_endpoint()}: does not answer like a Hugging Face hub; check HF_ENDPOINT", code="unexpected_answer"
            )
        _fetch_blob(repository_name, filename, metadata.commit_hash, metadata.etag, metadata.size)
        # The hub's library finds the blob in its cache, so this only links it and records the revision.
        return Path(_try_again(lambda: hf_hub_download(repository_name, filename, revision=revision)))
    except (HTTPError, OSError, ValueError) as error:
        raise _explain(error, repository_name, filename, name) from error


def _split(repository: str) -> tuple[str, str | None]:
    name, _, revision = repository.partition("@")
    return name, revision or None


def _fetch_blob(repository: str, filename: str, commit: str, etag: str, size: int | None) -> None:
    """Download a file to its path in the hub's cache, which is named by its hash."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model") / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    blob, partial = folder / etag, folder / f"{etag}.distingo.incomplete"
    with WeakFileLock(folder / f".{etag}.lock"):
        if blob.is_file() and _agrees(blob, etag):
            return
        blob.unlink(missing_ok=True)
        for _ in range(2):
            _download(hf_hub_url(repository, filename, revision=commit), partial, filename, size)
            if _agrees(partial, etag):
                partial.replace(blob)
                return
            partial.unlink()
    raise ModelError(
        f"{repository}/{filename}: what {_endpoint()} sends does not agree with its hash {etag[:12]}..., twice; "
        f"try later, or give {option('weights')} FOLDER|FILE.safetensors",
        code="damaged_download",
    )


def _download(url: str, partial: Path, filename: str, size: int | None) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    headers = build_hf_headers(library_name="distingo", library_version=__version__)

    def get() -> None:
        with partial.open("ab") as file:
            done = file.tell()
            if size is not None and done > size:
                file.truncate(done := 0)
            http_get(
                url,
                file,
                resume_size=done,
                headers=headers,
                expected_size=size,
                displayed_filename=filename,
            )

    _try_again(get)


def _try_again(action: Callable[[], Result]) -> Result:
    """Call a function, and retry after a while on temporary network errors."""
    for wait in _WAITS:
        try:
            return action()
        except Exception as error:
            if not _is_temporary(error):
                raise
            time.sleep(wait)
    return action()


def _is_temporary(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in _TEMPORARY or status >= 500
    if type(error).__name__ in {"ConnectError", "ProxyError", "OfflineModeIsEnabled"}:
        return False  # the server is unavailable, which a short wait does not change
    # The hub's library raises OSError if the connection ended too early.
    return isinstance(error, HTTPError) or "Consistency check failed" in str(error)


def _agrees(path: Path, etag: str) -> bool:
    """Return whether a file's content matches its hash; true for an unknown kind of hash."""
    if re.fullmatch("[0-9a-f]{64}", etag):
        digest = hashlib.sha256()
    elif re.fullmatch("[0-9a-f]{40}", etag):
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        return True
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == etag


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _explain(error: Exception, repository: str, filename: str, name: str) -> ModelError | ResourceError:
    """Convert the hub's errors to messages for the user."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    otherwise = f"or give {option('weights')} FOLDER|FILE.safetensors"
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
        return ResourceError(
            f"{name}: the hub's cache can't be written ({error.strerror}); name another in HF_HOME", code="cannot_write"
        )
    if isinstance(error, GatedRepoError):
        return ModelError(
            f"{name}: {_endpoint()}/{repository} is gated; accept its terms there and set HF_TOKEN, {otherwise}",
            code="access_denied",
        )
    if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
        return ModelError(
            f"{name}: {_endpoint()} has no repository {repository} for you; check the name, {otherwise}",
            code="not_found",
        )
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return ModelError(
            f"{name}: {_endpoint()}/{repository} holds no {filename}, and pickles are never loaded; {otherwise[3:]}",
            code="no_weights",
        )
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return ModelError(
            f"{name}: {_endpoint()} answers {status} for {repository}; try later, {otherwise}", code="hub_unreachable"
        )
    return ModelError(describe_unreachable(name, type(error).__name__), code="hub_unreachable")


def describe_unreachable(name: str, reason: str) -> str:
    """Return a message on what to do without the hub and without cached weights, in one line.

    Args:
        name: Name of the backbone as given by the user.
        reason: Reason why the hub can't be reached.
    """
    from huggingface_hub import constants

    settings = [f"{key}={os.environ[key]}" for key in ("HF_ENDPOINT", "HF_HUB_OFFLINE") if os.environ.get(key)]
    reasons = ", ".join([reason, *settings])
    return (
        f"{name}: its weights are not in {constants.HF_HUB_CACHE} and the hub can't be reached ({reasons}); "
        f"run `distingo fetch-weights {name}` on a machine with network and copy that folder, "
        f"or give {option('weights')} FOLDER|FILE.safetensors"
    )


def is_offline() -> bool:
    """Return whether the user disabled downloads (``HF_HUB_OFFLINE``)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def get_file(repository: str, filename: str, *, name: str) -> Path:
    """Return a file from the cache if it is intact there, otherwise from the hub.

    Raises:
        ModelError: As for `fetch_file`; with ``HF_HUB_OFFLINE`` also if it is not in the cache.
    """
    with contextlib.suppress(OSError):
        if cached := find_cached(repository, filename):
            return cached
    if is_offline():
        raise ModelError(describe_unreachable(name, "no network is allowed"), code="hub_unreachable")
    return fetch_file(repository, filename, name=name)


_SAVED_AFTER = 50


@dataclass(frozen=True, slots=True)
class ListedBackbone:
    """One pretrained backbone.

    Attributes:
        name: timm's name with tag.
        preset: Name of its preset, or empty.
        parameters: Number of parameters without the classifier; None if it can't be built.
        height: Height of its input images in pixels.
        width: Width of its input images in pixels.
        license: License of the weights as named by their publisher; empty if unknown.
    """

    name: str
    preset: str
    parameters: int | None
    height: int
    width: int
    license: str


def list_backbones(pattern: str = "*", *, cache: Cache | None = None) -> tuple[ListedBackbone, ...]:
    """List timm's pretrained backbones.

    Parameters are counted by building an architecture without values, about 0.2 s each. distingo includes the counts of
    one timm version; architectures of newer versions are counted once and cached.

    Args:
        pattern: A pattern with ``*`` and ``?``, a name, a part of a name, or a preset.
        cache: Cache for the counts; None uses the user's cache.

    Returns:
        The backbones, sorted by name.

    Raises:
        ModelError: Nothing matches the pattern; the message suggests the closest names.
    """
    models = import_timm().models
    names: list[str] = sorted(models.list_pretrained())
    name_or_pattern = PRESETS[pattern].backbone if pattern in PRESETS else pattern
    glob = name_or_pattern if name_or_pattern in names or set(name_or_pattern) & set("*?[") else f"*{name_or_pattern}*"
    chosen = [name for name in names if fnmatchcase(name, glob)]
    if not chosen:
        advice = suggest_names(
            pattern.partition(".")[0],
            list(dict.fromkeys(name.partition(".")[0] for name in names)),
            otherwise="a pattern without * matches anywhere in names",
        )
        raise ModelError(
            f"no pretrained backbone is called {pattern!r}; {advice}", code="unknown_name", parameter="pattern"
        )
    configurations = {name: models.get_pretrained_cfg(name) for name in chosen}
    counts = _count({key_of(name, configurations[name]): configurations[name] for name in chosen}, cache or Cache())
    presets = {preset.backbone: preset.name for preset in PRESETS.values()}
    return tuple(
        ListedBackbone(
            name=name,
            preset=presets.get(name, ""),
            parameters=counts.get(key_of(name, configuration)),
            height=int(configuration.input_size[1]),
            width=int(configuration.input_size[2]),
            license=configuration.license or "",
        )
        for name, configuration in configurations.items()
    )


def key_of(name: str, configuration: Any) -> str:
    """Return the key of a parameter count: the architecture, and the size if it is fixed at creation."""
    architecture = name.partition(".")[0]
    _, height, width = configuration.input_size
    return f"{architecture}@{height}x{width}" if configuration.fixed_input_size else architecture


def _count(configurations: Mapping[str, Any], cache: Cache) -> dict[str, int | None]:
    counts = {**read_shipped_counts(), **_read_saved_counts(cache)}
    missing = [key for key in configurations if key not in counts]
    if not missing:
        return counts
    new_counts: dict[str, int | None] = {}
    with progress_bar("counting parameters", len(missing)) as advance:
        for number, key in enumerate(missing, start=1):
            new_counts[key] = counts[key] = count_by_key(key)
            advance(1, key)
            if number % _SAVED_AFTER == 0 or number == len(missing):
                _save_counts(cache, {**_read_saved_counts(cache), **new_counts})
    return counts


def count_by_key(key: str) -> int | None:
    """Count an architecture's parameters; returns None if this machine can't build it.

    Args:
        key: ``ARCHITECTURE`` or ``ARCHITECTURE@HEIGHTxWIDTH``.
    """
    from distingo.models.architectures import count_parameters

    architecture, _, size = key.partition("@")
    arguments = {"img_size": [int(side) for side in size.split("x")]} if size else {}
    try:
        return count_parameters(architecture, arguments)
    except (RuntimeError, TypeError, ValueError, AssertionError, ImportError):
        return None


def read_shipped_counts() -> dict[str, int | None]:
    """Return the counts that distingo includes, which ``benchmarks/count_backbones.py`` writes."""
    text = resources.files("distingo.models").joinpath("backbone_parameters.json").read_text(encoding="utf-8")
    return dict(parse_json(text)["parameters"])


def _read_saved_counts(cache: Cache) -> dict[str, int | None]:
    try:
        content = parse_json((cache.folder / "backbone-parameters.json").read_text(encoding="utf-8"))
        return dict(content["parameters"]) if content["timm"] == import_timm().__version__ else {}
    except (OSError, ValueError, KeyError, TypeError):  # unusable cache: count again
        return {}


def _save_counts(cache: Cache, counts: dict[str, int | None]) -> None:
    with contextlib.suppress(DistingoError, OSError):  # failing to write the cache only costs time
        write_json(cache.folder / "backbone-parameters.json", {"timm": import_timm().__version__, "parameters": counts})
