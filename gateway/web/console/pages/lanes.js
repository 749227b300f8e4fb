// Groups and lanes in the order in which they are tried, with what they get.
import { html, useMemo, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { Spark } from "../chart.js";
import { gateway } from "../commands.js";
import { language, link, route } from "../state.js";
import { Ago, Badge, Command, Empty, Loaded, Time, number, percent, seconds } from "../ui.js";
import { t } from "../words.js";
import { GroupEditor, SegmentEditor, Segments } from "./groups.js";
import { Lane } from "./lane.js";
import { Editor } from "./laneeditor.js";
import { BASE, Growth, Marks, Numbers, Share, State, Switch, loadMetrics, loadTrends } from "./lanestate.js";

const SHOWN = 200;

async function load(signal) {
  const [metrics, trends, { body }, groups] = await Promise.all([loadMetrics(signal), loadTrends(signal), ask("GET", "/api/v1/lanes", { signal }), ask("GET", "/api/v1/groups", { signal })]);
  const lanes = Map.groupBy ? Map.groupBy(body.lanes, (lane) => lane.group) : body.lanes.reduce((all, lane) => all.set(lane.group, [...(all.get(lane.group) || []), lane]), new Map());
  return { metrics, trends, groups: groups.body.groups.map((item) => ({ enabled: true, services: [], ...item.group, lanes: lanes.get(item.group.name) || [] })) };
}

// Made again only if something of it has changed: there may be a thousand, and they are asked for every few seconds.
function Row({ lane, metrics, trends, done }) {
  const of = metrics.tags.get(lane.tag);
  const base = metrics.tags.get(BASE);
  const rates = trends.of(lane.tag, "rate");
  const now = lane.last_hit && Date.now() / 1000 - lane.last_hit < 5400 ? Date.now() : 0;
  return useMemo(() => html`<${Cells} lane=${lane} of=${of} base=${base} rates=${rates} done=${done} />`, [now, language.value, JSON.stringify([lane, of?.requests, of?.errors, of?.p95, base?.requests, base?.errors, rates])]);
}

function Cells({ lane, of, base, rates, done }) {
  const isWorse = of?.requests > 20 && base?.requests > 20 && of.errors / of.requests > 2 * (base.errors / base.requests) + 0.01;
  return html`<tr>
    <th scope="row" data-label=${t("lane")}><a href=${link("lanes", [lane.group, lane.lane])}>${lane.lane}</a> <${Badge} kind="tag" title=${t("tag")}>${lane.tag}</${Badge}></th>
    <td data-label=${t("state")}><${State} lane=${lane} /><${Marks} lane=${lane} /></td>
    <td data-label=${t("share")}><${Share} lane=${lane} done=${done} /><${Growth} lane=${lane} /></td>
    <td data-label=${t("hits")} class="number">${number(lane.hits)}${lane.last_hit ? html`<div class="quiet"><${Ago} at=${lane.last_hit} /></div>` : null}</td>
    <td data-label=${t("requests")} class="number">${number(of?.requests ?? 0)}${rates.some(Boolean) ? html`<div><${Spark} values=${rates} label=${t("trend_rate", { rate: rates[rates.length - 1].toFixed(1) })} /></div>` : null}</td>
    <td data-label=${t("errors")} class="number">${isWorse ? html`<${Badge} kind="bad" title=${t("worse")}>${percent(of.errors, of.requests)}</${Badge}>` : percent(of?.errors, of?.requests)}</td>
    <td data-label="p95" class="number">${seconds(of?.p95)}</td>
    <td data-label=${t("owner")}>${lane.owner || html`<span class="quiet">–</span>`}</td>
    <td data-label=${t("expires")}>${lane.expires ? html`<${Time} at=${lane.expires} />` : html`<span class="quiet">${t("never")}</span>`}</td>
    <td class="actions"><${Switch} lane=${lane} done=${done} /> <a class="button small" href=${link("lanes", [lane.group, lane.lane, "edit"])}>${t("edit")}</a></td>
  </tr>`;
}

// The groups with those of their lanes that a text is found in, as far as there is room.
function found(groups, text, most) {
  const wanted = text.trim().toLowerCase();
  const takes = (group, lane) => [group.name, lane.lane, lane.tag, lane.owner || ""].some((word) => word.toLowerCase().includes(wanted));
  let count = 0;
  const shown = groups.map((group) => {
    const fits = wanted ? group.lanes.filter((lane) => takes(group, lane)) : group.lanes;
    const room = Math.max(0, most - count);
    count += fits.length;
    return { ...group, all: group.lanes.length, lanes: fits.slice(0, room), isThere: !wanted || fits.length > 0 };
  }).filter((group) => group.isThere && (group.lanes.length || !group.all));
  return { shown, count };
}

function Group({ group, metrics, trends, done }) {
  return html`<section class="panel">
    <header class="bar"><h2>${group.name}</h2>${group.enabled ? null : html`<${Badge} kind="off">${t("state_group_closed")}</${Badge}>`}<span class="quiet">${group.services.length ? group.services.join(", ") : t("every_service")}</span>
      <span class="actions"><a class="button small" href=${link("lanes", [group.name], { edit: "1" })}>${t("group_edit")}</a> <a class="button small" href=${link("lanes", [group.name], { new: "1" })}>+ ${t("new_lane")}</a></span></header>
    ${group.lanes.length ? html`<div class="wide"><table><thead><tr>${["lane", "state", "share", "hits", "requests", "errors"].map((key) => html`<th scope="col" class=${["hits", "requests", "errors"].includes(key) ? "number" : ""}>${t(key)}</th>`)}
      <th scope="col" class="number">p95</th><th scope="col">${t("owner")}</th><th scope="col">${t("expires")}</th><th scope="col"><span class="hidden">${t("actions")}</span></th></tr></thead>
      <tbody>${group.lanes.map((lane) => html`<${Row} key=${lane.lane} lane=${lane} metrics=${metrics} trends=${trends} done=${done} />`)}</tbody></table></div>` : html`<${Empty}>${t("no_lanes_here")}</${Empty}>`}
  </section>`;
}

function List() {
  const state = usePoll(load, []);
  const [text, setText] = useState("");
  const [isAll, setAll] = useState(false);
  return html`<h1>${t("page_lanes")}</h1>
    <p class="lead">${t("lanes_lead")}</p>
    <${Loaded} of=${state}>${({ groups, metrics, trends }) => {
      const { shown, count } = found(groups, text, isAll ? Infinity : SHOWN);
      const more = count - shown.reduce((all, group) => all + group.lanes.length, 0);
      return html`
      <section class="panel base"><h2>${t("baseline")} <${Badge} kind="tag">${BASE}</${Badge}></h2><${Numbers} of=${metrics.tags.get(BASE)} /><${Spark} values=${trends.of(BASE, "rate")} label=${t("trend_rate", { rate: (trends.of(BASE, "rate").at(-1) ?? 0).toFixed(1) })} /></section>
      <div class="bar tools">${groups.length > 1 || count > 10 || text ? html`<label class="find"><span class="hidden">${t("find")}</span><input type="search" placeholder=${t("find_lanes")} aria-label=${t("find")} value=${text} onInput=${(event) => setText(event.target.value)} /></label>` : null}
        <span class="actions"><a class="button small" href=${link("lanes", [], { segments: "1" })}>${t("segments")}</a> <a class="button small" href=${link("lanes", [], { group: "new" })}>+ ${t("new_group")}</a></span></div>
      ${groups.length ? null : html`<${Empty}>${t("no_lanes")}</${Empty}>`}
      ${groups.length && !shown.length ? html`<${Empty}>${t("nothing_found")}</${Empty}>` : null}
      ${shown.map((group) => html`<${Group} key=${group.name} group=${group} metrics=${metrics} trends=${trends} done=${state.again} />`)}
      ${more > 0 ? html`<p><button type="button" onClick=${() => setAll(true)}>${t("show_all", { count: number(more) })}</button></p>` : null}
      <p class="quiet">${t("numbers_hint")}</p>`;
    }}</${Loaded}>
    <${Command} text=${gateway(["lanes"])} />`;
}

export function Lanes() {
  const { path: [group, name, what], query } = route.value;
  if (group && !name && query.has("new")) return html`<${Editor} key="new" group=${group} name="" />`;
  if (group && !name && query.has("edit")) return html`<${GroupEditor} key=${`edit ${group}`} group=${group} />`;
  if (query.has("group")) return html`<${GroupEditor} key="new group" group="" />`;
  if (query.has("segment")) return html`<${SegmentEditor} key=${query.get("segment")} name=${query.get("segment")} />`;
  if (query.has("segments")) return html`<${Segments} />`;
  if (what === "edit") return html`<${Editor} key=${`${group}/${name}`} group=${group} name=${name} />`;
  return group && name ? html`<${Lane} key=${`${group}/${name}`} group=${group} name=${name} />` : html`<${List} />`;
}
