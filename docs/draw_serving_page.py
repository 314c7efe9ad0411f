"""Draws docs/serving_page.png again: draws images, trains on them, serves the model, and takes an image of the page.

Needs what the tests in a browser need, and takes about two minutes: ``.venv/bin/python docs/draw_serving_page.py``.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import distingo

HERE = Path(__file__).resolve().parent
PLACE = HERE / "serving_page.png"
EACH = 150
SIZE = (320, 240)
FINE = 3
COLORS = 256

Draw = ImageDraw.ImageDraw
Generator = np.random.Generator


def scene(generator: Generator, *, sea: bool) -> tuple[Image.Image, Draw]:
    """A sky from dark to light, and below it the sea or a meadow; drawn large, for smooth edges."""
    width, height = SIZE[0] * FINE, SIZE[1] * FINE
    high = np.array(generator.choice([[126, 176, 214], [236, 172, 128], [150, 190, 200], [92, 118, 168]]), float)
    low = high + (np.array([250, 238, 222]) - high) * generator.uniform(0.6, 0.95)
    share = np.linspace(0, 1, height)[:, None]
    sky = np.broadcast_to((high * (1 - share) + low * share)[:, None], (height, width, 3))
    image = Image.fromarray(sky.round().astype(np.uint8))
    draw = ImageDraw.Draw(image)
    horizon = int(height * generator.uniform(0.62, 0.74))
    ground = (52, 104, 132) if sea else (118, 146, 84)
    ground = tuple(int(value + generator.integers(-18, 18)) for value in ground)
    draw.rectangle((0, horizon, width, height), fill=ground)
    for _ in range(14):
        x, y = generator.integers(0, width), generator.integers(horizon, height)
        lighter = tuple(min(255, value + 18) for value in ground)
        draw.line((x, y, x + generator.integers(20, 130), y), fill=lighter, width=FINE)
    return image, draw


def color(generator: Generator) -> tuple[int, int, int]:
    """One of the colors that sails and balloons have."""
    return tuple(
        generator.choice([[196, 71, 43], [201, 138, 18], [15, 102, 116], [122, 94, 168], [176, 86, 139]]).tolist()
    )


def draw_boat(generator: Generator) -> Image.Image:
    """A boat with two sails at sea."""
    image, draw = scene(generator, sea=True)
    x, y, size = (
        middle(generator, image, 0.7),
        image.height * generator.uniform(0.66, 0.8),
        image.height * generator.uniform(0.3, 0.46),
    )
    hull = [
        (x - size * 0.55, y),
        (x + size * 0.6, y),
        (x + size * 0.4, y + size * 0.2),
        (x - size * 0.4, y + size * 0.2),
    ]
    draw.polygon(hull, fill=(74, 54, 44))
    draw.line((x, y, x, y - size * 1.15), fill=(60, 46, 40), width=3 * FINE)
    draw.polygon(
        [(x + size * 0.04, y - size * 1.1), (x + size * 0.52, y - size * 0.1), (x + size * 0.04, y - size * 0.1)],
        fill=(250, 246, 236),
    )
    draw.polygon(
        [(x - size * 0.05, y - size * 0.95), (x - size * 0.45, y - size * 0.1), (x - size * 0.05, y - size * 0.1)],
        fill=color(generator),
    )
    return image


def draw_balloon(generator: Generator) -> Image.Image:
    """A striped balloon over a meadow."""
    image, draw = scene(generator, sea=False)
    x, y, radius = (
        middle(generator, image, 0.7),
        image.height * generator.uniform(0.3, 0.42),
        image.height * generator.uniform(0.17, 0.26),
    )
    bright, pale = color(generator), (250, 240, 220)
    draw.polygon(
        [
            (x - radius * 0.85, y + radius * 0.5),
            (x + radius * 0.85, y + radius * 0.5),
            (x + radius * 0.16, y + radius * 1.5),
            (x - radius * 0.16, y + radius * 1.5),
        ],
        fill=bright,
    )
    for step, each in ((1.0, bright), (0.62, pale), (0.26, bright)):
        draw.ellipse((x - radius * step, y - radius, x + radius * step, y + radius), fill=each)
    draw.rectangle((x - radius * 0.2, y + radius * 1.62, x + radius * 0.2, y + radius * 1.95), fill=(110, 78, 48))
    return image


def draw_lighthouse(generator: Generator) -> Image.Image:
    """A lighthouse with bands, on its rock."""
    image, draw = scene(generator, sea=True)
    x, foot = middle(generator, image, 0.6), image.height * generator.uniform(0.78, 0.86)
    tall, bright = image.height * generator.uniform(0.48, 0.6), generator.choice([[196, 71, 43], [40, 60, 92]]).tolist()
    draw.ellipse((x - tall * 0.6, foot - tall * 0.12, x + tall * 0.6, foot + tall * 0.5), fill=(96, 92, 84))
    for band in range(6):
        top, bottom = foot - tall * (band + 1) / 6, foot - tall * band / 6
        wide, narrow = tall * (0.15 - 0.012 * band), tall * (0.15 - 0.012 * (band + 1))
        fill = (248, 244, 236) if band % 2 else tuple(bright)
        draw.polygon([(x - wide, bottom), (x + wide, bottom), (x + narrow, top), (x - narrow, top)], fill=fill)
    draw.rectangle((x - tall * 0.07, foot - tall * 1.13, x + tall * 0.07, foot - tall), fill=(255, 224, 130))
    draw.polygon(
        [(x - tall * 0.1, foot - tall * 1.13), (x + tall * 0.1, foot - tall * 1.13), (x, foot - tall * 1.25)],
        fill=tuple(bright),
    )
    return image


def draw_mountain(generator: Generator) -> Image.Image:
    """Three mountains with snow."""
    image, draw = scene(generator, sea=False)
    base = image.height * 0.74
    for number in range(3):
        x, tall = (
            image.width * (generator.uniform(0.1, 0.35) + 0.28 * number),
            image.height * generator.uniform(0.34, 0.6),
        )
        wide, tone = tall * generator.uniform(0.8, 1.1), int(generator.integers(84, 128))
        draw.polygon([(x - wide, base), (x + wide, base), (x, base - tall)], fill=(tone, tone + 6, tone + 18))
        snow = 0.3
        draw.polygon(
            [
                (x, base - tall),
                (x + wide * snow, base - tall * (1 - snow)),
                (x + wide * 0.08, base - tall * 0.76),
                (x - wide * 0.1, base - tall * 0.66),
                (x - wide * snow, base - tall * (1 - snow)),
            ],
            fill=(246, 248, 250),
        )
    return image


def draw_city(generator: Generator) -> Image.Image:
    """What is in no class: windows at night."""
    image = Image.new("RGB", SIZE, (24, 26, 58))
    draw = ImageDraw.Draw(image)
    for left in range(0, SIZE[0], 40):
        top = int(generator.integers(40, 140))
        draw.rectangle((left, top, left + 34, SIZE[1]), fill=(40, 42, 70))
        windows = [(x, y) for y in range(top + 8, SIZE[1], 14) for x in range(left + 5, left + 30, 10)]
        for x, y in windows:
            if generator.random() < 0.6:
                draw.rectangle((x, y, x + 5, y + 7), fill=(250, 214, 120))
    return image


def middle(generator: Generator, image: Image.Image, share: float) -> float:
    """Where a thing stands, from left to right: the smaller its share of the width, the more it moves about."""
    return float(image.width * (0.5 + generator.uniform(-0.5, 0.5) * (1 - share)))


CLASSES: dict[str, Callable[[Generator], Image.Image]] = {
    "balloon": draw_balloon,
    "lighthouse": draw_lighthouse,
    "mountain": draw_mountain,
    "sailing boat": draw_boat,
}


def finish(image: Image.Image, generator: Generator) -> Image.Image:
    """At its size, with the noise of a camera."""
    small = np.asarray(image.resize(SIZE, Image.Resampling.LANCZOS), np.float64)
    return Image.fromarray(np.clip(small + generator.normal(0, 5, small.shape), 0, 255).round().astype(np.uint8))


def draw_data(folder: Path) -> Path:
    """A folder of drawn images for each class."""
    generator = np.random.default_rng(7)
    for name, draw in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            finish(draw(generator), generator).save(folder / name / f"{number:03}.jpg", quality=90)
    return folder


@contextmanager
def served(run: Path, corrections: Path) -> Iterator[str]:
    """Serve a run as long as the block lasts; gives the page's address."""
    words = ["serve", f"landscapes={run}", "--port", "0", "--corrections", str(corrections)]
    process = subprocess.Popen([sys.executable, "-m", "distingo", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)), None)
        if found is None:
            raise SystemExit("the server did not start")
        yield found[0]
    finally:
        process.terminate()
        process.wait()


def new_images() -> list[dict[str, Any]]:
    """Images that the model has not seen: one of each class, and one of none."""
    generator = np.random.default_rng(2026)
    drawn = {name: finish(draw(generator), generator) for name, draw in CLASSES.items()}
    drawn["city"] = draw_city(generator)
    files = []
    for name, image in drawn.items():
        encoded = io.BytesIO()
        image.save(encoded, "PNG")
        files.append({"name": f"{name}.png", "mimeType": "image/png", "buffer": encoded.getvalue()})
    return files


def take(address: str) -> bytes:
    """Use the page, and take an image of it."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from browsing import running_browser

    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 1120, "height": 900}, locale="en-US", device_scale_factor=1.25)
        page.goto(address)
        balloon, lighthouse, mountain, boat, city = new_images()
        for files in ([balloon], [mountain, boat], [lighthouse, city]):
            page.set_input_files("#files", files)
            page.wait_for_function("() => !document.querySelector('.entry[aria-busy=true]')")
        for _ in range(3):
            page.locator("#entries .remove").last.click()
        page.locator("[data-control=why]").first.click()
        page.wait_for_selector(".neighbors img")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_function("() => [...document.images].every((image) => image.complete)")
        return bytes(page.screenshot(full_page=True))


def main() -> None:
    """Draw, train, serve, and write the image."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        recipe = {"model": "small-cnn", "image_size": 96, "epochs": 15}
        distingo.train(draw_data(root / "landscapes"), root / "run", cache=root / "cache", **recipe)
        with served(root / "run", root / "corrections.sqlite") as address:
            image = take(address)
    image = Image.open(io.BytesIO(image)).convert("RGB")
    image.quantize(COLORS, dither=Image.Dither.FLOYDSTEINBERG).save(PLACE, optimize=True)


if __name__ == "__main__":
    main()
