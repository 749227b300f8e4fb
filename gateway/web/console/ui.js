// Pieces that the pages are made of. Texts become text nodes and attributes, never markup.
import { html, useEffect, useRef, useState } from "./lib.js";
import { language, notice } from "./state.js";
import { t } from "./words.js";

// The equivalent command of a view, and a button that copies it.
export function Command({ text, label }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<div class="command" aria-label=${label || t("command")}>
    <pre tabindex="0"><code>${text}</code></pre>
    <button type="button" class="small" onClick=${copy}>${copied ? t("copied") : t("copy")}</button>
  </div>`;
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // plain http to a name of the network: no clipboard there
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

export function Trouble({ error }) {
  if (!error || error.status === 401) return null;
  const detail = error.status ? error.message : t("unreachable");
  return html`<div class="trouble" role="alert">
    <strong>${error.code || (error.status ? `HTTP ${error.status}` : t("offline"))}</strong> ${error.errors?.length ? null : detail}
    ${error.errors?.length
      ? html`<ul>${error.errors.map((item) => html`<li><code>${item.field || [item.file, item.line, item.column].filter(Boolean).join(":")}</code> ${item.detail || item.message}</li>`)}</ul>`
      : null}
  </div>`;
}

// What a poll gives: its trouble, "loading", or the children made of its data.
export function Loaded({ of, children }) {
  return html`<${Trouble} error=${of.error} />${of.data === undefined ? (of.error ? null : html`<p class="quiet">${t("loading")}</p>`) : children(of.data)}`;
}

export const Badge = ({ kind, title, children }) => html`<span class="badge ${kind || ""}" title=${title}>${children}</span>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export function Diff({ text }) {
  if (!text) return html`<${Empty}>${t("no_change")}</${Empty}>`;
  const kind = (line) => (/^(\+\+\+|---|@@)/.test(line) ? "at" : line[0] === "+" ? "plus" : line[0] === "-" ? "minus" : "");
  return html`<pre class="diff" tabindex="0" aria-label=${t("diff")}>${text.replace(/\n$/, "").split("\n").map((line) => html`<span class=${kind(line)}>${line}${"\n"}</span>`)}</pre>`;
}

// A modal dialog: Escape closes it, and the focus returns to where it was.
export function Dialog({ title, close, children }) {
  const own = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    own.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${own} aria-label=${title} onClose=${close} onCancel=${close}>
    <header><h2>${title}</h2><button type="button" class="plain" aria-label=${t("close_dialog")} onClick=${close}>✕</button></header>
    ${children}
  </dialog>`;
}

// Asks before something is done, for a reason if `reason` is set; shows the command and what went wrong.
export function Confirm({ title, text, danger, reason, command, action, close, children }) {
  const [why, setWhy] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await action(why);
      close();
    } catch (found) {
      setError(found);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} close=${close}>
    <form onSubmit=${submit}>
      ${text ? html`<p>${text}</p>` : null}
      ${children}
      ${reason ? html`<label>${t("reason")}<input name="reason" required maxlength="1000" autofocus value=${why} onInput=${(event) => setWhy(event.target.value)} /></label>` : null}
      <${Trouble} error=${error} />
      ${command ? html`<${Command} text=${command(why)} />` : null}
      <footer>
        <button type="button" onClick=${close}>${t("cancel")}</button>
        <button class=${danger ? "danger" : "primary"} disabled=${busy}>${title}</button>
      </footer>
    </form>
  </${Dialog}>`;
}

export function say(text) {
  notice.value = text;
  setTimeout(() => { if (notice.value === text) notice.value = null; }, 5000);
}

const locale = () => (language.value === "zh" ? "zh-CN" : "en-GB");
export const number = (value) => (value === null || value === undefined ? "–" : new Intl.NumberFormat(locale()).format(value));
export const percent = (part, all) => (all ? `${((100 * part) / all).toFixed(part && part / all < 0.1 ? 2 : 1)} %` : "–");
export const seconds = (value) =>
  value === null || value === undefined ? "–" : value > 0 && value < 0.001 ? `${Math.round(value * 1e6)} µs` : value < 1 ? `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms` : value < 90 ? `${value.toFixed(1)} s` : value < 5400 ? `${Math.round(value / 60)} min` : `${number(Math.round(value / 3600))} h`;

// A moment of seconds since 1970, or an ISO text; exact on hover.
export function Time({ at }) {
  if (at === null || at === undefined) return "–";
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  if (Number.isNaN(date.getTime())) return String(at);
  return html`<time datetime=${date.toISOString()} title=${date.toISOString()}>${date.toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" })}</time>`;
}

// How long ago a moment of seconds since 1970 was.
export function Ago({ at }) {
  const age = Math.round(Date.now() / 1000 - at);
  const iso = new Date(at * 1000).toISOString();
  return html`<time datetime=${iso} title=${iso}>${age < 10 ? t("just_now") : t("ago", { age: age < 90 ? `${age} s` : seconds(age) })}</time>`;
}

// The time of day.
export const clock = (at) => new Date(at * 1000).toLocaleTimeString(locale());

export const Facts = ({ of }) => html`<dl class="facts">${of.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value ?? "–"}</dd></div>`)}</dl>`;

