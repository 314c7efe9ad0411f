"""The browser of the tests: Chrome or Chromium, found in one place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOW = "install Debian's chromium (as root `make browser` does), or name a browser by DISTINGO_TEST_BROWSER"


def find_browser() -> str | None:
    """The path of a browser on this machine: the one that is named, else the first that is known."""
    if named := os.environ.get("DISTINGO_TEST_BROWSER"):
        return named
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or next((path for path in APPLICATIONS if Path(path).is_file()), None)


@contextmanager
def running_browser() -> Iterator[Any]:
    """A browser that runs as long as the block, or a skip that says what is missing."""
    path = find_browser()
    if path is None:
        pytest.skip(f"no Chrome or Chromium here; {HOW}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


CONTRASTS = """(what) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
  };
  return [...document.querySelectorAll(what)].map((element) => {
    const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(behind(element))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), element.className + " " + element.textContent.trim().slice(0, 30)];
  });
}"""
"""For every element of a selector, the contrast of its text with what is behind it (WCAG 2.2), and what it is."""

TEXTS = (
    "h1, h1 strong, h2, .lead, .quiet, .remarks li, td, th, a, .said, .truth, .file, button.cell, dt, "
    ".badge, .runs small, .legend, summary, footer p, .keys bdi, .keys .number, .fine p, .looks small"
)
"""What a report writes in words."""


if __name__ == "__main__":
    found = find_browser()
    print(f"browser: {found}" if found else f"no Chrome or Chromium: the tests in a browser are skipped; {HOW}")
    raise SystemExit(0 if found else 1)
