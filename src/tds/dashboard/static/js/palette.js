// Colours of the page's theme for the canvas, and how twenty series stay apart: six hues times four strokes.
export const HUES = 6;
export const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const FILLS = [1, 0.55, 0.25, 0.05];
const BAND = 0.14;

const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);

// The browser resolves the custom property in the theme that is on now.
export function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function faded(rgb, alpha) {
  const [red, green, blue] = rgb.match(/[\d.]+/g);
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

const stroke = (index) => Math.floor(index / HUES) % DASHES.length;

export function styleOf(index) {
  const line = colour(`series-${index % HUES}`);
  return { line, dash: DASHES[stroke(index)], band: faded(line, BAND), bar: faded(line, FILLS[stroke(index)]) };
}

const SVG = "http://www.w3.org/2000/svg";

// The legend's sample of a series. Drawn with attributes, because the CSP allows no style attribute.
export function swatch(index) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 26 8");
  svg.setAttribute("class", `swatch series-${index % HUES}`);
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", "M1 4h24");
  line.setAttribute("stroke-dasharray", DASHES[stroke(index)].join(" "));
  svg.append(line);
  return svg;
}
