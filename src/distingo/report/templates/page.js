"use strict";
(() => {
  const read = (id, otherwise) => {
    const block = document.getElementById(id);
    return block ? JSON.parse(block.textContent) : otherwise;
  };
  // Sentences of the page's language; a place is {name}, and what stands there may be an element.
  const words = read("words", {});
  const fill = (sentence, parts) => sentence.split(/\{(\w+)\}/).map((piece, index) => (index % 2 ? parts[piece] : piece)).flat();
  const addresses = read("thumbnails", {});
  const tiny = new Set(read("tiny", []));
  const cells = new Map(read("cells", []).map((cell) => [JSON.stringify([cell.truth, cell.predicted]), cell]));

  // A picture is embedded once: where it is first shown, or in the data block.
  const address = (number) =>
    addresses[number] || document.querySelector(`img[data-picture="${number}"][src]`)?.getAttribute("src");
  for (const image of document.querySelectorAll("img[data-picture]:not([src])")) image.src = address(image.dataset.picture);

  const make = (tag, className, ...content) => {
    const element = document.createElement(tag);
    element.className = className;
    element.append(...content);
    return element;
  };
  const isolated = (text) => make("bdi", "", text);

  const fileName = (file) => {
    const name = isolated("");
    file.split("/").forEach((part, index) => name.append(...(index ? ["/", document.createElement("wbr"), part] : [part])));
    return name;
  };

  const picture = (file, number, alt) => {
    if (number === null) {
      return make("span", "picture missing", make("span", "", words.notEmbedded));
    }
    const image = make("img", tiny.has(number) ? "picture tiny" : "picture");
    image.src = address(number);
    image.alt = alt;
    image.title = file;
    return image;
  };

  // One picture with what was said of it and what it is: a label's name and its probability, the true names.
  const tile = (file, number, { label, probability, agrees, truth, alt }) => {
    const said = make("span", agrees ? "said agrees" : "said", isolated(label), " ");
    said.append(make("span", "confidence", `${(probability * 100).toFixed(probability < 0.095 ? 1 : 0)}${words.percent}`));
    const names = truth.flatMap((name, index) => (index ? [words.comma, isolated(name)] : [isolated(name)]));
    const is = make("span", "truth", ...(names.length ? fill(words.is, { names }) : [words.withoutLabel]));
    const caption = make("figcaption", "", said, is, make("span", "file", fileName(file)));
    return make("figure", "", picture(file, number, alt), caption);
  };

  const dialog = document.getElementById("cell");
  const show = (heading, cell, tiles) => {
    const title = document.getElementById("cell-title");
    title.replaceChildren(...heading);
    document.getElementById("cell-note").textContent = cell.note;
    document.getElementById("cell-pictures").replaceChildren(...tiles);
    dialog.showModal();
    dialog.scrollTop = 0;
    title.focus();
  };

  const open = (button) => {
    const cell = cells.get(JSON.stringify([button.dataset.truth, button.dataset.predicted]));
    const agrees = cell.truth === cell.predicted;
    const heading = fill(agrees ? words.recognised : words.takenFor, {
      name: isolated(cell.truth), truth: isolated(cell.truth), predicted: isolated(cell.predicted),
    });
    const alt = fill(words.predicted, cell).join("");
    show(heading, cell, cell.rows.map(([file, probability, number]) =>
      tile(file, number, { label: cell.predicted, probability, agrees, truth: [cell.truth], alt })));
  };
  for (const button of document.querySelectorAll("button[data-truth]")) button.addEventListener("click", () => open(button));

  // With several labels per picture, a cell of a label's two-by-two table.
  const judged = read("label-cells", { labels: [], pictures: [], cells: [] });
  const labelCells = new Map(judged.cells.map((cell) => [JSON.stringify([judged.labels[cell.label], cell.outcome]), cell]));
  const openOutcome = (button) => {
    const cell = labelCells.get(JSON.stringify([button.dataset.label, button.dataset.outcome]));
    const label = judged.labels[cell.label];
    const agrees = cell.outcome === "found" || cell.outcome === "rest";
    show(fill(words[cell.outcome], { label: isolated(label) }), cell, cell.rows.map(([place, probability]) => {
      const [file, number, labels] = judged.pictures[place];
      const truth = labels.map((index) => judged.labels[index]);
      return tile(file, number, { label, probability, agrees, truth, alt: fill(words[cell.outcome], { label }).join("") });
    }));
  };
  for (const button of document.querySelectorAll("button[data-outcome]")) button.addEventListener("click", () => openOutcome(button));

  dialog?.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // The matrix is one stop of the Tab key; arrow keys move inside it.
  const matrix = document.querySelector("table.matrix");
  if (matrix) {
    const grid = [...matrix.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")].map((cell) => cell.querySelector("button")));
    const buttons = grid.flat().filter(Boolean);
    buttons.forEach((button, index) => { button.tabIndex = index ? -1 : 0; });
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    matrix.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      let row = grid.findIndex((line) => line.includes(event.target));
      let column = row < 0 ? -1 : grid[row].indexOf(event.target);
      if (row < 0) return;
      do { row += step[0]; column += step[1]; } while (grid[row] && column >= 0 && column < grid[row].length && !grid[row][column]);
      const next = grid[row]?.[column];
      if (!next) return;
      for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
      next.focus();
    });
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => heading.querySelector("button")?.addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].sort((first, second) => {
        const [a, b] = [first.cells[column], second.cells[column]];
        if (a.dataset.value === undefined) return sign * a.textContent.localeCompare(b.textContent);
        return sign * (Number(a.dataset.value) - Number(b.dataset.value));
      });
      table.tBodies[0].append(...rows);
    }));
  }
})();
