// One lane: what it is doing, how it fares beside the baseline, and what it says.
import { html, useState } from "../lib.js";
import { ask, lanePath, usePoll } from "../api.js";
import { Chart } from "../chart.js";
import { curl, gateway } from "../commands.js";
import { go, link, unauthorized } from "../state.js";
import { Ago, Badge, Command, Confirm, Facts, Loaded, Time, number, percent, say, seconds } from "../ui.js";
import { t } from "../words.js";
import { DrillBox, GuardBox, LostBox, MirrorBox, ScheduleBox } from "./laneparts.js";
import { BASE, Growth, Marks, Numbers, Share, State, Switch, loadMetrics, loadTrends } from "./lanestate.js";

async function load(signal, group, name) {
  const path = lanePath(group, name);
  const [{ body: { lanes } }, written, text, metrics, history] = await Promise.all([
    ask("GET", "/api/v1/lanes", { signal }), ask("GET", path, { signal }), ask("GET", path, { accept: "application/yaml", signal }), loadMetrics(signal), ask("GET", "/api/v1/history", { signal })]);
  const { body } = written;
  const lane = { ...lanes.find((item) => item.group === group && item.lane === name), data: body.lane, etag: written.etag, place: `${body.file}:${body.line}` };
  const trends = await loadTrends(signal, lane.services);
  const mirrored = lane.mirror ? (await ask("GET", "/api/v1/mirrors", { signal })).body.mirrored.filter((item) => item.lane === `${group}/${name}`) : [];
  // Without records of sidecars, nobody knows of lost tags.
  const lost = await ask("GET", "/api/v1/lost-tags?seconds=3600", { signal }).then((found) => found.body.lost.filter((item) => item.tag ? item.tag === lane.tag : !lane.services.length || lane.services.includes(item.from)), () => null);
  const acts = history.body.revisions.filter((item) => item.author === "guard" && item.cause.startsWith(`lane ${group}/${name} `));
  return { lane, metrics, trends, mirrored, lost, acts, text: text.body };
}

const rate = (value) => (value === null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)}/s`);
const share = (value) => (value === null ? "–" : percent(value, 1));

function Traffic({ lane, metrics, trends }) {
  const names = [lane.tag, t("baseline")];
  const chart = (key, title, show, hint, isOwn) => html`<${Chart} title=${title} hint=${hint} names=${names} show=${show} isOwn=${isOwn} lane=${trends.of(lane.tag, key)} base=${trends.of(BASE, key)} />`;
  return html`<section class="panel" data-test="traffic"><h2>${t("beside_baseline")}</h2>
    ${trends.times.length < 2 ? html`<p class="quiet">${t("trend_soon")}</p>` : html`<div class="charts">${chart("rate", t("requests"), rate, t("trend_own"), true)}${chart("errors", t("errors"), share, t("trend_minutes"))}${chart("p95", "p95", seconds, t("trend_minutes"))}</div>`}
    <div class="pair totals"><${Numbers} of=${metrics.tags.get(lane.tag)} label=${t("since_start", { tag: lane.tag })} /><${Numbers} of=${metrics.tags.get(BASE)} label=${t("since_start", { tag: t("baseline") })} /></div>
  </section>`;
}

export function Lane({ group, name }) {
  const path = lanePath(group, name);
  const found = usePoll((signal) => load(signal, group, name), [group, name]);
  const [isDeleting, setDeleting] = useState(false);
  return html`<h1><a href=${link("lanes")}>${t("page_lanes")}</a> / ${group} / ${name}</h1>
    <${Loaded} of=${found}>${({ lane, metrics, trends, mirrored, lost, acts, text }) => html`
      ${lane.fault ? html`<${DrillBox} of=${lane.fault} />` : null}
      <section class="panel"><header class="bar"><h2><${State} lane=${lane} /> <${Badge} kind="tag">${lane.tag}</${Badge}><${Marks} lane=${lane} /></h2>
        <span class="actions"><${Switch} lane=${lane} done=${found.again} /> <a class="button small" href=${link("lanes", [group, name, "edit"])}>${t("edit")}</a>
        <button type="button" class="small danger" disabled=${unauthorized.value} onClick=${() => setDeleting(true)}>${t("delete")}</button></span></header>
        <${Facts} of=${[[t("share"), html`<${Share} lane=${lane} done=${found.again} /><${Growth} lane=${lane} />`], [t("services"), lane.services.length ? lane.services.join(", ") : t("every_service")], [t("hits"), number(lane.hits)], [t("last_hit"), lane.last_hit ? html`<${Ago} at=${lane.last_hit} />` : t("not_yet")], [t("owner"), lane.owner],
          [t("expires"), lane.expires ? html`<${Time} at=${lane.expires} />` : t("never")], [t("file"), html`<code>${lane.place}</code>`]]} /></section>
      <${Traffic} lane=${lane} metrics=${metrics} trends=${trends} />
      ${lane.schedule ? html`<${ScheduleBox} of=${lane.schedule} now=${lane.percent} />` : null}
      ${lane.guard ? html`<${GuardBox} of=${lane.guard} terms=${lane.data.guard} acts=${acts} />` : null}
      ${lane.mirror ? html`<${MirrorBox} of=${lane.mirror} mirrored=${mirrored} compare=${lane.data.mirror.compare} />` : null}
      ${lost?.length ? html`<${LostBox} of=${lost} />` : null}
      <section class="panel"><h2>YAML</h2><pre tabindex="0">${text}</pre></section>
      ${isDeleting ? html`<${Confirm} title=${t("delete")} danger text=${t("delete_text", { lane: `${group}/${name}` })} command=${() => curl("DELETE", path, { match: lane.etag })}
        action=${async () => { await ask("DELETE", path, { match: lane.etag }); say(t("deleted")); go("lanes"); }} close=${() => setDeleting(false)} />` : null}`}
    </${Loaded}>
    <${Command} text=${gateway(["lanes", `${group}/${name}`])} /><${Command} text=${curl("GET", path, { accept: "application/yaml" })} />`;
}
