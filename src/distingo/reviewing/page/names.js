// The classes to choose from.

import { isolated, make } from "./words.js";

const MOST_NAMES = 60;

// Those whose names fit what is typed; of many, those that are suggested come first.
export const fitting = (classes, picture, text) => {
  const typed = text.toLowerCase();
  const first = classes.length > 9 ? picture.suggested.filter((label) => classes.includes(label)) : [];
  const all = [...first, ...classes.filter((label) => !first.includes(label))];
  const begins = all.filter((label) => label.toLowerCase().startsWith(typed));
  return [...begins, ...all.filter((label) => !begins.includes(label) && label.toLowerCase().includes(typed))];
};

export const isSame = (draft, labels) => [...draft].sort().join("\n") === [...labels].sort().join("\n");

const hintOn = (label, { labels, suggested }) => {
  if (!suggested.length || labels.includes(label) === suggested.includes(label)) return "";
  return labels.includes(label) ? "doubted" : "suggested";
};

export const nameButtons = ({ classes, picture, text, draft, several, give, save }) => {
  const names = fitting(classes, picture, text);
  const buttons = names.slice(0, MOST_NAMES).map((label, index) => {
    const hint = hintOn(label, picture);
    return make("button", {
      type: "button", class: hint ? "name suggested" : "name", "aria-pressed": String(draft.has(label)),
      onclick: () => give(label),
    }, ...(index < 9 ? [make("kbd", { "aria-hidden": "true" }, String(index + 1)), " "] : []), isolated(label),
    ...(hint ? [make("span", { class: "hint" }, ` ${hint}`)] : []));
  });
  if (text && !classes.includes(text)) {
    buttons.push(make("button", { type: "button", class: "name new", onclick: () => give(text) }, "New class ", isolated(text)));
  }
  if (names.length > MOST_NAMES) buttons.push(make("span", { class: "quiet" }, `and ${names.length - MOST_NAMES} more: type to find them`));
  if (several) {
    buttons.push(make("button", { type: "button", class: "save", disabled: isSame(draft, picture.labels), onclick: save }, make("kbd", { "aria-hidden": "true" }, "Enter"), " Save labels"));
  }
  return buttons;
};
