// The filters, and the address that holds them: what is shown is what the URL says, so that a view can be shared.
import { $, element, page, text, texts } from "./page.js";

const SEARCH_FROM = 12; // a shorter list is read faster than searched
const DEFAULT_PERIOD = "24h";

let options = page.options;
let state = read();

// As the API names them. Kept as they stand in the address: what is wrong there, the API says in a sentence.
function read() {
  const query = new URLSearchParams(location.search);
  return {
    periodo: query.get("periodo") ?? DEFAULT_PERIOD,
    tipo: query.get("tipo") ?? "",
    gateway: query.get("gateway") ?? "",
    dispositivo: query.getAll("dispositivo"),
  };
}

export function query(except = []) {
  const made = new URLSearchParams();
  if (!except.includes("periodo") && state.periodo !== DEFAULT_PERIOD) made.set("periodo", state.periodo);
  if (!except.includes("tipo") && state.tipo) made.set("tipo", state.tipo);
  if (state.gateway) made.set("gateway", state.gateway);
  for (const code of state.dispositivo) made.append("dispositivo", code);
  return made;
}

export const isFiltered = () => Boolean(state.gateway || state.dispositivo.length || state.tipo);

function fillSelect(select, first, values, chosen) {
  const made = [first, ...values];
  // A code from the address that is not in the list is shown all the same: hiding it would hide why nothing is found.
  if (chosen && !values.some(([value]) => value === chosen)) made.push([chosen, chosen]);
  const key = JSON.stringify(made);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...made.map(([value, label]) => new Option(label, value)));
  }
  select.value = chosen;
}

// Distinct codes: two gateways may each have a D01, and the API's `dispositivo` means both unless a gateway is chosen.
function devicesOffered() {
  const found = new Map();
  for (const device of options.dispositivos) {
    if (state.gateway && device.gateway !== state.gateway) continue;
    const seen = found.get(device.codigo) ?? { codigo: device.codigo, nomes: [], gateways: 0 };
    seen.gateways += 1;
    if (device.nome && !seen.nomes.includes(device.nome)) seen.nomes.push(device.nome);
    found.set(device.codigo, seen);
  }
  for (const codigo of state.dispositivo) if (!found.has(codigo)) found.set(codigo, { codigo, nomes: [], gateways: 1 });
  return [...found.values()];
}

export const devicesInView = () =>
  options.dispositivos.filter(
    (device) =>
      (!state.gateway || device.gateway === state.gateway) &&
      (!state.dispositivo.length || state.dispositivo.includes(device.codigo)),
  ).length;

function deviceRow(device) {
  const label = element("label", "check");
  const box = element("input");
  box.type = "checkbox";
  box.name = "dispositivo";
  box.value = device.codigo;
  const note = [device.nomes.join(", "), device.gateways > 1 ? text("in_gateways", { count: device.gateways }) : ""];
  label.append(box, element("span", "", device.codigo), element("span", "help", note.filter(Boolean).join(" · ")));
  return label;
}

function devicesSummary() {
  const chosen = state.dispositivo;
  if (!chosen.length) return text("all_devices");
  return chosen.length <= 2 ? chosen.join(", ") : texts("devices", chosen.length);
}

// The same rows are left alone: one replaced between a key's way down and up would not hear it.
function fillDevices(shown, full) {
  const list = $("devices-list");
  const key = JSON.stringify(shown);
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
    list.replaceChildren(...shown.map(deviceRow));
    if (focused !== null) [...list.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  }
  for (const box of list.querySelectorAll("input")) {
    box.checked = state.dispositivo.includes(box.value);
    box.disabled = full && !box.checked;
  }
}

function showDevices() {
  const offered = devicesOffered();
  const full = state.dispositivo.length >= page.max_devices;
  const search = $("devices-search");
  search.hidden = offered.length < SEARCH_FROM;
  const wanted = search.hidden ? "" : search.value.trim().toLowerCase();
  const shown = offered.filter((device) => `${device.codigo} ${device.nomes.join(" ")}`.toLowerCase().includes(wanted));
  fillDevices(shown, full);
  $("devices-limit").textContent = [
    text(full ? "devices_full" : "devices_limit", { max: page.max_devices }),
    options.cortado ? text("devices_cut") : "",
  ].join(" ");
  $("devices-clear").disabled = !state.dispositivo.length;
}

let mostUsed = "";

// What the API took when no tipo was asked for, so that the list can say it.
export function setMostUsed(tipo) {
  if (state.tipo || !tipo || tipo === mostUsed) return;
  mostUsed = tipo;
  show();
}

function show() {
  const form = $("filters");
  for (const radio of form.elements.periodo) radio.checked = radio.value === state.periodo;
  const auto = mostUsed ? text("tipo_auto_named", { tipo: mostUsed }) : text("tipo_auto");
  fillSelect($("filter-tipo"), ["", auto], options.tipos.map((tipo) => [tipo, tipo]), state.tipo);
  const gateways = options.gateways.map(({ codigo, nome }) => [codigo, nome ? `${codigo} · ${nome}` : codigo]);
  fillSelect($("filter-gateway"), ["", text("all_gateways")], gateways, state.gateway);
  $("devices-summary").textContent = devicesSummary();
  $("filters-clear").hidden = !isFiltered();
  if ($("devices").open) showDevices();
}

export function setOptions(fresh) {
  options = fresh;
  show();
}

export const currentOptions = () => options;

export const knows = (card) =>
  options.dispositivos.some((device) => device.gateway === card.gateway && device.codigo === card.dispositivo) &&
  card.leituras.every((reading) => options.tipos.includes(reading.tipo));

function address() {
  const made = query().toString();
  return made ? `?${made}` : location.pathname;
}

function change(fresh, changed) {
  state = { ...state, ...fresh };
  history.pushState(null, "", address());
  show();
  changed();
}

function gatewayPicked(code) {
  const own = new Set(options.dispositivos.filter((device) => !code || device.gateway === code).map((device) => device.codigo));
  return { gateway: code, dispositivo: state.dispositivo.filter((device) => own.has(device)) };
}

export function clear(changed) {
  change({ tipo: "", gateway: "", dispositivo: [], periodo: DEFAULT_PERIOD }, changed);
}

// `changed` is called after each change of what is to be shown; `opened` when the list of devices is looked at.
export function start(changed, opened) {
  const form = $("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const radio of form.elements.periodo) radio.addEventListener("change", () => change({ periodo: radio.value }, changed));
  $("filter-tipo").addEventListener("change", (event) => change({ tipo: event.target.value }, changed));
  $("filter-gateway").addEventListener("change", (event) => change(gatewayPicked(event.target.value), changed));
  $("devices-list").addEventListener("change", (event) => {
    const { value, checked } = event.target;
    const others = state.dispositivo.filter((code) => code !== value);
    change({ dispositivo: checked ? [...others, value] : others }, changed);
  });
  $("devices-search").addEventListener("input", showDevices);
  $("devices-clear").addEventListener("click", () => {
    change({ dispositivo: [] }, changed);
    $("devices").querySelector("summary").focus();
  });
  $("devices").addEventListener("toggle", () => {
    if (!$("devices").open) return;
    showDevices();
    opened();
  });
  $("filters-clear").addEventListener("click", () => {
    clear(changed);
    form.elements.periodo.value = DEFAULT_PERIOD;
    form.querySelector("input:checked")?.focus();
  });
  addEventListener("popstate", () => {
    state = read();
    show();
    changed();
  });
  show();
}
