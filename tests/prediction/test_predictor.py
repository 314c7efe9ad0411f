from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import distingo
from distingo.errors import RunError, UsageError
from distingo.models.saved import ModelDescription, SavedModel, assemble_network, save_model
from distingo.prediction.predictor import find_pictures
from distingo.records import Rendition

DESCRIPTION = ModelDescription(
    name="fashion-cnn",
    kind="network",
    task="single-label",
    classes=("chat", "σκύλος", "鳥"),
    rendition=Rendition(16, 16, 3),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "run" / "model", SavedModel(DESCRIPTION, network=assemble_network(DESCRIPTION)))
    return tmp_path / "run"


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_probabilities_of_all_classes_sum_to_one(model: Path, tmp_path: Path) -> None:
    paths = [picture(tmp_path / "photos" / f"{index}.png", index) for index in range(70)]
    predictions = distingo.load(model).predict([str(path) for path in paths])
    assert [prediction.file for prediction in predictions] == [str(path) for path in paths]
    for prediction in predictions:
        assert set(prediction.labels) == set(DESCRIPTION.classes)
        assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-6)
        assert list(prediction.probabilities) == sorted(prediction.probabilities, reverse=True)


def test_files_images_and_arrays_are_the_same_picture(model: Path, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    image = Image.open(path)
    predictor = distingo.load(model)
    answers = [predictor.predict(one)[0] for one in (path, image, np.asarray(image))]
    assert answers[0].probabilities == answers[1].probabilities == answers[2].probabilities


def test_a_broken_picture_carries_its_error_and_spoils_no_other(model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    good = picture(tmp_path / "good.png")
    first, second, third = distingo.load(model).predict([good, tmp_path / "broken.jpg", good], topk=1)
    assert first.labels == third.labels
    assert len(first.labels) == 1
    assert second.error
    assert second.labels == ()
    assert second.label == ""


def test_exif_rotation_is_honoured(model: Path, tmp_path: Path) -> None:
    upright = Image.open(picture(tmp_path / "upright.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    predictor = distingo.load(model)
    straight, turned = predictor.predict([tmp_path / "upright.png", tmp_path / "turned.png"])
    assert straight.probabilities == turned.probabilities


def test_topk_must_be_positive(model: Path) -> None:
    with pytest.raises(UsageError, match="--topk 0"):
        distingo.load(model).predict([], topk=0)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        distingo.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="finished run folder"):
        distingo.load(tmp_path / "empty")


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    names = ["b/2.png", "b/1.png", "a.png"]
    for name in names:
        picture(tmp_path / "photos" / name)
    found = find_pictures([tmp_path / "photos"])
    assert [path.relative_to(tmp_path / "photos").as_posix() for path in found] == ["a.png", "b/1.png", "b/2.png"]
    with pytest.raises(UsageError, match="no such file or folder"):
        find_pictures([tmp_path / "gone"])
