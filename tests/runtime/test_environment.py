"""The distribution that predicts without torch, in an environment of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from distingo.prediction.predictor import load
from runtime_environment import build_wheel, install_runtime, megabytes, seconds_to_first_prediction


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_holds_all_that_it_imports_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    """Imported from the wheel alone, in a process that can't import anything heavy."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert not (tmp_path / "site" / "distingo" / "__init__.py").exists()
    code = f"""
import sys
for name in ("torch", "safetensors", "scipy", "sklearn", "pyarrow", "rich", "openvino", "onnx"):
    sys.modules[name] = None
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path[:] = [{str(tmp_path / "site")!r}] + [place for place in sys.path if "distingo" not in place and not place.endswith("/src")]
import distingo.runtime.__main__
names = [name for name in sys.modules if name.partition(".")[0] == "distingo"]
print(*(sys.modules[name].__file__ for name in names if sys.modules[name].__file__), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert all(place.startswith(str(tmp_path / "site")) for place in loaded), loaded
    with_code = {str(path) for path in (tmp_path / "site" / "distingo").rglob("*.py")}
    assert with_code == loaded


@pytest.mark.slow
def test_an_environment_of_its_own_predicts_what_the_run_predicts(
    wheel: Path, tiny_network_runs: dict[str, Path], tiny_exports: dict[str, Path], tmp_path: Path
) -> None:
    python = install_runtime(wheel, tmp_path / "environment")
    for package in ("torch", "safetensors", "scipy", "sklearn", "pyarrow"):
        assert subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode
    size = megabytes(tmp_path / "environment")
    print(f"environment: {size:.0f} MB")
    assert size < 300
    for kind, folder in tiny_exports.items():
        run = tiny_network_runs[kind]
        data = Path(json.loads((run / "config.json").read_text(encoding="utf-8"))["data"])
        pictures = sorted((data.parent if data.is_file() else data).rglob("*.png"))[::9]
        words = [python, "-m", "distingo.runtime", str(folder), *map(str, pictures)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        meant = load(run, engine="torch").predict(pictures)
        assert [row["file"] for row in rows] == [str(picture) for picture in pictures]
        assert [row["labels"][:1] for row in rows] == [list(prediction.labels[:1]) for prediction in meant]
        given = [None if row["given"] is None else tuple(row["given"]) for row in rows]
        assert given == [prediction.given for prediction in meant]
    busy = min(_processor_seconds(python, tiny_exports["one label"], pictures[0]) for _ in range(3))
    waited = min(seconds_to_first_prediction(python, tiny_exports["one label"], pictures[0]) for _ in range(3))
    print(f"start to first prediction: {waited:.2f} s, {busy:.2f} s of a processor")
    assert busy < 1.0


def _processor_seconds(python: Path, folder: Path, picture: Path) -> float:
    """What a start costs however busy the machine is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds_to_first_prediction(python, folder, picture)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
