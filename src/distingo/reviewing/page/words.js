// What the page says, and how it makes its parts.

// In the order in which they are asked; the names are those of the check's page.
export const KINDS = {
  "leak": ["Leaks", () => "The same picture on two splits of the split."],
  "contradiction": ["Contradictions", () => "The same picture under two classes."],
  "label": ["Likely wrong labels", (labels) => (labels.length ? ["Is this ", ...named(labels), "?"] : "Does no label fit?")],
  "near-duplicate": ["Near duplicates", () => "Nearly the same picture twice."],
  "duplicate": ["Exact duplicates", () => "The same picture twice."],
  "outlier": ["Outliers", () => "Unlike all the other pictures."],
  "empty": ["Empty", () => "One colour only."],
  "dark": ["Too dark", () => "Very dark."],
  "bright": ["Too bright", () => "Very bright."],
  "blurred": ["Blurred", () => "Out of focus."],
  "odd-size": ["Odd sizes", () => "Unusually large or small."],
  "odd-aspect": ["Odd aspects", () => "Unusually wide or tall."],
  "wrong-ending": ["Wrong endings", () => "The file’s ending is wrong."],
  "unreadable": ["Unreadable files", () => "This file gives no picture."],
};
export const DONE = { keep: "Kept", relabel: "Relabeled", quarantine: "In quarantine" };

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
