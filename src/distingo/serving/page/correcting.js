// "Wrong? It is …": the right classes, sent to the server with the picture.

import { correct } from "./server.js";
import { button, find, isolated, listed, make, say, settings, word } from "./words.js";

const ALL_SHOWN = 12;

const begin = (entry, classes) => {
  const { prediction } = entry;
  const near = prediction.scores.map((score) => score.label);
  const offered = classes.length <= ALL_SHOWN ? classes : near;
  const before = entry.correction ?? (entry.task === "multi-label" ? prediction.labels : []);
  entry.draft = { offered: [...new Set([...offered, ...before])], chosen: new Set(before), trouble: "" };
};

const choice = (entry, label) => {
  const several = entry.task === "multi-label";
  const input = make("input", {
    type: several ? "checkbox" : "radio", name: `right-${entry.number}`, checked: entry.draft.chosen.has(label),
    onchange: () => {
      if (!several) entry.draft.chosen.clear();
      if (input.checked) entry.draft.chosen.add(label); else entry.draft.chosen.delete(label);
    },
  });
  return make("label", { class: "choice" }, input, make("bdi", {}, label));
};

const another = (entry, classes, redraw) => {
  const id = `classes-${entry.number}`;
  const input = make("input", { list: id, maxlength: 200, autocomplete: "off", autocapitalize: "none", spellcheck: "false", "data-control": "another" });
  const add = () => {
    const label = input.value.trim().normalize("NFC");
    if (!label) return;
    if (!classes.includes(label) && !settings.newClasses) {
      entry.draft.trouble = word("unknownClass", { label: isolated(label) });
    } else {
      if (entry.task !== "multi-label") entry.draft.chosen.clear();
      entry.draft.chosen.add(label);
      entry.draft.offered = [...new Set([...entry.draft.offered, label])];
      entry.draft.trouble = "";
    }
    redraw(entry);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && input.value.trim()) { event.preventDefault(); add(); }
  });
  const options = classes.map((label) => make("option", { value: label }));
  return make("div", { class: "another" }, make("label", {}, make("span", {}, word("another")), input),
    make("datalist", { id }, ...options), button(word("add"), add, { "data-control": "add" }));
};

const finish = async (entry, redraw) => {
  const { draft } = entry;
  const labels = [...draft.chosen];
  draft.trouble = labels.length || entry.task === "multi-label" ? "" : word("chooseOne");
  if (!draft.trouble) {
    try {
      const { label, labels: said, known, unlike_training, scores } = entry.prediction;
      await correct(entry.sent, entry.model.name, labels, { version: entry.model.version, label, labels: said, known, unlike_training, scores });
      entry.correction = labels;
      entry.draft = null;
    } catch (failure) {
      draft.trouble = [failure.words ?? String(failure), failure.reason].filter(Boolean).join(" ");
    }
  }
  redraw(entry);
  if (entry.draft) return;
  say(thanks(entry));
  find(`entry-${entry.number}`)?.querySelector("[data-control=wrong]")?.focus();
};
const thanks = (entry) => word("thanks", { labels: entry.correction.length ? listed(entry.correction) : word("withoutLabel") });

const drawForm = (entry, classes, redraw) => {
  const { draft } = entry;
  const close = () => {
    entry.draft = null;
    redraw(entry);
    find(`entry-${entry.number}`).querySelector("[data-control=wrong]").focus();
  };
  const form = make("form", { class: "correction", id: `correction-${entry.number}` },
    make("fieldset", {}, make("legend", {}, word(entry.task === "multi-label" ? "rightLabels" : "rightClass")),
      make("div", { class: "choices" }, ...draft.offered.map((label) => choice(entry, label)))),
    (draft.offered.length < classes.length || settings.newClasses) && another(entry, classes, redraw),
    make("p", { class: "trouble-here", role: "alert" }, draft.trouble),
    make("p", { class: "quiet footnote" }, word("keptBy")),
    make("div", { class: "buttons" }, make("button", { class: "primary", "data-control": "send" }, word("send")),
      button(word("cancel"), close, { "data-control": "cancel" })));
  form.addEventListener("submit", (event) => { event.preventDefault(); finish(entry, redraw); });
  form.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  return form;
};

// The button, with what it opens; classes are those of the entry's model.
export const drawCorrecting = (entry, classes, redraw) => {
  if (!settings.corrections || !entry.sent) return { opener: null, form: null };
  const open = () => {
    if (entry.draft) entry.draft = null; else begin(entry, classes);
    redraw(entry);
    if (entry.draft) find(`correction-${entry.number}`).querySelector("input:checked, input")?.focus();
  };
  const words = { "aria-expanded": String(Boolean(entry.draft)), "data-control": "wrong" };
  if (entry.draft) words["aria-controls"] = `correction-${entry.number}`;
  const opener = button(word(entry.correction ? "change" : "wrong"), open, words);
  const said = entry.correction && !entry.draft && make("p", { class: "thanks" }, thanks(entry));
  return { opener, form: entry.draft ? drawForm(entry, classes, redraw) : said || null };
};
