from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import distingo
from distingo.datasets.cache.store import ArrayStore
from distingo.errors import ErrorCode, ModelError, UsageError
from distingo.models.saved import load_model
from distingo.prediction import classifier as embedding
from distingo.training.defaults import DataFacts
from distingo.training.pretrained import choose_model
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "colours", per_class=20, size=40)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_backbone(tmp_path_factory.mktemp("weights") / "tiny"))


def train(data: Path, output: Path, backbone: str, **recipe: object) -> distingo.api.Run:
    return distingo.train(data, output, model=backbone, engine="torch", precision="float32", **recipe)


@pytest.mark.parametrize("head", ["linear", "linear-svm", "prototype", "knn"])
def test_a_head_on_frozen_features_is_saved_whole(tmp_path: Path, data: Path, backbone: str, head: str) -> None:
    run = train(data, tmp_path / "run", backbone, head=head)
    assert run.evaluation.scores["accuracy"].value == 1.0
    predictions = distingo.load(run.path).predict([data / "red" / "000.png", data / "blue" / "001.png"])
    assert [prediction.label for prediction in predictions] == ["red", "blue"]
    assert sum(predictions[0].probabilities) == pytest.approx(1, abs=1e-5)
    description = json.loads((run.path / "model" / "model.json").read_text())
    assert (description["mode"], description["head"]) == ("frozen", head)
    assert description["backbone"]["weights_hash"]
    assert not (run.path / "history.csv").exists()


def test_the_backbone_stays_as_it_was(tmp_path: Path, data: Path, backbone: str) -> None:
    run = train(data, tmp_path / "run", backbone)
    saved = load_file(run.path / "model" / "model.safetensors")
    given = load_file(Path(backbone) / "model.safetensors")
    kept = {name: tensor for name, tensor in given.items() if not name.startswith("fc.")}
    for name, tensor in kept.items():
        assert np.array_equal(saved[name], tensor), name


def test_no_image_goes_through_the_backbone_twice(
    tmp_path: Path, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    run = embedding.Embedder._run

    def count(self: embedding.Embedder, pixels: np.ndarray) -> np.ndarray:
        seen.append(len(pixels))
        return run(self, pixels)

    monkeypatch.setattr(embedding.Embedder, "_run", count)
    data, cache = draw_classes(tmp_path / "colours", per_class=12, size=40), tmp_path / "cache"
    train(data, tmp_path / "first", backbone, cache=cache)
    assert sum(seen) == 36
    train(data, tmp_path / "other-head-and-split", backbone, cache=cache, head="prototype", seed=5)
    assert sum(seen) == 36
    (data / "red" / "000.png").rename(data / "red" / "moved.png")
    extra = draw_classes(tmp_path / "extra", per_class=1, size=41, names=("blue", "green"))
    (extra / "blue" / "000.png").rename(data / "blue" / "new.png")
    train(data, tmp_path / "one-more", backbone, cache=cache)
    assert sum(seen) == 37
    train(data, tmp_path / "flipped", backbone, cache=cache, views="flip")
    assert sum(seen) == 74
    other = str(write_backbone(tmp_path / "other-weights", seed=1))
    train(data, tmp_path / "other", other, cache=cache)
    assert sum(seen) == 111


def test_features_are_kept_while_embedding_goes_on(
    tmp_path: Path, data: Path, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distingo.datasets.cache.store._SEGMENT_SECONDS", 0.0)
    monkeypatch.setattr(embedding, "_BATCH", 8)
    calls: list[int] = []
    run = embedding.Embedder._run

    def fail_later(self: embedding.Embedder, pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return run(self, pixels)

    monkeypatch.setattr(embedding.Embedder, "_run", fail_later)
    with raises(distingo.DistingoError, code="interrupted"):
        train(data, tmp_path / "run", backbone, cache=tmp_path / "cache")
    monkeypatch.setattr(embedding.Embedder, "_run", run)
    stores = [path for path in (tmp_path / "cache").glob("features*") if list(path.glob("*.segment"))]
    assert len(stores) == 1, ArrayStore


KILLED = """
import sys
import distingo.datasets.cache.store as store
from distingo.cli import main
from distingo.prediction import classifier as embedding
store._SEGMENT_SECONDS = 0.0
embedding._BATCH = 8
run = embedding.Embedder._run
def slow(self, pixels):
    import time
    print(len(pixels), flush=True)
    time.sleep(0.05)
    return run(self, pixels)
embedding.Embedder._run = slow
sys.exit(main(sys.argv[1:]))
"""


def test_embedding_goes_on_after_a_kill(tmp_path: Path, data: Path, backbone: str) -> None:
    words = [sys.executable, "-c", KILLED, "train", str(data), "--model", backbone, "--engine", "torch"]
    words += ["--cache", str(tmp_path / "cache"), "--workers", "1"]
    process = subprocess.Popen([*words, "-o", str(tmp_path / "killed")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(4)] == ["8\n"] * 4
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.stdout.close()
    again = subprocess.run([*words, "-o", str(tmp_path / "again")], check=True, capture_output=True, text=True)
    embedded = sum(int(line) for line in again.stdout.splitlines() if line.isdecimal())
    assert 60 - 32 <= embedded <= 60 - 16  # what was computed when it was killed may not have been written yet
    assert (tmp_path / "again" / "report.html").is_file()


@pytest.mark.parametrize("per_class", [2, 3, 4])
def test_a_handful_of_images_is_enough(tmp_path: Path, backbone: str, per_class: int) -> None:
    few = draw_classes(tmp_path / "few", per_class=per_class, size=40)
    run = train(few, tmp_path / "run", backbone)
    accuracy = run.evaluation.scores["accuracy"]
    assert accuracy.n == 3
    assert accuracy.high - accuracy.low > 0.3  # three images are too few, and a note reports it
    page = run.report.read_text(encoding="utf-8")
    assert "fewer than 20" in page


def test_fine_tuning_starts_from_the_solved_head_and_is_never_worse_on_validation(
    tmp_path: Path, data: Path, backbone: str
) -> None:
    run = train(data, tmp_path / "run", backbone, mode="finetune", epochs=2, lr=10.0, batch_size=8)
    description = json.loads((run.path / "model" / "model.json").read_text())
    assert description["mode"] == "finetune"
    assert description["provenance"]["best_epoch"] == 0  # such a learning rate only does harm
    assert run.evaluation.scores["accuracy"].value == 1.0
    assert (run.path / "history.csv").is_file()


def test_fine_tuning_changes_the_backbone_but_not_frozen_statistics(tmp_path: Path, backbone: str) -> None:
    data = draw_classes(tmp_path / "grey", per_class=30, size=40)
    run = train(data, tmp_path / "run", backbone, mode="finetune", epochs=2, batch_size=8, monitor="validation_loss")
    saved = load_file(run.path / "model" / "model.safetensors")
    given = load_file(Path(backbone) / "model.safetensors")
    running = [name for name in given if name.endswith("running_mean")]
    assert all(np.array_equal(saved[name], given[name]) for name in running)
    best = json.loads((run.path / "model" / "model.json").read_text())["provenance"]["best_epoch"]
    changed = not np.array_equal(saved["conv1.0.weight"], given["conv1.0.weight"])
    assert changed == (best > 0)


def test_a_run_repeats_from_its_configuration(tmp_path: Path, data: Path, backbone: str) -> None:
    first = train(data, tmp_path / "first", backbone, seed=3)
    again = distingo.train(config=first.path / "config.json", output=tmp_path / "again")
    for name in ("model/model.safetensors", "predictions.parquet", "evaluation.json"):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes(), name


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mode": "finetune", "head": "knn"}, "options_conflict"),
        ({"normalize": "dataset"}, "option_not_applicable"),
        ({"weights": "none", "mode": "frozen"}, "options_conflict"),
        ({"views": "flips"}, "unknown_name"),
        ({"image_size": 1}, "unsupported_image_size"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, data: Path, backbone: str, options: dict[str, object], code: ErrorCode
) -> None:
    with raises((UsageError, ModelError), code=code):
        train(data, tmp_path / "run", backbone, **options)
    assert not (tmp_path / "run" / "config.json").exists()


def test_fine_tuning_is_for_pretrained_models(tmp_path: Path, data: Path) -> None:
    with raises(UsageError, code="option_not_applicable", parameter="mode"):
        distingo.train(data, tmp_path / "run", model="small-cnn", mode="finetune")


def test_small_images_are_for_small_cnn() -> None:
    name, reason = choose_model(DataFacts(images=100, height=28, width=28, gray=True))
    assert name == "small-cnn"
    assert reason.code == "images-small"


def test_without_weights_small_cnn_is_taken_and_the_reason_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    name, reason = choose_model(DataFacts(images=100, height=300, width=200, gray=False))
    assert name == "small-cnn"
    assert reason.code == "weights-missing"
    assert "fetch-weights" in str(reason)


def test_preprocessing_is_the_backbones_own(tmp_path: Path, data: Path, backbone: str) -> None:
    """Detects images in [0, 1] instead of [-1, 1], or stretched instead of cropped."""
    import timm
    import torch
    from PIL import Image
    from timm.data import create_transform, resolve_model_data_config

    run = train(data, tmp_path / "run", backbone)
    reference = timm.create_model(f"local-dir:{backbone}", pretrained=True, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(reference))
    path = data / "green" / "003.png"
    with torch.inference_mode():
        features = reference(transform(Image.open(path).convert("RGB"))[None])
    weights = load_file(run.path / "model" / "model.safetensors")
    logits = features.numpy() @ weights["fc.weight"].T + weights["fc.bias"]
    calibration = load_model(run.path / "model").description.calibration
    assert calibration is not None
    logits = calibration.apply(logits)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    (prediction,) = distingo.load(run.path).predict([path])
    by_name = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    assert [by_name[name] for name in ("blue", "green", "red")] == pytest.approx(expected[0].tolist(), abs=2e-3)
