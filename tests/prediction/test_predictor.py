from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import distingo
from distingo.datasets.decoding.decode import UndecodableError
from distingo.errors import DataError, RunError, UsageError
from distingo.models.description import ModelDescription
from distingo.models.saved import SavedModel, assemble_network, save_model
from distingo.prediction.given_images import find_images
from distingo.prediction.naming import Certainty
from distingo.prediction.predictor import load, read_task
from distingo.records import ImageSpec
from distingo.scores import Thresholds
from raising import raises

DESCRIPTION = ModelDescription(
    name="fashion-cnn",
    kind="network",
    task="single-label",
    classes=("chat", "σκύλος", "鳥"),
    image_spec=ImageSpec(16, 16, 3),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "run" / "model", SavedModel(DESCRIPTION, network=assemble_network(DESCRIPTION)))
    return tmp_path / "run"


def image(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_probabilities_of_all_classes_sum_to_one(model: Path, tmp_path: Path) -> None:
    paths = [image(tmp_path / "photos" / f"{index}.png", index) for index in range(70)]
    predictions = distingo.load(model).predict([str(path) for path in paths])
    assert [prediction.file for prediction in predictions] == [str(path) for path in paths]
    for prediction in predictions:
        assert set(prediction.labels) == set(DESCRIPTION.classes)
        assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-6)
        assert list(prediction.probabilities) == sorted(prediction.probabilities, reverse=True)


def test_files_images_and_arrays_are_the_same_image(model: Path, tmp_path: Path) -> None:
    path = image(tmp_path / "a.png")
    drawn = Image.open(path)
    predictor = distingo.load(model)
    answers = [predictor.predict(one)[0] for one in (path, drawn, np.asarray(drawn))]
    assert answers[0].probabilities == answers[1].probabilities == answers[2].probabilities


def test_a_broken_image_carries_its_error_and_spoils_no_other(model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    good = image(tmp_path / "good.png")
    first, second, third = distingo.load(model).predict([good, tmp_path / "broken.jpg", good], topk=1)
    assert first.labels == third.labels
    assert len(first.labels) == 1
    assert second.error
    assert second.labels == ()
    assert second.label == ""


def test_exif_rotation_is_honored(model: Path, tmp_path: Path) -> None:
    upright = Image.open(image(tmp_path / "upright.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    predictor = distingo.load(model)
    straight, turned = predictor.predict([tmp_path / "upright.png", tmp_path / "turned.png"])
    assert straight.probabilities == turned.probabilities


def test_topk_must_be_positive(model: Path) -> None:
    with raises(UsageError, code="out_of_range", parameter="top_k"):
        distingo.load(model).predict([], topk=0)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with raises(RunError, code="wrong_folder"):
        distingo.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with raises(RunError, code="not_found"):
        distingo.load(tmp_path / "empty")


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    names = ["b/2.png", "b/1.png", "a.png"]
    for name in names:
        image(tmp_path / "photos" / name)
    found = find_images([tmp_path / "photos"])
    assert [path.relative_to(tmp_path / "photos").as_posix() for path in found] == ["a.png", "b/1.png", "b/2.png"]
    with raises(UsageError, code="not_found"):
        find_images([tmp_path / "gone"])


def several(folder: Path, thresholds: tuple[float, ...] | None) -> Path:
    kept = Thresholds(thresholds, "f1") if thresholds else None
    description = replace(DESCRIPTION, task="multi-label", thresholds=kept)
    torch.manual_seed(0)
    save_model(folder / "model", SavedModel(description, network=assemble_network(description)))
    return folder


def test_several_labels_have_probabilities_of_their_own(model: Path, tmp_path: Path) -> None:
    """The sigmoid of the logits whose softmax a model of one label gives."""
    path = image(tmp_path / "a.png")
    (one,) = distingo.load(model).predict(path)
    (each,) = distingo.load(several(tmp_path / "several", (0.5, 0.5, 0.5))).predict(path, topk=3)
    odds = np.array([np.log(p / (1 - p)) for p in each.probabilities])
    assert each.labels == one.labels
    assert np.exp(odds) / np.exp(odds).sum() == pytest.approx(one.probabilities, abs=1e-6)
    assert one.given is None


def test_labels_are_those_that_reach_their_thresholds(tmp_path: Path) -> None:
    path = image(tmp_path / "a.png")
    (every,) = distingo.load(several(tmp_path / "all", (0.0, 0.0, 0.0))).predict(path)
    assert set(every.labels) == set(DESCRIPTION.classes)
    assert list(every.probabilities) == sorted(every.probabilities, reverse=True)
    exact = dict(zip(every.labels, every.probabilities, strict=True))
    second = every.labels[1]
    thresholds = tuple(exact[name] if name == second else 1.0 for name in DESCRIPTION.classes)
    run = several(tmp_path / "one", thresholds)
    predictor = distingo.load(run)
    (given,) = predictor.predict(path)
    assert (given.labels, given.given) == ((second,), (second,))
    assert given.probabilities == (exact[second],)
    (top,) = predictor.predict(path, topk=2)
    assert (top.labels, top.given) == (every.labels[:2], (second,))
    assert predictor.thresholds == dict(zip(DESCRIPTION.classes, thresholds, strict=True))
    (none,) = distingo.load(several(tmp_path / "none", (1.0, 1.0, 1.0))).predict(path)
    assert (none.labels, none.given, none.error, none.label) == ((), (), "", "")


def test_without_thresholds_half_is_enough(tmp_path: Path) -> None:
    predictor = distingo.load(several(tmp_path / "old", None))
    (top,) = predictor.predict(image(tmp_path / "a.png"), topk=3)
    above = [name for name, chance in zip(top.labels, top.probabilities, strict=True) if chance >= 0.5]
    assert list(top.given or ()) == above


def test_the_task_is_known_before_weights_are_loaded(model: Path, tmp_path: Path) -> None:
    run = several(tmp_path / "several", None)
    (run / "model" / "model.safetensors").unlink()
    assert read_task(model) == "single-label"
    assert read_task(run) == read_task(run / "model") == "multi-label"
    with raises(RunError, code="wrong_folder"):
        read_task(tmp_path / "nowhere")


def test_rows_are_evaluated_as_images_are(model: Path, tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{index}.png", index) for index in range(5)]
    predictor = distingo.load(model)
    rows = np.stack([predictor.preprocess(path) for path in paths])
    assert (rows.shape, rows.dtype) == ((5, 16, 16, 3), np.uint8)
    evaluated = predictor.predict_rows(rows)
    assert (evaluated.probabilities.shape, evaluated.probabilities.dtype, evaluated.is_ood) == (
        (5, 3),
        np.float32,
        None,
    )
    described = [
        predictor.describe(str(path), evaluated, position, topk=None, certainty=Certainty())
        for position, path in enumerate(paths)
    ]
    assert described == predictor.predict(paths)
    assert len(predictor.predict_rows(rows[:0])) == 0
    with raises(UndecodableError, code="unreadable_image"):
        predictor.preprocess(tmp_path / "gone.png")


def test_a_stream_is_taken_from_as_it_is_named(model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield pixels

    stream = distingo.load(model).stream(endless(), topk=1)
    assert taken == 0
    names = [next(stream).file for _ in range(500)]
    assert names == [f"picture {position}" for position in range(500)]
    assert taken < 1000
    with raises(UsageError, code="out_of_range", parameter="top_k"):
        distingo.load(model).stream([], topk=0)


def test_threads_share_a_predictor(tiny_runs: dict[str, Path]) -> None:
    """With its bank, and each thread's answers those that it gets alone."""
    predictor = distingo.load(tiny_runs["small-cnn"])
    rows = np.random.default_rng(0).integers(
        0, 256, (40, *predictor.preprocess(np.zeros((8, 8, 3), np.uint8)).shape), np.uint8
    )
    alone = predictor.predict_rows(rows)
    assert alone.is_ood is not None
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda at: predictor.predict_rows(rows[at : at + 1]), range(40)))
    for position, one in enumerate(found):
        assert one.probabilities[0] == pytest.approx(alone.probabilities[position], abs=2e-3)
        assert one.is_ood is not None


def test_another_engine_gives_the_same_answers(model: Path, tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{index}.png", index) for index in range(3)]
    own = load(model, engine="torch")
    assert own.engine == "torch"
    for mine, other in zip(own.predict(paths), distingo.load(model).predict(paths), strict=True):
        same = dict(zip(other.labels, other.probabilities, strict=True))
        assert dict(zip(mine.labels, mine.probabilities, strict=True)) == pytest.approx(same, abs=1e-2)


def test_a_batch_in_one_array_or_tensor_is_predicted_image_by_image(model: Path, tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    arrays = np.stack([np.asarray(Image.open(path)) for path in paths])
    predictor = distingo.load(model)
    expected = [prediction.probabilities for prediction in predictor.predict(paths)]
    for given in (
        arrays,
        torch.from_numpy(arrays.transpose(0, 3, 1, 2) / 255.0),
        [path.read_bytes() for path in paths],
    ):
        answers = predictor.predict(given)
        assert [answer.file for answer in answers] == ["picture 0", "picture 1", "picture 2"]
        assert [answer.probabilities for answer in answers] == [pytest.approx(each, abs=1e-6) for each in expected]


def test_what_is_no_image_is_a_usage_error(model: Path) -> None:
    with raises(UsageError, code="invalid_image_array"):
        distingo.load(model).predict(np.zeros((5, 6, 7)))
    with raises(UsageError, code="invalid_type"):
        list(distingo.load(model).stream(iter([None])))


def test_a_pixel_limit_holds_for_files_and_is_itself_checked(model: Path, tmp_path: Path) -> None:
    path = image(tmp_path / "a.png")
    (answer,) = distingo.load(model, max_pixels=599).predict(path)
    assert answer.error == "30 x 20 pixels are more than the limit of 599"
    assert not distingo.load(model, max_pixels=600).predict(path)[0].error
    with raises(UsageError, code="out_of_range", parameter="max_pixels"):
        distingo.load(model, max_pixels=0)


def test_probabilities_are_in_the_order_of_the_classes(model: Path, tmp_path: Path) -> None:
    paths = [image(tmp_path / "photos" / f"{index}.png", index) for index in range(70)]
    predictor = distingo.load(model)
    found = predictor.predict_proba(paths)
    assert (found.shape, found.dtype) == ((70, 3), np.float64)
    assert found.sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    for row, prediction in zip(found, predictor.predict(paths), strict=True):
        assert dict(zip(predictor.classes, row, strict=True)) == dict(
            zip(prediction.labels, prediction.probabilities, strict=True)
        )
    assert predictor.predict_proba([]).shape == (0, 3)
    one = predictor.predict_proba(np.asarray(Image.open(paths[0])))
    assert one == pytest.approx(found[:1], abs=1e-6)


def test_several_labels_have_rows_that_need_not_sum_to_one(tmp_path: Path) -> None:
    path = image(tmp_path / "a.png")
    predictor = distingo.load(several(tmp_path / "several", (0.5, 0.5, 0.5)))
    (prediction,) = predictor.predict(path, topk=3)
    expected = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    assert predictor.predict_proba(path).tolist() == [[expected[name] for name in predictor.classes]]


def test_a_model_is_called_as_it_predicts(model: Path, tmp_path: Path) -> None:
    path = image(tmp_path / "a.png")
    predictor = distingo.load(model)
    assert predictor([path], top_k=2) == predictor.predict([path], topk=2) == list(predictor.stream([path], top_k=2))
    assert len(predictor(path, top_k=2)[0].labels) == 2
    with raises(UsageError, code="options_conflict", parameter="topk"):
        predictor(path, topk=1, top_k=2)
    assert repr(predictor) == f"Predictor('fashion-cnn', 3 classes, {predictor.engine} on cpu)"


def test_a_missing_file_raises_before_anything_is_read(model: Path, tmp_path: Path) -> None:
    good = image(tmp_path / "good.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    broken, gone = tmp_path / "broken.jpg", tmp_path / "gone.png"
    predictor = distingo.load(model)
    for call in (predictor.predict, predictor.predict_proba, predictor):
        with raises(DataError, code="not_found", naming=("gone.png", "'row'")):
            call([good, broken, gone, np.zeros((5, 5, 3), np.uint8)])
    with raises(DataError, code="not_found", naming="gone.png"):
        predictor.predict([gone, f"{gone}1", f"{gone}2", f"{good}/3"])
    with raises(DataError, code="not_found"):
        predictor.predict("a\0b")
    first, second, third = predictor.predict([good, broken, gone], on_error="row")
    assert (bool(first.error), bool(second.error), third.labels) == (False, True, ())
    assert third.error == "can't be opened (No such file or directory)"
    assert [bool(each.error) for each in predictor.stream([good, gone])] == [False, True]


def test_a_broken_image_raises_where_that_was_requested(model: Path, tmp_path: Path) -> None:
    good, broken = image(tmp_path / "good.png"), tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not much")
    predictor = distingo.load(model)
    assert [bool(each.error) for each in predictor.predict([good, broken])] == [False, True]
    for call in (
        lambda: predictor.predict([good, broken], on_error="raise"),
        lambda: predictor.predict_proba([broken]),
    ):
        with raises(DataError, code="damaged_image", naming=("broken.jpg", "'row'")):
            call()
    found = predictor.predict_proba([broken, good, tmp_path / "gone.png"], on_error="row")
    assert np.isnan(found).all(axis=1).tolist() == [True, False, True]
    assert found[1].sum() == pytest.approx(1.0)
    with raises(UsageError, code="invalid_value", parameter="on_error", naming=("'skip'", "'raise'", "'row'")):
        predictor.predict([good], on_error="skip")  # type: ignore[arg-type]
