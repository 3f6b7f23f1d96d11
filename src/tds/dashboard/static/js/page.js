// What the server gave this page: addresses, limits, the zone of the tenant and the sentences in the page's language.
export const page = JSON.parse(document.getElementById("page").textContent);

export const $ = (id) => document.getElementById(id);

export function text(key, values = {}) {
  return page.texts[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

const plural = new Intl.PluralRules(page.language);

// `key_one` or `key_other`, by the language's own rule.
export function texts(key, count, values = {}) {
  const form = plural.select(count) === "one" ? "one" : "other";
  return text(`${key}_${form}`, { count, ...values });
}

// An element with text, never with markup: what devices send is shown, not interpreted.
export function element(tag, className = "", content = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== "") made.textContent = content;
  return made;
}
