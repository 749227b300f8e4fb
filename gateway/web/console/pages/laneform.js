// A lane as a form. What it cannot show stays as it is, and is for the YAML beside it.
import { html } from "../lib.js";
import { t } from "../words.js";
import { Wrong, about, problemsOf } from "./fields.js";
import { LaneOptions } from "./laneoptions.js";

export const NAMED = ["param", "header", "cookie", "baggage", "body", "jwt"];
export const PLAIN = ["path", "method", "host", "client_ip", "grpc_service", "grpc_method", "service", "caller", "caller_tag"];
export const OPERATORS = ["equals", "not_equals", "in", "not_in", "prefix", "suffix", "contains", "regex", "exists", "absent", "gt", "gte", "lt", "lte", "range", "percent", "segment"];
const LISTS = ["in", "not_in"];
const NUMBERS = ["gt", "gte", "lt", "lte", "percent"];
const FLAGS = ["exists", "absent"];

// {source, name, operator, value, ignore_case} of a condition; null for one that only YAML has.
function read(condition) {
  const sources = Object.keys(condition).filter((key) => NAMED.includes(key) || PLAIN.includes(key));
  if (sources.length !== 1) return null;
  const [source] = sources;
  const isNamed = NAMED.includes(source);
  const test = isNamed ? condition : condition[source];
  const [operator, ...more] = Object.keys(test).filter((key) => OPERATORS.includes(key));
  const operand = test?.[operator];
  const isList = Array.isArray(operand);
  if (!operator || more.length || (isList && !LISTS.includes(operator) && operator !== "range")) return null;
  if (isList && operand.some((item) => typeof item === "object" || /\n/.test(item))) return null;
  return { source, name: isNamed ? condition[source] : "", operator, value: isList ? operand.join(operator === "range" ? ", " : "\n") : String(operand), ignore_case: Boolean(test.ignore_case) };
}

function operand({ operator, value }) {
  const number = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
  if (LISTS.includes(operator)) return value.split("\n").filter(Boolean);
  if (operator === "range") return value.split(",").map(number);
  if (FLAGS.includes(operator)) return value !== "false";
  return NUMBERS.includes(operator) ? number(value) : value;
}

function write(row) {
  const test = { [row.operator]: operand(row), ...(row.ignore_case ? { ignore_case: true } : {}) };
  return NAMED.includes(row.source) ? { [row.source]: row.name, ...test } : { [row.source]: test };
}

const Select = ({ label, value, of, word = (item) => item, change }) => html`<label><span class="hidden">${label}</span><select aria-label=${label} value=${value} onChange=${(event) => change(event.target.value)}>
  ${of.map((item) => html`<option value=${item} selected=${item === value}>${word(item)}</option>`)}</select></label>`;

function Row({ of, number, change, drop, wrong }) {
  const row = read(of);
  const remove = html`<button type="button" class="small" aria-label=${t("form_remove", { number })} title=${t("form_remove", { number })} onClick=${drop}>✕</button>`;
  if (!row) return html`<li class="row"><code class="only-yaml">${JSON.stringify(of)}</code> <span class="quiet">${t("form_only_yaml")}</span> ${remove}${wrong ? html`<${Wrong} text=${wrong} />` : null}</li>`;
  const set = (more) => change(write({ ...row, ...more }));
  const hint = { in: t("form_lines"), not_in: t("form_lines"), percent: "5", range: "1, 9" }[row.operator] || "";
  return html`<li class="row">
    <${Select} label=${t("form_source")} value=${row.source} of=${[...NAMED, ...PLAIN]} change=${(source) => set({ source, name: row.name || (NAMED.includes(source) ? "name" : "") })} />
    ${NAMED.includes(row.source) ? html`<label><span class="hidden">${t("form_name")}</span><input aria-label=${t("form_name")} value=${row.name} onInput=${(event) => set({ name: event.target.value })} /></label>` : null}
    <${Select} label=${t("form_operator")} value=${row.operator} of=${OPERATORS} word=${(item) => t(`op_${item}`)} change=${(operator) => set({ operator, value: FLAGS.includes(operator) ? "true" : row.value })} />
    ${FLAGS.includes(row.operator)
      ? html`<${Select} label=${t("form_value")} value=${row.value} of=${["true", "false"]} word=${(item) => t(item === "true" ? "yes" : "no")} change=${(value) => set({ value })} />`
      : LISTS.includes(row.operator)
        ? html`<label><span class="hidden">${t("form_value")}</span><textarea aria-label=${t("form_value")} rows="2" spellcheck=${false} placeholder=${hint} value=${row.value} onInput=${(event) => set({ value: event.target.value })} /></label>`
        : html`<label><span class="hidden">${t("form_value")}</span><input aria-label=${t("form_value")} placeholder=${hint} value=${row.value} onInput=${(event) => set({ value: event.target.value })} /></label>`}
    ${remove}${wrong ? html`<${Wrong} text=${wrong} />` : null}</li>`;
}

// `data` is a lane in plain values; `change` takes the whole lane as it is to be.
export function LaneForm({ data, change, disabled, error }) {
  const put = (key, value) => {
    const next = { ...data, [key]: value };
    if (value === "" || value === undefined) delete next[key];
    change(next);
  };
  const match = data.match || [];
  const problems = problemsOf(error);
  const Said = ({ name }) => html`<${Wrong} id=${`wrong-${name}`} text=${about(problems, name)} />`;
  const at = (index, condition) => put("match", match.map((item, number) => (number === index ? condition : item)));
  return html`<fieldset class="lane-form" disabled=${disabled}>
    <label>${t("form_lane")}<input name="name" value=${data.name || ""} onInput=${(event) => change({ ...data, name: event.target.value })} />${Said({ name: "name" })}</label>
    <label>${t("tag")}<input name="tag" value=${data.tag || ""} onInput=${(event) => change({ ...data, tag: event.target.value })} />${Said({ name: "tag" })}</label>
    <label>${t("owner")}<input name="owner" value=${data.owner || ""} onInput=${(event) => put("owner", event.target.value)} /></label>
    <label>${t("expires")}<input name="expires" placeholder="2027-03-31" value=${data.expires || ""} onInput=${(event) => put("expires", event.target.value)} />${Said({ name: "expires" })}</label>
    <p class="checks all"><label><input type="checkbox" name="enabled" checked=${data.enabled !== false} onChange=${(event) => change({ ...data, enabled: event.target.checked })} /> ${t("form_open")}</label>
      <label><input type="checkbox" name="strict" checked=${Boolean(data.strict)} onChange=${(event) => put("strict", event.target.checked || undefined)} /> ${t("form_strict")}</label></p>
    <div class="all"><h3>${t("form_takes")} <select aria-label=${t("form_mode")} value=${data.match_mode || "all"} onChange=${(event) => put("match_mode", event.target.value === "any" ? "any" : undefined)}><option value="all">${t("match_all")}</option><option value="any">${t("match_any")}</option></select></h3>
      <ol class="rows">${match.map((condition, index) => html`<${Row} of=${condition} number=${index + 1} wrong=${about(problems, `match.${index}`)} change=${(next) => at(index, next)} drop=${() => put("match", match.filter((_, number) => number !== index))} />`)}</ol>
      <button type="button" class="small" onClick=${() => put("match", [...match, { header: "X-User", equals: "" }])}>+ ${t("form_add")}</button></div>
    <${LaneOptions} data=${data} change=${change} error=${error} />
  </fieldset>`;
}
