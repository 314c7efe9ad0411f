"""The image map and its tiles as geometry."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from run_folders import draw_image

from distingo.curation.appearance import ImageMap
from distingo.records import LabeledImage, Source
from distingo.report.charts.image_map import ACROSS, COLORS, TILE, WIDTH, make_sheets, show_map


def opened(address: str) -> Image.Image:
    kind, _, content = address.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def a_map(root: Path, labels: list[tuple[str, ...]], places: np.ndarray | None = None) -> ImageMap:
    images = []
    for at, names in enumerate(labels):
        draw_image(root / f"{at}.png", 7 * at, (40, 20))
        images.append(LabeledImage(Source(f"{at}.png", root / f"{at}.png"), names, str(at), str(at), 40, 20))
    where = np.random.default_rng(0).random((len(labels), 2)) if places is None else places
    return ImageMap(tuple(images), where, "their pixels", "they are small", 5.0, 20, 0, len(labels), 3, ())


def test_tiles_lie_in_sheets(tmp_path: Path) -> None:
    sources = []
    for at in range(ACROSS * ACROSS + 3):
        shade = 2 * at
        Image.new("RGB", (200, 100), (shade, shade, shade)).save(tmp_path / f"{at}.png")
        sources.append(Source(f"{at}.png", tmp_path / f"{at}.png"))
    (tmp_path / "101.png").write_bytes(b"no picture any more")
    sheets = make_sheets(sources)
    assert [opened(address).size for address in sheets.addresses] == [(720, 720), (720, 72)]
    assert sheets.sizes[0] == (TILE, TILE // 2)
    assert sheets.sizes[101] == (0, 0)
    first = opened(sheets.addresses[0]).convert("L")
    for at in (0, 57, 99):
        value = first.getpixel((at % ACROSS * TILE + 36, at // ACROSS * TILE + 18))
        assert isinstance(value, int)
        assert abs(value - 2 * at) <= 3


def test_tiny_images_are_enlarged_by_whole_factors(tmp_path: Path) -> None:
    draw_image(tmp_path / "a.png", 9, (28, 20))
    assert make_sheets([Source("a.png", tmp_path / "a.png")]).sizes == ((56, 40),)


def test_points_lie_within_the_map_and_keep_their_scale(tmp_path: Path) -> None:
    places = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 0.25]])
    view = show_map(a_map(tmp_path, [("a",), ("b",), ("a",)], places))
    assert [(point.x, point.y) for point in view.points] == [(24, 24), (976, 500), (500, 262)]
    assert view.height == 524


def test_a_tall_map_is_laid_on_its_side(tmp_path: Path) -> None:
    view = show_map(a_map(tmp_path, [("a",), ("b",)], np.array([[0.0, 0.0], [0.1, 1.0]])))
    assert (view.points[1].x, view.points[1].y) == (976, 119)
    assert view.height == WIDTH // 4


def test_commonest_classes_get_the_colors(tmp_path: Path) -> None:
    labels = [(f"class {at:02}",) for at in range(COLORS + 2) for _ in range(COLORS + 2 - at)]
    view = show_map(a_map(tmp_path, labels))
    assert [key.color for key in view.keys] == [*(f"s{at}" for at in range(COLORS)), "rest", "rest"]
    assert [key.number for key in view.keys] == list(range(COLORS + 2, 0, -1))
    assert view.points[0].color == "s0"
    assert view.points[-1].color == "rest"


def test_several_labels_color_by_the_rarest(tmp_path: Path) -> None:
    view = show_map(a_map(tmp_path, [("drama", "war"), ("drama",), ("drama", "war"), ("drama", "sport"), ()]))
    by_name = {key.name: key for key in view.keys}
    assert {name: key.number for name, key in by_name.items()} == {"drama": 4, "war": 2, "sport": 1}
    colors = [point.color for point in view.points]
    assert colors[0] == colors[2] == by_name["war"].color
    assert colors[1] == by_name["drama"].color
    assert colors[3] == by_name["sport"].color
    assert colors[4] == "rest"
    assert view.data["labels"] == ["drama", "war", "sport"]
    assert view.data["pictures"][3] == ["3.png", [0, 2], 40, 20]
