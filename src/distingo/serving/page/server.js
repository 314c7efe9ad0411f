// Asking the server; what goes wrong comes back as a Failure that can be shown in words.

import { find, word } from "./words.js";

const KEY = "distingo.key";
const AT_ONCE = 3;
const MOST_TRIES = 6;
const MOST_SECONDS = 60;
const TOLD = ["400", "401", "403", "413", "415", "422", "429", "503"];

export class Failure extends Error {
  constructor(status, reason = "") {
    super(reason || String(status));
    this.status = status;
    this.reason = reason;
  }

  get words() {
    if (this.status === "unreadable" || this.status === "unreachable") return word(this.status);
    return TOLD.includes(String(this.status)) ? word(`error${this.status}`) : word("errorOther", { status: this.status });
  }
}

const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

let held = null;
const keyNow = () => { try { return sessionStorage.getItem(KEY); } catch { return held; } };
const keepKey = (key) => {
  held = key;
  try { sessionStorage.setItem(KEY, key); } catch { /* it lasts as long as the page */ }
};
let asked = null; // several requests may be refused at once, and a person is asked for the key once
const askForKey = (wrong) => {
  asked ??= new Promise((resolve) => {
    const dialog = find("key");
    find("key-text").textContent = wrong ? `${word("error401")} ${word("keyText")}` : word("keyText");
    dialog.returnValue = "";
    find("key-input").value = "";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "yes" ? find("key-input").value.trim() : "";
      if (given) keepKey(given);
      asked = null;
      resolve(Boolean(given));
    }, { once: true });
    dialog.showModal();
  });
  return asked;
};

const send = async (path, body) => {
  const key = keyNow();
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    return { key, response: await fetch(path, { method: body ? "POST" : "GET", headers, body }) };
  } catch {
    throw new Failure("unreachable");
  }
};
const reasonOf = async (response) => {
  try { return (await response.json()).error?.reason ?? ""; } catch { return ""; }
};

// body is FormData, or undefined to read; onBusy is told before a refused request is sent again.
export const ask = async (path, body, onBusy = () => {}) => {
  for (let tries = 1; ; tries += 1) {
    const { key, response } = await send(path, body);
    if (response.ok) return response.json();
    const failure = new Failure(response.status, await reasonOf(response));
    if (response.status === 401) {
      if (key !== keyNow() || await askForKey(Boolean(key))) continue;
      throw failure;
    }
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    if (![429, 503].includes(response.status) || tries === MOST_TRIES || seconds > MOST_SECONDS) throw failure;
    onBusy();
    await wait(seconds + Math.random() * tries); // not all at the same moment
  }
};

let running = 0;
const queue = [];
const next = () => {
  if (running >= AT_ONCE || !queue.length) return;
  running += 1;
  queue.shift()().finally(() => { running -= 1; next(); });
};
// Runs a few of many at once, in the order in which they came.
export const inTurn = (work) => new Promise((resolve, reject) => {
  queue.push(() => work().then(resolve, reject));
  next();
});

export const predict = (file, name, wishes, onBusy) => {
  const form = new FormData();
  form.append("images", file, name);
  return ask(`predict?${new URLSearchParams(wishes)}`, form, onBusy);
};
export const correct = (file, model, labels, predicted) => {
  const form = new FormData();
  form.append("image", file, "image");
  form.append("model", model);
  for (const label of labels) form.append("labels", label);
  form.append("predicted", JSON.stringify(predicted));
  return ask("corrections", form);
};
