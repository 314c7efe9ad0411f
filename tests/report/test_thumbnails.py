"""Small copies: small enough, once each, within the budget."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image
from run_folders import draw_image

from distingo.report.thumbnails import LONGEST_SIDE, fill_album, make_thumbnail


def _decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_large_image_shrinks_and_keeps_its_shape() -> None:
    thumbnail = make_thumbnail(Image.new("RGB", (800, 400), "red"))
    assert (thumbnail.width, thumbnail.height, thumbnail.tiny) == (800, 400, False)
    assert _decode(thumbnail.uri).size == (LONGEST_SIDE, LONGEST_SIDE // 2)


def test_a_tiny_image_keeps_every_pixel() -> None:
    image = Image.effect_noise((28, 28), 80)
    thumbnail = make_thumbnail(image)
    assert thumbnail.tiny
    assert thumbnail.uri.startswith("data:image/png;base64,")
    assert _decode(thumbnail.uri).tobytes() == image.tobytes()


def test_a_line_of_one_pixel() -> None:
    assert _decode(make_thumbnail(Image.new("L", (3000, 1))).uri).size == (LONGEST_SIDE, 1)


def test_the_budget_keeps_the_most_important(tmp_path: Path) -> None:
    files = [f"{number}.png" for number in range(6)]
    for number, file in enumerate(files):
        draw_image(tmp_path / file, 20 * number)
    assert list(fill_album(tmp_path, files, batch_size_limit=1).thumbnails) == files[:4]
    one = len(fill_album(tmp_path, files[:1]).thumbnails[files[0]].uri)
    within = fill_album(tmp_path, files, most_bytes=3 * one)
    assert 1 <= len(within.thumbnails) < 6
    assert sum(len(thumbnail.uri) for thumbnail in within.thumbnails.values()) <= 3 * one


def test_images_of_ordinary_size_count_in_full(tmp_path: Path) -> None:
    files = [f"{number}.png" for number in range(5)]
    for file in files:
        draw_image(tmp_path / file, 3, (100, 90))
    assert list(fill_album(tmp_path, files, batch_size_limit=3).thumbnails) == files[:3]


def test_unreadable_files_are_listed(tmp_path: Path) -> None:
    draw_image(tmp_path / "good.png", 3)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    album = fill_album(tmp_path, ["bad.png", "good.png", "gone.png", "good.png"])
    assert list(album.thumbnails) == ["good.png"]
    assert album.unreadable == {"bad.png", "gone.png"}


def test_an_address_is_given_out_once(tmp_path: Path) -> None:
    for file in ("a.png", "b.png"):
        draw_image(tmp_path / file, 3)
    album = fill_album(tmp_path, ["a.png", "b.png"])
    assert album.first_use("a.png") == album.thumbnails["a.png"].uri
    assert album.first_use("a.png") is None
    assert album.first_use("c.png") is None
    assert album.unused() == {1: album.thumbnails["b.png"].uri}
    assert album.tiny() == [0, 1]
