// Tries a request against the rules in force: nothing is sent anywhere.
import { html, useEffect, useState } from "../lib.js";
import { ask } from "../api.js";
import { gateway, parseCurl } from "../commands.js";
import { Evidence } from "../evidence.js";
import { go, route } from "../state.js";
import { Command, Trouble } from "../ui.js";
import { t } from "../words.js";

const fromQuery = (query) => ({
  method: query.get("method") || "GET", url: query.get("url") || "", headers: query.get("headers") || "",
  client_ip: query.get("client_ip") || "", body: query.get("body") || "",
});
const pairs = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
  const at = line.indexOf(":");
  return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
});

export function Explain() {
  const [form, setForm] = useState(fromQuery(route.value.query));
  const [pasted, setPasted] = useState("");
  const [found, setFound] = useState({ data: null, error: null });
  const set = (name) => (event) => setForm({ ...form, [name]: event.target.value });
  const request = {
    method: form.method, url: form.url, headers: pairs(form.headers), ...(form.client_ip ? { client_ip: form.client_ip } : {}), ...(form.body ? { body: form.body } : {}),
  };
  const run = async (of) => {
    try { setFound({ data: (await ask("POST", "/api/v1/explain", { body: of })).body, error: null }); } catch (error) { setFound({ data: null, error }); }
  };
  const key = route.value.query.toString();
  useEffect(() => {
    const given = fromQuery(new URLSearchParams(key));
    setForm(given);
    if (given.url) run({ ...given, headers: pairs(given.headers), client_ip: given.client_ip || "127.0.0.1" });
  }, [key]);
  // The address bar keeps what is asked, so that it can be sent to somebody.
  const submit = (event) => {
    event.preventDefault();
    const before = location.hash;
    go("explain", [], form);
    if (location.hash === before) run(request);
  };
  const paste = (event) => {
    setPasted(event.target.value);
    event.target.setCustomValidity("");
    if (!event.target.value.trim()) return;
    try {
      const given = parseCurl(event.target.value);
      setForm({ ...form, ...given, headers: given.headers.map(([name, value]) => `${name}: ${value}`).join("\n") });
    } catch { event.target.setCustomValidity(t("no_curl")); event.target.reportValidity(); }
  };
  const words = ["explain", form.method, form.url || "/", ...request.headers.flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    ...(form.client_ip ? ["--client-ip", form.client_ip] : []), ...(form.body ? ["-d", form.body] : [])];
  return html`<h1>${t("page_explain")}</h1><p class="lead">${t("explain_lead")}</p>
    <form class="panel grid" onSubmit=${submit}>
      <label class="method">${t("method")}<input name="method" list="methods" required pattern="[!#$%&'*+.^_\`\\|~0-9A-Za-z\\-]+" value=${form.method} onInput=${set("method")} />
        <datalist id="methods">${["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].map((name) => html`<option value=${name} />`)}</datalist></label>
      <label class="url">URL<input name="url" required placeholder="/A/a?group=gray" value=${form.url} onInput=${set("url")} /></label>
      <label class="all">${t("headers")}<textarea name="headers" rows="3" placeholder="X-User: alice" spellcheck=${false} value=${form.headers} onInput=${set("headers")} /></label>
      <details class="all"><summary>${t("more")}</summary>
        <label>${t("client_ip")}<input name="client_ip" placeholder="127.0.0.1" value=${form.client_ip} onInput=${set("client_ip")} /></label>
        <label>${t("body")}<textarea name="body" rows="3" spellcheck=${false} value=${form.body} onInput=${set("body")} /></label></details>
      <details class="all"><summary>${t("paste_curl")}</summary><label><span class="hidden">curl</span><textarea name="curl" rows="3" placeholder="curl 'http://shop.example/A/a?group=gray' -H 'X-User: alice'" spellcheck=${false} value=${pasted} onInput=${paste} /></label></details>
      <p class="all actions"><button class="primary">${t("explain")}</button></p>
    </form>
    <div aria-live="polite"><${Trouble} error=${found.error} />${found.data ? html`<${Evidence} of=${found.data} />` : null}</div>
    <${Command} text=${gateway(words)} />`;
}
