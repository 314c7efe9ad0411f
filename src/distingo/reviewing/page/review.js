import { confirmed } from "./confirming.js";
import { drawKinds as draw } from "./kinds.js";
import { fitting, isSame, nameButtons } from "./names.js";
import { drawPicture, fitPictures } from "./picture.js";
import { ask, pictureAddress } from "./server.js";
import { DONE, KINDS, complain, counted, find, isolated, make, say, singular, stepThrough } from "./words.js";

let session; // what the server said at the start
let answered; // numbers of the questions that are answered
let order = []; // numbers of the questions of the chosen kind
let at = 0; // place in `order`
let filter = { kind: "", below: false };
let question = null; // the one that is shown
let chosen = 0; // which of its pictures
let draft = new Set(); // with several labels: those that are switched on
let busy = null; // the promise of what is being done
const decidedHere = []; // numbers of the questions, for undo

// One thing at a time

const guarded = (work, patient = true) => (...values) => {
  if (busy && !patient) return busy; // a decision is about the question that a person sees
  const before = busy;
  const doing = (async () => {
    await before;
    try {
      find("trouble").hidden = true;
      await work(...values);
    } catch (error) {
      complain(error);
    }
    if (busy === doing) busy = null;
  })();
  busy = doing;
  return doing;
};

// Which questions, and how far

const kindsOf = (entry) => (filter.below ? [...entry.counting, ...entry.below] : entry.counting);
const isAsked = (entry) => kindsOf(entry).length > 0 && (!filter.kind || kindsOf(entry).includes(filter.kind));
const remembered = () => {
  const said = new URLSearchParams(location.hash.slice(1));
  return { kind: said.get("kind") in KINDS ? said.get("kind") : "", below: said.get("below") === "1" };
};
const choose = (next, number = null) => {
  filter = next;
  order = session.questions.flatMap((entry, number) => (isAsked(entry) ? [number] : []));
  history.replaceState(null, "", `#kind=${filter.kind}${filter.below ? "&below=1" : ""}`);
  const open = order.findIndex((each) => !answered.has(each));
  at = number !== null && order.includes(number) ? order.indexOf(number) : Math.max(open, 0);
  return open < 0 && number === null ? finish() : show();
};
const drawKinds = () => draw({ questions: session.questions, answered, filter, kindsOf, choose: guarded((next) => choose(next)) });
const drawProgress = () => {
  const done = order.filter((number) => answered.has(number)).length;
  find("progress").max = Math.max(order.length, 1);
  find("progress").value = order.length ? done : 1;
  find("count").textContent = `${done.toLocaleString("en")} of ${order.length.toLocaleString("en")} decided`;
  return done;
};

// The question

const show = async () => {
  drawKinds();
  drawProgress();
  if (!order.length) return finish();
  const number = order[at];
  const loaded = await ask(`question?number=${number}`);
  const again = question && question.number === number;
  question = loaded;
  if (!again) chosen = question.pictures.length - 1;
  if (!again && question.pictures[chosen].elsewhere) chosen = question.pictures.findIndex((picture) => !picture.elsewhere);
  startDraft();
  find("finished").hidden = true;
  find("question").hidden = find("actions").hidden = false;
  drawQuestion();
  if (!again) find("class").value = "";
  drawNames();
  for (const next of order.slice(at + 1, at + 3)) prefetch(next);
};
const startDraft = () => {
  const picture = question.pictures[chosen];
  draft = new Set(picture.decision?.action === "relabel" ? picture.decision.labels : picture.labels);
};
const prefetched = new Set();
const prefetch = async (number) => {
  if (prefetched.has(number)) return;
  prefetched.add(number);
  try {
    const next = await ask(`question?number=${number}`);
    next.pictures.forEach((picture, place) => { if (!picture.trouble) new Image().src = pictureAddress(number, place, picture.version); });
  } catch { /* it is asked for again when it is shown */ }
};
const drawQuestion = () => {
  const first = question.findings.find((finding) => finding.kind === filter.kind) ?? question.findings[0];
  const findings = [first, ...question.findings.filter((finding) => finding !== first)];
  find("title").replaceChildren(...[KINDS[first.kind][1](question.pictures[chosen].labels)].flat());
  document.title = `${find("count").textContent} · ${session.data}`;
  find("reasons").replaceChildren(...findings.map((finding) => make("li", { class: finding.counts ? "" : "quiet" },
    make("b", {}, singular(finding.kind)), " ", finding.reason ? isolated(finding.reason) : "", " ",
    make("span", { class: "quiet figure", title: "Score, and from which score on it counts" },
      `score ${finding.score.toFixed(2)}${finding.counts ? "" : ` (counts from ${finding.threshold.toFixed(2)})`}`))));
  find("pictures").classList.toggle("pair", question.pictures.length > 1);
  find("pictures").replaceChildren(...question.pictures.map((_, place) => drawPicture(question, place, chosen, select)));
  find("classes").hidden = find("relabel").hidden = isLost();
  find("keep-text").textContent = question.pictures.length > 1 ? "Keep both" : "Keep";
  find("quarantine-which").textContent = question.pictures.length > 1 ? (chosen ? " right" : " left") : "";
  find("previous").disabled = at === 0;
  find("next").disabled = at >= order.length - 1;
};
const select = (place) => {
  if (question.pictures[place].elsewhere || place === chosen) return;
  chosen = place;
  startDraft();
  drawQuestion();
  drawNames();
  find("pictures").querySelectorAll(".pick")[place]?.focus({ preventScroll: true });
  say(`Chosen: ${question.pictures[chosen].file}`);
};

// Classes

const several = () => session.task === "multi-label";
const wanted = () => find("class").value.trim().normalize("NFC");
const listed = () => fitting(session.classes, question.pictures[chosen], wanted());
const isLost = () => Boolean(question.pictures[chosen].trouble); // no class makes it a picture
const drawNames = () => {
  find("names").replaceChildren(...nameButtons({
    classes: session.classes, picture: question.pictures[chosen], text: wanted(), draft, several: several(), give, save: saveDraft,
  }));
  fitPictures();
};
const give = async (label) => {
  if (!label || isLost()) return;
  const asks = `“${label}” is no class yet, and this picture would be its only one; a class needs several to be trained and tested.`;
  if (!session.classes.includes(label) && !await confirmed(asks, "Make the class")) return;
  if (!several()) return decide("relabel", [label]);
  const on = !draft.delete(label);
  if (on) draft.add(label);
  find("class").value = "";
  if (on && !session.classes.includes(label)) session.classes = [...session.classes, label].sort();
  const place = listed().indexOf(label);
  const clicked = find("names").contains(document.activeElement);
  drawNames();
  if (clicked) find("names").querySelectorAll(".name")[place]?.focus({ preventScroll: true });
  say(`${label} ${on ? "on" : "off"}`);
};
const saveDraft = () => {
  if (isLost()) return;
  if (isSame(draft, question.pictures[chosen].labels)) return say("Nothing is changed; K keeps the labels.");
  return decide("relabel", [...draft]);
};

// Decisions

const account = (outcome) => {
  for (const number of outcome.touched) answered.delete(number);
  for (const number of outcome.answered) answered.add(number);
  session.classes = outcome.classes;
};
const decide = guarded(async (action, labels = []) => {
  const { number } = question;
  const { file } = question.pictures[chosen];
  account(await ask("decide", { number, action, labels, picture: chosen }));
  decidedHere.push(number);
  find("class").value = "";
  find("class").blur();
  await advance();
  const what = action === "relabel" ? `Relabeled ${labels.join(", ") || "no label"}` : DONE[action];
  say(`${what}: ${file}. ${find("count").textContent}. ${find("question").hidden ? "All is decided." : find("title").textContent}`);
}, false);
const keepAll = async () => {
  if (find("keep-all").hidden) return say("Choose a kind with several open questions first.");
  const { kind, below } = filter;
  const what = `${find("keep-all-text").textContent}, ${KINDS[kind][0]}? Each is decided as right as it is; U takes all of it back.`;
  if (await confirmed(what, "Keep all")) await keepKind(kind, below);
};
const keepKind = guarded(async (kind, below) => {
  const outcome = await ask("keep-all", { kind, below });
  account(outcome);
  if (outcome.touched.length) decidedHere.push(outcome.touched[0]);
  const open = outcome.kept - outcome.closed;
  await advance();
  say(`Kept: ${counted(outcome.kept, "question")}.${open ? ` ${counted(open, "question")} of other kinds too ${open === 1 ? "is" : "are"} left open.` : ""}`);
  if (outcome.changed) complain(new Error(`${counted(outcome.changed, "picture")} changed since the check: check again before you decide.`));
}, false);
const advance = async () => {
  const next = [...order.slice(at + 1), ...order.slice(0, at + 1)].find((number) => !answered.has(number));
  if (next === undefined) return finish();
  at = order.indexOf(next);
  return show();
};
const walk = guarded(async (steps) => {
  if (!find("finished").hidden) steps = 0;
  const to = Math.min(Math.max(at + steps, 0), order.length - 1);
  if (!order.length || (to === at && find("finished").hidden)) return;
  at = to;
  await show();
  say(`${at + 1} of ${order.length}. ${find("title").textContent}`);
});
const undo = guarded(async () => {
  const outcome = await ask("undo", {});
  if (!outcome.touched.length) return say("There is nothing to undo.");
  account(outcome);
  const number = decidedHere.pop() ?? outcome.touched[0];
  const asked = isAsked(session.questions[number]);
  await choose(asked ? filter : { kind: "", below: filter.below || !session.questions[number].counting.length }, number);
  say(`Undone. ${find("title").textContent}`);
});
const clear = guarded(async () => {
  if (find("question").hidden) return;
  account(await ask("clear", { number: question.number }));
  decidedHere.push(question.number);
  await show();
  say("Taken back.");
});
const finish = () => {
  drawKinds();
  const done = drawProgress();
  find("question").hidden = true;
  find("actions").hidden = !order.length;
  find("finished").hidden = false;
  const left = session.questions.filter((entry, number) => kindsOf(entry).length && !answered.has(number)).length;
  find("finished").querySelector("h1").textContent = order.length ? "All of it is decided." : "There is nothing to decide.";
  find("finished-text").textContent = `${counted(done, "question")} answered`
    + (left ? `; ${counted(left, "question")} of other kinds ${left === 1 ? "is" : "are"} open.` : `. ${session.table} holds it; distingo train honours it.`);
  document.title = `All decided · ${session.data}`;
};

// Keys

const keys = {
  k: () => decide("keep"), q: () => decide("quarantine"), r: () => find("class").focus(),
  u: () => undo(), x: () => clear(), s: () => question.pictures.length > 1 && select(1 - chosen),
  e: () => keepAll(), a: () => accept(), o: guarded(() => advance()), f: () => find("kinds").firstElementChild?.focus(),
  n: () => walk(1), p: () => walk(-1), arrowright: () => walk(1), arrowleft: () => walk(-1),
  "?": () => openHelp(),
};
const accept = () => {
  const { suggested } = question.pictures[chosen];
  if (!suggested.length || isLost()) return say("Nothing is suggested.");
  return decide("relabel", several() ? suggested : suggested.slice(0, 1));
};
const openHelp = () => { find("help").showModal(); find("help-title").focus(); };
document.addEventListener("keydown", (event) => {
  if (!session || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.repeat && event.key.length === 1) return;
  if (event.target === find("class")) return typed(event);
  const key = event.key.toLowerCase();
  const asking = !find("question").hidden;
  const always = ["u", "n", "p", "f", "?", "arrowright", "arrowleft", "o", "e"];
  if (event.target.closest("#kinds") && key.startsWith("arrow")) return stepThrough([...find("kinds").children], event);
  if (/^[1-9]$/.test(key) && asking) {
    event.preventDefault();
    give(listed()[Number(key) - 1]);
  } else if (key === "enter" && several() && asking && !event.target.closest("button")) {
    event.preventDefault();
    saveDraft();
  } else if (keys[key] && (asking || always.includes(key))) {
    event.preventDefault();
    keys[key]();
  }
});
const typed = (event) => {
  if (event.key === "Escape") {
    find("class").value = "";
    find("class").blur();
    drawNames();
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (wanted()) give(listed()[0] ?? wanted());
    else if (several()) saveDraft();
  } else if (event.key === "ArrowDown") {
    event.preventDefault();
    find("names").querySelector("button")?.focus();
  }
};
// The beginning

const start = guarded(async () => {
  session = await ask("state");
  answered = new Set(session.answered);
  find("data").textContent = session.data;
  document.body.classList.toggle("several", several());
  find("help-text").textContent = `Each decision is in ${session.table} at once; no picture is moved or changed.`
    + (session.gone ? ` ${counted(session.gone, "finding")} of pictures that are not there any more ${session.gone === 1 ? "is" : "are"} left out.` : "");
  await choose(remembered());
});
find("class").addEventListener("input", drawNames);
const buttons = { keep: "k", quarantine: "q", relabel: "r", undo: "u", previous: "p", next: "n" };
for (const [id, key] of Object.entries(buttons)) find(id).addEventListener("click", () => keys[key]());
find("help-button").addEventListener("click", openHelp);
find("keep-all").addEventListener("click", keepAll);
window.addEventListener("resize", fitPictures);
start();
