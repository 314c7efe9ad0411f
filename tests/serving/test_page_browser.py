"""The served page in a real browser, with real trained models."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from page_server import serving
from PIL import Image

import distingo
from browsing import CONTRASTS
from distingo.language import LANGUAGES, use_language
from distingo.serving.corrections import CorrectionStore
from distingo.serving.http.access import hash_key
from distingo.serving.page_routes import page_messages
from tiny_datasets import COLORS, draw_classes

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = ("blue", HOSTILE, "red")
RED, BETWEEN = COLORS["red"], (120, 120, 50)

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.blockedURI));
"""
TEXTS = """() => {
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: around } = walker.currentNode;
    const said = !around.closest("script, bdi, noscript, button[lang], p[lang], .file, .past, .figure, option");
    if (said) texts.push(walker.currentNode.data.trim());
  }
  for (const each of document.querySelectorAll("[aria-label]")) texts.push(each.getAttribute("aria-label"));
  return texts.filter((text) => /[^\\W\\d_]{2,}/u.test(text));
}"""


def image(color: tuple[int, int, int] = RED, seed: int = 0, split: int = 16) -> bytes:
    """A noisy image such as the models are trained on."""
    noise = np.random.default_rng(seed).integers(-30, 30, (split, split, 3))
    encoded = io.BytesIO()
    Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


def shape(runs: dict[str, Path], number: int) -> bytes:
    """One of the images that the model for several labels was trained and tested on."""
    return (runs["shapes"].parent / "shapes" / "pictures" / f"{number:03}.png").read_bytes()


def as_file(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, tiny_runs: dict[str, Path], tiny_label_runs: dict[str, Path]
) -> dict[str, Path]:
    """One that can say how sure it is, one with heat maps, one with several labels."""
    root = tmp_path_factory.mktemp("page")
    data = draw_classes(root / "data", per_class=100, names=NAMES)
    distingo.train(data, root / "sure", model="descriptors", cache=root / "cache")
    return {"sure": root / "sure", "seeing": tiny_runs["small-cnn"], "shapes": tiny_label_runs["descriptors"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrections") / "kept.sqlite"


@pytest.fixture(scope="module")
def url(runs: dict[str, Path], place: Path) -> Iterator[str]:
    with serving(runs, corrections=place) as address:
        yield address


@pytest.fixture
def opening(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, and notes down what they requested elsewhere, complained about or broke their policy with."""
    contexts, pages, complaints = [], [], []

    def note(message: Any) -> None:
        if "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def opened(url: str, **how: Any) -> Any:
        settings = {"viewport": {"width": 1200, "height": 900}, "locale": "en-US", **how}
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        pages.append(page)
        page.add_init_script(WATCH)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"alert {dialog.message}"))
        page.on("request", lambda asked: complaints.append(asked.url) if is_elsewhere(asked.url, url) else None)
        page.goto(url)
        page.wait_for_function("() => document.querySelector('#served').textContent !== 'distingo'")
        return page

    yield opened
    broken = [page.evaluate("window.violations") for page in pages]
    for context in contexts:
        context.close()
    assert complaints == []
    assert [each for each in broken if each] == []


def is_elsewhere(asked: str, url: str) -> bool:
    own = url.partition("?")[0]
    return not asked.startswith((own, "data:", f"blob:{own}"))


def send(page: Any, *files: dict[str, Any], way: str = "#files") -> Any:
    """Choose files, and wait until all are answered."""
    before = page.locator(".entry").count()
    page.set_input_files(way, list(files))
    page.wait_for_function("number => document.querySelectorAll('.entry').length === number", arg=before + len(files))
    answered(page)
    return page.locator(".entry").first


def answered(page: Any) -> None:
    page.wait_for_function("() => !document.querySelector('.entry[aria-busy=true]')")


def say(name: str, language: str = "en", **values: str) -> str:
    with use_language(language):  # type: ignore[arg-type]
        return page_messages()[name].format(**values)


def plain(place: Any) -> set[str]:
    """Names in a row, without what keeps their directions of writing apart."""
    return set(place.inner_text().replace("\u2068", "").replace("\u2069", "").split(", "))


def test_many_images_are_chosen_at_once(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    colors = [COLORS["blue"], COLORS["green"], COLORS["red"], BETWEEN]
    send(page, *(as_file(f"{number}.png", image(color)) for number, color in enumerate(colors)))
    entries = page.locator(".entry")
    assert page.locator(".entry .file").all_inner_texts() == ["0.png", "1.png", "2.png", "3.png"]
    for number, name in enumerate(NAMES):
        assert entries.nth(number).locator(".headline strong").inner_text() == name
        share = entries.nth(number).locator(".headline .share").inner_text()
        assert re.fullmatch(r"(>\u00a0)?\d+\.\d\u00a0%", share)
        bars = entries.nth(number).locator(".bar")
        assert bars.count() == 3
        assert bars.first.get_attribute("class") == "bar given"
        assert bars.first.inner_text().split("\n")[0] == name
        width = bars.first.evaluate(
            "bar => bar.querySelector('.fill').offsetWidth / bar.querySelector('.rail-of').offsetWidth"
        )
        assert float(share.strip("> %\u00a0")) / 100 == pytest.approx(width, abs=0.02)
    assert page.locator(".entry img.shown").first.get_attribute("alt") == "0.png"
    send(page, as_file("later.png", image()))
    assert page.locator(".entry .file").first.inner_text() == "later.png"
    page.locator("#remove-all").click()
    assert (entries.count(), page.locator("#results").is_visible()) == (0, False)


def test_a_image_is_dropped(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    held = page.evaluate_handle(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
          return data;
        }""",
        list(image()),
    )
    page.dispatch_event("#drop", "dragenter", {"dataTransfer": held})
    assert page.locator("#letting-go").is_visible()
    page.dispatch_event("h1", "dragenter", {"dataTransfer": held})
    page.dispatch_event("#drop", "dragleave", {"dataTransfer": held})
    assert page.locator("#letting-go").is_visible()
    page.dispatch_event("h1", "drop", {"dataTransfer": held})
    assert page.locator("#letting-go").is_hidden()
    page.wait_for_selector(".entry .headline strong")
    assert page.locator(".entry .file").inner_text() == "dropped.png"


def test_a_image_is_pasted(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async bytes => {
          const blob = new Blob([new Uint8Array(bytes)], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        list(image()),
    )
    page.keyboard.press("Control+v")
    page.wait_for_selector(".entry .headline strong")
    assert page.locator(".entry .headline strong").inner_text() == "red"


def test_several_labels_stand_against_their_thresholds(
    url: str, runs: dict[str, Path], opening: Callable[..., Any]
) -> None:
    page = opening(url)
    page.select_option("#model", "shapes")
    entry = send(page, as_file("a.png", shape(runs, 6)))
    model = page.evaluate(
        "async () => (await (await fetch('models')).json()).models.find((each) => each.name === 'shapes')"
    )
    assert plain(entry.locator(".headline strong")) == {"red", "round"}
    for bar in entry.locator(".bar").all():
        name = bar.locator(".who").inner_text()
        at = bar.evaluate("bar => parseFloat(bar.querySelector('.mark').style.insetInlineStart) / 100")
        assert at == pytest.approx(model["thresholds"][name])
        share = float(bar.locator(".value").inner_text().split("\u00a0")[0]) / 100
        assert ("given" in bar.get_attribute("class")) == (share >= at)
        assert say("givenFrom", share=f"{at * 100:.1f}\u00a0%") in bar.locator(".visually-hidden").text_content()
    assert say("marks") in entry.inner_text()
    page.select_option("#coverage", "0.95")
    answered(page)
    asked = {"images": ("a.png", shape(runs, 6), "image/png")}
    said = httpx2.post(f"{url}predict?model=shapes&coverage=0.95", files=asked).json()["predictions"][0]["set"]
    empty = say("emptySet", share="95\u00a0%")
    assert entry.locator(".tag").all_inner_texts() == said
    assert (empty in entry.inner_text()) == (said == [])


def test_an_abstention_is_shown(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    offered = page.locator("#abstain option").evaluate_all("options => options.map((option) => option.value)")
    assert offered == ["", "0.02", "0.05", "0.1", "0.2"]  # its calibration set holds more than 1 %
    page.select_option("#abstain", "0.1")
    page.select_option("#coverage", "0.9")
    entry = send(page, as_file("between.png", image(BETWEEN)), as_file("red.png", image()))
    assert entry.locator(".headline").inner_text() == say("dontKnow")
    told = entry.locator(".answer").inner_text().replace("\u2068", "").replace("\u2069", "")
    assert say("notSure", share="10\u00a0%") in told
    assert say("unlike") in told
    assert re.search(r"Best guess: red, \d+\.\d", told)
    assert entry.locator(".possible").count() == 0  # nothing is promised for such images
    red = page.locator(".entry").nth(1)
    assert red.locator(".headline strong").inner_text() == "red"
    assert red.locator(".tags").inner_text() == "red"
    page.select_option("#abstain", "")
    answered(page)
    assert say("notSure", share="10\u00a0%") not in entry.inner_text()
    page.select_option("#model", "seeing")  # too few validation images for any level
    answered(page)
    assert page.locator("#abstain").is_hidden()


def test_the_heat_map_covers_the_image(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    page.select_option("#model", "seeing")
    entry = send(page, as_file("a.png", image(split=40)))
    entry.locator("[data-control=why]").click()
    layer = entry.locator(".heat-layer")
    layer.wait_for()
    boxes = [each.bounding_box() for each in (layer, entry.locator(".shown"))]
    assert boxes[0] == pytest.approx(boxes[1], abs=1)
    assert layer.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    entry.locator("[data-control=opacity]").focus()
    before = float(layer.evaluate("image => getComputedStyle(image).opacity"))
    page.keyboard.press("ArrowLeft")
    assert float(layer.evaluate("image => getComputedStyle(image).opacity")) == pytest.approx(before - 0.05)
    entry.locator("[data-control=heat]").click()
    assert (layer.count(), entry.locator("[data-control=heat]").get_attribute("aria-pressed")) == (0, "false")
    entry.locator("[data-control=heat]").click()
    assert layer.count() == 1
    nearest = entry.locator(".neighbors li")
    assert nearest.count() == 6
    assert nearest.first.locator("img").get_attribute("alt").startswith("training picture: ")
    assert nearest.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert re.fullmatch(r"distance \d+\.\d\d", nearest.first.locator(".figure").inner_text())


def test_an_explanation_that_comes_too_late_changes_nothing(
    url: str, runs: dict[str, Path], opening: Callable[..., Any]
) -> None:
    page = opening(url)
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/predict?*explain=true*", hold)
    page.select_option("#model", "seeing")
    entry = send(page, as_file("a.png", shape(runs, 6)))
    entry.locator("[data-control=why]").click()
    page.wait_for_function("() => document.querySelector('[data-control=why]').ariaDisabled === 'true'")
    page.select_option("#model", "shapes")
    answered(page)
    with page.expect_response("**/predict?*explain=true*"):
        held[0].continue_()
    assert plain(entry.locator(".headline strong")) == {"red", "round"}
    assert entry.locator("[data-control=why]").get_attribute("aria-disabled") == "false"
    assert page.locator(".heat-layer").count() == 0


def test_the_history_is_kept_in_the_browser_and_cleared(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    assert page.locator("#history-empty").is_visible()
    send(page, as_file("one.png", image()))
    page.wait_for_function("() => document.querySelectorAll('#past li').length === 1")
    send(page, as_file("two.png", image(COLORS["blue"])))
    page.wait_for_function("() => document.querySelectorAll('#past li').length === 2")
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('#past li').length === 2")
    assert page.locator(".entry").count() == 0
    assert page.locator("#past button").first.inner_text().strip("\u2068\u2069").startswith("blue")
    page.locator("#past button").first.click()
    entry = page.locator(".entry").first
    entry.locator("img.shown").wait_for()
    assert entry.locator(".headline strong").inner_text() == "blue"
    assert "two.png · from the history" in entry.locator(".file").inner_text()
    assert entry.locator("[data-control=wrong], [data-control=why]").count() == 0
    page.locator("#clear-history").click()
    page.locator("#confirm button[value=no]").click()
    assert page.locator("#past li").count() == 2
    page.locator("#clear-history").click()
    page.locator("#confirm-yes").click()
    page.wait_for_selector("#history-empty:visible")
    assert page.evaluate("document.activeElement.id") == "history-title"
    page.locator("#keep-history").uncheck()
    send(page, as_file("three.png", image()))
    page.reload()
    page.wait_for_selector("#history-empty:visible")
    assert page.locator("#keep-history").is_checked() is False
    assert opening(url).locator("#past li").count() == 0  # another browser knows nothing of it


def test_a_correction_is_kept_exported_and_trained_on(
    runs: dict[str, Path], opening: Callable[..., Any], tmp_path: Path
) -> None:
    store = tmp_path / "c.sqlite"
    with serving({"sure": runs["sure"]}, corrections=store) as url:
        page = opening(url)
        images = [image(color, seed) for color in (RED, COLORS["blue"]) for seed in range(7)]
        send(page, *(as_file(f"{number}.png", content) for number, content in enumerate(images)))
        for number in range(len(images)):
            entry = page.locator(".entry").nth(number)
            entry.locator("[data-control=wrong]").click()
            assert entry.locator(".choice").all_inner_texts() == sorted(NAMES)
            if number == 0:
                entry.locator("[data-control=send]").click()
                assert entry.locator(".trouble-here").inner_text() == say("chooseOne")
            entry.get_by_role("radio", name=HOSTILE if number < 7 else "red", exact=True).check()
            entry.locator("[data-control=send]").click()
            entry.locator(".thanks").wait_for()
        assert HOSTILE in page.locator(".thanks").first.inner_text()
        first = page.locator(".entry").first
        assert first.locator("[data-control=wrong]").inner_text() == say("change")
        first.locator("[data-control=wrong]").click()
        assert first.get_by_role("radio", name=HOSTILE, exact=True).is_checked()
        first.get_by_role("radio", name="red", exact=True).check()
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('.thanks')?.textContent.includes('red')")
    (latest, *_) = sorted(CorrectionStore(store).latest("sure"), key=lambda kept: -kept.id)
    assert (latest.labels, latest.times, latest.predicted["label"]) == (("red",), 2, "red")
    assert CorrectionStore(store).image(latest.sha256) == images[0]
    data = distingo.export_corrections(store, tmp_path / "data")
    assert (data.images, data.classes) == (14, {"red": 8, HOSTILE: 6})
    run = distingo.train(tmp_path / "data", tmp_path / "run", model="descriptors", cache=tmp_path / "cache")
    assert set(run.evaluation.classes) == {"red", HOSTILE}


def test_several_labels_are_corrected(
    url: str, runs: dict[str, Path], place: Path, opening: Callable[..., Any]
) -> None:
    page = opening(url)
    page.select_option("#model", "shapes")
    content = shape(runs, 6)
    entry = send(page, as_file("a.png", content))
    entry.locator("[data-control=wrong]").click()
    assert entry.get_by_role("checkbox", name="red").is_checked()
    entry.get_by_role("checkbox", name="red").uncheck()
    entry.get_by_role("checkbox", name="large").check()
    entry.locator("[data-control=send]").click()
    entry.locator(".thanks").wait_for()
    kept = CorrectionStore(place).latest("shapes")[-1]
    assert (set(kept.labels), set(kept.predicted["labels"])) == ({"round", "large"}, {"red", "round"})
    assert CorrectionStore(place).image(kept.sha256) == content


def test_a_class_is_typed_where_new_ones_are_allowed(
    runs: dict[str, Path], opening: Callable[..., Any], tmp_path: Path
) -> None:
    store = tmp_path / "c.sqlite"
    with serving({"sure": runs["sure"]}, corrections=store, new_classes=True) as url:
        page = opening(url)
        entry = send(page, as_file("a.png", image()))
        entry.locator("[data-control=wrong]").click()
        entry.locator("[data-control=another]").fill("Quitten & “梨”")
        page.keyboard.press("Enter")
        assert entry.get_by_role("radio", name="Quitten & “梨”").is_checked()
        entry.locator("[data-control=send]").click()
        entry.locator(".thanks").wait_for()
    assert CorrectionStore(store).latest("sure")[0].labels == ("Quitten & “梨”",)


def test_without_leave_there_is_nothing_to_correct(runs: dict[str, Path], opening: Callable[..., Any]) -> None:
    with serving({"sure": runs["sure"]}) as url:
        page = opening(url)
        assert page.locator("#privacy").inner_text() == say("privacy")
        assert page.locator("#model-choice").is_hidden()
        entry = send(page, as_file("a.png", image()))
        assert entry.locator("[data-control=wrong]").count() == 0


def test_everything_is_done_by_keyboard(url: str, place: Path, opening: Callable[..., Any]) -> None:
    page = opening(url)
    content = image(seed=41)
    page.on("filechooser", lambda chooser: chooser.set_files(as_file("keys.png", content)))

    def tab_to(what: str, key: str = "Tab") -> None:
        for _ in range(60):
            page.keyboard.press(key)
            if page.evaluate("what => document.activeElement.matches(what)", what):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", what
                return
        raise AssertionError(f"{what} is not reached by {key}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to("#choose")
    page.keyboard.press("Enter")
    page.wait_for_selector(".entry .headline strong")
    assert "keys.png: red" in page.locator("#live").inner_text().replace("\u2068", "").replace("\u2069", "")
    tab_to("#model")
    page.keyboard.press("ArrowDown")  # the next model, "seeing"
    page.wait_for_function("() => document.querySelector('#model').value === 'seeing'")
    answered(page)
    tab_to("[data-control=why]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".heat-layer")
    page.wait_for_function("() => document.activeElement.dataset.control === 'heat'")
    page.keyboard.press("Space")
    page.wait_for_selector(".heat-layer", state="detached")
    assert page.evaluate("document.activeElement.dataset.control") == "heat"
    tab_to("[data-control=wrong]")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.type") == "radio"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.control") == "wrong"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    tab_to("[data-control=send]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".thanks")
    assert page.evaluate("document.activeElement.dataset.control") == "wrong"
    assert CorrectionStore(place).latest("seeing")[-1].labels == ("green",)
    tab_to(".remove")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "choose"
    tab_to("#past button")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.className === 'remove'")
    tab_to("#clear-history")
    page.keyboard.press("Enter")
    page.wait_for_selector("#confirm[open]")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "clear-history"


@pytest.mark.parametrize(("locale", "language"), [("en-GB", "en"), ("es-AR", "es"), ("zh-CN", "zh"), ("fr-FR", "en")])
def test_the_browsers_language_is_spoken(url: str, opening: Callable[..., Any], locale: str, language: str) -> None:
    page = opening(url, locale=locale)
    assert page.locator("h1").inner_text() == say("heading", language)
    assert page.title() == say("heading", language)


def test_another_language_is_chosen_and_nothing_stays_behind(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    page.select_option("#abstain", "0.1")
    page.select_option("#coverage", "0.9")
    send(page, as_file("0.png", image(BETWEEN)), as_file("1.png", image()), as_file("2.png", b"no picture"))
    page.locator("[data-control=why]").first.click()
    page.wait_for_selector(".neighbors")
    page.locator("[data-control=wrong]").nth(1).click()
    texts = {}
    for language in LANGUAGES:
        page.locator(f"#languages [value={language}]").click()
        assert page.locator(".entry").count() == 3
        texts[language] = set(page.evaluate(TEXTS))
        assert page.locator(f"#languages [value={language}]").get_attribute("aria-pressed") == "true"
        options = page.locator("#abstain option").all_inner_texts()
        assert options[0] == say("always", language)
    assert len(texts["en"]) > 25
    for language in ("es", "zh"):
        assert texts["en"] & texts[language] == {f"distingo {distingo.__version__}"}
    page.reload()
    assert page.locator("h1").inner_text() == say("heading", "zh")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.goto(f"{url}?language=es")
    assert page.locator("h1").inner_text() == say("heading", "es")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_phone_shows_all_of_it(url: str, opening: Callable[..., Any], language: str) -> None:
    phone = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
    page = opening(f"{url}?language={language}", **phone)
    page.select_option("#model", "seeing")
    entry = send(page, as_file(f"{'long' * 30}.png", image(split=60)), way="#camera")
    entry.locator("[data-control=why]").tap()
    page.wait_for_selector(".neighbors")
    entry.locator("[data-control=wrong]").tap()
    assert page.locator("#photograph").is_visible()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 320
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, .choice, .switch")]
          .map((each) => [each.getBoundingClientRect(), each.id || each.className])
          .filter(([box]) => box.width && (box.height < 24 || box.width < 24)).map(([, name]) => name)"""
    )
    assert small == []
    image_box, answer = entry.locator(".shown").bounding_box(), entry.locator(".answer").bounding_box()
    assert image_box["y"] + image_box["height"] <= answer["y"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_nothing_stands_in_anybodys_way(url: str, opening: Callable[..., Any], scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page = opening(url, color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce")

    def check() -> None:
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.response["violations"] == [], found.generate_report()

    check()
    page.select_option("#coverage", "0.9")
    send(page, as_file("set.png", image(split=40)))
    check()
    page.select_option("#model", "seeing")  # 9 validation images, which hold none of the coverages offered
    send(page, as_file("0.png", image(split=40)), as_file("1.png", image(BETWEEN)), as_file("2.png", b"no picture"))
    page.locator("[data-control=why]").first.click()
    page.wait_for_selector(".neighbors")
    page.locator("[data-control=wrong]").nth(1).click()
    check()
    low = [
        entry
        for entry in page.evaluate(CONTRASTS, "p:not(:empty), button, .bar, h1, h2, h3, h4, label")
        if entry[0] < 4.5
    ]
    assert [text for _, text in low if "heat" not in text] == []
    page.select_option("#model", "shapes")
    answered(page)
    check()
    page.locator("#clear-history").click()
    page.wait_for_selector("#confirm[open]")
    check()


def test_refusals_are_shown_as_text(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url, locale="es-ES")
    entry = send(page, as_file("notes.png", b"only a text"))
    assert entry.locator(".headline").inner_text() == say("error415", "es")
    assert "a text file, not a picture" in entry.locator("[lang=en]").inner_text()
    broken = send(page, as_file("half.png", image()[:200]))
    assert broken.locator(".headline").inner_text() == say("error422", "es")


def test_a_lost_connection_is_shown_and_retried(runs: dict[str, Path], opening: Callable[..., Any]) -> None:
    with serving({"sure": runs["sure"]}) as url:
        page = opening(url)
        page.route("**/predict?*", lambda route: route.abort())
        entry = send(page, as_file("a.png", image()))
        assert entry.locator(".headline").inner_text() == say("unreachable")
        page.unroute("**/predict?*")
        entry.locator("[data-control=again]").click()
        page.wait_for_selector(".entry .headline strong")


def test_a_busy_server_is_asked_again(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    refused: list[str] = []

    def refuse_once(route: Any) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": {"status": 503, "reason": "full"}})

    page.route("**/predict?*", refuse_once)
    page.set_input_files("#files", [as_file("a.png", image())])
    page.wait_for_function("text => document.querySelector('.looking')?.textContent === text", arg=say("busy"))
    page.wait_for_selector(".entry .headline strong")
    assert len(refused) == 1


def test_a_image_over_the_limit_is_made_smaller_and_others_are_not(
    runs: dict[str, Path], opening: Callable[..., Any], tmp_path: Path
) -> None:
    large, small = image(split=400), image(split=32)
    assert len(large) > 100_000
    with serving({"sure": runs["sure"]}, max_upload=60_000, corrections=tmp_path / "c.sqlite") as url:
        page = opening(url)
        entry = send(page, as_file("large.png", large), as_file("small.png", small))
        assert entry.locator(".bar").count() == 3
        found = re.search(r"scaled down to (\d+) × (\d+) before", entry.locator(".file").inner_text())
        assert found and 64 <= int(found[1]) <= 400
        second = page.locator(".entry").nth(1)
        assert second.locator(".file").inner_text() == "small.png"
        second.locator("[data-control=wrong]").click()
        second.get_by_role("radio", name="blue").check()
        second.locator("[data-control=send]").click()
        second.locator(".thanks").wait_for()
    store = CorrectionStore(tmp_path / "c.sqlite")
    assert store.image(store.latest("sure")[0].sha256) == small
    with serving({"sure": runs["sure"]}, max_pixels=10_000) as url:
        entry = send(opening(url), as_file("large.png", large))
        assert "scaled down to 100 × 100" in entry.locator(".file").inner_text()
        assert entry.locator(".bar").count() == 3


def test_a_key_is_asked_for_once(runs: dict[str, Path], browser: Any) -> None:
    key = "correct horse battery"
    with serving({"sure": runs["sure"]}, key_hashes=(hash_key(key),)) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#key[open]")
        page.keyboard.type("wrong horse battery")
        with page.expect_response(lambda answer: answer.status == 401):  # the form opens again at once
            page.keyboard.press("Enter")
        page.wait_for_selector("#key[open]")
        page.keyboard.type(key)
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('#served').textContent === 'sure'")
        send(page, *(as_file(f"{number}.png", image(seed=number)) for number in range(3)))
        assert page.locator(".entry .headline strong").all_inner_texts() == ["red"] * 3
        page.close()


def test_what_a_browser_can_not_show_is_answered_all_the_same(url: str, opening: Callable[..., Any]) -> None:
    encoded = io.BytesIO()
    Image.open(io.BytesIO(image())).save(encoded, "TIFF")
    page = opening(url)
    entry = send(page, as_file("scan.tif", encoded.getvalue()))
    assert entry.locator(".no-picture").inner_text() == say("noPreview")
    assert entry.locator(".headline strong").inner_text() == "red"


def test_markup_in_names_stays_text(url: str, opening: Callable[..., Any]) -> None:
    page = opening(url)
    entry = send(page, as_file(f"{HOSTILE}.png", image(COLORS["green"])))
    assert entry.locator(".headline strong").inner_text() == HOSTILE
    assert entry.locator(".file").inner_text() == f"{HOSTILE}.png"
    page.wait_for_selector("#past li")
    assert page.locator("img[src=x]").count() == 0
