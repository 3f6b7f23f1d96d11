// Asks again and again: one request at a time, none while nobody looks, and ever more seldom while nobody answers.
import { $ } from "./page.js";
import { Unavailable } from "./api.js";
import * as status from "./status.js";

const RETRY_FIRST_S = 2;
const RETRY_MAX_S = 60;
const TICK_MS = 250;

let asking = false;
let failures = 0;
let dueAt = 0;

// Spread, so that the pages of a whole company do not come back in the same second.
const backoff = () => Math.min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** (failures - 1)) * (0.8 + 0.4 * Math.random());

const plan = (seconds) => {
  dueAt = Date.now() + seconds * 1000;
};

async function turn({ ask, now, failed }) {
  asking = true;
  try {
    plan(await ask());
    failures = 0;
  } catch (error) {
    failures += 1;
    plan(backoff());
    failed();
    status.failed(now(), error.status ?? null);
    if (!(error instanceof Unavailable)) throw error; // our own mistake: said above, and in the console
  } finally {
    asking = false;
  }
}

// `ask` gets what is new, draws it, and resolves to the seconds until the next time; the first one is in `firstInS`.
// `now` is the server's clock where the page knows it; `failed` takes away what would be wrong by now.
export function poll({ ask, firstInS = 0, now = () => new Date(), failed = () => {} }) {
  function tick() {
    if (document.hidden) return;
    status.countdown(Math.max(0, Math.ceil((dueAt - Date.now()) / 1000)));
    if (!asking && Date.now() >= dueAt) turn({ ask, now, failed });
  }
  function atOnce() {
    plan(0);
    tick();
  }
  plan(firstInS);
  $("status-retry-now").addEventListener("click", atOnce);
  document.addEventListener("visibilitychange", () => !document.hidden && atOnce());
  tick();
  setInterval(tick, TICK_MS);
}
