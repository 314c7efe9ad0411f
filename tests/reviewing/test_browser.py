"""The review page in a real browser, with the command in a separate process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import CONTRASTS
from distingo.curation.findings import Finding, write_findings
from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import read_corrections
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.messages.notes import note, text_note
from note_texts import texts
from trees import draw, found, snapshot

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
FRUIT = ("Äpfel", "Birnen", HOSTILE)


class Review:
    """`distingo review` in a process of its own."""

    def __init__(self, root: Path, *options: str) -> None:
        words = ["review", str(root), "--findings", str(root.parent / "check"), "--no-browser", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "distingo", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        found = re.search(r"Page: (\S+)", "".join(said))
        assert found, said
        self.url = found[1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=20)[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    names = [f"{name}/{number}.png" for name in ("Äpfel", "Birnen") for number in range(4)]
    return draw(tmp_path / "data", *names, *[f"{HOSTILE}/{number} .png" for number in range(20, 24)])


def asks(root: Path, *findings: Finding) -> None:
    write_findings(findings, root.parent / "check" / "findings.csv")


@pytest.fixture
def findings(root: Path) -> None:
    label = ("Äpfel",)
    asks(
        root,
        found(root, "leak", "Äpfel/1.png", "Birnen/1.png", labels=label, other_labels=("Birnen",)),
        found(root, "label", "Äpfel/0.png", labels=label, suggested=("Birnen",), reason=text_note("Birnen, 95 % sure")),
        found(root, "dark", "Birnen/2.png", labels=("Birnen",)),
        found(root, "outlier", f"{HOSTILE}/20 .png", labels=(HOSTILE,), reason=text_note(HOSTILE)),
        Finding("blurred", "Äpfel/3.png", 0.2, 0.5, label),
    )


@pytest.fixture
def start(root: Path, findings: None) -> Iterator[Callable[..., Review]]:
    started: list[Review] = []

    def starting(*options: str) -> Review:
        started.append(Review(root, *options))
        return started[-1]

    yield starting
    for review in started:
        if review.process.poll() is None:
            review.kill()


@pytest.fixture
def opening(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, and notes down what they requested elsewhere or complained about."""
    contexts, complaints = [], []

    def opened(url: str, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"alert {dialog.message}"))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(url.partition("#")[0]) else complaints.append(asked.url),
        )
        page.goto(url)
        page.wait_for_selector("#question:not([hidden]), #finished:not([hidden])")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def title(page: Any) -> str:
    return str(page.locator("h1:visible").inner_text())


def press(page: Any, key: str, *, until: str) -> None:
    page.keyboard.press(key)
    page.wait_for_function("text => document.querySelector('#live').textContent.includes(text)", arg=until)


def written(root: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {entry.file: (entry.action, entry.labels) for entry in read_corrections(root / "corrections.csv").entries}


def test_everything_is_decided_by_keyboard(
    root: Path, start: Callable[..., Review], opening: Callable[..., Any], tmp_path: Path
) -> None:
    before = snapshot(root)
    review = start()
    page = opening(review.url)
    assert title(page) == "The same picture on two splits of the split."
    assert page.locator("#count").inner_text() == "0 of 4 decided"
    assert page.locator(".below").inner_text() == "Below threshold (1 more)"
    press(page, "s", until="Chosen: Birnen/1.png")
    press(page, "s", until="Chosen: Äpfel/1.png")
    press(page, "q", until="In quarantine: Äpfel/1.png. 1 of 4 decided. Is this Äpfel?")
    press(page, "a", until="Relabeled Birnen: Äpfel/0.png")
    assert title(page) == "Unlike all the other pictures."
    assert page.locator(".reasons").inner_text().startswith(f"Outlier {HOSTILE}")
    press(page, "k", until="Kept")
    press(page, "1", until=f"Relabeled {sorted(FRUIT)[0]}: Birnen/2.png. 4 of 4 decided. All is decided.")
    assert title(page) == "All of it is decided."
    assert written(root) == {
        "Äpfel/1.png": ("quarantine", ()),
        "Äpfel/0.png": ("relabel", ("Birnen",)),
        f"{HOSTILE}/20 .png": ("keep", ()),
        "Birnen/2.png": ("relabel", (sorted(FRUIT)[0],)),
    }
    press(page, "u", until="Undone. Very dark.")
    assert "Birnen/2.png" not in written(root)
    assert "3 of 4 questions answered; the same command continues" in review.stop()
    assert {**snapshot(root)} == {**before, "corrections.csv": snapshot(root)["corrections.csv"]}
    dataset = read_dataset(root, Reading(cache=Cache(tmp_path / "cache")))
    assert "corrections.csv: 1 picture relabeled, 1 set aside, 1 kept" in texts(dataset.notes)


def test_a_class_is_typed(root: Path, start: Callable[..., Review], opening: Callable[..., Any]) -> None:
    page = opening(start().url + "#kind=label")
    assert title(page) == "Is this Äpfel?"
    page.keyboard.press("r")
    page.keyboard.type("birn")
    assert page.locator("#names button").all_inner_texts()[0].split("\n")[-1].endswith("Birnen suggested")
    page.keyboard.press("Enter")
    page.wait_for_selector("#finished:not([hidden])")
    assert written(root)["Äpfel/0.png"] == ("relabel", ("Birnen",))
    assert "3 questions of other kinds are open" in page.locator("#finished-text").inner_text()
    press(page, "ArrowLeft", until="Is this")
    assert page.locator(".tag.relabel").inner_text() == "Relabeled"
    page.keyboard.press("r")
    page.keyboard.type("Quitten qk")
    assert page.locator("#names .new").inner_text() == "New class Quitten qk"
    page.keyboard.press("Enter")
    page.wait_for_selector("#confirm[open]")
    assert "this picture would be its only one" in page.locator("#confirm-text").inner_text()
    page.keyboard.press("Escape")
    assert written(root)["Äpfel/0.png"] == ("relabel", ("Birnen",))
    page.locator("#names .new").click()
    page.wait_for_selector("#confirm[open]")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#live').textContent.includes('Quitten qk')")
    assert written(root)["Äpfel/0.png"] == ("relabel", ("Quitten qk",))


def test_closing_and_killing_lose_nothing(
    root: Path, start: Callable[..., Review], opening: Callable[..., Any]
) -> None:
    review = start()
    page = opening(review.url)
    press(page, "k", until="Kept")
    page.close()
    page = opening(review.url)
    assert (title(page), page.locator("#count").inner_text()) == ("Is this Äpfel?", "1 of 4 decided")
    press(page, "q", until="In quarantine: Äpfel/0.png")
    review.kill()
    assert set(written(root)) == {"Äpfel/0.png", "Äpfel/1.png", "Birnen/1.png"}
    page.close()
    page = opening(start().url)
    assert page.locator("#count").inner_text() == "2 of 4 decided"
    assert title(page) == "Unlike all the other pictures."


def test_a_lost_server_is_shown(root: Path, start: Callable[..., Review], browser: Any) -> None:
    review = start()
    page = browser.new_page()
    page.goto(review.url)
    page.wait_for_selector("#question:not([hidden])")
    review.kill()
    page.keyboard.press("k")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "The review has ended. Start it again in the terminal" in page.locator("#trouble").inner_text()
    assert title(page) == "The same picture on two splits of the split."
    page.close()


def test_clicking_does_the_same(root: Path, start: Callable[..., Review], opening: Callable[..., Any]) -> None:
    page = opening(start().url, width=390)
    page.locator(".pick", has_text="Choose").first.click()
    assert page.locator("figure.chosen .file").inner_text() == "Birnen/1.png"
    page.locator("img").nth(1).click()
    page.get_by_role("button", name="Quarantine").click()
    page.wait_for_function("() => document.querySelector('#count').textContent.startsWith('1 of')")
    assert written(root) == {"Äpfel/1.png": ("quarantine", ())}
    page.get_by_role("button", name="Dark").click()
    page.wait_for_function("() => document.querySelector('#title').textContent === 'Very dark.'")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector("#finished:not([hidden])")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector("#question:not([hidden])")
    assert set(written(root)) == {"Äpfel/1.png"}
    page.locator("#kinds button").first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent").startswith("Below threshold")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#kinds').textContent.includes('Blurred')")
    page.locator("#help-button").click()
    assert page.locator("#help").is_visible()
    page.keyboard.press("q")
    page.keyboard.press("Escape")
    assert set(written(root)) == {"Äpfel/1.png"}


def test_several_labels_are_switched(tmp_path: Path, opening: Callable[..., Any]) -> None:
    root = draw(tmp_path / "data", "1.png", "2.png", "3.png")
    (root / "labels.csv").write_text("image,tags\n1.png,day|sea\n2.png,sea|town\n3.png,\n", encoding="utf-8")
    asks(root, found(root, "label", "1.png", labels=("day", "sea")), found(root, "label", "3.png"))
    review = Review(root)
    try:
        page = opening(review.url)
        assert title(page) == "Is this day, sea?"
        assert page.get_by_role("button", name="Save labels").is_disabled()
        press(page, "Enter", until="Nothing is changed; K keeps the labels.")
        press(page, "1", until="day off")
        press(page, "3", until="town on")
        page.keyboard.press("r")
        page.keyboard.type("night")
        page.keyboard.press("Enter")
        page.wait_for_selector("#confirm[open]")
        press(page, "Enter", until="night on")
        press(page, "Enter", until="Relabeled")
        assert written(root) == {"1.png": ("relabel", ("night", "sea", "town"))}
        assert title(page) == "Does no label fit?"
        press(page, "ArrowLeft", until="1 of 2")
        press(page, "x", until="Taken back.")
        assert written(root) == {}
        press(page, "u", until="Undone.")
        assert written(root) == {"1.png": ("relabel", ("night", "sea", "town"))}
    finally:
        review.kill()


_TEXTS = (
    "h1, h1 strong, .reasons li, .quiet, .count, .eyebrow, .tag, .file, .name, .name .hint, .pick, .facts, "
    ".filters button, .filters .open, .actions button:not(:disabled), .choose label, .choose input, .save:enabled"
)
_LOADED = "() => [...document.querySelectorAll('.pictures img')].every((image) => image.naturalWidth > 0)"
_NAMELESS = """buttons => buttons.filter((button) =>
    !(button.getAttribute("aria-label") || button.textContent.trim()))"""
_SCREENS = [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark"), (320, "light")]


def test_it_can_be_read_everywhere(start: Callable[..., Review], opening: Callable[..., Any]) -> None:
    url = start().url
    for width, scheme in _SCREENS:
        page = opening(url, width, scheme)
        for _ in range(3):
            page.wait_for_function(_LOADED)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
            assert [entry for entry in page.evaluate(CONTRASTS, _TEXTS) if entry[0] < 4.5] == [], scheme
            boxes = [button.bounding_box() for button in page.locator(".actions button:visible").all()]
            assert all(box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] >= 43 for box in boxes)
            assert page.locator("button:visible").evaluate_all(_NAMELESS) == []
            press(page, "ArrowRight", until=" of 4. ")
        page.close()


def test_every_control_is_reached_by_tab(start: Callable[..., Review], opening: Callable[..., Any]) -> None:
    page = opening(start().url)
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    assert {"keep", "relabel", "quarantine", "undo", "next", "class", "help-button"} <= seen


def test_without_findings_the_command_is_suggested(root: Path) -> None:
    words = [sys.executable, "-m", "distingo", "review", str(root), "--findings", str(root.parent / "none")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such file; `distingo check DATA -o FOLDER` writes one" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kind_that_is_chosen_heads_its_questions_and_its_classes_are_in_view(
    root: Path, start: Callable[..., Review], opening: Callable[..., Any]
) -> None:
    many = [
        found(root, kind, "Äpfel/2.png", labels=("Äpfel",)) for kind in ("label", "dark", "outlier", "wrong-ending")
    ]
    more = [
        found(root, kind, f"Birnen/{n}.png") for n, kind in enumerate(("empty", "bright", "odd-size", "odd-aspect"))
    ]
    asks(root, *many, *more)
    page = opening(start().url)
    assert "1 open question of several kinds" in page.locator("#overlap").inner_text().replace("\u00a0", " ")
    page.get_by_role("button", name="Wrong endings").click()
    page.wait_for_function("() => document.querySelector('#title').textContent.includes('ending is wrong')")
    page.wait_for_function(_LOADED)
    names, bar = page.locator("#names").bounding_box(), page.locator("#actions").bounding_box()
    assert names["y"] + names["height"] <= bar["y"]


def test_all_of_a_kind_are_kept_after_a_confirmation(
    root: Path, start: Callable[..., Review], opening: Callable[..., Any]
) -> None:
    asks(
        root, *[found(root, "dark", f"Birnen/{number}.png") for number in range(3)], found(root, "label", "Äpfel/0.png")
    )
    page = opening(start().url)
    press(page, "e", until="Choose a kind")
    page.get_by_role("button", name="Too dark").click()
    page.wait_for_function("() => document.querySelector('#title').textContent === 'Very dark.'")
    page.keyboard.press("e")
    page.wait_for_selector("#confirm[open]")
    assert page.locator("#confirm-text").inner_text().startswith("Keep all 3 of this kind, Too dark?")
    page.keyboard.press("Escape")
    assert not (root / "corrections.csv").exists()
    page.keyboard.press("e")
    page.wait_for_selector("#confirm[open]")
    press(page, "Enter", until="Kept: 3 questions.")
    assert {action for action, _ in written(root).values()} == {"keep"}
    assert len(written(root)) == 3
    press(page, "u", until="Undone.")
    assert written(root) == {}


def test_no_class_is_offered_to_what_gives_no_image(
    root: Path, start: Callable[..., Review], opening: Callable[..., Any]
) -> None:
    (root / "Birnen" / "3.png").write_bytes(b"<html>")
    asks(root, found(root, "unreadable", "Birnen/3.png", labels=("Birnen",), reason=note("html")))
    page = opening(start().url)
    assert title(page) == "This file gives no picture."
    assert not page.locator("#classes").is_visible()
    assert not page.locator("#relabel").is_visible()
    page.keyboard.press("1")
    press(page, "q", until="In quarantine")
    assert written(root) == {"Birnen/3.png": ("quarantine", ())}
