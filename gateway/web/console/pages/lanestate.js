// What the list of lanes and the page of one have in common: what is loaded, and what is said of a lane in a word.
import { html, useState } from "../lib.js";
import { ask, lanePath } from "../api.js";
import { curl } from "../commands.js";
import { parseMetrics, traffic } from "../metrics.js";
import { unauthorized } from "../state.js";
import { Badge, Confirm, Facts, Time, Trouble, number, percent, say, seconds } from "../ui.js";
import { t } from "../words.js";

export const BASE = "base";

export const loadMetrics = async (signal) => traffic(parseMetrics((await ask("GET", "/metrics", { signal })).body));

// {step, times, of(tag, key)} of the last ten minutes; without requests, a tag has a rate of 0.
export async function loadTrends(signal, services = []) {
  const query = services.length ? `?services=${encodeURIComponent(services.join(","))}` : "";
  const { body } = await ask("GET", `/api/v1/trends${query}`, { signal });
  const tags = new Map(body.tags.map((item) => [item.tag, item]));
  return { ...body, of: (tag, key) => tags.get(tag)?.[key] || body.times.map(() => (key === "rate" ? 0 : null)) };
}

// A lane with what its file says of it, which the list does without until somebody wants to change it.
export async function whole(lane) {
  if (lane.data) return lane;
  const { body, etag } = await ask("GET", lanePath(lane.group, lane.lane));
  return { ...lane, data: body.lane, etag, place: `${body.file}:${body.line}` };
}

// [the condition, its number] of a share that is one number; of spans, and inside all, any, not, only the YAML knows.
// With `isLoose` it may be a text: one that is being typed.
export function shareOf(data, isLoose) {
  for (const [at, condition] of (data?.match || []).entries()) {
    const source = ["time", "all", "any", "not"].some((key) => key in condition) ? null : condition;
    const test = source && "percent" in source ? source : source && Object.values(source).find((value) => value && typeof value === "object" && "percent" in value);
    if (test && (typeof test.percent === "number" || (isLoose && !Array.isArray(test.percent)))) return { at, test, value: test.percent };
  }
  return null;
}

export function withShare(data, value) {
  const match = structuredClone(data.match);
  shareOf({ match }, true).test.percent = value;
  return { match };
}

// A button that first asks for the whole lane; `children` makes the dialog of it.
function Asking({ lane, label, title, children }) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const open = () => whole(lane).then(setFound, setError);
  return html`<button type="button" class="small" disabled=${unauthorized.value} title=${title} onClick=${open}>${label}</button>
    <${Trouble} error=${error} />${found ? children(found, () => setFound(null)) : null}`;
}

export function Switch({ lane, done }) {
  const word = t(lane.enabled ? "close" : "open");
  const path = `${lanePath(lane.group, lane.lane)}/${lane.enabled ? "disable" : "enable"}`;
  return html`<${Asking} lane=${lane} label=${word}>${({ etag }, close) => html`<${Confirm} title=${word} danger=${lane.enabled} text=${t(lane.enabled ? "close_text" : "open_text", { lane: `${lane.group}/${lane.lane}` })}
    command=${() => curl("POST", path, { match: etag })}
    action=${async () => { await ask("POST", path, { match: etag }); say(t(lane.enabled ? "closed" : "opened", { lane: lane.lane })); done(); }} close=${close} />`}</${Asking}>`;
}

function ShareDialog({ lane, done, close }) {
  const [value, setValue] = useState(shareOf(lane.data)?.value ?? null);
  const path = lanePath(lane.group, lane.lane);
  if (value === null) return html`<${Confirm} title=${t("share_change")} text=${t("share_in_yaml")} action=${async () => {}} close=${close} />`;
  const change = { body: withShare(lane.data, value), match: lane.etag };
  return html`<${Confirm} title=${t("share_change")} text=${t("share_text", { lane: `${lane.group}/${lane.lane}` })}
    command=${() => curl("PATCH", path, change)}
    action=${async () => { await ask("PATCH", path, change); say(t("saved")); done(); }} close=${close}>
    <label>${t("share")}<span class="share">
      <input type="range" min="0" max="100" step="1" aria-label=${t("share")} value=${value} onInput=${(event) => setValue(Number(event.target.value))} />
      <input type="number" name="percent" min="0" max="100" step="0.01" required value=${value} onInput=${(event) => setValue(Number(event.target.value))} /> %
    </span></label>
  </${Confirm}>`;
}

export function Share({ lane, done }) {
  const value = lane.schedule ? lane.schedule.ends_with : lane.percent;
  if (value === null) return html`<span class="quiet">–</span>`;
  return html`<${Asking} lane=${lane} label=${`${value} %`} title=${t("share_change")}>${(found, close) => html`<${ShareDialog} lane=${found} done=${done} close=${close} />`}</${Asking}>`;
}

export const Numbers = ({ of, label }) => html`<${Facts} of=${[
  [label || t("requests"), number(of?.requests ?? 0)],
  [t("errors"), of?.requests ? percent(of.errors, of.requests) : "–"],
  ["p95", seconds(of?.p95)],
]} />`;

export function State({ lane }) {
  const isExpired = lane.expires && new Date(lane.expires) < new Date();
  if (isExpired) return html`<${Badge} kind="warn">${t("expired")}</${Badge}>`;
  return html`<${Badge} kind=${lane.enabled ? "good" : "off"}>${t(lane.enabled ? "is_open" : "is_closed")}</${Badge}>`;
}

export const guardWord = ({ state, outcome }) => t(`guard_${state === "tripped" ? (["warned", "failed"].includes(outcome) ? outcome : state) : state || "undecided"}`);
export const guardKind = ({ state }) => ({ tripped: "bad", worse: "warn", good: "good" })[state] || "off";

// What is out of the ordinary: a drill, a mirror, a guard that says nothing good.
export function Marks({ lane }) {
  const isBad = ["tripped", "worse"].includes(lane.guard?.state);
  return html`${lane.fault ? html` <${Badge} kind="drill" title=${t("drill_text")}>${t("drill")}</${Badge}>` : null}
    ${lane.mirror ? html` <${Badge} kind="tag" title=${t("mirror_text", { percent: lane.mirror.percent })}>${t("mirror")} ${lane.mirror.percent} %</${Badge}>` : null}
    ${isBad ? html` <${Badge} kind=${guardKind(lane.guard)} title=${lane.guard.reason}>${guardWord(lane.guard)}</${Badge}>` : null}`;
}

// What a schedule gives the lane now, and what comes next.
export function Growth({ lane }) {
  if (!lane.schedule) return null;
  const { held, next } = lane.schedule;
  return html`<div class="quiet">${t("schedule_now", { percent: lane.percent })}${next ? html`, ${t("schedule_next", { percent: next.percent })} <${Time} at=${next.at} />` : held ? `, ${t("schedule_held")}` : null}</div>`;
}
