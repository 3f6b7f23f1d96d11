// The ledger's two pictures: a pair of stacked bars an hour or a day, messages beside readings. The tables hold the same.
import { page, text } from "./page.js";
import * as format from "./format.js";
import { colour } from "./palette.js";

const { Chart } = window;
// Each stack is what was received, in the parts that it went to.
const PARTS = [
  { name: "accepted", field: "aceitas", stack: "messages", hue: "series-0" },
  { name: "quarantined", field: "quarentena", stack: "messages", hue: "bad" },
  { name: "stored", field: "armazenadas", stack: "readings", hue: "series-2" },
  { name: "duplicate", field: "duplicadas", stack: "readings", hue: "muted" },
];
const drawn = new Map();

function draw(box) {
  const { book, kind } = box.dataset;
  const hours = kind === "hours";
  const rows = page.books[book][hours ? "horas" : "dias"];
  const label = hours ? format.hourOnly : format.day;
  const full = hours ? format.hour : format.dayFull;
  const canvas = box.querySelector("canvas");
  canvas.setAttribute("aria-label", text("chart", { start: full(rows[0].inicio), end: full(rows.at(-1).inicio) }));
  drawn.get(box)?.destroy();
  const muted = colour("muted");
  const axis = { stacked: true, ticks: { color: muted, maxTicksLimit: 8 }, border: { display: false } };
  drawn.set(
    box,
    new Chart(canvas, {
      type: "bar",
      data: {
        labels: rows.map((row) => label(row.inicio)),
        datasets: PARTS.map(({ name, field, stack, hue }) => ({
          label: text(name),
          data: rows.map((row) => row[field]),
          stack,
          backgroundColor: colour(hue),
        })),
      },
      options: {
        animation: false, // no motion where nothing moves
        responsive: true,
        maintainAspectRatio: false,
        scales: {
          x: { ...axis, grid: { display: false } },
          y: { ...axis, beginAtZero: true, grid: { color: colour("line") }, ticks: { ...axis.ticks, precision: 0, callback: format.number } },
        },
        plugins: {
          legend: { position: "bottom", labels: { color: colour("text"), boxWidth: 12 } },
          tooltip: { callbacks: { title: ([item]) => full(rows[item.dataIndex].inicio) } },
        },
      },
    }),
  );
}

const drawAll = () => document.querySelectorAll("[data-book]").forEach(draw);
document.documentElement.addEventListener("themechange", drawAll);
drawAll();
