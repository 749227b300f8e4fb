// Which services called which of late: a drawing in layers, from the entry to the right; the same as a table below.
import { html, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { gateway } from "../commands.js";
import { go, link, route } from "../state.js";
import { Badge, Command, Empty, Loaded, number, percent, seconds } from "../ui.js";
import { t } from "../words.js";

const WIDTH = 190, GAP_X = 150, GAP_Y = 26, LINE = 15, LOOP = 34;
const COLORS = 5;

// [{id, name, isEntry, tags, x, y, height}], with the size of the whole. The layer of a node is its longest way from an entry.
function layout({ gateways, services, edges }) {
  const nodes = new Map();
  const add = (id, more) => nodes.set(id, { id, layer: 0, row: 0, ...more });
  for (const name of gateways) add(`entry ${name}`, { name, isEntry: true, tags: [] });
  for (const { service, tags } of services) add(service, { name: service, isEntry: false, tags });
  const ways = edges.map((edge) => ({ ...edge, source: edge.is_entry ? `entry ${edge.from}` : edge.from })).filter((edge) => nodes.has(edge.source) && nodes.has(edge.to));
  const called = new Set(ways.map((edge) => edge.to));
  const visit = (node, path) => {
    for (const { to } of ways.filter((edge) => edge.source === node.id)) {
      const next = nodes.get(to);
      // A circle is not followed, and no way is longer than there are nodes.
      if (path.has(to) || next.layer > path.size) continue;
      next.layer = Math.max(next.layer, path.size);
      visit(next, new Set([...path, to]));
    }
  };
  const roots = [...nodes.values()].filter((node) => node.isEntry || !called.has(node.id));
  for (const node of roots.length ? roots : [...nodes.values()].slice(0, 1)) visit(node, new Set([node.id]));
  const layers = [];
  for (const node of nodes.values()) (layers[node.layer] ||= []).push(node);
  const found = layers.filter(Boolean);
  found.forEach((layer, at) => {
    // Beside those that call it, so that few lines cross.
    const above = (node) => { const from = ways.filter((edge) => edge.to === node.id && nodes.get(edge.source).x !== undefined).map((edge) => nodes.get(edge.source).y); return from.length ? from.reduce((sum, y) => sum + y, 0) / from.length : 0; };
    layer.sort((a, b) => above(a) - above(b));
    let y = 20;
    for (const node of layer) {
      node.x = 12 + at * (WIDTH + GAP_X);
      node.y = y;
      node.height = 50 + (node.tags.length > 3 ? 18 : 0);
      const most = Math.max(1, ...["source", "to"].map((end) => ways.filter((edge) => edge[end] === node.id).length));
      node.space = Math.max(node.height, most * LINE * 2);
      y += node.space + GAP_Y;
    }
  });
  const height = Math.max(...found.map((layer) => layer[layer.length - 1].y + layer[layer.length - 1].space)) + 30;
  return { nodes: [...nodes.values()], at: nodes, ways, width: found.length * (WIDTH + GAP_X) - GAP_X + 24 + (ways.some((edge) => edge.source === edge.to) ? LOOP : 0), height };
}

const colorOf = (tags, tag) => (tag === "base" ? "base" : `t${tags.indexOf(tag) % COLORS}`);
const words = (edge) => `${edge.rate < 10 ? edge.rate.toFixed(1) : number(Math.round(edge.rate))}/s · ${percent(edge.errors, 1)} · ${seconds(edge.p95)}`;
const kind = (edge) => (edge.tag_lost ? "lost" : edge.fallback ? "fallback" : "");
const about = (edge) => `${edge.from} → ${edge.to}, ${edge.tag}: ${words(edge)}${edge.fallback ? `, ${t("fallback")} ${edge.fallback}` : ""}${edge.tag_lost ? `, ${t("tag_lost")}` : ""}`;

function Drawing({ of, tags, found, choose, chosen }) {
  const { nodes, at, ways, width, height } = layout(of);
  const together = new Map();  // how many lines there are between two nodes, and which one this is
  for (const way of ways) {
    const pair = JSON.stringify([way.source, way.to].sort());
    way.number = together.get(pair) || 0;
    way.pair = pair;
    together.set(pair, way.number + 1);
  }
  const curve = (way) => {
    const from = at.get(way.source), to = at.get(way.to);
    const shift = (way.number - (together.get(way.pair) - 1) / 2) * LINE * 2;
    const a = from.y + from.height / 2 + shift, b = to.y + to.height / 2 + shift;
    if (from === to) return { d: `M ${from.x + WIDTH} ${a - 8} c ${LOOP} -12 ${LOOP} 28 0 16`, x: from.x + WIDTH / 2, y: from.y - 6 };
    if (to.x <= from.x) {  // backwards, or within a layer: below the nodes
      const low = Math.max(from.y + from.height, to.y + to.height) + 18 + Math.abs(shift);
      return { d: `M ${from.x + WIDTH / 2} ${from.y + from.height} C ${from.x + WIDTH / 2} ${low} ${to.x + WIDTH / 2} ${low} ${to.x + WIDTH / 2} ${to.y + to.height + 7}`, x: (from.x + to.x + WIDTH) / 2, y: low - 4 };
    }
    const x1 = from.x + WIDTH, x2 = to.x - 8, mid = (x1 + x2) / 2;
    return { d: `M ${x1} ${a} C ${mid} ${a} ${mid} ${b} ${x2} ${b}`, x: mid, y: (a + b) / 2 - 5 };
  };
  const dim = (name) => found && !found(name);
  return html`<div class="wide" tabindex="0" role="region" aria-label=${t("page_topology")}><svg class="topology" viewBox="0 0 ${width} ${height}" width=${width} height=${height} role="group" aria-label=${t("page_topology")}>
    <defs>${["base", "lost", ...Array.from({ length: COLORS }, (_, index) => `t${index}`)].map((name) => html`<marker id=${`to-${name}`} viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path class="arrow ${name}" d="M0 0 8 4 0 8z" /></marker>`)}</defs>
    ${ways.map((way) => { const line = curve(way); const color = way.tag_lost ? "lost" : colorOf(tags, way.tag);
      return html`<g class="way ${color} ${kind(way)} ${dim(way.from) && dim(way.to) ? "dim" : ""}"><title>${about(way)}</title><path d=${line.d} marker-end=${`url(#to-${color})`} stroke-width=${Math.min(5, 1.5 + Math.log10(1 + way.rate))} /><text x=${line.x} y=${line.y} text-anchor="middle">${words(way)}</text></g>`; })}
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
