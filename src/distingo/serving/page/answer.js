// What the model says of one picture: a sentence, reasons not to believe it, bars.

import { isolated, listed, make, percent, wholePercent, word } from "./words.js";

export const isUnknown = (prediction) => prediction.known === false || prediction.unlike_training === true;
const several = (entry) => entry.task === "multi-label";
const best = (prediction) => prediction.scores[0];

// The answer as one sentence, for the history, the title and whoever listens.
export const inWords = (entry) => {
  const { prediction } = entry;
  if (isUnknown(prediction)) return word("dontKnow");
  if (several(entry)) return prediction.labels.length ? listed(prediction.labels) : word("noLabel");
  return `${isolated(prediction.label)} ${percent(best(prediction).probability)}`;
};

const headline = (entry) => {
  const { prediction } = entry;
  if (isUnknown(prediction)) return make("h3", { class: "headline unknown" }, word("dontKnow"));
  if (several(entry)) {
    return make("h3", { class: "headline" }, prediction.labels.length ? make("strong", {}, listed(prediction.labels)) : word("noLabel"));
  }
  const share = make("span", { class: "share figure" }, percent(best(prediction).probability));
  return make("h3", { class: "headline" }, make("strong", {}, make("bdi", {}, prediction.label)), " ", share);
};

const remarks = (entry) => {
  const { prediction, wishes } = entry;
  const said = [];
  if (prediction.unlike_training === true) said.push(word("unlike"));
  if (prediction.known === false && wishes.abstain) said.push(word("notSure", { share: wholePercent(wishes.abstain) }));
  if (isUnknown(prediction) && best(prediction)) {
    const { label, probability } = best(prediction);
    said.push(word("bestGuess", { label: isolated(label), share: percent(probability) }));
  }
  if (several(entry) && !prediction.labels.length && !isUnknown(prediction)) said.push(word("noneReached"));
  return said.map((text) => make("p", { class: "remark" }, text));
};

// What the sets promise holds for pictures like those of training only.
const possible = (entry) => {
  const { prediction, wishes } = entry;
  if (!prediction.set || !wishes.coverage || prediction.unlike_training === true) return null;
  const share = wholePercent(wishes.coverage);
  if (!prediction.set.length) return make("p", { class: "remark" }, word("emptySet", { share }));
  const classes = prediction.set.map((label) => make("li", { class: "tag" }, make("bdi", {}, label)));
  return make("div", { class: "possible" }, make("p", {}, word("setOf", { share })), make("ul", { class: "tags" }, ...classes));
};

const bar = (score) => {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${score.probability * 100}%`;
  const rail = make("span", { class: "rail-of", "aria-hidden": "true" }, fill);
  const marked = score.threshold !== null && score.threshold !== undefined;
  if (marked) {
    const mark = make("span", { class: "mark" });
    mark.style.insetInlineStart = `${score.threshold * 100}%`;
    rail.append(mark);
  }
  const from = marked && make("span", { class: "visually-hidden" }, ` (${word("givenFrom", { share: percent(score.threshold) })})`);
  return make("li", { class: `bar${score.given ? " given" : ""}` },
    make("bdi", { class: "who" }, score.label), rail,
    make("span", { class: "figure value" }, percent(score.probability), from));
};

export const drawAnswer = (entry) => {
  const { scores } = entry.prediction;
  const marked = scores.some((score) => score.threshold !== null && score.threshold !== undefined);
  return make("div", { class: `answer${isUnknown(entry.prediction) ? " unsure" : ""}` },
    headline(entry), ...remarks(entry), possible(entry),
    make("ol", { class: "bars" }, ...scores.map(bar)),
    marked && make("p", { class: "quiet footnote", "aria-hidden": "true" }, word("marks")));
};
