// Why: a heat map over the picture, and the training pictures most like it.

import { button, isolated, make, word } from "./words.js";

export const drawHeat = (entry) => {
  const heat = entry.heatShown && entry.explanation?.heat_map;
  if (!heat) return null;
  const layer = make("img", { class: "heat-layer", src: heat, alt: "" });
  layer.style.opacity = entry.opacity;
  return layer;
};

export const drawHeatControls = (entry, redraw) => {
  const { explanation } = entry;
  if (!explanation) return null;
  if (!explanation.heat_map) return make("p", { class: "quiet footnote" }, word("nothingSpeaks"));
  const toggle = () => { entry.heatShown = !entry.heatShown; redraw(entry); };
  const slide = (event) => {
    entry.opacity = Number(event.target.value);
    event.target.closest(".stage-side").querySelector(".heat-layer").style.opacity = entry.opacity;
  };
  const slider = make("input", { type: "range", min: 0.1, max: 1, step: 0.05, value: entry.opacity, oninput: slide, "data-control": "opacity" });
  return make("div", { class: "heat-controls" },
    button(word("heat"), toggle, { class: "chip", "aria-pressed": String(entry.heatShown), "data-control": "heat" }),
    entry.heatShown && make("label", { class: "opacity" }, make("span", {}, word("opacity")), slider),
    make("p", { class: "quiet footnote" }, word("speaksFor", { label: isolated(explanation.class) })));
};

const drawNeighbor = (neighbor, pictured) => {
  const alt = word("neighbor", { label: isolated(neighbor.label) });
  const picture = neighbor.image
    ? make("img", { src: neighbor.image, alt })
    : pictured && make("span", { class: "no-picture" }, word("noTrainingPicture"));
  return make("li", {}, picture,
    make("bdi", { class: "neighbor-label" }, neighbor.label),
    make("span", { class: "quiet figure" }, word("distance", { number: neighbor.distance.toFixed(2) })));
};
export const drawNeighbors = (entry) => {
  const neighbors = entry.explanation?.neighbors ?? [];
  if (!neighbors.length) return null;
  const pictured = neighbors.some((neighbor) => neighbor.image);
  return make("div", { class: "neighbors" }, make("h4", {}, word("neighbors")),
    make("ul", { class: pictured ? "pictured" : "named" }, ...neighbors.map((neighbor) => drawNeighbor(neighbor, pictured))));
};
