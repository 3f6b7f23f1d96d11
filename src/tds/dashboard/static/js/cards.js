// A card a device: the last value of each reading, when it came, and how it compares to yesterday.
import { $, element, page, text, texts } from "./page.js";
import * as format from "./format.js";

const METRICS_SHOWN = 6; // the rest are behind a disclosure

const cards = new Map(); // "gateway/device" → { state, node, seen }
let now = () => Date.now();

// Ages are counted by the server's clock: the one of a phone may be minutes off.
export function setClock(serverNow) {
  now = serverNow;
}

const keyOf = (card) => `${card.gateway}/${card.dispositivo}`;
const ageS = (iso) => (now() - Date.parse(iso)) / 1000;
export const isStale = (card) => card.visto_em !== null && ageS(card.visto_em) > page.stale_s;

function timeElement(iso) {
  const made = element("time", "", format.ago(ageS(iso)));
  made.dateTime = iso;
  made.title = format.moment(new Date(iso));
  return made;
}

// What binary fractions leave over of equal values is no difference.
const gap = (one, other) =>
  Math.abs(one - other) <= 1e-9 * Math.max(Math.abs(one), Math.abs(other)) ? 0 : one - other;

// An arrow for the eye, words for everyone: colour and shape alone would not do.
function comparison(difference, unit, than, same) {
  const line = element("span", "delta");
  if (difference === 0) {
    line.append(element("span", "delta-arrow", "="), element("span", "", text(same)));
    line.firstChild.setAttribute("aria-hidden", "true");
    return line;
  }
  const up = difference > 0;
  line.dataset.direction = up ? "up" : "down";
  const arrow = element("span", "delta-arrow", up ? "▲" : "▼");
  arrow.setAttribute("aria-hidden", "true");
  const amount = text(up ? "more" : "less", { value: format.quantity(Math.abs(difference), unit) });
  line.append(arrow, element("span", "", text(than, { difference: amount })));
  return line;
}

function compared(reading) {
  if (reading.agregacao === "counter") {
    if ((reading.dia ?? null) === null) return [];
    const parts = [element("span", "delta", text("day", { value: format.quantity(reading.dia, reading.unidade) }))];
    if ((reading.dia_anterior ?? null) !== null) {
      parts.push(comparison(gap(reading.dia, reading.dia_anterior), reading.unidade, "than_day_before", "same_as_day_before"));
    }
    return parts;
  }
  if ((reading.ontem ?? null) === null) return [];
  return [comparison(gap(reading.valor, reading.ontem), reading.unidade, "than_yesterday", "same_as_yesterday")];
}

function metric(reading, card) {
  const row = element("div", "metric");
  const name = element("dt", "", reading.tipo);
  if (reading.em !== card.visto_em) {
    name.append(" ", timeElement(reading.em));
  }
  const value = element("dd");
  const main = element("span", "metric-value", format.number(reading.valor));
  main.title = format.moment(new Date(reading.em));
  if (reading.unidade) main.append(element("span", "metric-unit", `\u00a0${reading.unidade}`));
  value.append(main, ...compared(reading));
  row.append(name, value);
  return row;
}

function metricList(readings, card) {
  const list = element("dl", "metrics");
  list.append(...readings.map((reading) => metric(reading, card)));
  return list;
}

function build(card) {
  const node = element("li", "card");
  node.dataset.device = keyOf(card);
  const head = element("div", "card-head");
  const names = element("div", "card-names");
  names.append(element("h3", "", card.nome || card.dispositivo));
  names.append(element("p", "card-code", card.nome ? `${card.gateway} / ${card.dispositivo}` : card.gateway));
  head.append(names, element("span", "badge"));
  const seen = element("p", "card-seen");
  node.append(head, seen);
  const shown = card.leituras.slice(0, METRICS_SHOWN);
  if (shown.length) node.append(metricList(shown, card));
  const rest = card.leituras.slice(METRICS_SHOWN);
  if (rest.length) {
    const more = element("details", "more");
    more.append(element("summary", "", texts("more_metrics", rest.length)), metricList(rest, card));
    node.append(more);
  }
  return node;
}

function age(card, node) {
  const badge = node.querySelector(".badge");
  const seen = node.querySelector(".card-seen");
  badge.hidden = card.visto_em === null;
  if (card.visto_em === null) {
    seen.textContent = text("never_seen");
    return;
  }
  const stale = isStale(card);
  node.dataset.stale = String(stale);
  badge.textContent = text(stale ? "stale_badge" : "on_time_badge");
  const [before, after] = text("seen", { when: "\n" }).split("\n");
  seen.replaceChildren(before, timeElement(card.visto_em), after ?? "");
}

// Only cards that differ are built anew; the others keep their node, and with it focus and open disclosures.
export function drawCards(list) {
  const box = $("cards");
  for (const placeholder of box.querySelectorAll(".placeholder")) placeholder.remove();
  const wanted = new Set(list.map(keyOf));
  for (const [key, { node }] of cards) {
    if (!wanted.has(key)) {
      node.remove();
      cards.delete(key);
    }
  }
  list.forEach((card, index) => {
    const key = keyOf(card);
    const state = JSON.stringify(card);
    const held = cards.get(key);
    if (held?.state !== state) {
      const node = build(card);
      const open = held?.node.querySelector("details")?.open;
      if (open && node.querySelector("details")) node.querySelector("details").open = true;
      if (held) held.node.replaceWith(node);
      cards.set(key, { state, node, card });
    }
    const { node } = cards.get(key);
    if (box.children[index] !== node) box.insertBefore(node, box.children[index] ?? null);
    age(card, node);
  });
}

// Time passes between two answers as well.
export function ageCards() {
  for (const { card, node } of cards.values()) {
    age(card, node);
    for (const made of node.querySelectorAll("dt time")) made.textContent = format.ago(ageS(made.dateTime));
  }
}

export const staleCards = () => [...cards.values()].map(({ card }) => card).filter(isStale);
