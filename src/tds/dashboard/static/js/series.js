// What charts hold, and how an answer to `desde` becomes part of it. Pure: values in, values out.
//
// Such an answer is the tail from the earliest hour that changed: labels before it are kept, from there on all is replaced.

export const MAX_LABELS = 24 * 31 + 2; // 30 days of hours, with an hour more where clocks go back; older ones are dropped
const LISTS = ["data", "min", "max"];

export const keyOf = (set) => JSON.stringify([set.gateway, set.dispositivo, set.tipo, set.unidade]);

const gaps = (count) => new Array(count).fill(null);

// Null when the two do not meet: a tab that slept for hours has a hole before the tail, and asks for the whole window.
export function merge(held, answer, stepMs) {
  if (!held) return trimmed(answer);
  if (!answer.labels.length) return trimmed({ ...answer, labels: held.labels, datasets: held.datasets });
  const first = held.labels.indexOf(answer.labels[0]);
  if (first < 0 && Date.parse(answer.labels[0]) - Date.parse(held.labels.at(-1)) !== stepMs) return null;
  const kept = first < 0 ? held.labels.length : first;
  const fresh = new Map(answer.datasets.map((set) => [keyOf(set), set]));
  const datasets = held.datasets.map((set) => joined(set, kept, fresh.get(keyOf(set)), answer.labels.length));
  const known = new Set(held.datasets.map(keyOf));
  for (const set of answer.datasets) {
    if (!known.has(keyOf(set))) datasets.push(joined({ ...set, data: [], min: [], max: [] }, kept, set, answer.labels.length));
  }
  return trimmed({ ...answer, labels: [...held.labels.slice(0, kept), ...answer.labels], datasets });
}

function joined(before, kept, after, added) {
  const lists = LISTS.map((name) => {
    const head = before[name].slice(0, kept);
    return [name, [...head, ...gaps(kept - head.length), ...(after ? after[name] : gaps(added))]];
  });
  return { ...before, ...after, ...Object.fromEntries(lists) };
}

// Without what lies before the window's first label, and never more than MAX_LABELS.
function trimmed(series) {
  // `inicio` is an instant, the labels of bars are dates: the date is what they share.
  const start = series.inicio ? series.labels.indexOf(series.inicio.slice(0, series.labels[0]?.length)) : 0;
  const drop = Math.max(start, 0, series.labels.length - MAX_LABELS);
  const datasets = series.datasets
    .map((set) => ({ ...set, ...Object.fromEntries(LISTS.map((name) => [name, set[name].slice(drop)])) }))
    .filter((set) => set.data.some((value) => value !== null) || set.max.some((value) => value !== null));
  return { ...series, labels: series.labels.slice(drop), datasets };
}

export const isEmpty = (series) => series.datasets.every((set) => set.data.every((value) => value === null));

// Whether drawing again would show anything else.
export const same = (one, other) =>
  Boolean(one) && JSON.stringify([one.labels, one.datasets]) === JSON.stringify([other.labels, other.datasets]);
