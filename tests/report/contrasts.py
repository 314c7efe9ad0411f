"""How far a page's text stands out, measured in the browser."""

from __future__ import annotations

CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
  };
  const what = "h1, h1 strong, h2, .lead, .quiet, .remarks li, td, th, a, .said, .truth, .file, button.cell, dt, "
    + ".badge, .runs small, .legend, summary, footer p, "
    + ".keys bdi, .keys .number, .fine p, .looks small";
  return [...document.querySelectorAll(what)].map((element) => {
    const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(behind(element))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), element.className + " " + element.textContent.trim().slice(0, 30)];
  });
}"""
