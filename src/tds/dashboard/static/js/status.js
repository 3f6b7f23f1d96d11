// The line that says how far what is on screen can be trusted: when it was updated, who went silent, whether the server answers.
import { $, page, text, texts } from "./page.js";
import * as format from "./format.js";
import { staleCards } from "./cards.js";

const STALE_NAMED = 3;

let updatedAt = null;
let failure = null; // { since, status } while the server does not answer
let recovered = false;

function staleSentence() {
  const stale = staleCards();
  if (!stale.length) return "";
  const named = stale.slice(0, STALE_NAMED).map((card) => `${card.gateway}/${card.dispositivo}`);
  const list = named.join(", ");
  const devices = stale.length > STALE_NAMED ? text("and_more", { list, count: stale.length - STALE_NAMED }) : list;
  return texts("stale", stale.length, { minutes: page.stale_s / 60, devices });
}

function failureSentence() {
  if (updatedAt === null) return text("unreachable_first");
  const time = format.clock(failure.since);
  return failure.status === null ? text("unreachable", { time }) : text("server_failed", { time, status: failure.status });
}

// A screen reader speaks this line whenever its text changes, so it changes with the state only and not with the clock.
function say(sentence) {
  if ($("status-said").textContent !== sentence) $("status-said").textContent = sentence;
}

export function show() {
  const stale = failure ? "" : staleSentence();
  $("status").dataset.state = failure ? "unreachable" : stale ? "stale" : updatedAt === null ? "loading" : "live";
  say(failure ? failureSentence() : [recovered ? text("back") : "", stale].filter(Boolean).join(" "));
  $("status-updated").textContent = updatedAt === null ? text("loading") : text("updated", { time: format.clock(updatedAt) });
  $("status-zone").textContent = text("zone", { zone: format.zoneName().replaceAll("_", " ") });
  $("status-retry").hidden = !failure;
}

export function succeeded(when) {
  recovered = failure !== null;
  failure = null;
  updatedAt = when;
  show();
}

export function failed(when, status) {
  failure = { since: failure?.since ?? when, status };
  show();
}

export function countdown(seconds) {
  $("status-retry-in").textContent = failure ? text("retry_in", { seconds }) : "";
}
