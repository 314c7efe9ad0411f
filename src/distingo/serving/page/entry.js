// One picture on the page, from the moment it was chosen: waiting, answered or failed.

import { drawAnswer } from "./answer.js";
import { drawCorrecting } from "./correcting.js";
import { drawHeat, drawHeatControls, drawNeighbors } from "./explanation.js";
import { button, find, isolated, make, moment, word } from "./words.js";

const drawStage = (entry, actions) => {
  const ready = entry.image !== undefined; // null once the browser has failed to decode it
  if (entry.image) {
    const tiny = Math.max(entry.image.naturalWidth, entry.image.naturalHeight) < 96;
    Object.assign(entry.image, { className: tiny ? "shown tiny" : "shown", alt: entry.name });
  }
  const picture = entry.image ?? make("p", { class: "no-picture" }, ready ? word("noPreview") : "");
  const facts = [make("bdi", {}, entry.name)];
  if (entry.past) facts.push(" · ", word("fromHistory", { time: moment(entry.past) }));
  if (entry.size) facts.push(" · ", word("scaled", { width: entry.size[0], height: entry.size[1] }));
  return make("div", { class: "stage-side" },
    make("div", { class: "stage" }, picture, drawHeat(entry)),
    make("p", { class: "file" }, ...facts), drawHeatControls(entry, actions.redraw));
};

const drawFailure = (entry, actions) => make("div", { class: "failure" },
  make("h3", { class: "headline" }, entry.failure.words ?? String(entry.failure)),
  entry.failure.reason && make("p", { class: "quiet", lang: "en" }, entry.failure.reason),
  !entry.past && make("div", { class: "buttons" }, button(word("again"), () => actions.again(entry), { "data-control": "again" })));

const drawSaid = (entry, actions) => {
  if (entry.failure) return drawFailure(entry, actions);
  if (!entry.prediction) return make("p", { class: "looking" }, word(entry.busy ? "busy" : "looking"));
  const model = actions.modelOf(entry);
  const { opener, form } = drawCorrecting(entry, model?.classes ?? [], actions.redraw);
  const why = model?.explains && entry.sent && !entry.explanation
    && button(word("why"), () => actions.explain(entry), { "data-control": "why", "aria-disabled": String(Boolean(entry.explaining)) });
  const buttons = [why, opener].filter(Boolean);
  return make("div", { class: "said-side" }, drawAnswer(entry),
    entry.trouble && make("p", { class: "trouble-here", role: "alert" }, entry.trouble.words ?? String(entry.trouble)),
    buttons.length > 0 && make("div", { class: "buttons" }, ...buttons), form, drawNeighbors(entry));
};

// Draws an entry in its place; what had the focus in it has it again.
export const drawEntry = (entry, actions) => {
  const place = find(`entry-${entry.number}`);
  if (!place) return;
  const held = place.contains(document.activeElement) ? document.activeElement.dataset.control : undefined;
  const remove = button("✕", () => actions.remove(entry), {
    class: "remove", "aria-label": word("remove", { name: isolated(entry.name) }), "data-control": "remove" });
  place.setAttribute("aria-busy", String(!entry.prediction && !entry.failure));
  place.replaceChildren(drawStage(entry, actions), drawSaid(entry, actions), remove);
  if (!held) return;
  const again = place.querySelector(`[data-control="${held}"]`) ?? place.querySelector("[data-control=heat], [data-control=remove]");
  again?.focus({ preventScroll: true });
};
