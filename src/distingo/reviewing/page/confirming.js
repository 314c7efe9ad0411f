// A second question before what is easily done by mistake.

import { find } from "./words.js";

export const confirmed = (text, yes) => new Promise((resolve) => {
  const dialog = find("confirm");
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});
