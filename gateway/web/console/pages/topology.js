// Which services called which of late: a drawing in layers, from the entry to the right; the same as a table below.
import { html, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { gateway } from "../commands.js";
import { WIDTH, layout } from "../layout.js";
import { go, link, route } from "../state.js";
import { Badge, Command, Empty, Loaded, number, percent, seconds } from "../ui.js";
import { t } from "../words.js";

const COLORS = 5;

const colorOf = (tags, tag) => (tag === "base" ? "base" : `t${tags.indexOf(tag) % COLORS}`);
const words = (edge) => `${edge.rate < 10 ? edge.rate.toFixed(1) : number(Math.round(edge.rate))}/s · ${percent(edge.errors, 1)} · ${seconds(edge.p95)}`;
const kind = (edge) => (edge.tag_lost ? "lost" : edge.fallback ? "fallback" : "");
const about = (edge) => `${edge.from} → ${edge.to}, ${edge.tag}: ${words(edge)}${edge.fallback ? `, ${t("fallback")} ${edge.fallback}` : ""}${edge.tag_lost ? `, ${t("tag_lost")}` : ""}`;

function Drawing({ of, tags, found, choose, chosen }) {
  const { nodes, lines, width, height } = layout(of);
  const dim = (name) => found && !found(name);
  return html`<div class="wide" tabindex="0" role="region" aria-label=${t("page_topology")}><svg class="topology" viewBox="0 0 ${width} ${height}" width=${width} height=${height} role="group" aria-label=${t("page_topology")}>
    <defs>${["base", "lost", ...Array.from({ length: COLORS }, (_, index) => `t${index}`)].map((name) => html`<marker id=${`to-${name}`} viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path class="arrow ${name}" d="M0 0 8 4 0 8z" /></marker>`)}</defs>
    ${lines.map(({ way, path, x, y }) => { const color = way.tag_lost ? "lost" : colorOf(tags, way.tag);
      return html`<g class="way ${color} ${kind(way)} ${dim(way.from) && dim(way.to) ? "dim" : ""}"><title>${about(way)}</title><path d=${path} marker-end=${`url(#to-${color})`} stroke-width=${Math.min(4, 1.5 + Math.log10(1 + way.rate))} /><text x=${x} y=${y}>${words(way)}</text></g>`; })}
    ${nodes.map((node) => html`<g class="node ${node.isEntry ? "entry" : ""} ${dim(node.name) ? "dim" : ""} ${chosen === node.id ? "chosen" : ""}" transform=${`translate(${node.x} ${node.y})`} role="button" tabindex="0" aria-label=${node.name} aria-pressed=${chosen === node.id} onClick=${() => choose(node.id)} onKeyDown=${(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(node.id); } }}><title>${node.name}</title>
      <rect width=${WIDTH} height=${node.height} rx="8" /><text x="12" y="21" class="name">${node.name.length > 24 ? node.name.slice(0, 23) + "…" : node.name}</text>
      ${node.isEntry ? html`<text x="12" y="39" class="tag">${t("role_entry")}</text>` : html`<text x="12" y="39" class="tag">${node.tags.map((tag) => html`<tspan class=${colorOf(tags, tag)}>● ${tag === "base" ? t("baseline") : tag}${"  "}</tspan>`)}</text>`}</g>`)}
  </svg></div>`;
}

export function Topology() {
  const query = route.value.query;
  const lane = query.get("lane") || "";
  const span = query.get("seconds") || "300";
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState("");
  const found = usePoll(async (signal) => {
    const search = new URLSearchParams({ seconds: span, ...(lane ? { lane } : {}) });
    const [{ body }, lanes] = await Promise.all([ask("GET", `/api/v1/topology?${search}`, { signal }), ask("GET", "/api/v1/lanes", { signal })]);
    return { of: body, lanes: [...new Set(lanes.body.lanes.map((item) => `${item.group}/${item.lane}`))] };
  }, [lane, span], 3000);
  const set = (more) => go("topology", [], { lane, seconds: span, ...more });
  return html`<h1>${t("page_topology")}</h1><p class="lead">${t("topology_lead")}</p>
    <${Loaded} of=${found}>${({ of, lanes }) => {
      const tags = [...new Set(of.edges.map((edge) => edge.tag).filter((tag) => tag !== "base"))].sort();
      const fits = text ? (name) => name.toLowerCase().includes(text.toLowerCase()) : null;
      const rows = of.edges.filter((edge) => (!fits || fits(edge.from) || fits(edge.to)) && (!chosen || [edge.is_entry ? `entry ${edge.from}` : edge.from, edge.to].includes(chosen)));
      return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>
        <label>${t("lane")}<select name="lane" value=${lane} onChange=${(event) => set({ lane: event.target.value })}><option value="">${t("all_requests")}</option>${[...new Set([...lanes, ...(lane ? [lane] : [])])].map((item) => html`<option value=${item} selected=${item === lane}>${item}</option>`)}</select></label>
        <label>${t("last_seconds")}<select name="seconds" value=${span} onChange=${(event) => set({ seconds: event.target.value })}>${["60", "300", "3600"].map((item) => html`<option value=${item} selected=${item === span}>${seconds(Number(item))}</option>`)}</select></label>
        <label>${t("find")}<input type="search" value=${text} onInput=${(event) => setText(event.target.value)} /></label></form>
      ${of.edges.length ? html`
        <section class="panel"><${Drawing} of=${of} tags=${tags} found=${fits} chosen=${chosen} choose=${(id) => setChosen(chosen === id ? "" : id)} />
          <ul class="legend" aria-label=${t("legend")}><li class="base"><i class="line"></i>${t("baseline")}</li>${tags.map((tag) => html`<li class=${colorOf(tags, tag)}><i class="line"></i>${tag}</li>`)}<li class="quiet"><i class="line fallback"></i>${t("legend_fallback")}</li><li class="lost"><i class="line lost"></i>${t("legend_lost")}</li></ul>
          <p class="quiet">${t("topology_hint", { requests: number(of.requests), seconds: seconds(of.seconds) })}</p></section>
        <section class="panel"><div class="wide"><table><thead><tr>${["from_service", "to_service", "tag", "served_by", "rate", "errors"].map((key) => html`<th scope="col" class=${["rate", "errors"].includes(key) ? "number" : ""}>${t(key)}</th>`)}<th scope="col" class="number">p95</th><th scope="col">${t("note")}</th></tr></thead>
          <tbody>${rows.map((edge) => html`<tr key=${JSON.stringify([edge.from, edge.is_entry, edge.to, edge.tag, edge.pool, edge.fallback, edge.tag_lost])}><th scope="row" data-label=${t("from_service")}>${edge.from}</th><td data-label=${t("to_service")}><a href=${link("requests", [], { service: edge.to, lane })}>${edge.to}</a></td>
            <td data-label=${t("tag")}><${Badge} kind="tag">${edge.tag}</${Badge}></td><td data-label=${t("served_by")}><${Badge} kind=${edge.fallback ? "warn" : "tag"}>${edge.pool}</${Badge}></td><td data-label=${t("rate")} class="number">${edge.rate.toFixed(1)}</td><td data-label=${t("errors")} class="number">${percent(edge.errors, 1)}</td><td data-label="p95" class="number">${seconds(edge.p95)}</td>
            <td data-label=${t("note")}>${edge.tag_lost ? html`<${Badge} kind="bad">${t("tag_lost")}</${Badge}>` : edge.fallback ? html`${t("fallback")}: ${edge.fallback}` : null}</td></tr>`)}</tbody></table></div></section>` : html`<${Empty}>${t("no_calls")}</${Empty}>`}`;
    }}</${Loaded}>
    <${Command} text=${gateway(["topology", ...(lane ? ["--lane", lane] : []), "--seconds", span])} />`;
}
