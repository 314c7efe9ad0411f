"use strict";
(() => {
  const plot = document.getElementById("map-plot");
  if (!plot) return;
  const data = JSON.parse(document.getElementById("map-data").textContent);
  const svg = plot.querySelector("svg");
  const ring = svg.querySelector(".ring");
  const card = document.getElementById("map-card");
  const [canvas, said, file] = ["canvas", ".said", ".file"].map((what) => card.querySelector(what));
  const live = document.getElementById("map-live");
  const circles = [...svg.querySelectorAll(".points circle")];
  const places = circles.map((circle) => [circle.cx.baseVal.value, circle.cy.baseVal.value]);
  const [, , across, down] = svg.getAttribute("viewBox").split(" ").map(Number);
  let current = -1;
  let chosen = null;

  const sheets = [];
  const sheet = (number) => {
    if (!sheets[number]) { sheets[number] = new Image(); sheets[number].src = data.sheets[number]; }
    return sheets[number];
  };
  const isolated = (text) => Object.assign(document.createElement("bdi"), { textContent: text });
  const labelsOf = (at) => data.pictures[at][1].map((label) => data.labels[label]);

  const draw = (at) => {
    const [, , width, height] = data.pictures[at];
    const tiles = data.across * data.across;
    const place = at % tiles;
    canvas.width = Math.max(1, width);
    canvas.height = Math.max(1, height);
    canvas.hidden = !width;
    if (!width) return;
    const image = sheet(Math.floor(at / tiles));
    image.decode().then(() => {
      if (at !== current) return;
      const [x, y] = [place % data.across, Math.floor(place / data.across)];
      canvas.getContext("2d").drawImage(image, x * data.tile, y * data.tile, width, height, 0, 0, width, height);
      card.dataset.drawn = at;
    });
  };

  const select = (at, aloud) => {
    if (at === current) return;
    current = at;
    card.hidden = at < 0;
    ring.setAttribute("visibility", at < 0 ? "hidden" : "visible");
    if (at < 0) return;
    const [x, y] = places[at];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    card.style.setProperty("--x", x / across);
    card.style.setProperty("--y", y / down);
    card.classList.toggle("leftwards", x > across / 2);
    card.classList.toggle("upwards", y > down / 2);
    const labels = labelsOf(at);
    const names = labels.flatMap((name, index) => (index ? [", ", isolated(name)] : [isolated(name)]));
    said.replaceChildren(...(names.length ? names : ["without label"]));
    const [name] = data.pictures[at];
    file.replaceChildren(isolated(name));
    canvas.setAttribute("aria-label", `a picture of ${labels.join(", ") || "no label"}`);
    draw(at);
    if (aloud) live.textContent = `${labels.join(", ") || "without label"}: ${name}`;
  };

  const shown = (at) => chosen === null || data.pictures[at][1].includes(chosen);
  const best = (cost) => {
    let [found, least] = [-1, Infinity];
    for (let at = 0; at < places.length; at += 1) {
      if (!shown(at)) continue;
      const value = cost(places[at], at);
      if (value < least) [found, least] = [at, value];
    }
    return [found, least];
  };

  const point = (event, reach) => {
    const there = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [at, far] = best(([x, y]) => Math.hypot(x - there.x, y - there.y));
    select(far <= reach ? at : -1);
  };
  svg.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") point(event, across / 25); });
  svg.addEventListener("pointerdown", (event) => point(event, across / 10));
  svg.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== plot) select(-1);
  });

  // The map is one stop of the Tab key; arrow keys go to the nearest picture in that direction.
  const steps = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const middle = () => best(([x, y]) => Math.hypot(x - across / 2, y - down / 2))[0];
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { select(-1); live.textContent = ""; return; }
    const step = steps[event.key];
    if (!step && event.key !== "Home") return;
    event.preventDefault();
    if (current < 0 || event.key === "Home") { select(middle(), true); return; }
    const [fromX, fromY] = places[current];
    const [next] = best(([x, y], at) => {
      const along = (x - fromX) * step[0] + (y - fromY) * step[1];
      const aside = Math.abs((x - fromX) * step[1]) + Math.abs((y - fromY) * step[0]);
      return at === current || along <= 0 || aside > 2 * along ? Infinity : along + 2 * aside;
    });
    if (next >= 0) select(next, true);
  });

  const keys = [...document.querySelectorAll("button[data-label]")];
  for (const key of keys) {
    key.addEventListener("click", () => {
      const label = Number(key.dataset.label);
      chosen = chosen === label ? null : label;
      for (const other of keys) other.setAttribute("aria-pressed", String(Number(other.dataset.label) === chosen));
      svg.classList.toggle("one-class", chosen !== null);
      circles.forEach((circle, at) => circle.classList.toggle("on", chosen !== null && shown(at)));
      if (current >= 0 && !shown(current)) select(-1);
    });
  }
})();
