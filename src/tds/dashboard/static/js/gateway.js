// One gateway: kept up to date while somebody looks, every half second while brokers take in what was done to it.
import { $, text } from "./page.js";
import { start } from "./live.js";

async function copy() {
  const code = $("claim-code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    $("claim-copied").textContent = text("copied");
  } catch {
    getSelection().selectAllChildren(code);
    $("claim-copied").textContent = text("copy_failed");
  }
}

if ($("claim-code")) {
  $("claim-copy").addEventListener("click", copy);
  history.replaceState(null, "", $("live").dataset.url); // a reload asks for the page, and not for another code
}
start();
