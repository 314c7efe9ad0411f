from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distingo.explanation.records import (
    ClassExplanation,
    CoverCheck,
    Explanation,
    HeatMap,
    LayerMaps,
    Neighbor,
    NetworkLayers,
)
from distingo.messages.notes import text_note
from distingo.report.pages.explanation_sheet import WIDTH, chance, describe_class, explanation_title, write_explanation
from distingo.report.pages.samples import write_layers


def check(hottest: float, fall: float, falls: tuple[float, ...]) -> CoverCheck:
    return CoverCheck(0.2, 0.93, hottest, (0.88,) * len(falls), fall, falls)


def explained(found: CoverCheck | None, label: str = "猫") -> ClassExplanation:
    values = np.zeros((7, 7), np.float32) if found is None else np.eye(7, dtype=np.float32)
    return ClassExplanation(HeatMap(label, values, "maps"), 0.93, found)


def explanation(*classes: ClassExplanation, size: tuple[int, int] = (120, 200)) -> Explanation:
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    neighbor = Neighbor("a.png", ("猫",), 0.25, image)
    return Explanation(
        file="photos/ein Bild 🐈.png",
        model="small-cnn",
        task="single-label",
        size=(4000, 3000),
        image=image,
        seen=(0.2, 0.0, 0.8, 1.0),
        labels=("猫", "قطط", "dog " * 40),
        probabilities=(0.93, 0.05, 0.02),
        given=("猫",),
        classes=classes,
        neighbors=(neighbor, replace(neighbor, labels=("قطط",), image=None)),
        notes=(text_note("a note that is long " * 12),),
    )


def test_sentences_say_what_covering_does() -> None:
    sentences = describe_class(explained(check(0.31, 3.4, (0.4,) * 40)))
    assert sentences == (
        "Covering the hottest fifth lowers the probability from 93 % to 31 %; covering a random fifth, to 88 % "
        "(88 % to 88 % in nine of ten).",
        "The map means something: none of 40 random covers mattered as much.",
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (check(0.95, -0.3, (0.4,) * 40), "Do not trust this map: without its hottest part the model is no less sure."),
        (check(0.9, 0.3, (0.4,) * 20 + (0.1,) * 20), "20 of 40 random covers mattered as much, which is no more than"),
        (check(0.6, 2.0, (2.4,) * 3 + (0.1,) * 37), "may mean something, or not: 3 of 40"),
        (None, "Nothing in the picture speaks for 猫"),
    ],
)
def test_a_map_that_may_mean_nothing_is_called_so(found: CoverCheck | None, words: str) -> None:
    assert words in " ".join(describe_class(explained(found)))


def test_probabilities_are_never_rounded_to_certainty() -> None:
    said = [chance(value) for value in (0.0, 0.0001, 0.0123, 0.5, 0.991, 0.99999, 1.0)]
    assert said == ["0.0 %", "under 0.1 %", "1.2 %", "50 %", "99.1 %", "over 99.9 %", "100.0 %"]


def test_the_answer_of_several_labels_lists_those_given() -> None:
    several = replace(explanation(), task="multi-label", given=("猫", "قطط"))
    assert explanation_title(several) == "small-cnn gives 猫 (93 %), قطط (5.0 %)"
    assert explanation_title(replace(several, given=())) == "small-cnn gives no label"


def test_a_sheet_holds_everything_and_is_cut_to_it(tmp_path: Path) -> None:
    believed = explained(check(0.31, 3.4, (0.4,) * 40))
    one = Image.open(write_explanation(explanation(believed), tmp_path / "one.png"))
    three = Image.open(
        write_explanation(
            explanation(believed, explained(None), explained(check(0.95, -1, (0.4,) * 40), "x" * 200)),
            tmp_path / "three.png",
        )
    )
    assert one.width == three.width == WIDTH
    assert three.height > one.height + 300
    for sheet in (one, three):
        pixels = np.asarray(sheet).min(axis=2)
        assert (pixels[:, :30] == 255).all()
        assert (pixels[:, -30:] == 255).all()
        assert (pixels[-15:] == 255).all()
        assert (pixels[-80:-15] < 200).any()


@pytest.mark.parametrize("size", [(8, 8), (1, 400), (900, 30), (1024, 1024)])
def test_images_of_any_shape_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    sheet = Image.open(write_explanation(explanation(explained(None), size=size), tmp_path / "sheet.png"))
    assert sheet.width == WIDTH


def test_layers_are_drawn_each_in_its_row(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    maps = LayerMaps("stem.0", 64, tuple(range(16)), generator.random((16, 20, 30)).astype(np.float32))
    flat = LayerMaps("body.4", 3, (0, 1, 2), np.zeros((3, 1, 1), np.float32))
    filters = generator.normal(size=(32, 3, 3, 3)).astype(np.float32)
    full = NetworkLayers("a 🐈.png", "small-cnn", "stem.0.convolution", filters, (maps, flat))
    bare = replace(full, filters_name="", filters=filters[:0])
    sheets = [Image.open(write_layers(each, tmp_path / f"{number}.png")) for number, each in enumerate((full, bare))]
    assert sheets[0].height > sheets[1].height > 200
    assert np.asarray(sheets[0]).std() > 20
