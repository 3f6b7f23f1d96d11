// The dashboard: reads the filters, asks the API, draws what changed, and asks again every half minute.
import { $, page, text } from "./page.js";
import { Refused, Unavailable, getJson } from "./api.js";
import { ageCards, drawCards, setClock } from "./cards.js";
import { draw, redraw } from "./charts.js";
import { setTable } from "./tables.js";
import { merge, same } from "./series.js";
import * as filters from "./filters.js";
import * as format from "./format.js";
import * as status from "./status.js";

const RETRY_FIRST_S = 2;
const RETRY_MAX_S = 60;
const SETTLE_MS = 250; // several boxes are ticked in a row: ask once
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const SERIES = {
  timeline: { chart: "line", stepMs: HOUR_MS, heading: "time", label: format.hour },
  barras: { chart: "bars", stepMs: DAY_MS, heading: "day_column", label: format.dayFull },
};

const held = { timeline: null, barras: null };
let running = null; // the AbortController of the one refresh under way
let failures = 0;
let dueAt = 0;
let clockAheadMs = 0;
let options = page.options;

const serverNow = () => new Date(Date.now() - clockAheadMs);
setClock(() => serverNow().getTime());

function address(name, cursor) {
  const query = filters.query(name === "cartoes" ? ["periodo", "tipo"] : []);
  if (cursor) query.set("desde", cursor);
  return `${page.api}${name}/?${query}`;
}

function heardAt(answer) {
  const at = Date.parse(answer.gerado_em);
  if (!Number.isNaN(at)) clockAheadMs = Date.now() - at;
  if (answer.fuso) format.setZone(answer.fuso);
}

async function refreshSeries(name, signal) {
  const { chart, stepMs, heading, label } = SERIES[name];
  const before = held[name];
  const answer = await getJson(address(name, before?.cursor), signal);
  heardAt(answer);
  const merged = merge(before, answer, stepMs) ?? merge(null, await getJson(address(name), signal), stepMs);
  held[name] = merged;
  if (name === "timeline") filters.setMostUsed(answer.datasets[0]?.tipo);
  if (same(before, merged)) return;
  draw(chart, merged);
  setTable(chart, heading, label, merged);
}

async function refreshCards(signal) {
  const answer = await getJson(address("cartoes"), signal);
  heardAt(answer);
  drawCards(answer.cartoes);
  const seen = answer.cartoes.some((card) => card.leituras.length);
  const unknown = answer.cartoes.some((card) => !filters.knows(card));
  if (unknown || (seen && !options.ha_leituras) || !options.primeira_mensagem) await refreshOptions(signal);
  const total = filters.devicesInView();
  const part = answer.cartoes.length < total ? text("showing_part", { shown: answer.cartoes.length, total }) : "";
  $("devices-part").textContent = part;
}

async function refreshOptions(signal) {
  const fresh = await getJson(page.options_url, signal);
  options = fresh;
  filters.setOptions(fresh);
}

// Which of the page's faces is on: the readings, what to do first, or why they can't be shown.
function face(name) {
  for (const id of ["error", "no-gateway", "first-message", "readings"]) $(id).hidden = id !== name;
  $("filters").hidden = name === "no-gateway" || name === "first-message";
}

function usualFace() {
  if (!options.ha_leituras && !options.primeira_mensagem) return "no-gateway";
  return options.ha_leituras || filters.isFiltered() ? "readings" : "first-message";
}

function showFace() {
  $("first-message-line").textContent = options.primeira_mensagem ?? "";
  face(usualFace());
}

function refused(error) {
  $("error-title").textContent = text("error_title");
  $("error-text").textContent = error.message;
  face("error");
}

// One refresh at a time, and within it one request at a time: a slow server is not asked twice.
async function refresh() {
  running?.abort();
  const own = new AbortController();
  running = own;
  $("readings").setAttribute("aria-busy", "true");
  try {
    await refreshCards(own.signal);
    showFace();
    await refreshSeries("timeline", own.signal);
    await refreshSeries("barras", own.signal);
    failures = 0;
    status.succeeded(serverNow());
    plan(page.refresh_s);
  } catch (error) {
    if (own.signal.aborted) return; // a newer refresh took over
    if (error instanceof Refused) {
      failures = 0;
      refused(error);
      status.succeeded(serverNow());
      plan(page.refresh_s);
      return;
    }
    failures += 1;
    // Spread, so that the pages of a whole company do not come back in the same second.
    plan(Math.min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** (failures - 1)) * (0.8 + 0.4 * Math.random()));
    status.failed(serverNow(), error.status ?? null);
    if (!(error instanceof Unavailable)) throw error; // our own mistake: said above, and in the console
  } finally {
    if (running === own) {
      running = null;
      $("readings").removeAttribute("aria-busy");
    }
  }
}

const plan = (seconds) => {
  dueAt = Date.now() + seconds * 1000;
};

// Every second: is it time, did something become old. Nothing is asked while nobody looks.
function tick() {
  if (document.hidden) return;
  status.countdown(Math.max(0, Math.ceil((dueAt - Date.now()) / 1000)));
  if (!running && Date.now() >= dueAt) refresh();
}

function tickAges() {
  if (document.hidden) return;
  ageCards();
  if (!failures) status.show();
}

let settling = null;

function changed() {
  running?.abort();
  running = null;
  held.timeline = held.barras = null;
  for (const { chart } of Object.values(SERIES)) $(`${chart}-box`).dataset.state = "loading";
  clearTimeout(settling);
  plan(RETRY_MAX_S); // not by the clock: by the timer below
  settling = setTimeout(refresh, SETTLE_MS);
}

async function copy() {
  const line = $("first-message-line");
  try {
    await navigator.clipboard.writeText(line.textContent);
    $("first-message-copied").textContent = text("copied");
  } catch {
    getSelection().selectAllChildren(line);
    $("first-message-copied").textContent = text("copy_failed");
  }
}

filters.start(changed, () => refreshOptions(new AbortController().signal).catch(() => {})); // the next refresh says what failed
$("error-retry").addEventListener("click", changed);
$("error-clear").addEventListener("click", () => filters.clear(changed));
$("status-retry-now").addEventListener("click", refresh);
$("first-message-copy").addEventListener("click", copy);
document.addEventListener("visibilitychange", () => !document.hidden && (plan(0), tick()));
document.documentElement.addEventListener("themechange", redraw);
showFace();
refresh();
setInterval(tick, 1_000);
setInterval(tickAges, 10_000);
