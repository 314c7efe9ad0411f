// A second question before what is easily done by mistake.

import { find } from "./words.js";

let before = Promise.resolve(); // a dialog says that it closed a moment later, and the next one must not hear it

const open = (text, yes) => new Promise((resolve) => {
  const dialog = find("confirm");
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});
export const confirmed = (text, yes) => {
  before = before.then(() => open(text, yes));
  return before;
};
