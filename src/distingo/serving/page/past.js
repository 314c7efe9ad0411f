// The strip of earlier answers.

import { inWords } from "./answer.js";
import { clear, isKept, readAll, setKept } from "./store.js";
import { button, find, make, moment, say, word } from "./words.js";

let addresses = [];

const drawItem = (answer, open) => {
  const url = answer.thumbnail ? URL.createObjectURL(answer.thumbnail) : null;
  if (url) addresses.push(url);
  const picture = url ? make("img", { src: url, alt: "" }) : make("span", { class: "no-picture", "aria-hidden": "true" }, "?");
  return make("li", {}, make("button", { type: "button", onclick: () => open(answer), title: `${answer.name} · ${moment(answer.time)}` },
    picture, make("span", { class: "said-then" }, inWords(answer))));
};

export const drawPast = async (open) => {
  const answers = await readAll();
  addresses.forEach((url) => URL.revokeObjectURL(url));
  addresses = [];
  find("past").replaceChildren(...answers.map((answer) => drawItem(answer, open)));
  find("past").hidden = find("clear-history").hidden = !answers.length;
  find("history-empty").hidden = answers.length > 0;
};

const confirmed = (text, yes) => new Promise((resolve) => {
  const dialog = find("confirm");
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});

export const startPast = (open) => {
  find("keep-history").checked = isKept();
  find("keep-history").addEventListener("change", (event) => setKept(event.target.checked));
  find("clear-history").addEventListener("click", async () => {
    if (!await confirmed(word("clearAsk"), word("clear"))) return;
    await clear();
    await drawPast(open);
    say(word("historyEmpty"));
    find("history-title").focus();
  });
  return drawPast(open);
};
