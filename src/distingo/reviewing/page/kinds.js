// The kinds of findings to choose from, and how many questions of each are open.

import { KINDS, counted, find, make } from "./words.js";

const number = (count) => count.toLocaleString("en");

export const drawKinds = ({ questions, answered, filter, kindsOf, choose }) => {
  const openOf = (entries) => entries.filter((entry) => !answered.has(entry)).length;
  const chip = (kind, text, entries) => make("button", {
    type: "button", "aria-pressed": String(filter.kind === kind), class: openOf(entries) ? "" : "over",
    onclick: () => choose({ ...filter, kind }),
  }, text, " ", make("span", { class: "open" }, number(openOf(entries)), make("span", { class: "visually-hidden" }, " open")));
  const visible = questions.flatMap((entry, at) => (kindsOf(entry).length ? [at] : []));
  const ofKind = (kind) => visible.filter((at) => kindsOf(questions[at]).includes(kind));
  const chips = [chip("", "All", visible)];
  for (const [kind, [text]] of Object.entries(KINDS)) {
    if (ofKind(kind).length) chips.push(chip(kind, text, ofKind(kind)));
  }
  const below = questions.filter((entry) => !entry.counting.length).length;
  if (questions.some((entry) => entry.below.length)) {
    chips.push(make("button", {
      type: "button", class: "below", "aria-pressed": String(filter.below), title: "Questions of which nothing reaches its threshold",
      onclick: () => choose({ ...filter, below: !filter.below }),
    }, `Below threshold (${number(below)} more)`));
  }
  const focused = [...find("kinds").children].indexOf(document.activeElement);
  find("kinds").replaceChildren(...chips);
  if (focused >= 0) find("kinds").children[Math.min(focused, chips.length - 1)].focus();
  const several = visible.filter((at) => kindsOf(questions[at]).length > 1 && !answered.has(at)).length;
  find("overlap").textContent = several ? `${counted(several, "open question")} of several kinds: counted under each` : "";
  const open = filter.kind ? openOf(ofKind(filter.kind)) : 0;
  find("keep-all").hidden = open < 2;
  find("keep-all-text").textContent = `Keep all ${number(open)} of this kind`;
};
