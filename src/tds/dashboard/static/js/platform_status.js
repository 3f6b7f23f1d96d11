// The platform's parts: asks for the last look, again at once while one is under way, else every half minute.
import { $, element, page, text } from "./page.js";
import { getJson } from "./api.js";
import { poll } from "./polling.js";
import * as format from "./format.js";
import * as status from "./status.js";

const NEARLY_FULL = 0.8; // of a spool; the status calls it a failure then
const MARKS = { unhealthy: "✕", warning: "!", healthy: "✓", off: "–" }; // the worst first, as they are shown
const MB = 1e6;
const GB = 1e9;

const names = new Intl.ListFormat(page.language);
const percent = new Intl.NumberFormat(page.language, { style: "percent", maximumFractionDigits: 0 });
const parts = new Map(); // name → its item: kept from look to look, and with it what somebody has selected in it

const size = (bytes) => (bytes >= GB ? format.quantity(bytes / GB, "GB") : format.quantity(bytes / MB, "MB"));

function say(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function emptyPart(name) {
  const node = element("li", "part");
  const head = element("div", "part-head");
  const mark = element("span", "part-mark");
  mark.setAttribute("aria-hidden", "true");
  head.append(mark, element("h3", "code", name), element("span", "badge"));
  node.append(head, element("p", "part-detail"), element("p", "part-action"));
  for (const english of node.querySelectorAll("h3, p")) english.lang = "en"; // as on the command line
  return node;
}

function drawPart({ nome, estado, detalhe, o_que_fazer }) {
  if (!parts.has(nome)) parts.set(nome, emptyPart(nome));
  const node = parts.get(nome);
  node.dataset.state = estado;
  say(node.querySelector(".part-mark"), MARKS[estado]);
  say(node.querySelector(".badge"), text(estado));
  say(node.querySelector(".part-detail"), detalhe);
  const action = ["unhealthy", "warning"].includes(estado) ? o_que_fazer : "";
  say(node.querySelector(".part-action"), action && `→ ${action}`);
  node.querySelector(".part-action").hidden = !action;
  return node;
}

function drawSpool({ consumidor, bytes, limite_bytes, idade_s }) {
  const node = element("li", "spool");
  const share = percent.format(bytes / limite_bytes);
  const head = element("div", "part-head");
  head.append(element("h3", "code", consumidor), element("strong", "", text("full", { percent: share })));
  const meter = element("meter");
  Object.assign(meter, { min: 0, max: limite_bytes, low: NEARLY_FULL * limite_bytes, high: NEARLY_FULL * limite_bytes });
  Object.assign(meter, { optimum: 0, value: bytes });
  meter.setAttribute("aria-label", `${consumidor}: ${text("full", { percent: share })}`);
  const age = idade_s === null ? text("empty") : text("oldest", { when: format.ago(idade_s) });
  node.append(head, meter, element("p", "help", `${text("size", { size: size(bytes), limit: size(limite_bytes) })} · ${age}`));
  return node;
}

function summary(answer) {
  const named = (state) => names.format(answer.partes.filter((part) => part.estado === state).map((part) => part.nome));
  if (!answer.saudavel) return ["error", text("some_fail", { names: named("unhealthy") })];
  return named("warning") ? ["warning", text("some_warn", { names: named("warning") })] : ["info", text("all_well")];
}

function draw(answer) {
  const worst = Object.keys(MARKS);
  const sorted = [...answer.partes].sort((a, b) => worst.indexOf(a.estado) - worst.indexOf(b.estado));
  $("parts").replaceChildren(...sorted.map(drawPart));
  $("spools").replaceChildren(...answer.spools.map(drawSpool));
  $("no-spool").hidden = answer.spools.length > 0;
  say($("no-spool"), text("no_spool"));
  say($("store"), text(answer.armazenamento ?? "no_store"));
  const [level, words] = summary(answer);
  $("summary").hidden = false;
  $("summary").dataset.level = level;
  say($("summary"), words);
}

async function ask() {
  const answer = await getJson(page.api, new AbortController().signal);
  if (answer.verificado_em) {
    draw(answer);
    status.succeeded(new Date(answer.verificado_em));
  }
  for (const id of ["parts", "spools"]) $(id).setAttribute("aria-busy", String(answer.verificando));
  return answer.verificando ? page.looking_s : page.refresh_s;
}

function failed() {
  $("summary").hidden = true; // of a while ago: the line above says since when
}

poll({ ask, failed });
