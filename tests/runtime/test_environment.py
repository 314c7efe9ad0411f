"""The distribution that predicts without torch, in an environment of its own."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

import distingo
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.exporting.agreement import original_outputs
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.saved import load_model
from distingo.prediction.images import open_image
from runtime_environment import ROOT, build_wheel, install_runtime, megabytes, seconds_to_first_prediction


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_holds_all_that_it_imports_and_nothing_else(tmp_path: Path) -> None:
    """Imported from its files alone, in a process that can't import anything heavy."""
    lay_out_files(tmp_path / "site")
    assert not (tmp_path / "site" / "distingo" / "__init__.py").exists()
    code = f"""
import os, sys
heavy = ("torch", "safetensors", "scipy", "sklearn", "pyarrow", "rich", "openvino", "onnx", "tifffile", "imagecodecs")
for name in heavy:
    sys.modules[name] = None
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
others = [place for place in sys.path if not os.path.isdir(os.path.join(place, "distingo"))]
sys.path[:] = [{str(tmp_path / "site")!r}, *others]
import distingo.runtime.__main__, distingo.runtime.mlflow_model
names = [name for name in sys.modules if name.partition(".")[0] == "distingo"]
print(*(sys.modules[name].__file__ for name in names if sys.modules[name].__file__), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert all(place.startswith(str(tmp_path / "site")) for place in loaded), loaded
    with_code = {str(path) for path in (tmp_path / "site" / "distingo").rglob("*.py")}
    assert with_code == loaded


def test_without_tifffile_plain_tiffs_are_read_and_others_say_what_to_install(tmp_path: Path) -> None:
    buffers = {}
    for name, values, options in (
        ("plain", np.arange(192, dtype=np.uint8).reshape(8, 8, 3), {}),
        ("lzw", np.arange(192, dtype=np.uint8).reshape(8, 8, 3), {"compression": "lzw"}),
        ("deep", np.arange(192, dtype=np.uint16).reshape(8, 8, 3), {}),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", values, photometric="rgb", **options)
        buffers[name] = tmp_path / f"{name}.tif"
    code = """
import sys
for name in ("tifffile", "imagecodecs"):
    sys.modules[name] = None
from pathlib import Path
import numpy as np
from distingo.datasets.decoding.decode import UnsupportedError, decode
for name in sys.argv[1:3]:
    assert np.array_equal(np.asarray(decode(Path(name).read_bytes()).image).ravel(), np.arange(192))
try:
    decode(Path(sys.argv[3]).read_bytes())
except UnsupportedError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, *buffers.values()], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == (
        "a TIFF of 3 x 16-bit unsigned integer samples, which takes tifffile and imagecodecs to read: run pip install "
        "'distingo-runtime[tiff]' (or pip install tifffile imagecodecs)\n"
    )


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but the wheel and what it needs."""
    return install_runtime(wheel, tmp_path_factory.mktemp("environment"))


@pytest.mark.slow
def test_an_environment_of_its_own_is_small_and_starts_at_once(
    environment: Path, tiny_network_runs: dict[str, Path], tiny_exports: dict[str, Path]
) -> None:
    for package in ("torch", "safetensors", "scipy", "sklearn", "pyarrow"):
        assert subprocess.run([environment, "-c", f"import {package}"], capture_output=True, check=False).returncode
    size = megabytes(environment.parents[1])
    print(f"environment: {size:.0f} MB")
    assert size < 300
    for kind, folder in tiny_exports.items():
        images = images_of(tiny_network_runs[kind], "*.png")[::9]
        compare(environment, folder, tiny_network_runs[kind], images)
    busy = min(_processor_seconds(environment, folder, images[0]) for _ in range(3))
    waited = min(seconds_to_first_prediction(environment, folder, images[0]) for _ in range(3))
    print(f"start to first prediction: {waited:.2f} s, {busy:.2f} s of a processor")
    assert busy < 1.0


@pytest.mark.slow
@pytest.mark.data
def test_real_images_get_the_labels_that_the_run_gives_them(environment: Path, real_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    distingo.train(
        real_data / "two-sports", run, model=f"local-dir:{real_data / 'weights' / 'mobilenetv2_100.tf_in1k'}"
    )
    exported = distingo.export(run)
    assert exported.agreement.share >= 0.995
    compare(environment, exported.folder, run, images_of(run, "test/*/*"))


def images_of(run: Path, pattern: str) -> list[Path]:
    data = Path(json.loads((run / "config.json").read_text(encoding="utf-8"))["data"])
    return sorted((data.parent if data.is_file() else data).rglob(pattern))


def lay_out_files(site: Path) -> None:
    """What the wheel holds, as its pyproject.toml says it."""
    settings = tomllib.loads((ROOT / "runtime" / "pyproject.toml").read_text(encoding="utf-8"))
    for given, place in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        source = ROOT / "runtime" / given
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, site / place)


def compare(python: Path, folder: Path, run: Path, images: Sequence[Path]) -> None:
    words = [python, "-m", "distingo.runtime", str(folder), *map(str, images)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    model = load_model(run / "model")
    image_spec = model.description.image_spec
    assert image_spec is not None
    looked_at = np.stack([render(open_image(path, shorter_side_for(image_spec)), image_spec) for path in images])
    meant = original_outputs(model, looked_at)[0]
    assert [row["file"] for row in rows] == [str(image) for image in images]
    classes = np.array(model.description.classes)
    if model.description.task == "single-label":
        assert [row["labels"][0] for row in rows] == classes[meant.argmax(axis=1)].tolist()
    else:
        given = apply_thresholds(meant, model.description.require_thresholds())
        assert [set(row["given"]) for row in rows] == [set(classes[each]) for each in given]


def _processor_seconds(python: Path, folder: Path, image: Path) -> float:
    """What a start costs however busy the machine is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds_to_first_prediction(python, folder, image)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
