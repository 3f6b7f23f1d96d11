// The charts' numbers as tables, built when they are opened and kept up to date while they are.
import { $, element, text } from "./page.js";
import { valueText } from "./charts.js";

const MAX_ROWS = 200; // newest first; 30 days of 20 devices would be 14,400 cells

const tables = {};

function fill(name) {
  const { series, heading, label } = tables[name];
  const box = $(`${name}-table`).querySelector(".table-scroll");
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const title of [text(heading), ...series.datasets.map((set) => set.label)]) {
    const cell = element("th", "", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  const last = series.labels.length - 1;
  for (let index = last; index >= 0 && index > last - MAX_ROWS; index -= 1) {
    const row = body.insertRow();
    const when = element("th", "", label(series.labels[index]));
    when.scope = "row";
    row.append(when, ...series.datasets.map((set) => element("td", "", valueText(set, index))));
  }
  const cut = series.labels.length > MAX_ROWS ? [element("p", "help", text("table_cut", { count: MAX_ROWS }))] : [];
  box.replaceChildren(table, ...cut);
}

export function setTable(name, heading, label, series) {
  const details = $(`${name}-table`);
  if (!tables[name]) details.addEventListener("toggle", () => details.open && fill(name));
  tables[name] = { series, heading, label };
  details.hidden = !series.datasets.length;
  if (details.open) fill(name);
}
