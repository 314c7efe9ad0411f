"""An explanation as one PNG file: image, heat maps and their check, the top classes, the most similar images."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, ImageDraw

from distingo.explanation.records import ClassExplanation, CoverCheck, Explanation, Method, Neighbor
from distingo.files import write_bytes
from distingo.report.text.lettering import Lettering
from distingo.report.thumbnails import draw_heat

METHODS: dict[Method, str] = {
    "maps": "from the last feature maps and their gradients (HiResCAM)",
    "attention": "from the attention layers and their gradients (Chefer et al., 2021)",
    "covering": "from covering squares of the picture one after another (Zeiler and Fergus, 2014)",
}

_SHARES = {0.2: "fifth", 0.25: "quarter", 0.1: "tenth"}


def describe_class(explained: ClassExplanation) -> tuple[str, ...]:
    """What is known of one class's heat map: what covering its hottest part does, and whether that is more than chance.

    Args:
        explained: The class.
    """
    if explained.check is None:
        return (f"Nothing in the picture speaks for {explained.heat.label} against the other classes.",)
    return (_describe_occlusion(explained.check), _whether_it_means_something(explained.check))


def explanation_title(explanation: Explanation) -> str:
    """What the model says of the image."""
    if explanation.task == "multi-label":
        pairs = dict(zip(explanation.labels, explanation.probabilities, strict=True))
        labels = ", ".join(f"{label} ({chance(pairs[label])})" for label in explanation.given)
        return f"{explanation.model} gives {labels}" if labels else f"{explanation.model} gives no label"
    return f"{explanation.model} says {explanation.labels[0]} ({chance(explanation.probabilities[0])})"


def chance(probability: float) -> str:
    """A probability as people read it; never 0 % or 100 % where it is not."""
    if 0 < probability < 0.0005:
        return "under 0.1 %"
    if 0.9995 <= probability < 1:
        return "over 99.9 %"
    digits = 1 if probability < 0.0995 or probability > 0.985 else 0
    return f"{probability * 100:.{digits}f} %"


def _describe_occlusion(check: CoverCheck) -> str:
    part = _SHARES.get(round(check.share, 2), f"{check.share:.0%}")
    low, high = spread(check.random)
    return (
        f"Covering the hottest {part} {_change(check.before, check.hottest)}; covering a random {part}, to "
        f"{chance(statistics.median(check.random))} ({chance(low)} to {chance(high)} in nine of ten)."
    )


def _change(before: float, after: float) -> str:
    if chance(before) == chance(after):
        return f"leaves the probability at {chance(before)}"
    verb = "lowers" if after < before else "raises"
    return f"{verb} the probability from {chance(before)} to {chance(after)}"


def _whether_it_means_something(check: CoverCheck) -> str:
    number = len(check.random_falls)
    reached = sum(fall >= check.fall for fall in check.random_falls)
    if check.is_meaningful:
        return f"The map means something: none of {number} random covers mattered as much."
    if check.may_be_meaningful:
        return f"The map may mean something, or not: {reached} of {number} random covers mattered as much."
    if check.fall <= 0:
        return "Do not trust this map: without its hottest part the model is no less sure."
    return f"Do not trust this map: {reached} of {number} random covers mattered as much, which is no more than chance."


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The 5th and the 95th percentile."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return cuts[0], cuts[-1]


WIDTH = 1240

_MARGIN = 40

_GAP = 36

_IMAGE = 360
"""Pixels that images and maps are fitted into, each way."""

_MOST_BARS = 6

_TEXT_LEFT = _MARGIN + 2 * (_IMAGE + _GAP)

_TEXT_WIDTH = WIDTH - _MARGIN - _TEXT_LEFT

_TILE = 128

_INK, _QUIET, _LINE, _ACCENT, _WRONG = "#1d2329", "#66707a", "#d8dde2", "#0f6674", "#b3402a"

_TITLE, _HEADING = Lettering(24, bold=True), Lettering(16, bold=True)

_TEXT, _SMALL = Lettering(15), Lettering(12)


def write_explanation(explanation: Explanation, path: Path) -> Path:
    """Draw an explanation and write it as PNG.

    Args:
        explanation: Of one image.
        path: The PNG file.

    Returns:
        The path.

    Raises:
        ResourceError: The file can't be written.
    """
    sheet = Image.new("RGB", (WIDTH, _tallest(explanation)), "white")
    bottom = _draw(sheet, explanation)
    encoded = io.BytesIO()
    sheet.crop((0, 0, WIDTH, bottom)).save(encoded, "PNG", optimize=True)
    write_bytes(path, encoded.getvalue())
    return path


def _tallest(explanation: Explanation) -> int:
    """More than any sheet of this explanation takes."""
    return 1000 + (_IMAGE + 320) * len(explanation.classes) + 30 * len(explanation.notes)


def _draw(sheet: Image.Image, explanation: Explanation) -> int:
    _TITLE.draw(sheet, (_MARGIN, 30), _TITLE.fit(explanation_title(explanation), WIDTH - 2 * _MARGIN), _INK)
    name = f"{PurePath(explanation.file).name} · {explanation.size[0]} × {explanation.size[1]} pixels"
    _SMALL.draw(sheet, (_MARGIN, 66), _SMALL.fit(name, WIDTH - 2 * _MARGIN), _QUIET)
    left = _draw_image(sheet, explanation, 104)
    right = 104
    for explained in explanation.classes:
        right = _draw_class(sheet, explanation, explained, right) + _GAP
    bottom = max(left, right - _GAP) + _GAP
    if explanation.neighbors:
        bottom = _draw_neighbors(sheet, explanation, bottom)
    for note in explanation.notes:
        for line in _TEXT.wrap(f"Note: {note}.", WIDTH - 2 * _MARGIN):
            _TEXT.draw(sheet, (_MARGIN, bottom), line, _QUIET)
            bottom += 22
    return bottom + 24


def _draw_image(sheet: Image.Image, explanation: Explanation, top: int) -> int:
    """The image with the part that the model sees, and bars of the most probable classes; returns the bottom."""
    shown = _fit(Image.fromarray(explanation.image))
    sheet.paste(shown, (_MARGIN, top))
    bottom = top + shown.height + 6
    if explanation.seen != (0.0, 0.0, 1.0, 1.0):
        left, upper, right, lower = explanation.seen
        box = (left * shown.width, upper * shown.height, right * shown.width, lower * shown.height)
        corners = [_MARGIN + box[0], top + box[1], _MARGIN + box[2] - 1, top + box[3] - 1]
        ImageDraw.Draw(sheet).rectangle(corners, outline="white", width=2)
        _SMALL.draw(sheet, (_MARGIN, bottom), "The model sees what is inside the frame.", _QUIET)
        bottom += 18
    bottom += 18
    pairs = list(zip(explanation.labels, explanation.probabilities, strict=True))[:_MOST_BARS]
    for label, probability in pairs:
        bottom = _draw_bar(sheet, label, probability, bottom, given=label in explanation.given)
    return bottom


def _draw_bar(sheet: Image.Image, label: str, probability: float, top: int, *, given: bool) -> int:
    text = chance(probability)
    across = _TEXT.width(text)
    _TEXT.draw(sheet, (_MARGIN, top), _TEXT.fit(label, _IMAGE - across - 16), _INK if given else _QUIET)
    _TEXT.draw(sheet, (_MARGIN + _IMAGE - across, top), text, _INK if given else _QUIET)
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((_MARGIN, top + 24, _MARGIN + _IMAGE, top + 30), fill="#eef1f3")
    if probability * _IMAGE >= 1:
        color = _ACCENT if given else "#9fb4bb"
        pen.rectangle((_MARGIN, top + 24, _MARGIN + round(probability * _IMAGE), top + 30), fill=color)
    return top + 42


def _draw_class(sheet: Image.Image, explanation: Explanation, explained: ClassExplanation, top: int) -> int:
    """One heat map with what it is worth next to it; returns the bottom."""
    left = _MARGIN + _IMAGE + _GAP
    heat = _fit(
        draw_heat(np.asarray(_fit(Image.fromarray(explanation.image))), explanation.seen, explained.heat.values)
    )
    sheet.paste(heat, (left, top))
    at = _TEXT_LEFT
    for line in _HEADING.wrap(f"What speaks for {explained.heat.label}", _TEXT_WIDTH):
        _HEADING.draw(sheet, (at, top), line, _INK)
        top += 24
    bottom = top - 24 + heat.height
    for line in _SMALL.wrap(METHODS[explained.heat.method], _TEXT_WIDTH):
        _SMALL.draw(sheet, (at, top), line, _QUIET)
        top += 17
    top += 12
    if explained.check is not None:
        top = _draw_check(sheet, explained.check, top)
    trusted = explained.check is not None and explained.check.may_be_meaningful
    for number, sentence in enumerate(describe_class(explained)):
        for line in _TEXT.wrap(sentence, _TEXT_WIDTH):
            _TEXT.draw(sheet, (at, top), line, _INK if number == 0 or trusted else _WRONG)
            top += 22
        top += 6
    return max(top, bottom)


def _draw_check(sheet: Image.Image, check: CoverCheck, top: int) -> int:
    """A scale from 0 to 100 % with a dot for every cover; returns the bottom."""
    pen = ImageDraw.Draw(sheet)
    middle, right = top + 40, _TEXT_LEFT + _TEXT_WIDTH - 6

    def place(probability: float) -> float:
        return _TEXT_LEFT + 6 + probability * (right - _TEXT_LEFT - 6)

    pen.line((place(0), middle, place(1), middle), fill=_LINE, width=2)
    for number, probability in enumerate(check.random):
        x, y = place(probability), middle + (number % 5 - 2) * 4
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill="#b9c2c9", outline="#8d979f")
    pen.line((place(check.before), middle - 14, place(check.before), middle + 14), fill=_INK, width=2)
    x = place(check.hottest)
    pen.ellipse((x - 6, middle - 6, x + 6, middle + 6), fill=_WRONG, outline="white")
    for text, share in (("0 %", 0.0), ("100 %", 1.0)):
        across = _SMALL.width(text)
        _SMALL.draw(sheet, (place(share) - across * share, middle + 16), text, _QUIET)
    at: float = _TEXT_LEFT
    for text, color in (("| nothing covered", _INK), ("● hottest part", _WRONG), ("● random parts", "#8d979f")):
        _SMALL.draw(sheet, (at, top), text, color)
        at += _SMALL.width(text) + 14
    return middle + 44


def _draw_neighbors(sheet: Image.Image, explanation: Explanation, top: int) -> int:
    """The nearest training images in a row; returns the bottom."""
    ImageDraw.Draw(sheet).line((_MARGIN, top, WIDTH - _MARGIN, top), fill=_LINE)
    heading = "The training pictures that the model takes for most like it, with their distances"
    _HEADING.draw(sheet, (_MARGIN, top + 18), heading, _INK)
    top += 56
    across = (WIDTH - 2 * _MARGIN + 16) // max(8, len(explanation.neighbors))
    for number, neighbor in enumerate(explanation.neighbors):
        agrees = bool(set(neighbor.labels) & set(explanation.given))
        _draw_neighbor(sheet, neighbor, _MARGIN + number * across, top, agrees=agrees)
    return top + _TILE + 60


def _draw_neighbor(sheet: Image.Image, neighbor: Neighbor, left: int, top: int, *, agrees: bool) -> None:
    if neighbor.image is None:
        ImageDraw.Draw(sheet).rectangle((left, top, left + _TILE, top + _TILE), outline=_LINE)
        _SMALL.draw(sheet, (left + 8, top + 8), "not there any more", _QUIET)
    else:
        tile = _fit(Image.fromarray(neighbor.image), _TILE)
        sheet.paste(tile, (left + (_TILE - tile.width) // 2, top + _TILE - tile.height))
    names = ", ".join(neighbor.labels) or "no label"
    _TEXT.draw(sheet, (left, top + _TILE + 8), _TEXT.fit(names, _TILE), _ACCENT if agrees else _WRONG)
    _SMALL.draw(sheet, (left, top + _TILE + 30), f"{neighbor.distance:.2f}", _QUIET)


def _fit(image: Image.Image, split: int = _IMAGE) -> Image.Image:
    """As large as fits into a square: a small image enlarged by a whole factor, so that every pixel is seen."""
    factor = split / max(image.size)
    if factor >= 2:
        whole = int(factor)
        return image.resize((image.width * whole, image.height * whole), Image.Resampling.NEAREST)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)
