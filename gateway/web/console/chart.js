// Small lines of what came of late: drawn as SVG, said in words for who does not see them.
import { html } from "./lib.js";

// The path of some values between 0 and `most`; a gap where there is none.
function path(values, most, width, height) {
  const step = width / Math.max(1, values.length - 1);
  let isOn = false;
  return values.map((value, at) => {
    if (value === null) { isOn = false; return ""; }
    const word = isOn ? "L" : "M";
    isOn = true;
    // A single point between two gaps is a dot.
    const isAlone = word === "M" && (values[at + 1] ?? null) === null;
    return `${word}${(at * step).toFixed(1)} ${(height - 1.5 - (height - 3) * (most ? value / most : 0)).toFixed(1)}${isAlone ? "h1.5" : ""}`;
  }).join("");
}

const most = (values) => Math.max(0, ...values.filter((value) => value !== null));
const last = (values) => [...values].reverse().find((value) => value !== null) ?? null;

// One line without anything around it.
export function Spark({ values, label }) {
  if (values.length < 2) return null;
  return html`<svg class="spark" width="84" height="18" viewBox="0 0 84 18" role="img" aria-label=${label}><title>${label}</title><path class="own" d=${path(values, most(values), 84, 18)} /></svg>`;
}

// A lane beside the baseline. `lane` and `base` are as long as each other; `show` says a value; `isOwn`: each has its own scale.
export function Chart({ title, hint, lane, base, show, names, isOwn }) {
  const top = Math.max(most(lane), most(base));
  const line = (values, kind) => html`<path class=${kind} d=${path(values, isOwn ? most(values) : top, 300, 60)} />`;
  const key = (values, kind, name) => html`<span class=${`key ${kind}`}><i></i>${name} <strong>${show(last(values))}</strong></span>`;
  return html`<figure class="chart"><figcaption>${title}<span class="quiet">${hint}</span></figcaption>
    <svg viewBox="0 0 300 60" preserveAspectRatio="none" role="img" aria-label=${`${title}: ${names[0]} ${show(last(lane))}, ${names[1]} ${show(last(base))}`}><path class="axis" d="M0 59.5H300" />${line(base, "base")}${line(lane, "own")}</svg>
    <p>${key(lane, "own", names[0])}${key(base, "base", names[1])}</p></figure>`;
}
