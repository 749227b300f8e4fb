// The parts of a lane's form that a lane may do without: its share, schedule, guard, mirror and drill.
import { html } from "../lib.js";
import { t } from "../words.js";
import { Field, Wrong, problemsOf } from "./fields.js";
import { shareOf, withShare } from "./lanestate.js";

const METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
const SAFE = METHODS.slice(0, 3);

// The next full hour here, with this zone.
function nextHour() {
  const at = new Date(Math.ceil(Date.now() / 3600e3) * 3600e3);
  const offset = -at.getTimezoneOffset();
  const two = (value) => String(Math.floor(Math.abs(value))).padStart(2, "0");
  return `${new Date(at.getTime() + offset * 60e3).toISOString().slice(0, 19)}${offset < 0 ? "-" : "+"}${two(offset / 60)}:${two(offset % 60)}`;
}

const PARTS = {
  schedule: { first: () => ({ start: nextHour(), steps: [1, 10], over: "2h" }), fields: [
    { name: "start", hint: "2027-03-01T10:00:00+08:00" }, { name: "steps", kind: "numbers", hint: "1, 10" }, { name: "over", hint: "2h" }, { name: "hold", kind: "number" }] },
  guard: { first: () => ({ errors: "+2%", p95: "x1.5", window: "1m", then: "close" }), fields: [
    { name: "errors", hint: "+2%" }, { name: "p95", hint: "x1.5" }, { name: "min_requests", kind: "number", hint: "50" }, { name: "window", hint: "1m" }] },
  mirror: { first: () => ({ percent: 5, compare: { body: "json" } }), fields: [
    { name: "percent", kind: "number", hint: "5" }, { name: "compare.headers", kind: "words", hint: "content-type" }, { name: "compare.body", kind: "choice", options: ["none", "bytes", "json"], word: (item) => t(`body_${item}`) }, { name: "compare.tolerance", kind: "number", hint: "0.01" },
    { name: "compare.status", kind: "flag", default: true }, { name: "methods", kind: "several", options: METHODS, default: SAFE }, { name: "compare.ignore", kind: "lines", hint: "/items/*/id" }] },
  fault: { first: () => ({ delay: "200ms", percent: 10 }), isLoud: true, fields: [
    { name: "delay", hint: "200ms" }, { name: "abort", kind: "number", hint: "503" }, { name: "percent", kind: "number", hint: "100" }, { name: "services", kind: "words" }] },
};

// close, warn, or shrink to so many percent.
function Then({ data, change, problems }) {
  const shrinks = /^shrink to (.*?) ?%?$/.exec(String(data.then ?? ""));
  const kind = shrinks ? "shrink" : data.then;
  const put = (then) => change({ ...data, then });
  return html`<label>${t("f_then")}<select name="guard.then" value=${kind} onChange=${(event) => put(event.target.value === "shrink" ? "shrink to 1 %" : event.target.value)}>${["close", "shrink", "warn"].map((item) => html`<option value=${item} selected=${item === kind}>${t(`then_${item}`)}</option>`)}</select></label>
    ${shrinks ? html`<${Field} of=${{ name: "to", label: t("f_to") }} data=${{ to: shrinks[1] }} change=${({ to = "" }) => put(`shrink to ${to} %`)} problems=${problems.map((item) => (item.field.startsWith("guard.then") ? { ...item, field: "to" } : item))} />` : null}`;
}

function Part({ name, data, change, problems }) {
  const { first, fields, isLoud } = PARTS[name];
  const own = data[name];
  const put = (value) => { const next = { ...data, [name]: value }; if (!value) delete next[name]; change(next); };
  const here = problems.filter(({ field }) => field === name).map(({ detail }) => detail).join("; ");
  const hasAbove = (field) => field.kind === "several" && (own.methods || []).some((item) => !SAFE.includes(item));
  return html`<div class=${`part all${own ? " on" : ""}${isLoud ? " loud" : ""}`} data-part=${name}><label><input type="checkbox" name=${`has-${name}`} checked=${Boolean(own)} onChange=${(event) => put(event.target.checked ? first() : null)} />${t(`part_${name}`)}</label>
    ${own ? html`<div class="fields">${fields.map((field) => html`<${Field} key=${field.name} of=${hasAbove(field) ? { ...field, hint: t("side_effects") } : field} data=${own} change=${put} problems=${problems} prefix=${name} />`)}${name === "guard" ? html`<${Then} data=${own} change=${put} problems=${problems} />` : null}</div>` : null}
    <${Wrong} id=${`wrong-${name}`} text=${here} /></div>`;
}

// The share of the lane's one condition with a percent; without one, it may be added.
function Percent({ data, change, problems }) {
  const share = shareOf(data, true);
  if (!share) return html`<p class="all"><button type="button" class="small" onClick=${() => change({ ...data, match: [...(data.match || []), { cookie: "uid", percent: 5 }] })}>+ ${t("part_share_add")}</button></p>`;
  const put = (value) => change({ ...data, ...withShare(data, value) });
  const wrong = problems.map((item) => (item.field.startsWith(`match.${share.at}.`) && item.field.includes("percent") ? { ...item, field: "share" } : item));
  return html`<${Field} of=${{ name: "share", kind: "number", label: t("part_share") }} data=${{ share: share.value }} change=${({ share: value = "" }) => put(value)} problems=${wrong} />`;
}

export function LaneOptions({ data, change, error }) {
  const problems = problemsOf(error);
  return html`<${Percent} data=${data} change=${change} problems=${problems} />
    ${Object.keys(PARTS).map((name) => html`<${Part} key=${name} name=${name} data=${data} change=${change} problems=${problems} />`)}`;
}
