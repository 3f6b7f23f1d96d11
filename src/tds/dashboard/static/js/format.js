// Numbers and times in the page's language and in the tenant's zone, wherever the browser is.
import { page } from "./page.js";

const { language } = page;
let zone = page.time_zone;
const made = new Map();

function formatter(options) {
  const key = zone + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Intl.DateTimeFormat(language, { timeZone: zone, ...options }));
  return made.get(key);
}

export function setZone(name) {
  zone = name;
}
export const zoneName = () => zone;

export const clock = (when) => formatter({ hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(when);
export const moment = (when) => formatter({ dateStyle: "medium", timeStyle: "medium" }).format(when);
export const hour = (iso) =>
  formatter({ weekday: "short", day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
export const hourOnly = (iso) => formatter({ hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
export const dayOfHour = (iso) => formatter({ day: "2-digit", month: "2-digit" }).format(new Date(iso));

// A day of the API is a date of the tenant's calendar, not an instant: formatted as UTC it stays the same day.
const dayShort = new Intl.DateTimeFormat(language, { timeZone: "UTC", day: "2-digit", month: "2-digit" });
const dayLong = new Intl.DateTimeFormat(language, { timeZone: "UTC", weekday: "short", day: "2-digit", month: "short" });
export const day = (date) => dayShort.format(new Date(`${date}T00:00:00Z`));
export const dayFull = (date) => dayLong.format(new Date(`${date}T00:00:00Z`));

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
const small = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
const extreme = new Intl.NumberFormat(language, { notation: "scientific", maximumSignificantDigits: 4 });

export function number(value) {
  const size = Math.abs(value);
  if (size >= 1e12 || (size > 0 && size < 1e-5)) return extreme.format(value);
  if (size >= 10_000) return whole.format(value);
  return size >= 1 || size === 0 ? plain.format(value) : small.format(value);
}

export const quantity = (value, unit) => (unit ? `${number(value)}\u00a0${unit}` : number(value));

const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });

export function ago(seconds) {
  if (seconds < 60) return relative.format(-Math.max(0, Math.round(seconds)), "second");
  if (seconds < 3_600) return relative.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.floor(seconds / 3_600), "hour");
  return relative.format(-Math.floor(seconds / 86_400), "day");
}
