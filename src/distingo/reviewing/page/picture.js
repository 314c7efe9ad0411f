// One picture of a question, with what is known and decided about it.

import { ask, pictureAddress } from "./server.js";
import { DONE, find, isolated, make } from "./words.js";

const TINY = 72; // pictures up to so many pixels are enlarged pixel by pixel

// The classes stay above the bar at the bottom: pictures get the height that is left.
export const fitPictures = () => {
  const picture = find("pictures").querySelector("img, .missing");
  if (!picture) return;
  const question = find("question");
  const around = question.offsetTop + question.offsetHeight - picture.offsetHeight + find("actions").offsetHeight + 12;
  find("pictures").style.setProperty("--around", `${around}px`);
};

export const drawPicture = (question, place, chosen, select) => {
  const picture = question.pictures[place];
  const several = question.pictures.length > 1;
  const labels = picture.decision?.action === "relabel" ? picture.decision.labels : picture.labels;
  const image = picture.trouble ? make("p", { class: "missing" }, picture.trouble) : make("img", { alt: `${picture.file}, ${labels.join(", ") || "no label"}`, decoding: "async" });
  image.addEventListener("load", () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= TINY));
  image.addEventListener("error", async () => {
    const why = await ask(pictureAddress(question.number, place, picture.version)).catch((error) => error);
    image.replaceWith(make("p", { class: "missing" }, why.message || "can’t be shown"));
  });
  if (!picture.trouble) image.src = pictureAddress(question.number, place, picture.version);
  const tags = labels.length ? labels.map((label) => make("span", { class: "tag" }, isolated(label))) : [make("span", { class: "tag none" }, "no label")];
  if (picture.side) tags.push(make("span", { class: "tag side" }, picture.side));
  if (picture.elsewhere) tags.push(make("span", { class: "tag side" }, "other data set"));
  if (picture.decision) tags.push(make("span", { class: `tag ${picture.decision.action}` }, DONE[picture.decision.action]));
  const name = isolated("");
  picture.file.split("/").forEach((part, index) => name.append(...(index ? ["/", document.createElement("wbr"), part] : [part])));
  const caption = make("figcaption", {}, make("span", { class: "tags" }, ...tags), make("span", { class: "file" }, name),
    make("span", { class: "facts quiet" }, picture.facts));
  const figure = make("figure", { class: several && place === chosen ? "chosen" : "" }, image, caption);
  if (several && !picture.elsewhere) {
    caption.prepend(make("button", {
      type: "button", class: "pick", "aria-pressed": String(place === chosen),
      onclick: () => select(place),
    }, place === chosen ? "Chosen" : "Choose", make("span", { class: "visually-hidden" }, ` ${picture.file}`)));
    image.addEventListener("click", () => select(place));
  }
  return figure;
};
