// The frame of every page: navigation, language, colors, token, and what the keyboard does.
import { html, render, useEffect, useState } from "./lib.js";
import { applyLook, author, go, language, link, notice, role, route, server, setAuthor, setLanguage, setTheme, setToken, theme, token, unauthorized } from "./state.js";
import { loadRole } from "./api.js";
import { t } from "./words.js";
import { Dialog } from "./ui.js";
import { Lanes } from "./pages/lanes.js";
import { History } from "./pages/history.js";
import { Explain } from "./pages/explain.js";
import { Services } from "./pages/services.js";
import { Status } from "./pages/status.js";
import { Topology } from "./pages/topology.js";
import { Requests } from "./pages/requests.js";
import { Releases } from "./pages/releases.js";
import { Environments } from "./pages/environments.js";
import { Audit } from "./pages/audit.js";

const ENTRY = { lanes: Lanes, requests: Requests, topology: Topology, explain: Explain, services: Services, history: History, status: Status };
const PAGES = server === "release" ? { releases: Releases, environments: Environments, audit: Audit } : ENTRY;
// A sidecar matches no lanes for others, and its rules are changed at the entry.
const OF_SIDECARS = new Set(["requests", "services", "status"]);
const shown = () => Object.keys(PAGES).filter((name) => role.value !== "sidecar" || OF_SIDECARS.has(name));

function TokenForm({ close }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    setToken(text.trim());
    loadRole();
    close?.();
  };
  return html`<form class="token" onSubmit=${submit}>
    <label>${t("token")}<input type="password" name="token" autocomplete="off" required value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <button class="primary">${t("use_token")}</button>
  </form>`;
}

function Settings({ close }) {
  return html`<${Dialog} title=${t("settings")} close=${close}>
    <label>${t("language")}<select name="language" value=${language.value} onChange=${(event) => setLanguage(event.target.value)}>
      <option value="en">English</option><option value="zh">中文</option>
    </select></label>
    <label>${t("theme")}<select name="theme" value=${theme.value} onChange=${(event) => setTheme(event.target.value)}>
      ${["auto", "light", "dark"].map((name) => html`<option value=${name}>${t(`theme_${name}`)}</option>`)}
    </select></label>
    <label>${t("author")}<input name="author" maxlength="100" value=${author.value} onInput=${(event) => setAuthor(event.target.value)} /><small>${t("author_hint")}</small></label>
    ${token.value
      ? html`<p>${t("token_set")} <button type="button" onClick=${() => setToken("")}>${t("forget")}</button></p>`
      : html`<${TokenForm} close=${close} />`}
    <h3>${t("keys")}</h3>
    <dl class="keys">
      <div><dt><kbd>1</kbd>–<kbd>${shown().length}</kbd></dt><dd>${t("keys_pages")}</dd></div>
      <div><dt><kbd>/</kbd></dt><dd>${t("keys_find")}</dd></div>
      <div><dt><kbd>,</kbd></dt><dd>${t("settings")}</dd></div>
      <div><dt><kbd>Esc</kbd></dt><dd>${t("keys_close")}</dd></div>
    </dl>
  </${Dialog}>`;
}

function App() {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    loadRole();
    const press = (event) => {
      const isTyping = /^(input|textarea|select)$/i.test(event.target.tagName);
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const page = shown()[Number(event.key) - 1];
      if (page) go(page);
      else if (event.key === ",") setOpen(true);
      else if (event.key === "/") document.querySelector("input[type=search]")?.focus();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  const names = shown();
  const name = names.includes(route.value.page) ? route.value.page : names[0];
  const Page = PAGES[name];
  useEffect(() => { document.title = `${t(`page_${name}`)} · gray-gateway`; }, [name, language.value]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>${t("skip")}</a>
    <header class="top">
      <a class="brand" href=${link(names[0])}><img src="/console/icon.svg" alt="" width="24" height="24" />gray-gateway</a>
      <nav aria-label=${t("pages")}>${names.map((item) => html`<a href=${link(item)} aria-current=${item === name ? "page" : undefined}>${t(`page_${item}`)}</a>`)}</nav>
      <button type="button" class="plain" onClick=${() => setOpen(true)} title=${t("settings")} aria-label=${t("settings")}>${token.value ? "🔑 " : ""}⚙</button>
    </header>
    <main id="main" tabindex="-1">
      ${unauthorized.value
        ? html`<section class="panel warn"><h2>${token.value ? t("token_wrong") : t("token_wanted")}</h2><p>${t("token_hint")}</p><${TokenForm} /></section>`
        : null}
      ${role.value === null ? null : html`<${Page} key=${name} />`}
    </main>
    <div class="notice" role="status" aria-live="polite">${notice.value}</div>
    ${isOpen ? html`<${Settings} close=${() => setOpen(false)} />` : null}`;
}

applyLook();
render(html`<${App} />`, document.getElementById("app"));
