// One GET, with a time limit and errors by what the page can do about them.
import { page } from "./page.js";

const TIMEOUT_MS = 15_000;

// The request can't be answered as it stands: the sentence is for the person.
export class Refused extends Error {}

// Waiting may help. `status` is null when there was no answer at all.
export class Unavailable extends Error {
  constructor(status = null) {
    super(`unavailable: ${status}`);
    this.status = status;
  }
}

let leaving = false;

// Nothing more is asked, and whoever waits for an answer waits until the page is gone.
function leave() {
  if (!leaving) location.reload();
  leaving = true;
  return new Promise(() => {});
}

async function get(address, signal, accept, read) {
  if (leaving) return leave();
  try {
    const answer = await fetch(address, {
      headers: { Accept: accept },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    if (answer.status === 401 || answer.redirected) return await leave(); // to the sign-in, and back here after it
    if (answer.status >= 500 || answer.status === 429) throw new Unavailable(answer.status);
    return await read(answer);
  } catch (error) {
    if (error instanceof Refused || error instanceof Unavailable) throw error;
    signal.throwIfAborted(); // the person changed a filter: nobody waits for this answer
    if (error instanceof SyntaxError) throw new Refused(page.texts.unknown_answer);
    throw new Unavailable();
  }
}

export const getJson = (address, signal) =>
  get(address, signal, "application/json", async (answer) => {
    const body = await answer.json();
    if (answer.ok) return body;
    throw new Refused(body.detalhe || page.texts.unknown_answer);
  });

// A part of a page, written by the server as it writes whole pages: what gateways sent is text in it already.
export const getPart = (address, signal) =>
  get(address, signal, "text/html", async (answer) => {
    if (!answer.ok) return leave(); // the whole page says why, as when the reader went on in another company
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  });
