// Orders: begun, followed as they go on, and steered. Every action says why.
import { html, useEffect, useState } from "../lib.js";
import { ask, listen, usePoll } from "../api.js";
import { release } from "../commands.js";
import { link, route, token, unauthorized } from "../state.js";
import { Badge, Command, Confirm, Empty, Facts, Loaded, Time, percent, seconds, say } from "../ui.js";
import { t } from "../words.js";

const KIND = { RUNNING: "live", SUCCESS: "good", FAILED: "bad", STOPPING: "warn", SUSPENDED: "warn", CANCELED: "off", SKIPPED: "off", INIT: "off" };
export const State = ({ of }) => html`<${Badge} kind=${KIND[of]}>${t(`order_${of}`)}</${Badge}>`;

// An order that runs, and in which nothing goes on before somebody says so, waits.
const stateOf = (order) => (order.state === "RUNNING" && order.jobs.some((job) => job.state === "SUSPENDED") ? "SUSPENDED" : order.state);

// What an order may be told in a state; the server has the last word. [action, its command, danger, body]
function actions(order) {
  const tasks = order.jobs.flatMap((job) => job.stages.flatMap((stage) => stage.tasks));
  const waits = tasks.filter((task) => task.state === "SUSPENDED");
  const is = (...states) => states.includes(order.state);
  return [
    ...(is("RUNNING") && waits.some((task) => task.kind === "approve") ? [["approve", "approve", false, {}], ["refuse", "refuse", true, {}]] : []),
    ...(is("RUNNING") && waits.some((task) => task.kind !== "approve") ? [["promote", "promote", false, { full: false }], ["promote_full", "promote", false, { full: true }]] : []),
    ...(is("RUNNING") ? [["suspend", "pause", false, {}]] : []),
    ...(is("SUSPENDED") ? [["resume", "resume", false, {}]] : []),
    ...(is("FAILED") ? [["retry", "retry", false, {}], ["skip", "skip", true, {}], ["keep", "abort", true, { keep: true }]] : []),
    ...(is("INIT", "RUNNING", "SUSPENDED", "FAILED") ? [["abort", "abort", true, { keep: false }]] : []),
  ];
}
const PATH = { promote_full: "promote", keep: "abort" };

function Action({ order, etag, name, command, danger, body, done }) {
  const [isAsking, setAsking] = useState(false);
  const flags = body.full ? ["--full"] : body.keep ? ["--keep"] : [];
  return html`<button type="button" class="small ${danger ? "danger" : name === "approve" ? "primary" : ""}" disabled=${unauthorized.value} onClick=${() => setAsking(true)}>${t(`do_${name}`)}</button>
    ${isAsking ? html`<${Confirm} title=${t(`do_${name}`)} danger=${danger} reason text=${t(`do_${name}_text`, { order: order.id })}
      command=${(reason) => release(command, String(order.id), ...flags, "--reason", reason || "…")}
      action=${async (reason) => { await ask("POST", `/api/v1/orders/${order.id}/${PATH[name] || name}`, { body: { reason, ...body }, match: etag }); say(t("done")); done(); }} close=${() => setAsking(false)}>
      ${name === "abort" && order.take_back.length ? html`<p>${t("take_back")}</p><ul>${order.take_back.map((item) => html`<li>${item}</li>`)}</ul>` : null}
    </${Confirm}>` : null}`;
}

// What a step `verify` sends to the entry, what has to come of it, and what the lane is compared by.
function Checks({ spec }) {
  const { probes = [], analysis, prometheus, guard } = spec;
  if (!probes.length && !analysis && !prometheus && !guard) return null;
  return html`<details><summary>${t("checks")}</summary><ul class="plain-list">
    ${probes.map((item) => html`<li>${item.count} × <code>GET ${item.path}</code>${Object.entries(item.headers || {}).map(([name, value]) => html` <code>${name}: ${value}</code>`)} → ${item.status}${item.body ? html`, <code>${item.body}</code>` : null}${item.share < 1 ? ` (${percent(item.share, 1)})` : ""}</li>`)}
    ${analysis ? html`<li>${t("analysis", { tag: analysis.tag, duration: seconds(analysis.duration), requests: analysis.min_requests, errors: percent(analysis.max_errors, 1), ratio: analysis.max_p95_ratio })}</li>` : null}
    ${prometheus ? html`<li><code>${prometheus.query}</code> ≤ ${prometheus.max}</li>` : null}
    ${guard ? html`<li>${t("guard_wait", { duration: seconds(guard) })}</li>` : null}</ul></details>`;
}

function Task({ order, task }) {
  const [log, setLog] = useState(null);
  const took = task.started_at ? (task.ended_at || Date.now() / 1000) - task.started_at : null;
  const hasLog = task.kind === "run" || task.kind === "build";
  const show = async () => {
    try { setLog((await ask("GET", `/api/v1/orders/${order.id}/tasks/${encodeURIComponent(task.task)}/log`)).body.text); } catch (error) { setLog(error.message); }
  };
  return html`<li class="task"><${State} of=${task.state} /> <strong>${task.kind}</strong> <code>${task.task}</code>
    ${task.state === "RUNNING" && task.progress > 0 && task.progress < 1 ? html` <progress max="1" value=${task.progress} aria-label=${task.task}></progress>` : null}
    <span class="quiet"> ${took === null ? "" : seconds(Math.max(0, took))}${task.attempts > 1 ? ` · ${t("attempt", { count: task.attempts })}` : ""}</span>
    ${hasLog && task.started_at ? html` <button type="button" class="small" onClick=${show}>${t("log")}</button>` : null}
    ${task.message ? html`<div class=${task.state === "FAILED" ? "trouble" : "quiet"}>${task.message}</div>` : null}
    ${task.kind === "verify" ? html`<${Checks} spec=${task.spec} />` : null}
    ${task.approvals.map((item) => html`<div><${Badge} kind=${item.agrees ? "good" : "bad"}>${t(item.agrees ? "agrees" : "disagrees")}</${Badge}> ${item.by}: ${item.reason}</div>`)}
    ${log === null ? null : html`<pre class="log" tabindex="0">${log || t("empty_log")}</pre>`}</li>`;
}

function Tree({ order }) {
  return html`<div class="tree">${order.jobs.map((job) => html`<section class="panel" key=${job.job}><header class="bar"><h2>${job.job}</h2><${State} of=${job.state} /></header>
    <ol class="stages">${job.stages.map((stage) => html`<li key=${stage.stage} class="stage ${KIND[stage.state]}"><h3>${stage.stage} <${State} of=${stage.state} /></h3>
      <ul>${stage.tasks.map((task) => html`<${Task} key=${task.task} order=${order} task=${task} />`)}</ul></li>`)}</ol></section>`)}</div>`;
}

function Order({ id }) {
  const path = `/api/v1/orders/${encodeURIComponent(id)}`;
  const found = usePoll((signal) => ask("GET", path, { signal }), [id], 10000);
  const [isLive, setLive] = useState(false);
  useEffect(() => listen("/api/v1/events", ({ event, data }) => { if (event === "order" && String(JSON.parse(data).id) === id || event === "audit") found.again(); }, setLive), [id, token.value]);
  return html`<h1><a href=${link("releases")}>${t("page_releases")}</a> / ${id}</h1>
    <${Loaded} of=${found}>${({ body: order, etag }) => html`
      <section class="panel"><header class="bar"><h2><${State} of=${stateOf(order)} /> ${order.reason}</h2><${Badge} kind=${isLive ? "good" : "off"}>${t(isLive ? "live" : "not_live")}</${Badge}></header>
        <${Facts} of=${[[t("workflow"), order.workflow], [t("kind"), t(`kind_${order.kind}`)], [t("actor"), order.actor], [t("created_at"), html`<${Time} at=${order.created_at} />`], [t("ended_at"), order.ended_at && html`<${Time} at=${order.ended_at} />`],
          [t("environments"), order.environments.join(", ")], [t("next"), order.next || null]]} />
        <div class="wide"><table><thead><tr>${["application", "version", "images", "before"].map((key) => html`<th scope="col">${t(key)}</th>`)}</tr></thead><tbody>${Object.entries(order.releases).map(([name, item]) => html`<tr key=${name}>
          <th scope="row" data-label=${t("application")}>${name}</th><td data-label=${t("version")}>${item.version}</td><td data-label=${t("images")}>${Object.entries(item.images).map(([image, reference]) => html`<div><code>${image}</code> ${reference}</div>`)}</td>
          <td data-label=${t("before")}>${Object.entries(item.before).map(([environment, version]) => html`<div>${environment}: ${version || "–"}</div>`)}</td></tr>`)}</tbody></table></div>
        <p class="actions">${actions(order).map(([name, command, danger, body]) => html`<${Action} key=${name} order=${order} etag=${etag} name=${name} command=${command} danger=${danger} body=${body} done=${found.again} />`)}</p></section>
      <${Tree} order=${order} />`}
    </${Loaded}>
    <${Command} text=${release("get", id, "-w")} />`;
}

export function Releases() {
  const [id] = route.value.path;
  const found = usePoll(async (signal) => (await ask("GET", "/api/v1/orders?count=50", { signal })).body.orders, [id]);
  if (id) return html`<${Order} key=${id} id=${id} />`;
  return html`<h1>${t("page_releases")}</h1><p class="lead">${t("releases_lead")}</p>
    <${Loaded} of=${found}>${(orders) => orders.length ? html`<section class="panel"><div class="wide"><table><thead><tr>${["order", "state", "applications", "reason", "actor", "created_at", "next"].map((key) => html`<th scope="col">${t(key)}</th>`)}</tr></thead>
      <tbody>${orders.map((item) => html`<tr key=${item.id}><th scope="row" data-label=${t("order")}><a href=${link("releases", [item.id])}>${item.id}</a></th><td data-label=${t("state")}><${State} of=${stateOf(item)} /></td>
        <td data-label=${t("applications")}>${Object.entries(item.releases).map(([name, release]) => html`<div>${name} <span class="quiet">→ ${release.version}</span></div>`)}</td><td data-label=${t("reason")}>${item.reason}</td><td data-label=${t("actor")}>${item.actor}</td>
        <td data-label=${t("created_at")}><${Time} at=${item.created_at} /></td><td data-label=${t("next")}>${item.next || "–"}</td></tr>`)}</tbody></table></div></section>` : html`<${Empty}>${t("no_orders")}</${Empty}>`}</${Loaded}>
    <${Command} text=${release("get")} />`;
}
