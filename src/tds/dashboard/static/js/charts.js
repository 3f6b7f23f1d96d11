// The two charts: a line an hour with its min–max band, and a bar a day. The tables below them hold the same numbers.
import { $, element, page, text } from "./page.js";
import * as format from "./format.js";
import { colour, styleOf, swatch } from "./palette.js";
import { isEmpty, keyOf } from "./series.js";

const { Chart } = window;
const MAX_BANDS = 3; // more lines than this: the band of the one that is pointed at
const MAX_TOOLTIP_LINES = 6; // more lines than this: the nearest only
const BAR_PX = 9; // narrower ones can't be told apart: the chart becomes wider than its box and scrolls
const TICK_PX = 58;
const RUNNING_DASH = [1, 4];

const hidden = new Set(); // series switched off in the legend
let pointed = null; // the series that the legend points at

function basics() {
  $("bars-box").addEventListener("scroll", () => requestAnimationFrame(() => charts.bars.drawn?.draw()), { passive: true });
  Chart.defaults.animation = false; // live data redraws often; motion would only distract
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
  Chart.defaults.responsive = true;
  Chart.defaults.maintainAspectRatio = false;
}

// Units in the order of their first series; each has an axis of its own, the first on the left.
const unitsOf = (datasets) => [...new Set(datasets.map((set) => set.unidade))];

function axes(datasets, ticks) {
  const muted = colour("muted");
  const grid = colour("line");
  const units = unitsOf(datasets);
  const named = units.map((unit, index) => [
    `y${index}`,
    {
      position: index ? "right" : "left",
      title: { display: units.length > 1, text: unit, color: muted },
      grid: { color: grid, drawOnChartArea: !index, tickColor: "transparent" },
      border: { display: false },
      ticks: { color: muted, maxTicksLimit: 6, callback: (value) => format.number(value) },
    },
  ]);
  return { x: { ...ticks, ticks: { ...ticks.ticks, color: muted }, grid: { display: false }, border: { color: grid } }, ...Object.fromEntries(named) };
}

function tooltip() {
  return {
    backgroundColor: colour("raised"),
    titleColor: colour("text"),
    bodyColor: colour("text"),
    borderColor: colour("line-strong"),
    borderWidth: 1,
    padding: 10,
    boxWidth: 10,
    boxHeight: 10,
    filter: (item) => !item.dataset.isBand,
  };
}

// An hour is a tick where it divides the day evenly; beyond a day only midnights are. The label's own text is the
// tenant's local time, so no zone is computed here.
function hourTicks(labels, width) {
  const room = Math.max(2, Math.floor(width / TICK_PX));
  const days = labels.length > 48;
  const step = days ? 1 : [1, 2, 3, 4, 6, 12, 24].find((hours) => labels.length / hours <= room) || 24;
  const fits = labels
    .map((label, index) => ({ value: index, hour: Number(label.slice(11, 13)) }))
    .filter(({ hour }) => (days ? hour === 0 : hour % step === 0));
  const every = Math.ceil(fits.length / room);
  return fits.filter((_, index) => index % every === 0).map(({ value }) => ({ value }));
}

// One tipo in one unit is said once above the chart; repeated on every name it would only take room.
function nameIn(series) {
  const shared = new Set(series.datasets.map((set) => JSON.stringify([set.tipo, set.unidade]))).size === 1;
  return (set) => (shared ? `${set.gateway}/${set.dispositivo}` : [set.label, set.unidade].filter(Boolean).join(" "));
}

const rangeOf = (set, index) => {
  const known = set.agregacao !== "counter" && set.min[index] !== null && set.max[index] !== null;
  return known ? ` (${text("range", { low: format.number(set.min[index]), high: format.number(set.max[index]) })})` : "";
};

export const valueText = (set, index) =>
  set.data[index] === null ? "–" : format.quantity(set.data[index], set.unidade) + rangeOf(set, index);

const bandShown = (set, count) =>
  set.agregacao !== "counter" && (count <= MAX_BANDS || pointed === keyOf(set));

// A line can't show an hour whose neighbours are gaps; a dot can. The newest hour has one as well.
const dotSize = ({ dataset, dataIndex: at }) => {
  const { data } = dataset;
  const last = data.length - 1 === at || data.slice(at + 1).every((value) => value === null);
  return last || (data[at - 1] ?? null) === null && (data[at + 1] ?? null) === null ? 3 : 0;
};

// The hour of now has only begun: what was gained in it so far is no fall, and must not look like one.
const isRunning = (set, { p1DataIndex }) =>
  (set.agregacao === "counter" || set.agregacao === "sum") && p1DataIndex === set.data.length - 1;

function lineDatasets(series) {
  const units = unitsOf(series.datasets);
  const shown = series.datasets.filter((set) => !hidden.has(keyOf(set))).length;
  const name = nameIn(series);
  return series.datasets.flatMap((set, index) => {
    const style = styleOf(index);
    const key = keyOf(set);
    const off = hidden.has(key);
    const common = { yAxisID: `y${units.indexOf(set.unidade)}`, hidden: off, order: pointed === key ? 0 : 1 };
    const edge = { ...common, isBand: true, borderWidth: 0, pointRadius: 0, pointHitRadius: 0, hidden: off || !bandShown(set, shown) };
    return [
      {
        ...common,
        label: name(set),
        set,
        data: set.data,
        borderColor: style.line,
        backgroundColor: style.line,
        borderDash: style.dash,
        segment: { borderDash: (at) => (isRunning(set, at) ? RUNNING_DASH : undefined) },
        borderWidth: pointed === key ? 3.5 : 2,
        borderJoinStyle: "round",
        pointRadius: dotSize,
        pointHoverRadius: 4,
        pointHitRadius: 8,
      },
      { ...edge, label: `${set.label} min`, data: set.min },
      { ...edge, label: `${set.label} max`, data: set.max, fill: "-1", backgroundColor: style.band },
    ];
  });
}

function barDatasets(series) {
  const units = unitsOf(series.datasets);
  const name = nameIn(series);
  return series.datasets.map((set, index) => {
    const style = styleOf(index);
    return {
      label: name(set),
      set,
      data: set.data,
      yAxisID: `y${units.indexOf(set.unidade)}`,
      hidden: hidden.has(keyOf(set)),
      backgroundColor: style.bar,
      borderColor: style.line,
      borderWidth: 1,
      borderRadius: 2,
      maxBarThickness: 36,
      categoryPercentage: 0.8,
      barPercentage: 0.9,
    };
  });
}

function lineOptions(series) {
  const few = series.datasets.length <= MAX_TOOLTIP_LINES;
  return {
    normalized: true,
    interaction: few ? { mode: "index", intersect: false } : { mode: "nearest", axis: "xy", intersect: false },
    scales: axes(series.datasets, {
      afterBuildTicks: (axis) => {
        axis.ticks = hourTicks(axis.chart.data.labels, axis.width || axis.chart.width);
      },
      ticks: {
        autoSkip: false,
        maxRotation: 0,
        callback(value) {
          const label = this.getLabelForValue(value);
          return this.chart.data.labels.length > 48 ? format.dayOfHour(label) : format.hourOnly(label);
        },
      },
    }),
    plugins: {
      legend: { display: false },
      tooltip: {
        ...tooltip(),
        callbacks: {
          title: (items) => (items.length ? format.hour(items[0].label) : ""),
          label: ({ dataset, dataIndex }) => ` ${dataset.label}: ${valueText(dataset.set, dataIndex)}`,
        },
      },
    },
  };
}

// The scale stays in sight while the bars move under it.
const keptScale = {
  id: "kept-scale",
  afterDraw({ ctx, chartArea, scales, canvas }) {
    const { scrollLeft } = canvas.closest(".chart");
    if (!scrollLeft) return;
    ctx.save();
    ctx.fillStyle = colour("surface");
    ctx.fillRect(scrollLeft, 0, scales.y0.right, chartArea.bottom + 1);
    ctx.translate(scrollLeft, 0);
    scales.y0.drawLabels(chartArea);
    ctx.restore();
  },
};

function barOptions(series) {
  return {
    interaction: { mode: "nearest", axis: "x", intersect: true },
    scales: axes(series.datasets, {
      ticks: { maxRotation: 0, autoSkipPadding: 14, callback(value) { return format.day(this.getLabelForValue(value)); } },
    }),
    plugins: {
      legend: { display: false },
      tooltip: {
        ...tooltip(),
        callbacks: {
          title: (items) => (items.length ? format.dayFull(items[0].label) : ""),
          label: ({ dataset, dataIndex }) => ` ${dataset.label}: ${valueText(dataset.set, dataIndex)}`,
        },
      },
    },
  };
}

function unitLine(series, prefix) {
  const kinds = [...new Set(series.datasets.map((set) => page.texts[prefix + set.agregacao]))];
  const tipos = [...new Set(series.datasets.map((set) => [set.tipo, set.unidade && `(${set.unidade})`].filter(Boolean).join(" ")))];
  return [tipos.join(", "), kinds.join(", ")].filter(Boolean).join(" · ");
}

const charts = {
  line: { type: "line", options: lineOptions, datasets: lineDatasets, words: "chart_line", label: format.hour, prefix: "" },
  bars: { type: "bar", options: barOptions, datasets: barDatasets, words: "chart_bars", label: format.dayFull, prefix: "day_", plugins: [keptScale] },
};

function settle(name, series) {
  const empty = isEmpty(series);
  const box = $(`${name}-box`);
  box.dataset.state = empty ? "empty" : "ready";
  $(`${name}-empty`).hidden = !empty;
  // A counter that has just begun has readings, but nothing to subtract them from.
  $(`${name}-empty`).textContent = empty ? text(series.datasets.length ? "counter_begun" : "no_data_period") : "";
  $(`${name}-unit`).textContent = unitLine(series, charts[name].prefix);
  const { words, label } = charts[name];
  const span = empty ? {} : { start: label(series.labels[0]), end: label(series.labels.at(-1)) };
  $(name).setAttribute("aria-label", empty ? text("no_data_period") : text(words, { count: series.datasets.length, ...span }));
  return empty;
}

// Bars that would be too thin make the drawing wider than its box; the box scrolls, and begins at the newest day.
function widen(series) {
  const box = $("bars-box");
  const wide = box.querySelector(".chart-wide");
  const px = series.labels.length * (series.datasets.length * BAR_PX + 10) + 60;
  const scrolls = px > box.clientWidth;
  wide.style.minWidth = scrolls ? `${px}px` : "";
  if (scrolls && box.dataset.wide !== String(px)) requestAnimationFrame(() => box.scrollTo({ left: box.scrollWidth }));
  box.dataset.wide = scrolls ? String(px) : "";
}

export function draw(name, series) {
  const chart = charts[name];
  chart.series = series;
  if (settle(name, series)) {
    chart.drawn?.destroy();
    chart.drawn = null;
  } else {
    if (name === "bars") widen(series);
    const data = { labels: series.labels, datasets: chart.datasets(series) };
    if (chart.drawn) {
      chart.drawn.data = data;
      chart.drawn.options = chart.options(series);
      chart.drawn.update("none");
    } else {
      if (!charts.ready) basics();
      charts.ready = true;
      chart.drawn = new Chart($(name), { type: chart.type, data, options: chart.options(series), plugins: chart.plugins });
    }
  }
  if (name === "line") legend(series);
}

export function redraw() {
  for (const name of ["line", "bars"]) if (charts[name].series) draw(name, charts[name].series);
}

function point(key) {
  if (pointed === key) return;
  pointed = key;
  const { drawn, series } = charts.line;
  if (!drawn) return;
  drawn.data.datasets = lineDatasets(series);
  drawn.update("none");
}

function legendItem(set, index, name) {
  const key = keyOf(set);
  const button = element("button", "legend-item");
  button.type = "button";
  button.setAttribute("aria-pressed", String(!hidden.has(key)));
  button.title = text(hidden.has(key) ? "show_series" : "hide_series", { name });
  button.append(swatch(index), element("span", "", name));
  button.addEventListener("click", () => {
    if (!hidden.delete(key)) hidden.add(key);
    redraw();
    $("legend").children[index]?.firstChild.focus();
  });
  for (const [event, to] of [["pointerenter", key], ["focus", key], ["pointerleave", null], ["blur", null]]) {
    button.addEventListener(event, () => point(to));
  }
  const item = element("li");
  item.append(button);
  return item;
}

function legend(series) {
  const list = $("legend");
  const name = nameIn(series);
  const state = JSON.stringify(series.datasets.map((set) => [name(set), keyOf(set), hidden.has(keyOf(set))]));
  const banded = series.datasets.some((set) => set.agregacao !== "counter");
  $("line-help").textContent = !banded ? "" : text(series.datasets.length <= MAX_BANDS ? "band" : "band_hover");
  if (list.dataset.state === state) return; // left alone, it keeps the keyboard's focus
  list.dataset.state = state;
  list.replaceChildren(...series.datasets.map((set, index) => legendItem(set, index, name(set))));
}
