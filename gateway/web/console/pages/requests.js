// The latest requests as they come, and why one of them went where it went.
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { ask, listen, usePoll } from "../api.js";
import { curl, gateway, quoted } from "../commands.js";
import { Evidence, noted } from "../evidence.js";
import { go, link, route, token } from "../state.js";
import { Badge, Command, Dialog, Empty, Facts, Time, Trouble, Loaded, clock, copyText, number, say, seconds } from "../ui.js";
import { t } from "../words.js";

const MOST = 2000;
const SHOWN = 200;
const FILTERS = ["lane", "service", "status", "path", "fallback"];
const micros = (value) => (value === null || value === undefined ? "–" : seconds(value / 1e6));

const statusKind = (status) => (status >= 500 ? "bad" : status >= 400 ? "warn" : "good");

function Row({ of }) {
  return html`<tr>
    <td data-label=${t("when")}>${clock(of.time)}</td>
    <td data-label=${t("request")} class="path"><a href=${link("requests", [of.id])} title=${t("why_of", { path: of.path })}><strong>${of.method}</strong> ${of.path}</a></td>
    <td data-label=${t("status")}><${Badge} kind=${statusKind(of.status)} title=${of.cause}>${of.status}</${Badge}></td>
    <td data-label=${t("lane")}>${of.lane ? html`<a href=${link("lanes", [of.group, of.lane])}>${of.lane}</a>` : html`<span class="quiet">–</span>`}</td>
    <td data-label=${t("pool")}><${Badge} kind="tag">${of.pool}</${Badge}>${of.fallback ? html` <${Badge} kind="warn" title=${t("fallback")}>${of.fallback}</${Badge}>` : null}${of.fault ? html` <${Badge} kind="drill">${t(`fault_${of.fault}`)}</${Badge}>` : null}${of.mirror ? html` <${Badge} kind="tag">${t("is_copy")}</${Badge}>` : null}</td>
    <td data-label=${t("service")}>${of.service}</td><td data-label=${t("instance")}><code>${of.instance}</code></td>
    <td data-label=${t("duration")} class="number">${micros(of.duration_us)}</td></tr>`;
}

function Live() {
  const query = route.value.query;
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || ""]));
  const search = new URLSearchParams(Object.entries(filters).filter(([, value]) => value)).toString();
  const [records, setRecords] = useState([]);
  const [lost, setLost] = useState(0);
  const [state, setState] = useState({ isConnected: false, error: null });
  const [isPaused, setPaused] = useState(false);
  const paused = useRef(false);
  paused.current = isPaused;
  useEffect(() => {
    let waiting = [];
    let timer = 0;
    let stopped = false;
    let close = () => {};
    setRecords([]);
    setLost(0);
    // Drawn a few times a second, however many come.
    const draw = () => {
      timer = 0;
      if (paused.current) { timer = setTimeout(draw, 250); return; }
      const fresh = waiting.reverse();
      waiting = [];
      setRecords((old) => {
        const known = new Set(old.slice(0, fresh.length + 100).map((item) => item.id));
        return [...fresh.filter((item) => !known.has(item.id)), ...old].slice(0, MOST);
      });
    };
    const heard = ({ event, data }) => {
      const body = JSON.parse(data);
      if (event === "lost") setLost((count) => count + (body.count || 0));
      else if (event === "request") {
        waiting.push(body);
        if (waiting.length > MOST) waiting.shift();
        timer ||= setTimeout(draw, 250);
      }
    };
    (async () => {
      try {
        const { body } = await ask("GET", `/api/v1/requests${search ? "?" + search : ""}`);
        if (stopped) return;
        setRecords(body.requests);
        close = listen(`/api/v1/requests/stream${search ? "?" + search : ""}`, heard, (isConnected, error = null) => setState({ isConnected, error }), `${body.last ?? ""}`);
      } catch (error) { if (!stopped) setState({ isConnected: false, error }); }
    })();
    return () => { stopped = true; close(); clearTimeout(timer); };
  }, [search, token.value]);
  const set = (name) => (event) => go("requests", [], { ...filters, [name]: event.target.value.trim() });
  const words = ["tap", ...FILTERS.flatMap((name) => (!filters[name] ? [] : name === "fallback" ? (filters[name] === "true" ? ["--fallback"] : []) : [`--${name}`, filters[name]]))];
  const rows = useMemo(() => records.slice(0, SHOWN).map((item) => html`<${Row} key=${item.id} of=${item} />`), [records]);
  return html`<h1>${t("page_requests")}</h1><p class="lead">${t("requests_lead")}</p>
    <p class="bar" aria-live="polite"><${Badge} kind=${state.isConnected ? "good" : "off"}>${t(state.isConnected ? "live" : "not_live")}</${Badge}>
      <button type="button" class="small" aria-pressed=${isPaused} onClick=${() => setPaused(!isPaused)}>${t(isPaused ? "go_on" : "pause")}</button>
      <span class="quiet">${t("records", { count: number(records.length) })}${lost ? ` · ${t("lost", { count: number(lost) })}` : ""}</span></p>
    ${state.error?.status === 404 ? html`<section class="panel warn"><p>${t("no_records")} ${state.error.code === "records_off" ? state.error.message : ""}</p></section>` : html`<${Trouble} error=${state.error} />`}
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      ${["lane", "service", "status", "path"].map((name) => html`<label>${t(name)}<input type=${name === "path" ? "search" : "text"} name=${name} value=${filters[name]} placeholder=${{ status: "5xx", path: "/A/" }[name]} onChange=${set(name)} /></label>`)}
      <label>${t("fallback")}<select name="fallback" value=${filters.fallback} onChange=${set("fallback")}><option value="">${t("any")}</option><option value="true">${t("yes")}</option><option value="false">${t("no")}</option></select></label>
    </form>
    <section class="panel">${records.length ? html`<div class="wide"><table class="live"><thead><tr>${["when", "request", "status", "lane", "pool", "service", "instance", "duration"].map((key) => html`<th scope="col" class=${key === "duration" ? "number" : ""}>${t(key)}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>` : html`<${Empty}>${t("no_requests")}</${Empty}>`}</section>
    <${Command} text=${gateway(words)} />`;
}

function Hop({ of }) {
  return html`<li><${Badge} kind=${of.fallback ? "warn" : "tag"} title=${of.fallback}>${of.label}</${Badge}> <span class="quiet">${micros(of.duration_us)} · ${of.status}${of.fallback ? ` · ${of.fallback}` : ""}</span>
    ${of.tag_lost ? html` <${Badge} kind="bad">${t("tag_lost")}</${Badge}>` : null}
    ${of.calls.length ? html`<ul class="hops">${of.calls.map((item) => html`<${Hop} of=${item} />`)}</ul>` : null}</li>`;
}

// The request as a file of rule tests: only what the rules look at is in it.
function RuleTest({ id, close }) {
  const path = `/api/v1/requests/${encodeURIComponent(id)}/test`;
  const found = usePoll(async (signal) => (await ask("GET", path, { signal })).body, [id], 0);
  return html`<${Dialog} title=${t("save_test")} close=${close}><p>${t("save_test_text")}</p>
    <${Loaded} of=${found}>${(of) => html`<pre tabindex="0" aria-label="YAML">${of.yaml}</pre>
      <p>${of.missing.length ? html`<${Badge} kind="warn">${t("fill_in")}</${Badge}> ${of.missing.join("; ")}` : html`<${Badge} kind=${of.passes ? "good" : "bad"}>${t(of.passes ? "test_passes" : "test_fails")}</${Badge}>`}</p>
      <p class="actions"><button type="button" class="primary" onClick=${async () => { await copyText(of.yaml); say(t("copied")); }}>${t("copy")} YAML</button></p>`}</${Loaded}>
    <${Command} text=${`${curl("GET", path, { accept: "application/yaml" })} > rules/tests/request-${id}.yaml`} /></${Dialog}>`;
}

function One({ id }) {
  const path = `/api/v1/requests/${encodeURIComponent(id)}/explain`;
  const found = usePoll(async (signal) => {
    const { body } = await ask("GET", "/api/v1/requests?limit=2000", { signal }).catch((error) => { if (error.code === "bad_filter") return ask("GET", "/api/v1/requests", { signal }); throw error; });
    const record = body.requests.find((item) => String(item.id) === id) || null;
    const explained = await ask("GET", path, { signal }).then((item) => item.body, (error) => ({ error }));
    const chain = record?.trace_id ? await ask("GET", `/api/v1/chains/${encodeURIComponent(record.trace_id)}`, { signal }).then((item) => item.body, () => null) : null;
    return { record, explained, chain };
  }, [id], 0);
  const [isSaving, setSaving] = useState(false);
  return html`<h1><a href=${link("requests")}>${t("page_requests")}</a> / ${id}</h1>
    ${isSaving ? html`<${RuleTest} id=${id} close=${() => setSaving(false)} />` : null}
    <${Loaded} of=${found}>${({ record, explained, chain }) => {
      const params = record && Object.entries(record.params || {}).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
      const url = record && `${record.path}${params ? "?" + params : ""}`;
      return html`
      ${record ? html`<section class="panel"><header class="bar"><h2 class="path">${record.method} ${record.path}</h2><${Badge} kind=${statusKind(record.status)} title=${record.cause}>${record.status}</${Badge}>
          <span class="actions"><button type="button" class="small" onClick=${async () => { await copyText(`curl -X ${quoted(record.method)} ${quoted(`http://${record.host}${url}`)}`); say(t("copied")); }}>${t("copy_curl")}</button>
          <button type="button" class="small" disabled=${Boolean(explained.error)} onClick=${() => setSaving(true)}>${t("save_test")}</button>
          <a class="button small" href=${link("explain", [], { method: record.method, url: `http://${record.host}${url}` })}>${t("try_again")}</a></span></header>
        <${Facts} of=${[[t("when"), html`<${Time} at=${record.time} />`], ["Host", record.host], [t("service"), record.service], [t("lane"), record.lane && `${record.group}/${record.lane}`], [t("tag"), record.tag], [t("tag_source"), t(`source_${record.tag_source}`)],
          [t("pool"), record.pool], [t("fallback"), record.fallback], [t("instance"), record.instance], [t("duration"), micros(record.duration_us)], [t("upstream"), micros(record.upstream_us)], [t("overhead"), micros(record.overhead_us)],
          [t("attempts"), record.attempts], [t("trace"), record.trace_id && html`<code>${record.trace_id}</code>`], [t("revision"), record.revision], ["HTTP", record.version], ...noted(record)]} /></section>` : html`<${Empty}>${t("record_gone")}</${Empty}>`}
      ${chain ? html`<section class="panel"><h2>${t("chain")}</h2><p class="say">${chain.path.join(" ; ")}</p><ul class="hops">${chain.hops.map((item) => html`<${Hop} of=${item} />`)}</ul></section>` : null}
      ${explained.error ? html`<${Trouble} error=${explained.error} />` : html`
        ${explained.agrees === false ? html`<section class="panel warn"><p>${t("differs")}</p></section>` : null}
        ${explained.missing?.length ? html`<section class="panel warn"><p>${t("missing")}</p><ul>${explained.missing.map((item) => html`<li>${item}</li>`)}</ul></section>` : null}
        <${Evidence} of=${explained} />`}`;
    }}</${Loaded}>
    <${Command} text=${curl("GET", path)} />`;
}

export function Requests() {
  const [id] = route.value.path;
  return id ? html`<${One} key=${id} id=${id} />` : html`<${Live} />`;
}
