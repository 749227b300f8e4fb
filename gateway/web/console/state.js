// What every page shares: where the reader is, in which language and colors, and with which token.
import { signal } from "./lib.js";

export const server = document.documentElement.dataset.server;

const stored = (key, fallback) => {
  try { return localStorage.getItem(key) || fallback; } catch { return fallback; }
};
const keep = (storage, key, value) => {
  try { value ? storage.setItem(key, value) : storage.removeItem(key); } catch { /* a browser that keeps nothing */ }
};

export const language = signal(stored("language", (navigator.language || "en").startsWith("zh") ? "zh" : "en"));
export const theme = signal(stored("theme", "auto"));
export const token = signal((() => { try { return sessionStorage.getItem("token") || ""; } catch { return ""; } })());
export const author = signal(stored("author", ""));
export const unauthorized = signal(false);
export const role = signal(server === "release" ? "" : null);  // null: not known yet
export const notice = signal(null);

export function setLanguage(value) { language.value = value; keep(localStorage, "language", value); applyLook(); }
export function setTheme(value) { theme.value = value; keep(localStorage, "theme", value); applyLook(); }
export function setAuthor(value) { author.value = value; keep(localStorage, "author", value); }
export function setToken(value) {
  token.value = value;
  unauthorized.value = false;
  keep(sessionStorage, "token", value);  // gone with the tab
}
export function applyLook() {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.theme = theme.value;
}

// #/lanes/demo/gray?x=1 -> {page: "lanes", path: ["demo", "gray"], query: URLSearchParams}
function parse() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { page: parts[0] || "", path: parts.slice(1), query: new URLSearchParams(query || "") };
}
export const route = signal(parse());
addEventListener("hashchange", () => { route.value = parse(); });

export const link = (page, path = [], query = {}) => {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return "#/" + [page, ...path].map(encodeURIComponent).join("/") + (text ? "?" + text : "");
};
export const go = (...where) => { location.hash = link(...where); };
