// Keeps a page's living part as the server has it: asks for it again and puts what changed in place, without a page load.
import { $, page } from "./page.js";
import { getPart } from "./api.js";
import { poll } from "./polling.js";
import * as status from "./status.js";

const WAITING_S = 0.5; // while the page waits for something that is a matter of seconds …
const WAITING_FOR_S = 30; // … and no longer

const sent = new WeakMap(); // item → what the server sent of it: opened details are the reader's, and no change
let clockAheadMs = 0;
let waitingSince = null;

function signature(item) {
  const copy = item.cloneNode(true);
  for (const token of copy.querySelectorAll("[name=csrfmiddlewaretoken]")) token.remove(); // another one in each answer
  return copy.outerHTML;
}

function remember(item) {
  sent.set(item, signature(item));
  return item;
}

// What has the focus keeps it, also when its item was written anew.
function focused(box) {
  const held = document.activeElement;
  const item = held?.closest?.("[data-key]");
  if (!item || !box.contains(item)) return () => {};
  const place = [...item.querySelectorAll("a, button, input, select, summary")].indexOf(held);
  return () => {
    if (document.activeElement === held) return;
    const again = box.querySelector(`[data-key="${CSS.escape(item.dataset.key)}"]`);
    [...(again?.querySelectorAll("a, button, input, select, summary") ?? [])][place]?.focus({ preventScroll: true });
  };
}

// A menu that somebody opened stays open with what they chose in it, also when its item was written anew.
function carry(from, to) {
  for (const opened of from.querySelectorAll("details[open]")) {
    const title = opened.querySelector("summary").textContent;
    const again = [...to.querySelectorAll("details")].find((menu) => menu.querySelector("summary").textContent === title);
    if (!again) continue;
    again.open = true;
    for (const field of opened.querySelectorAll("[name]:not([type=hidden], button)")) {
      const same = again.querySelector(`[name="${CSS.escape(field.name)}"]`);
      if (!same) continue;
      if (field.type === "checkbox") same.checked = field.checked;
      else if (field.tagName !== "SELECT" || [...same.options].some((option) => option.value === field.value)) same.value = field.value;
    }
  }
}

function put(box, fresh) {
  const shown = new Map([...box.children].map((item) => [item.dataset.key, item]));
  const items = [...fresh.children].map((item) => {
    const kept = shown.get(item.dataset.key);
    if (kept && sent.get(kept) === signature(item)) return kept;
    const renewed = remember(document.adoptNode(item));
    if (kept) carry(kept, renewed);
    return renewed;
  });
  if (items.length === box.children.length && items.every((item, place) => item === box.children[place])) return;
  const restore = focused(box);
  box.replaceChildren(...items);
  restore();
}

function draw(part) {
  const fresh = part.getElementById("live");
  const boxes = [...$("live").querySelectorAll("[data-live]")];
  const freshBoxes = [...fresh.querySelectorAll("[data-live]")];
  boxes.forEach((box, place) => put(box, freshBoxes[place]));
  clockAheadMs = Date.now() - Date.parse(fresh.dataset.now);
  $("live").toggleAttribute("data-waiting", "waiting" in fresh.dataset);
}

const serverNow = () => new Date(Date.now() - clockAheadMs);

// Soon again while something is under way: whoever disabled a gateway looks at the page until it is cut off.
function wait() {
  if (!("waiting" in $("live").dataset)) waitingSince = null;
  else waitingSince ??= Date.now();
  return waitingSince !== null && Date.now() - waitingSince < WAITING_FOR_S * 1000 ? WAITING_S : page.refresh_s;
}

async function ask() {
  const address = new URL($("live").dataset.url, location.href);
  address.searchParams.set("parte", "viva");
  draw(await getPart(address, new AbortController().signal));
  status.succeeded(serverNow());
  return wait();
}

export function start() {
  for (const item of $("live").querySelectorAll("[data-live] > [data-key]")) remember(item);
  clockAheadMs = Date.now() - Date.parse($("live").dataset.now);
  status.succeeded(serverNow());
  poll({ ask, now: serverNow, firstInS: wait() });
}
