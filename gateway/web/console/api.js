// The public API of this origin, and nothing else.
import { useEffect, useState, useRef } from "./lib.js";
import { author, role, server, token, unauthorized } from "./state.js";

// What an API said no with: RFC 9457.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.errors = body.errors || [];
  }
}

function headers(more = {}) {
  const found = { ...more };
  if (token.value) found.Authorization = `Bearer ${token.value}`;
  return found;
}

async function refuse(response) {
  if (response.status === 401) unauthorized.value = true;
  const text = await response.text();
  let body;
  try { body = JSON.parse(text); } catch { body = { detail: text.slice(0, 500) }; }
  throw new Problem(response.status, body && typeof body === "object" ? body : {});
}

// Asks, and gives {body, etag}. `body` is sent as JSON, a text as YAML. Raises Problem; TypeError if nobody answers.
export async function ask(method, path, { body, match, accept, signal } = {}) {
  const more = {};
  if (body !== undefined) more["Content-Type"] = typeof body === "string" ? "application/yaml" : "application/json";
  // The name may be in any script, and fields of HTTP are not.
  if (method !== "GET" && author.value) more["X-Author"] = asField(author.value);
  if (match) more["If-Match"] = match;
  if (accept) more.Accept = accept;
  const sent = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(path, { method, headers: headers(more), body: sent, signal, cache: "no-store" });
  if (!response.ok) await refuse(response);
  const text = await response.text();
  const isJson = (response.headers.get("Content-Type") || "").startsWith("application/json");
  return { body: isJson ? JSON.parse(text) : text, etag: response.headers.get("ETag") || "" };
}

// A field's bytes, each as a character, which is what fetch wants: UTF-8 arrives at the other end.
const asField = (text) => String.fromCharCode(...new TextEncoder().encode(text));

export const lanePath = (group, lane) =>
  `/api/v1/groups/${encodeURIComponent(group)}/lanes` + (lane === undefined ? "" : `/${encodeURIComponent(lane)}`);

// What `load` gives, again every `period` ms while the page is in sight; `data` stays while the server does not answer.
export function usePoll(load, dependencies, period = 2000) {
  const [state, setState] = useState({ data: undefined, error: null });
  const again = useRef(() => {});
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const look = async () => {
      clearTimeout(timer);
      const began = performance.now();
      if (!document.hidden) {
        try {
          const data = await load(stop.signal);
          if (!stop.signal.aborted) setState({ data, error: null });
        } catch (error) {
          if (!stop.signal.aborted) setState((old) => ({ data: error.status === 404 ? undefined : old.data, error }));
        }
      }
      clearTimeout(timer);
      // What takes long is asked for less often.
      if (!stop.signal.aborted && period) timer = setTimeout(look, Math.max(period, 4 * (performance.now() - began)));
    };
    const seen = () => { if (!document.hidden) look(); };
    again.current = look;
    setState((old) => ({ ...old, error: null }));
    look();
    document.addEventListener("visibilitychange", seen);
    return () => { stop.abort(); clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
  }, [...dependencies, token.value]);
  return { ...state, again: () => again.current() };
}

export async function loadRole() {
  if (server === "release") return;
  try { role.value = (await ask("GET", "/api/v1/status")).body.role; } catch { role.value ||= ""; /* the page says so */ }
}

// Server-sent events by fetch, since EventSource sends no token: those after `last`. Calls `heard({event, data, id})`, `changed(isConnected)`.
export function listen(path, heard, changed, last = "") {
  const stop = new AbortController();
  let wait = 500;
  const read = async () => {
    while (!stop.signal.aborted) {
      try {
        const more = last ? { "Last-Event-ID": last } : {};
        const response = await fetch(path, { headers: headers({ ...more, Accept: "text/event-stream" }), signal: stop.signal, cache: "no-store" });
        if (!response.ok) await refuse(response);
        changed(true);
        wait = 500;
        let rest = "";
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          const parts = (rest + value).split(/\r?\n\r?\n/);
          rest = parts.pop();
          for (const part of parts) {
            const found = { event: "message", data: "", id: "" };
            for (const line of part.split(/\r?\n/)) {
              const at = line.indexOf(":");
              const name = line.slice(0, at);
              if (at > 0 && name in found) found[name] = (name === "data" && found.data ? found.data + "\n" : "") + line.slice(at + 1).replace(/^ /, "");
            }
            if (found.id) last = found.id;
            if (found.data) heard(found);
          }
        }
      } catch (error) {
        if (error.status >= 400 && error.status < 500) { changed(false, error); return; }
      }
      if (stop.signal.aborted) return;
      changed(false);
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, 5000);
    }
  };
  read();
  return () => stop.abort();
}
