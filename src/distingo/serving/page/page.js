// The page: pictures come in, answers come out.

import { inWords } from "./answer.js";
import { drawEntry } from "./entry.js";
import { drawPast, startPast } from "./past.js";
import { fit, load, requireReadable, thumbnail } from "./pictures.js";
import { Failure, ask, inTurn, predict } from "./server.js";
import { keep } from "./store.js";
import { button, find, isolated, make, say, startLanguage, wholePercent, word } from "./words.js";

const WRONG = [0.01, 0.02, 0.05, 0.1, 0.2];
const COVERAGES = [0.9, 0.95, 0.99];
const SHOWN = 5;

let models = [];
let entries = [];
let numbers = 0;

// What is asked

const wishesNow = () => {
  const wishes = { top_k: SHOWN };
  if (find("model").value) wishes.model = find("model").value;
  if (find("abstain").value) wishes.abstain = Number(find("abstain").value);
  if (find("coverage").value) wishes.coverage = Number(find("coverage").value);
  return wishes;
};
const modelOf = (entry) => models.find((model) => model.name === entry.model?.name);

const account = (entry, answer, wishes) => {
  const [prediction] = answer.predictions;
  if (prediction.error) throw new Failure(prediction.error.status, prediction.error.reason);
  Object.assign(entry, { prediction, wishes, task: answer.task, model: answer.model });
};
const look = async (entry, wishes) => {
  const turn = entry.turn = (entry.turn ?? 0) + 1; // an answer to what was asked before comes too late
  try {
    const answer = await inTurn(() => predict(entry.sent, entry.name, wishes, () => { entry.busy = true; redraw(entry); }));
    if (turn !== entry.turn) return;
    account(entry, answer, wishes);
    remember(entry).catch(() => {}); // the answer is on the page all the same
  } catch (failure) {
    if (turn !== entry.turn) return;
    entry.failure = failure;
  }
  redraw(entry);
  const answer = entry.failure ? entry.failure.words ?? String(entry.failure) : inWords(entry);
  say(word("answered", { name: isolated(entry.name), answer }));
};
const remember = async (entry) => {
  const { name, task, model, wishes, kept } = entry;
  const prediction = { ...entry.prediction, explanation: null };
  entry.kept = await keep({ ...(kept && { id: kept }), name, time: Date.now(), task, model, wishes, prediction,
    thumbnail: await thumbnail(entry.image) });
  showPast();
};
let soon; // many answers may come at once
const showPast = () => {
  clearTimeout(soon);
  soon = setTimeout(() => drawPast(openPast), 120);
};
const again = (entry) => {
  const wishes = wishesNow();
  if (entry.model && entry.model.name !== wishes.model) entry.correction = null; // it was about the other model's answer
  Object.assign(entry, { prediction: null, explanation: null, explaining: false, failure: null, trouble: null, busy: false, draft: null });
  redraw(entry);
  return entry.sent ? look(entry, wishes) : prepare(entry);
};
const explain = async (entry) => {
  if (entry.explaining) return;
  const { turn } = entry;
  Object.assign(entry, { explaining: true, trouble: null });
  redraw(entry);
  try {
    const answer = await inTurn(() => predict(entry.sent, entry.name, { ...entry.wishes, model: entry.model.name, explain: true }));
    if (turn !== entry.turn) return;
    account(entry, answer, entry.wishes);
    entry.explanation = entry.prediction.explanation ?? { heat_map: null, neighbors: [] };
    entry.heatShown = Boolean(entry.explanation.heat_map);
    say(entry.heatShown ? word("speaksFor", { label: isolated(entry.explanation.class) }) : word("nothingSpeaks"));
  } catch (failure) {
    if (turn !== entry.turn) return;
    entry.trouble = failure;
  }
  entry.explaining = false;
  redraw(entry);
};

// What is shown

const actions = { redraw: (entry) => drawEntry(entry, actions), again, explain, modelOf, remove: (entry) => remove(entry) };
const { redraw } = actions;

const place = (added) => {
  entries = [...added, ...entries];
  find("entries").prepend(...added.map((entry) => make("li", { class: "entry", id: `entry-${entry.number}` })));
  added.forEach(redraw);
  drawFrame();
};
const drawFrame = () => {
  find("results").hidden = !entries.length;
  find("remove-all").hidden = entries.length < 2;
  find("drop").classList.toggle("small", entries.length > 0);
};
const forget = (entry) => { if (entry.url) URL.revokeObjectURL(entry.url); };
const remove = (entry) => {
  const at = entries.indexOf(entry);
  forget(entry);
  entries = entries.filter((each) => each !== entry);
  find(`entry-${entry.number}`).remove();
  drawFrame();
  const next = entries[Math.min(at, entries.length - 1)];
  (next ? find(`entry-${next.number}`).querySelector(".remove") : find("choose")).focus();
};
const removeAll = () => {
  entries.forEach(forget);
  entries = [];
  find("entries").replaceChildren();
  drawFrame();
  find("choose").focus();
};
const newEntry = (name, more) => ({ number: numbers += 1, name, opacity: 0.6, heatShown: false, ...more });

const take = (files) => {
  const added = [...files].map((file) => newEntry(file.name || "picture", { file }));
  if (!added.length) return;
  place(added);
  find("results").scrollIntoView({ block: "start", behavior: "auto" });
  for (const entry of added) preparing = preparing.then(() => prepare(entry));
};
let preparing = Promise.resolve(); // one after the other: decoded pictures are large
const prepare = async (entry) => {
  try {
    await requireReadable(entry.file);
    entry.url = URL.createObjectURL(entry.file);
    entry.image = await load(entry.url);
    const { file: sent, size } = await fit(entry.file, entry.image);
    Object.assign(entry, { sent, size });
  } catch (failure) {
    entry.failure = failure;
  }
  redraw(entry);
  if (!entry.failure) look(entry, wishesNow());
};
const openPast = async (answer) => {
  const { name, time, task, model, wishes, prediction } = answer;
  const url = answer.thumbnail ? URL.createObjectURL(answer.thumbnail) : null;
  const entry = newEntry(name, { past: time, task, model, wishes, prediction, url, image: url && await load(url) });
  place([entry]);
  say(word("answered", { name: isolated(name), answer: inWords(entry) }));
  find(`entry-${entry.number}`).querySelector(".remove").focus();
  find("results").scrollIntoView({ block: "start", behavior: "auto" });
};

// The choices

const modelNow = () => models.find((model) => model.name === find("model").value);
// Only levels that the model's validation pictures can vouch for are offered.
const drawOptions = () => {
  const fill = (id, first, values, name) => {
    const before = find(id).value;
    find(id).replaceChildren(make("option", { value: "" }, first),
      ...values.map((value) => make("option", { value }, word(name, { share: wholePercent(value) }))));
    find(id).value = values.includes(Number(before)) ? before : "";
    find(id).closest("label").hidden = !values.length;
  };
  const { abstain_from: lowest, coverage_to: highest } = modelNow()?.levels ?? {};
  fill("abstain", word("always"), WRONG.filter((value) => lowest && value >= lowest), "atMostWrong");
  fill("coverage", word("noSet"), COVERAGES.filter((value) => highest && value <= highest), "holding");
};
const redrawAll = () => {
  drawOptions();
  entries.forEach(redraw);
  showPast();
};
const askModels = async () => {
  try {
    ({ models } = await ask("models"));
  } catch (failure) {
    find("trouble").replaceChildren(make("div", { class: "trouble" }, make("p", {}, failure.words ?? String(failure)),
      button(word("again"), () => { find("trouble").replaceChildren(); askModels(); })));
    return;
  }
  find("served").textContent = models.map((model) => model.name).join(" · ");
  find("model").replaceChildren(...models.map((model) => make("option", { value: model.name }, model.name)));
  find("model-choice").hidden = models.length < 2;
  drawOptions();
  entries.forEach(redraw);
};
const askAgain = () => { drawOptions(); askEach(); };
const askEach = () => entries.filter((entry) => entry.sent).forEach(again);

// The ways in

const startDropping = () => {
  let depth = 0; // dragging over an element inside leaves the one around it
  const holds = (event) => event.dataTransfer?.types.includes("Files");
  const show = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  document.addEventListener("dragenter", (event) => { if (holds(event)) show(1); });
  document.addEventListener("dragleave", (event) => { if (holds(event)) show(-1); });
  document.addEventListener("dragover", (event) => { if (holds(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    show(-depth);
    if (!holds(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length && !event.target.closest?.("input")) take(event.clipboardData.files);
  });
};
for (const [way, input] of [["choose", "files"], ["photograph", "camera"]]) {
  find(way).addEventListener("click", () => find(input).click());
  find(input).addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // the same picture can be chosen again
  });
}
for (const id of ["model", "abstain", "coverage"]) find(id).addEventListener("change", askAgain);
find("remove-all").addEventListener("click", removeAll);
startLanguage(redrawAll);
drawOptions();
startDropping();
startPast(openPast);
askModels();
