"use strict";

// Figures. On paper they are scaled to the page, for which an SVG must know its own size.
for (const data of document.querySelectorAll("script[data-draw]")) {
  const box = document.getElementById(data.dataset.draw);
  const figure = JSON.parse(data.textContent);
  for (const trace of figure.data) {
    if (trace.customdata) trace.text = trace.customdata.map((i) => figure.names[i]);
  }
  const select = document.querySelector(`select[data-figure="${box.id}"]`);
  const settings = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };
  Plotly.newPlot(box, figure.data, figure.layout, settings);
  const scalable = () => {
    for (const svg of box.querySelectorAll(".main-svg")) {
      const [width, height] = [svg.getAttribute("width"), svg.getAttribute("height")];
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      box.style.setProperty("--ratio", `${width} / ${height}`);
    }
  };
  scalable();
  box.on("plotly_afterplot", scalable);
  select?.addEventListener("change", () => {
    const choice = figure.choices[select.selectedIndex];
    Plotly.update(box, { visible: choice.visible }, choice.layout);
  });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch { // the browser does not allow it: the reader copies what is selected
      getSelection().selectAllChildren(code);
    }
  });
}

// The leaderboard. Words of the filter are looked for among the settings, not in what was measured.
const AT_FIRST = 50;
const board = document.getElementById("board");
const rows = [...board.tBodies[0].rows];
const filter = document.getElementById("filter");
const everything = document.getElementById("all");
let most = AT_FIRST;

function show() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const row of board.tBodies[0].rows) {
    const text = [...row.querySelectorAll("td:not([data-value])")].map((cell) => cell.textContent).join(" ").toLowerCase();
    const fits = words.every((word) => text.includes(word));
    row.hidden = !fits || found >= most;
    found += fits;
  }
  const shown = Math.min(found, most);
  const of = [found, rows.length].filter((count) => count !== shown);
  document.getElementById("count").textContent =
    `${[shown, ...new Set(of)].join(" of ")} configuration${rows.length === 1 ? "" : "s"}`;
  everything.hidden = found <= most;
  everything.textContent = `Show all ${found}`;
}

function sort(column, descending) {
  const value = (row) => {
    const text = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    return text === "" || Number.isNaN(Number(text)) ? text : Number(text); // settings are texts: 1e-05, 0.0001
  };
  const none = (one) => one === "" || one === "nan";
  const compare = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  };
  const keyed = rows.map((row) => [value(row), row]);
  // What has no value stands last whichever way it is sorted.
  keyed.sort(([a], [b]) => none(a) - none(b) || (none(a) ? 0 : (descending ? -1 : 1) * compare(a, b)));
  board.tBodies[0].append(...keyed.map(([, row]) => row));
  [...board.tHead.rows[0].cells].forEach((head, i) => {
    head.setAttribute("aria-sort", i !== column ? "none" : descending ? "descending" : "ascending");
  });
  show();
}

[...board.tHead.rows[0].cells].forEach((head, column) => {
  head.querySelector("button").addEventListener("click", () => sort(column, head.getAttribute("aria-sort") === "ascending"));
});
filter.addEventListener("input", show);
everything.addEventListener("click", () => { most = Infinity; show(); });
show();
