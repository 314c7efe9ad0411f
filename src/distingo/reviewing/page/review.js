"use strict";
(() => {
  const KINDS = {
    "unreadable": ["Unreadable", () => "This file gives no picture."],
    "wrong-ending": ["Wrong ending", () => "The file’s ending is wrong."],
    "duplicate": ["Duplicates", () => "The same picture twice."],
    "near-duplicate": ["Near duplicates", () => "Nearly the same picture twice."],
    "leak": ["Leaks", () => "The same picture on two sides of the split."],
    "contradiction": ["Contradictions", () => "The same picture under two classes."],
    "label": ["Labels", (labels) => (labels.length ? ["Is this ", ...named(labels), "?"] : "Does no label fit?")],
    "outlier": ["Outliers", () => "Unlike all the other pictures."],
    "empty": ["Empty", () => "One colour only."],
    "dark": ["Dark", () => "Very dark."],
    "bright": ["Bright", () => "Very bright."],
    "blurred": ["Blurred", () => "Out of focus."],
    "odd-size": ["Odd size", () => "Unusually large or small."],
    "odd-aspect": ["Odd aspect", () => "Unusually wide or tall."],
  };
  const DONE = { keep: "Kept", relabel: "Relabelled", quarantine: "In quarantine" };
  const MOST_NAMES = 60;
  const TINY = 72; // pictures up to so many pixels are enlarged pixel by pixel

  const find = (id) => document.getElementById(id);
  const make = (tag, settings = {}, ...content) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(settings)) {
      if (name === "class") element.className = value;
      else if (name === "onclick") element.addEventListener("click", value);
      else if (value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...content);
    return element;
  };
  const isolated = (text) => make("bdi", {}, text);
  const named = (labels) => labels.flatMap((label, at) => [...(at ? [", "] : []), make("strong", {}, isolated(label))]);
  const singular = (kind) => kind[0].toUpperCase() + kind.slice(1).replaceAll("-", " ");
  const counted = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

  let session; // what the server said at the start
  let answered; // numbers of the questions that are answered
  let order = []; // numbers of the questions of the chosen kind
  let at = 0; // place in `order`
  let filter = { kind: "", below: false };
  let question = null; // the one that is shown
  let chosen = 0; // which of its pictures
  let draft = new Set(); // with several labels: those that are switched on
  let busy = false;
  const decidedHere = []; // numbers of the questions, for undo

  // Asking the server

  const ask = async (path, body) => {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    };
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Error("The review has ended. Start it again in the terminal: all that was decided is kept.");
    }
    const content = await response.json();
    if (!response.ok) throw new Error(content.error);
    return content;
  };
  const pictureAddress = (number, place, version) => `picture?number=${number}&place=${place}&version=${version}`;
  const complain = (error) => {
    find("trouble").textContent = error.message;
    find("trouble").hidden = false;
  };
  const guarded = (work) => async (...values) => {
    if (busy) return;
    busy = true;
    try {
      find("trouble").hidden = true;
      await work(...values);
    } catch (error) {
      complain(error);
    } finally {
      busy = false;
    }
  };
  const say = (text) => { find("live").textContent = text; };

  // Which questions, and how far

  const kindsOf = (entry) => (filter.below ? [...entry.counting, ...entry.below] : entry.counting);
  const isAsked = (entry) => kindsOf(entry).length > 0 && (!filter.kind || kindsOf(entry).includes(filter.kind));
  const remembered = () => {
    const said = new URLSearchParams(location.hash.slice(1));
    const kind = said.get("kind") || "";
    return { kind: kind in KINDS ? kind : "", below: said.get("below") === "1" };
  };
  const choose = (next, number = null) => {
    filter = next;
    order = session.questions.flatMap((entry, number) => (isAsked(entry) ? [number] : []));
    history.replaceState(null, "", `#kind=${filter.kind}${filter.below ? "&below=1" : ""}`);
    const open = order.findIndex((each) => !answered.has(each));
    at = number !== null && order.includes(number) ? order.indexOf(number) : Math.max(open, 0);
    return open < 0 && number === null ? finish() : show();
  };
  const drawKinds = () => {
    const chip = (kind, text, entries) => {
      const open = entries.filter((number) => !answered.has(number)).length;
      return make("button", {
        type: "button", "aria-pressed": String(filter.kind === kind), class: open ? "" : "over",
        onclick: guarded(() => choose({ ...filter, kind })),
      }, text, " ", make("span", { class: "open" }, open.toLocaleString("en"), make("span", { class: "visually-hidden" }, " open")));
    };
    const visible = session.questions.flatMap((entry, number) => (kindsOf(entry).length ? [number] : []));
    const chips = [chip("", "All", visible)];
    for (const [kind, [text]] of Object.entries(KINDS)) {
      const entries = visible.filter((number) => kindsOf(session.questions[number]).includes(kind));
      if (entries.length) chips.push(chip(kind, text, entries));
    }
    const below = session.questions.filter((entry) => entry.below.length).length;
    if (below) {
      chips.push(make("button", {
        type: "button", class: "below", "aria-pressed": String(filter.below),
        onclick: guarded(() => choose({ ...filter, below: !filter.below })),
      }, `Below threshold (${below.toLocaleString("en")})`));
    }
    const focused = [...find("kinds").children].indexOf(document.activeElement);
    find("kinds").replaceChildren(...chips);
    if (focused >= 0) find("kinds").children[Math.min(focused, chips.length - 1)].focus();
  };
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
    const first = question.findings[0];
    find("title").replaceChildren(...[KINDS[first.kind][1](question.pictures[chosen].labels)].flat());
    document.title = `${find("count").textContent} · ${session.data}`;
    find("reasons").replaceChildren(...question.findings.map((finding) => make("li", { class: finding.counts ? "" : "quiet" },
      make("b", {}, singular(finding.kind)), " ", finding.reason ? isolated(finding.reason) : "", " ",
      make("span", { class: "quiet figure", title: "Score, and from which score on it counts" },
        `score ${finding.score.toFixed(2)}${finding.counts ? "" : ` (counts from ${finding.threshold.toFixed(2)})`}`))));
    find("pictures").classList.toggle("pair", question.pictures.length > 1);
    find("pictures").replaceChildren(...question.pictures.map(drawPicture));
    find("keep-text").textContent = question.pictures.length > 1 ? "Keep both" : "Keep";
    find("quarantine-which").textContent = question.pictures.length > 1 ? (chosen ? " right" : " left") : "";
    find("previous").disabled = at === 0;
    find("next").disabled = at >= order.length - 1;
  };
  const drawPicture = (picture, place) => {
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
  const listed = () => {
    const text = wanted().toLowerCase();
    const first = session.classes.length > 9 ? question.suggested.filter((label) => session.classes.includes(label)) : [];
    const all = [...first, ...session.classes.filter((label) => !first.includes(label))];
    const begins = all.filter((label) => label.toLowerCase().startsWith(text));
    return [...begins, ...all.filter((label) => !begins.includes(label) && label.toLowerCase().includes(text))];
  };
  const drawNames = () => {
    const names = listed();
    const current = question.pictures[chosen].labels;
    const buttons = names.slice(0, MOST_NAMES).map((label, index) => {
      const suggested = question.suggested.includes(label) && !(current.length === 1 && current[0] === label);
      const on = draft.has(label);
      return make("button", {
        type: "button", class: suggested ? "name suggested" : "name", "aria-pressed": String(on),
        onclick: () => give(label),
      }, ...(index < 9 ? [make("kbd", { "aria-hidden": "true" }, String(index + 1)), " "] : []), isolated(label),
      ...(suggested ? [make("span", { class: "hint" }, " suggested")] : []));
    });
    if (wanted() && !session.classes.includes(wanted())) {
      buttons.push(make("button", { type: "button", class: "name new", onclick: () => give(wanted()) }, "New class ", isolated(wanted())));
    }
    if (names.length > MOST_NAMES) buttons.push(make("span", { class: "quiet" }, `and ${names.length - MOST_NAMES} more: type to find them`));
    if (several()) {
      const same = [...draft].sort().join("\n") === [...current].sort().join("\n");
      buttons.push(make("button", { type: "button", class: "save", disabled: same, onclick: () => saveDraft() }, make("kbd", { "aria-hidden": "true" }, "Enter"), " Save labels"));
    }
    find("names").replaceChildren(...buttons);
  };
  const give = (label) => {
    if (!label) return;
    if (!several()) return decide("relabel", [label]);
    const on = !draft.has(label);
    if (on) draft.add(label); else draft.delete(label);
    find("class").value = "";
    if (on && !session.classes.includes(label)) session.classes = [...session.classes, label].sort();
    const place = listed().indexOf(label);
    const typing = document.activeElement === find("class");
    drawNames();
    if (!typing) find("names").querySelectorAll(".name")[place]?.focus({ preventScroll: true });
    say(`${label} ${on ? "on" : "off"}`);
  };
  const saveDraft = () => decide("relabel", [...draft]);

  // Decisions

  const account = (outcome) => {
    const now = new Set(outcome.answered);
    for (const number of outcome.touched) {
      if (now.has(number)) answered.add(number); else answered.delete(number);
    }
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
    const what = action === "relabel" ? `Relabelled ${labels.join(", ") || "no label"}` : DONE[action];
    say(`${what}: ${file}. ${find("count").textContent}. ${find("question").hidden ? "All is decided." : find("title").textContent}`);
  });
  const advance = async () => {
    const open = (numbers) => numbers.find((number) => !answered.has(number));
    const next = open(order.slice(at + 1)) ?? open(order.slice(0, at + 1));
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
    a: () => accept(), o: guarded(() => advance()), f: () => find("kinds").firstElementChild?.focus(),
    n: () => walk(1), p: () => walk(-1), arrowright: () => walk(1), arrowleft: () => walk(-1),
    "?": () => openHelp(),
  };
  const accept = () => {
    const current = question.pictures[chosen].labels;
    const labels = question.suggested.filter((label) => !(current.length === 1 && current[0] === label));
    if (!labels.length) return say("Nothing is suggested.");
    return decide("relabel", several() ? question.suggested : labels.slice(0, 1));
  };
  const openHelp = () => { find("help").showModal(); find("help-title").focus(); };
  document.addEventListener("keydown", (event) => {
    if (!session || event.ctrlKey || event.metaKey || event.altKey || find("help").open || event.repeat && event.key.length === 1) return;
    if (event.target === find("class")) return typed(event);
    const key = event.key.toLowerCase();
    const asking = !find("question").hidden;
    const always = ["u", "n", "p", "f", "?", "arrowright", "arrowleft", "o"];
    if (event.target.closest("#kinds") && key.startsWith("arrow")) return stepThroughKinds(event);
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
  const stepThroughKinds = (event) => {
    const chips = [...find("kinds").children];
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key] || 0;
    event.preventDefault();
    chips[(chips.indexOf(event.target) + step + chips.length) % chips.length]?.focus();
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
  find("keep").addEventListener("click", () => keys.k());
  find("quarantine").addEventListener("click", () => keys.q());
  find("relabel").addEventListener("click", () => keys.r());
  find("undo").addEventListener("click", () => undo());
  find("previous").addEventListener("click", () => walk(-1));
  find("next").addEventListener("click", () => walk(1));
  find("help-button").addEventListener("click", openHelp);
  start();
})();
