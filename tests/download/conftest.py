from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback_site import QUICK, LoopbackSite, serve_site

from distingo.download.fetching import fetch
from distingo.download.folder import open_folder
from distingo.download.records import Limits, Outcome, RemoteFile


@pytest.fixture
def site() -> Iterator[LoopbackSite]:
    with serve_site() as served:
        yield served


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def get(site: LoopbackSite, tmp_path: Path) -> Callable[..., list[Outcome]]:
    """Fetch paths of the site (or whole wanted files) into ``tmp_path / "out"``."""

    def fetch_paths(*wanted: str | RemoteFile, limits: Limits = QUICK, **options: object) -> list[Outcome]:
        files = [
            RemoteFile(site.url + each, each.strip("/").replace("/", "-")) if isinstance(each, str) else each
            for each in wanted
        ]
        options = {"allow_private": True, **options}
        with open_folder(tmp_path / "out", {"command": "test"}) as folder:
            return list(functools.partial(fetch, files, folder, limits)(**options))

    return fetch_paths
