// What the page says, and how it makes its parts.

export const KINDS = {
  "unreadable": ["Unreadable", () => "This file gives no picture."],
  "wrong-ending": ["Wrong ending", () => "The file’s ending is wrong."],
  "duplicate": ["Duplicates", () => "The same picture twice."],
  "near-duplicate": ["Near duplicates", () => "Nearly the same picture twice."],
  "leak": ["Leaks", () => "The same picture on two sides of the split."],
  "contradiction": ["Contradictions", () => "The same picture under two classes."],
  "label": ["Labels", (labels) => (labels.length ? ["Is this ", ...named(labels), "?"] : "Does no label fit?")],
  "outlier": ["Outliers", () => "Unlike all the other pictures."],
  "empty": ["Empty", () => "One colour only."],
  "dark": ["Dark", () => "Very dark."],
  "bright": ["Bright", () => "Very bright."],
  "blurred": ["Blurred", () => "Out of focus."],
  "odd-size": ["Odd size", () => "Unusually large or small."],
  "odd-aspect": ["Odd aspect", () => "Unusually wide or tall."],
};
export const DONE = { keep: "Kept", relabel: "Relabelled", quarantine: "In quarantine" };

export const find = (id) => document.getElementById(id);
export const make = (tag, settings = {}, ...content) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name === "class") element.className = value;
    else if (name === "onclick") element.addEventListener("click", value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...content);
  return element;
};
export const isolated = (text) => make("bdi", {}, text);
export const named = (labels) => labels.flatMap((label, at) => [...(at ? [", "] : []), make("strong", {}, isolated(label))]);
export const singular = (kind) => kind[0].toUpperCase() + kind.slice(1).replaceAll("-", " ");
export const counted = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;
export const say = (text) => { find("live").textContent = text; };
export const complain = (error) => {
  find("trouble").textContent = error.message;
  find("trouble").hidden = false;
};
export const stepThrough = (elements, event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key] || 0;
  event.preventDefault();
  elements[(elements.indexOf(event.target) + step + elements.length) % elements.length]?.focus();
};
