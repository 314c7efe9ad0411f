"""The map of the images in a real browser: by mouse, by keyboard, by touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import distingo
from browsing import CONTRASTS, TEXTS
from tiny_datasets import COLORS, draw_classes

pytestmark = pytest.mark.browser

_COLOR = """() => {
  const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  copy.drawImage(document.querySelector("#map-card canvas"), 0, 0, 1, 1);
  return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
_POINT = """(at) => {
  const box = document.querySelectorAll("#map-plot .points circle")[at].getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explored")
    distingo.inspect(draw_classes(root / "colours", per_class=40), root / "page.html", cache=root / "cache")
    return root / "page.html"


@pytest.fixture
def opened(browser: Any, inspected: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500, reduced_motion="reduce"
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(inspected.as_uri())
    page.locator("#map-plot").scroll_into_view_if_needed()
    yield page
    context.close()
    assert complaints == []


def pictured(page: Any) -> str:
    """The class whose image the card really shows, by its color."""
    color = page.evaluate(_COLOR)

    def far(name: str) -> int:
        return sum(abs(one - other) for one, other in zip(color, COLORS[name], strict=True))

    return min(COLORS, key=far)


@pytest.mark.parametrize("opened", [(1280, "light"), (1280, "dark")], indirect=True)
def test_hovering_over_a_point_shows_its_image(opened: Any) -> None:
    card = opened.locator("#map-card")
    assert not card.is_visible()
    for at, name in ((0, "blue"), (60, "green"), (119, "red")):
        opened.mouse.move(*opened.evaluate(_POINT, at))
        opened.locator(f"#map-card[data-drawn='{at}']").wait_for()
        assert card.is_visible()
        assert card.locator(".said").inner_text() == name
        assert card.locator(".file").inner_text() == f"{name}/{at % 40:03}.png"
        assert pictured(opened) == name
    opened.mouse.move(5, 5)
    assert not card.is_visible()


def test_arrow_keys_walk_over_the_map_and_are_read_out(opened: Any) -> None:
    plot, live = opened.locator("#map-plot"), opened.locator("#map-live")
    assert live.get_attribute("aria-live") == "polite"
    plot.focus()
    opened.keyboard.press("Home")
    card = opened.locator("#map-card")
    assert card.is_visible()
    ring = opened.locator("#map-plot .ring")
    told = [live.inner_text()]
    for key, attribute, sign in (("ArrowRight", "cx", 1), ("ArrowDown", "cy", 1), ("ArrowLeft", "cx", -1)):
        before = int(ring.get_attribute(attribute))
        opened.keyboard.press(key)
        assert sign * (int(ring.get_attribute(attribute)) - before) > 0
        told.append(live.inner_text())
        assert told[-1] == f"{card.locator('.said').inner_text()}: {card.locator('.file').inner_text()}"
    assert len(set(told)) == 4
    for _ in range(130):
        opened.keyboard.press("ArrowRight")
    right = max(opened.evaluate("[...document.querySelectorAll('.points circle')].map(c => c.cx.baseVal.value)"))
    assert int(ring.get_attribute("cx")) > 0.5 * right  # stops at an edge, and the page did not scroll away
    opened.keyboard.press("Escape")
    assert not card.is_visible()


def test_a_class_can_be_looked_at_alone(opened: Any) -> None:
    key = opened.locator("button[data-label]", has_text="green")
    key.click()
    assert key.get_attribute("aria-pressed") == "true"
    assert opened.locator(".points circle.on").count() == 40
    faint = opened.locator(".points circle").first
    assert float(faint.evaluate("circle => getComputedStyle(circle).fillOpacity")) < 0.2
    opened.locator("#map-plot").focus()
    names = set()
    for press in ("Home", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        opened.keyboard.press(press)
        names.add(opened.locator("#map-card .said").inner_text())
    assert names == {"green"}
    other = opened.locator("button[data-label]", has_text="red")
    other.click()
    assert key.get_attribute("aria-pressed") == "false"
    other.click()
    assert opened.locator(".points circle.on").count() == 0
    assert float(faint.evaluate("circle => getComputedStyle(circle).fillOpacity")) > 0.5


@pytest.mark.parametrize("opened", [(375, "light"), (320, "dark")], indirect=True)
def test_a_tap_shows_a_image_on_a_phone(opened: Any) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    height = opened.locator("#map-plot").bounding_box()["height"]
    opened.touchscreen.tap(*opened.evaluate(_POINT, 100))
    card = opened.locator("#map-card")
    assert card.is_visible()
    assert card.locator(".said").inner_text() == "red"
    assert opened.locator("#map-plot").bounding_box()["height"] == pytest.approx(height, abs=1)  # nothing jumps
    box, plot = card.bounding_box(), opened.locator("#map-plot svg").bounding_box()
    assert box["y"] >= plot["y"] + plot["height"] - 1  # below the points, not over them


def test_the_map_is_named_for_a_screen_reader(opened: Any) -> None:
    plot = opened.locator("#map-plot")
    assert plot.get_attribute("tabindex") == "0"
    assert "120" in plot.get_attribute("aria-label")
    described = opened.locator(f"#{plot.get_attribute('aria-describedby')}").inner_text()
    assert "arrow keys" in described
    assert opened.locator("table.neighbors tbody tr").count() == 3
    assert opened.locator("img:not([alt])").count() == 0


@pytest.mark.parametrize("opened", [(1280, "light"), (1280, "dark"), (375, "dark"), (320, "light")], indirect=True)
def test_text_stands_out_and_nothing_reaches_beyond_the_screen(opened: Any) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 (success criterion 1.4.3)."""
    for details in opened.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    opened.locator("#map-plot").focus()
    opened.keyboard.press("Home")
    for ratio, what in opened.evaluate(CONTRASTS, TEXTS):
        assert ratio >= 4.5, (what, ratio)
