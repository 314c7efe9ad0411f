from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from loopback_hub import LoopbackHub, etag_of

from distingo.errors import ModelError
from distingo.models.hub import fetch_file, find_cached, get_file
from raising import raises

REPOSITORY, WEIGHTS = "timm/tiny.of_ours", "model.safetensors"
CONTENT = random.Random(7).randbytes(3_000_000)

GET_FILE = f"""
import sys
from distingo.errors import ModelError
from distingo.models.hub import get_file
try:
    print(get_file("{REPOSITORY}", "{WEIGHTS}", name="tiny"))
except ModelError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def filled(hub: LoopbackHub) -> LoopbackHub:
    hub.files[REPOSITORY] = {WEIGHTS: CONTENT, "config.json": b"{}"}
    return hub


def fetch() -> Path:
    return fetch_file(REPOSITORY, WEIGHTS, name="tiny")


def test_a_file_is_fetched_once_and_found_again_without_network(
    filled: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_cached(REPOSITORY, WEIGHTS) is None
    path = get_file(REPOSITORY, WEIGHTS, name="tiny")
    assert path.read_bytes() == CONTENT
    assert Path(constants.HF_HUB_CACHE) in path.parents
    asked = len(filled.asked)
    assert get_file(REPOSITORY, WEIGHTS, name="tiny") == path
    assert len(filled.asked) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert get_file(REPOSITORY, WEIGHTS, name="tiny") == path


def test_the_hubs_own_library_finds_what_we_fetched(filled: LoopbackHub) -> None:
    from huggingface_hub import hf_hub_download

    path = fetch()
    assert hf_hub_download(REPOSITORY, WEIGHTS, local_files_only=True) == str(path)


def test_small_files_are_checked_by_gits_hash(filled: LoopbackHub) -> None:
    path = fetch_file(REPOSITORY, "config.json", name="tiny")
    assert path.read_bytes() == b"{}"
    assert path.resolve().name == etag_of("config.json", b"{}")


def test_fetching_again_transfers_nothing(filled: LoopbackHub) -> None:
    fetch()
    fetch()
    assert len(filled.ranges()) == 1


def test_a_broken_off_download_is_resumed(filled: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 18)  # the library keeps whole chunks, else of 10 MiB
    filled.break_after = [1_000_000]
    assert fetch().read_bytes() == CONTENT
    first, second = filled.ranges()
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 1_000_000


def test_a_later_process_goes_on_where_the_first_was_killed(filled: LoopbackHub) -> None:
    blobs = Path(constants.HF_HUB_CACHE) / "models--timm--tiny.of_ours" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag_of(WEIGHTS, CONTENT)}.distingo.incomplete").write_bytes(CONTENT[:2_000_000])
    assert fetch().read_bytes() == CONTENT
    assert filled.ranges() == ["bytes=2000000-"]
    assert not list(blobs.glob("*.incomplete"))


def test_wrong_bytes_are_fetched_again_once(filled: LoopbackHub) -> None:
    filled.wrong[WEIGHTS] = [bytes(len(CONTENT))]
    assert fetch().read_bytes() == CONTENT
    assert len(filled.ranges()) == 2


def test_wrong_bytes_twice_are_refused_and_not_kept(filled: LoopbackHub) -> None:
    filled.wrong[WEIGHTS] = [bytes(len(CONTENT))] * 2
    with raises(ModelError, code="damaged_download") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert find_cached(REPOSITORY, WEIGHTS) is None
    assert fetch().read_bytes() == CONTENT


def test_a_rotten_file_in_the_cache_is_fetched_again(filled: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = fetch().resolve()
    blob.write_bytes(CONTENT[:-1] + b"?")
    assert get_file(REPOSITORY, WEIGHTS, name="tiny").read_bytes() == CONTENT
    blob.write_bytes(CONTENT[:-1])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with raises(ModelError, code="hub_unreachable"):
        get_file(REPOSITORY, WEIGHTS, name="tiny")


@pytest.mark.parametrize("failures", [[500], [503, 502], [429, 500, 504]])
def test_passing_failures_are_tried_again(filled: LoopbackHub, failures: list[int]) -> None:
    filled.failures = failures
    assert fetch().read_bytes() == CONTENT


def test_a_lasting_failure_is_reported(filled: LoopbackHub) -> None:
    filled.failures = [503] * 4
    with raises(ModelError, code="hub_unreachable"):
        fetch()
    assert len(filled.asked) == 4


def test_what_is_not_there_is_reported_at_once(filled: LoopbackHub) -> None:
    with raises(ModelError, code="not_found"):
        fetch_file("timm/other", WEIGHTS, name="other")
    del filled.files[REPOSITORY][WEIGHTS]
    with raises(ModelError, code="no_weights", naming="model.safetensors"):
        fetch()
    filled.gated.add(REPOSITORY)
    with raises(ModelError, code="access_denied"):
        fetch()
    assert len(filled.asked) == 3


def in_a_fresh_process(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GET_FILE], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_environment_determines_where_from_and_where_to(filled: LoopbackHub, tmp_path: Path) -> None:
    """``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` as a person sets them, with nothing patched."""
    home = {"HF_ENDPOINT": filled.url, "HF_HOME": str(tmp_path / "home")}
    done = in_a_fresh_process(**home)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.read_bytes() == CONTENT
    assert tmp_path / "home" / "hub" in path.parents
    asked = len(filled.asked)
    assert in_a_fresh_process(**home, HF_HUB_OFFLINE="1").stdout.strip() == str(path)
    assert len(filled.asked) == asked


def test_without_network_and_cache_one_line_states_what_helps(tmp_path: Path) -> None:
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = in_a_fresh_process(**nobody, **more)
        (line,) = done.stderr.strip().splitlines()
        assert "run `distingo fetch-weights tiny` on a machine with network" in line
        assert "weights FOLDER|FILE.safetensors" in line
        assert "HF_ENDPOINT=http://127.0.0.1:9" in line
        assert ("HF_HUB_OFFLINE=1" in line) == bool(more)
