// Fields of a form over plain values: what is typed stays as it is typed while it is, and each problem is beside its field.
import { html, useState } from "../lib.js";
import { t } from "../words.js";

const aNumber = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text.trim());
const parts = (text, between) => text.split(between).map((part) => part.trim()).filter(Boolean);

// How a kind of field shows a value, and what it makes of a text; undefined: nothing is given.
const KINDS = {
  text: { show: String, read: (text) => text.trim() || undefined },
  number: { show: String, read: (text) => (text.trim() ? aNumber(text) : undefined) },
  numbers: { show: (value) => [value].flat().join(", "), read: (text) => parts(text, ",").map(aNumber) },
  words: { show: (value) => [value].flat().join(", "), read: (text) => (parts(text, ",").length ? parts(text, ",") : undefined) },
  lines: { show: (value) => [value].flat().join("\n"), read: (text) => (parts(text, "\n").length ? parts(text, "\n") : undefined) },
};

export const valueAt = (data, path) => path.split(".").reduce((value, key) => value?.[key], data);

// The data with a value at a path; without the key if there is none.
export function withValue(data, path, value) {
  const [key, ...rest] = path.split(".");
  const next = { ...data };
  const put = rest.length ? withValue(data?.[key] || {}, rest.join("."), value) : value;
  if (put === undefined || (rest.length && !Object.keys(put).length)) delete next[key];
  else next[key] = put;
  return next;
}

// What an API said no to, by field: some problems have the field before their words.
export const problemsOf = (error) => (error?.errors || []).map(({ field = "", detail = "" }) => {
  const more = /^([a-z][\w.]*): /.exec(detail);
  return { field: [field, more?.[1]].filter(Boolean).join("."), detail: more ? detail.slice(more[0].length) : detail };
});

// The problems of a field, and of what is inside.
export const about = (problems, name) => problems.filter(({ field }) => field === name || field.startsWith(`${name}.`)).map(({ detail }) => detail).join("; ");

export function Wrong({ id, text }) {
  return text ? html`<span class="wrong" id=${id} role="alert">${text}</span>` : null;
}

// `of` is {name, kind, label, hint, options, word}; `name` is the path of the value in `data`.
export function Field({ of, data, change, problems, prefix = "" }) {
  const { name, kind = "text", label = t(`f_${name}`), hint, options, word = String } = of;
  const [typed, setTyped] = useState(null);
  const value = valueAt(data, name);
  const full = prefix ? `${prefix}.${name}` : name;
  const wrong = about(problems, full);
  const id = `wrong-${full}`;
  const shared = { name: full, "aria-invalid": wrong ? "true" : undefined, "aria-describedby": wrong ? id : undefined };
  const put = (next) => change(withValue(data, name, next));
  const error = html`<${Wrong} id=${id} text=${wrong} />`;
  if (kind === "flag") return html`<label class="flags"><input type="checkbox" ...${shared} checked=${value ?? of.default} onChange=${(event) => put(event.target.checked === of.default ? undefined : event.target.checked)} />${label}${error}</label>`;
  if (kind === "choice") return html`<label>${label}<select ...${shared} value=${value ?? options[0]} onChange=${(event) => put(event.target.value === options[0] ? undefined : event.target.value)}>${options.map((item) => html`<option value=${item} selected=${item === (value ?? options[0])}>${word(item)}</option>`)}</select>${error}</label>`;
  if (kind === "several") {
    const chosen = value || of.default;
    const toggle = (item, isOn) => options.filter((option) => (option === item ? isOn : chosen.includes(option)));
    return html`<div class="checks" role="group" aria-label=${label}><span class="quiet">${label}</span>${options.map((item) => html`<label><input type="checkbox" checked=${chosen.includes(item)} onChange=${(event) => put(toggle(item, event.target.checked))} /> ${item}</label>`)}${hint ? html`<small>${hint}</small>` : null}${error}</div>`;
  }
  const { show, read } = KINDS[kind];
  const own = { ...shared, placeholder: hint, value: typed ?? (value === undefined || value === null ? "" : show(value)), autocomplete: "off", spellcheck: false,
    onInput: (event) => { setTyped(event.target.value); put(read(event.target.value)); }, onBlur: () => setTyped(null) };
  return html`<label class=${kind === "lines" ? "lines" : undefined}>${label}${kind === "lines" ? html`<textarea rows="2" ...${own} />` : html`<input type="text" inputmode=${kind === "number" ? "decimal" : undefined} ...${own} />`}${error}</label>`;
}
