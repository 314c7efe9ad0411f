// What the page says, in the language that is chosen, and how it makes its parts.

export const settings = JSON.parse(document.getElementById("settings").textContent);
const TAGS = { en: "en", es: "es", zh: "zh-Hans" };
const CHOSEN = "distingo.language";
let language = settings.language;

export const find = (id) => document.getElementById(id);
export const word = (name, values = {}) =>
  settings.words[language][name].replace(/\{(\w+)\}/g, (place, value) => values[value] ?? place);
export const isolated = (text) => `\u2068${text}\u2069`; // a name written from right to left stirs nothing around it
export const listed = (names) => names.map(isolated).join(word("comma"));
export const percent = (share) => {
  const sign = word("percent");
  if (share >= 0.9995) return `>\u00a099.9${sign}`; // nothing is certain
  if (share < 0.0005) return `<\u00a00.1${sign}`;
  return `${(share * 100).toFixed(1)}${sign}`;
};
export const wholePercent = (share) => `${Number((share * 100).toFixed(2))}${word("percent")}`;
export const moment = (time) => new Date(time).toLocaleString(TAGS[language], { dateStyle: "medium", timeStyle: "short" });

export const make = (tag, properties = {}, ...content) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...content.filter((part) => part !== null && part !== undefined && part !== false));
  return element;
};
export const button = (text, onclick, properties = {}) => make("button", { type: "button", onclick, ...properties }, text);
export const say = (text) => { find("live").textContent = text; };

const drawWords = () => {
  document.documentElement.lang = TAGS[language];
  document.title = word("heading");
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
  for (const each of find("languages").children) each.setAttribute("aria-pressed", String(each.value === language));
};
const remembered = () => { try { return localStorage.getItem(CHOSEN); } catch { return null; } };
const remember = (chosen) => { try { localStorage.setItem(CHOSEN, chosen); } catch { /* it lasts as long as the page */ } };

export const startLanguage = (redraw) => {
  if (!settings.asked && settings.words[remembered()]) language = remembered();
  drawWords();
  for (const each of find("languages").children) each.addEventListener("click", () => {
    language = each.value;
    remember(language);
    drawWords();
    say(""); // what was said in the language before
    redraw();
  });
};
