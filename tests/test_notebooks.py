from __future__ import annotations

import base64
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from browsing import running_browser
from distingo.messages.notes import text_note
from distingo.notebooks import as_html
from distingo.prediction.image_model import Predictions, draw_thumbnails
from distingo.scores import Evaluation, Prediction, Score

HOSTILE = '<script>alert("1")</script>\n\u202e&\ud800'
EVALUATION = Evaluation(
    split="test",
    n=1234,
    classes=("cat", "dog"),
    scores={
        "accuracy": Score(0.9, 0.88, 0.92, 1234),
        "log_loss": Score(0.3, 0.1, 0.5, 1234, too_few=True),
        "roc_auc": Score(float("nan"), float("nan"), float("nan"), 1234),
    },
    per_class=(),
    confusion=(),
    baselines={"majority": {"accuracy": Score(0.5, 0.2, 0.8, 1234)}},
    notes=(text_note(f"too few of {HOSTILE}"),),
)


class _Reader(HTMLParser):
    """Tags with their attributes, and the texts of cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def photo(path: Path, color: tuple[int, int, int]) -> str:
    Image.new("RGB", (64, 32), color).save(path)
    return str(path)


def test_an_evaluation_is_a_table_of_scores():
    read = _Reader(EVALUATION._repr_html_())
    assert read.texts[0] == "test split, n=1234, 2 classes, accuracy 90.0% (88.0% to 92.0%)"
    assert read.texts[1:6] == ["Score", "Value", "95 % interval", "n", "majority (baseline)"]
    assert read.texts[6:11] == ["accuracy", "0.9000", "0.8800 to 0.9200", "1,234", "0.5000"]
    assert read.texts[11:15] == ["log_loss", "0.3000", "too few images", "1,234"]
    assert read.texts[15:19] == ["roc_auc", "undefined", "undefined", "1,234"]
    assert [tag for tag, _ in read.tags].count("tr") == 4


def test_reprs_are_one_short_line():
    assert repr(EVALUATION) == "Evaluation(test split, n=1234, 2 classes, accuracy 90.0% (88.0% to 92.0%))"
    plain = replace(EVALUATION, task="multi-label", scores={"hamming_loss": Score(0.125, 0, 1, 3)})
    assert repr(plain) == "Evaluation(test split, n=1234, 2 labels, hamming_loss 0.125)"
    assert repr(replace(EVALUATION, scores={})) == "Evaluation(test split, n=1234, 2 classes)"
    four = Prediction("a.png", ("w", "x", "y", "z"), (0.5, 0.25, 0.15, 0.1))
    assert repr(four) == "Prediction('a.png', 'w' 50.0%, 'x' 25.0%, 'y' 15.0%, 1 more)"
    odd = Prediction("a.png", (), (), given=(), abstained=True, unlike=True)
    assert repr(odd) == "Prediction('a.png', no label, abstained, unlike training)"
    assert repr(Prediction("a.png", (), (), "gone")) == "Prediction('a.png', error='gone')"
    hostile = repr(Prediction(HOSTILE * 90, (HOSTILE,), (1.0,)))
    assert hostile.isascii()
    assert "\n" not in hostile
    assert len(hostile) < 300


def test_a_long_list_is_cut_and_a_slice_stays_one_of_predictions():
    one = Prediction("a.png", ("w",), (1.0,))
    assert repr(Predictions([one])) == "[Prediction('a.png', 'w' 100.0%)]"
    many = Predictions([one] * 1012)
    assert repr(many).endswith(", ... 1,002 more]")
    assert repr(many).count("Prediction(") == 10
    assert many == [one] * 1012
    assert type(many[2:4]) is Predictions
    assert many[2:4] == [one, one]
    assert many[3] is one


def test_nothing_from_files_becomes_html(tmp_path: Path):
    found = Predictions(
        [Prediction(HOSTILE, (HOSTILE,), (0.5,)), Prediction("b", (), (), HOSTILE), Prediction("c", ("x",), (1.0,))]
    )
    for html in (found._repr_html_(), EVALUATION._repr_html_()):
        read = _Reader(html)
        assert {tag for tag, _ in read.tags} <= {
            "div",
            "figure",
            "figcaption",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
        } | {
            *("td", "img", "ul", "li"),
        }
        assert not {name for _, attributes in read.tags for name in attributes} - {"style", "title", "src", "alt"}
        assert not re.search(r"https?:|url\(|@import", html)
        html.encode("utf-8")
        assert "\u202e" not in html
    assert as_html("<b>" * 9, 10) == "&lt;b&gt;&lt;b&gt;&lt;..."


def test_predictions_are_a_strip_of_their_images(tmp_path: Path):
    names = [photo(tmp_path / f"{at}.png", (200, 10 * at, 30)) for at in range(14)]
    found = Predictions([Prediction(name, ("warm", "cold", "wet"), (0.8, 0.15, 0.05)) for name in names])
    read = _Reader(found._repr_html_())
    images = [attributes for tag, attributes in read.tags if tag == "img"]
    assert [image["alt"] for image in images] == names[:12]
    assert read.texts == ["warm 80.0%", "cold 15.0%"] * 12 + ["and 2 more"]
    for at, image in enumerate(images):
        head, _, content = str(image["src"]).partition(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as drawn:
            assert drawn.size == (64, 32)
            assert np.abs(np.asarray(drawn).astype(int) - (200, 10 * at, 30)).max() <= 4


def test_an_image_that_is_gone_has_an_empty_frame(tmp_path: Path):
    found = Predictions([Prediction(str(tmp_path / "gone.png"), ("x",), (1.0,)), Prediction("b", (), (), "broken")])
    read = _Reader(found._repr_html_())
    assert "img" not in [tag for tag, _ in read.tags]
    assert read.texts == ["x 100.0%", "error: broken"]


def test_images_in_memory_are_drawn_in_notebooks_only(tmp_path: Path, monkeypatch):
    name = photo(tmp_path / "a.png", (0, 0, 255))
    image, pixels = Image.new("RGB", (500, 300), (255, 0, 0)), np.zeros((20, 20, 3), np.uint8)
    given: list[Any] = [name, image, pixels, io.BytesIO(Path(name).read_bytes())]
    assert draw_thumbnails(given, None, None) == [None, "", "", ""]
    assert draw_thumbnails([name, Path(name)], None, None) is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    drawn = draw_thumbnails(given, None, None)
    assert drawn is not None
    assert (drawn[0], drawn[3]) == (None, "")
    assert image.size == (500, 300)
    labels = [Prediction(str(at), ("x",), (1.0,)) for at in range(4)]
    read = _Reader(Predictions(labels, drawn)[1:]._repr_html_())
    assert [attributes["src"] for tag, attributes in read.tags if tag == "img"] == drawn[1:3]
    many = draw_thumbnails([pixels] * 14, None, None)
    assert many is not None
    assert [bool(address) for address in many] == [True] * 12 + [False] * 2


def test_the_strip_shows_in_a_browser_without_asking_for_anything(tmp_path: Path):
    names = [photo(tmp_path / f"{at}.png", (200, 60 * at, 30)) for at in range(4)]
    found = Predictions([Prediction(name, ("warm" * 9, HOSTILE[:20]), (0.8, 0.15)) for name in names])
    found.append(Prediction("broken.jpg", (), (), "an HTML page, not a picture"))
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 800, "height": 600})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append("dialog"))
        page.set_content(found._repr_html_() + EVALUATION._repr_html_())
        drawn = page.evaluate("[...document.images].map((image) => [image.complete, image.naturalWidth, image.width])")
        assert drawn == [[True, 64, 96]] * 4
        assert page.evaluate("document.documentElement.scrollWidth") <= 800
        assert [url for url in asked if not url.startswith("data:")] == []
