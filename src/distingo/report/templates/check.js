"use strict";
(() => {
  const addresses = JSON.parse(document.getElementById("thumbnails").textContent);
  const address = (number) =>
    addresses[number] || document.querySelector(`img[data-picture="${number}"][src]`)?.getAttribute("src");
  for (const image of document.querySelectorAll("img[data-picture]:not([src])")) image.src = address(image.dataset.picture);

  const total = document.querySelector("[data-total]");
  const countAll = () => {
    let sum = 0;
    for (const number of document.querySelectorAll("nav [data-count]")) sum += Number(number.textContent.replaceAll(",", ""));
    if (total) total.textContent = `${sum.toLocaleString("en")} finding${sum === 1 ? "" : "s"}`;
  };

  // A threshold is moved here without computing anything again; the command says how to keep it.
  for (const section of document.querySelectorAll("section.kind")) {
    const kind = section.dataset.kind;
    const scores = JSON.parse(document.getElementById(`scores-${kind}`).textContent);
    const dial = section.querySelector("input");
    const judge = () => {
      const threshold = Number(dial.value);
      const number = scores.filter((score) => score >= threshold - 1e-9).length;
      for (const card of section.querySelectorAll(".finding")) card.hidden = Number(card.dataset.score) < threshold - 1e-9;
      section.querySelector("output").textContent = threshold.toFixed(2);
      section.querySelector("[data-counting]").textContent = number.toLocaleString("en");
      document.querySelector(`[data-count="${kind}"]`).textContent = number.toLocaleString("en");
      section.querySelector(".none").hidden = number > 0;
      const command = section.querySelector(".command");
      command.hidden = Math.abs(threshold - Number(section.dataset.default)) < 1e-9;
      command.querySelector("span").textContent = threshold.toFixed(2);
      countAll();
    };
    dial.disabled = false;
    dial.addEventListener("input", judge);
  }
})();
