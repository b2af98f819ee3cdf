// Tables that a phone can show, and bars: small pictures of numbers that stand beside them.

import { make } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A bar of parts, each as long as its share of the whole; a picture only, the numbers are text. */
export function bar(parts, whole) {
  let x = 0;
  const rects = parts.map(({ amount, tone }) => {
    const width = whole > 0 ? (100 * amount) / whole : 0;
    const rect = svg("rect", { x: `${x}%`, width: `${width}%`, height: "100%", class: tone });
    x += width;
    return rect;
  });
  return svg("svg", { class: "bar", "aria-hidden": "true" }, ...rects);
}

/** A bar of what something consists of, with its legend: what, how much, which share. */
export function share(name, parts) {
  const whole = parts.reduce((sum, { amount }) => sum + amount, 0);
  const told = parts.filter(({ amount }) => amount > 0).map(({ label, text, tone, amount }) => make(
    "li", {}, dot(tone), `${label} `, make("b", {}, text), ` (${percent(amount / whole)})`,
  ));
  const legend = make("ul", {}, ...told);
  legend.setAttribute("aria-label", name);
  return make("div", { className: "share" }, bar(parts, whole), legend);
}

function dot(tone) {
  const circle = svg("circle", { cx: "50%", cy: "50%", r: "45%", class: tone });
  return svg("svg", { class: "bar dot", "aria-hidden": "true" }, circle);
}

export const percent = (rate) => rate === null ? "–" : new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 }).format(rate);

/** A table; on a phone each row is a card. Said in roles too, for CSS takes those of a table away. */
export function table(caption, columns, rows) {
  const head = row(columns.map((name) => cell("th", name, "columnheader", { scope: "col" })));
  const body = rows.map(([first, ...others]) => row([
    cell("th", first, "rowheader", { scope: "row" }),
    ...others.map((value, place) => cell("td", value, "cell", { "data-label": columns[place + 1] })),
  ]));
  const group = (tag, some) => withAttributes(make(tag, {}, ...some), { role: "rowgroup" });
  const whole = make("table", { className: "table" }, group("thead", [head]), group("tbody", body));
  return withAttributes(whole, { role: "table", "aria-label": caption });
}

const row = (cells) => withAttributes(make("tr", {}, ...cells), { role: "row" });

const cell = (tag, value, role, attributes) => withAttributes(make(tag, {}, value), { role, ...attributes });

function withAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
