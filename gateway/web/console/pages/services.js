// Services as the registries have them, and every instance.
import { html, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { gateway } from "../commands.js";
import { Pools } from "../evidence.js";
import { author, link, route, unauthorized } from "../state.js";
import { Ago, Badge, Command, Confirm, Empty, Loaded, number, say, seconds } from "../ui.js";
import { t } from "../words.js";

const KIND = { fresh: "good", protected: "warn", stale: "warn", unknown: "bad" };
const State = ({ of }) => html`<${Badge} kind=${KIND[of.state]} title=${of.reason}>${t(`registry_${of.state}`)}</${Badge}>`;

function Registries({ of }) {
  return html`<div class="wide"><table><thead><tr>${["registry", "state", "age", "instances", "left_out", "reason_why"].map((key) => html`<th scope="col" class=${["age", "instances"].includes(key) ? "number" : ""}>${t(key)}</th>`)}</tr></thead>
    <tbody>${of.map((item) => html`<tr key=${item.registry}><th scope="row" data-label=${t("registry")}>${item.registry}</th><td data-label=${t("state")}><${State} of=${item} /></td>
      <td data-label=${t("age")} class="number">${seconds(item.age)}</td><td data-label=${t("instances")} class="number">${number(item.instances)}</td>
      <td data-label=${t("left_out")}>${Object.entries(item.left_out).map(([reason, names]) => html`<div>${reason}: <code>${names.join(", ")}</code></div>`)}</td>
      <td data-label=${t("reason_why")}>${item.reason}</td></tr>`)}</tbody></table></div>`;
}

// Out of this program's traffic, and back.
function Drain({ service, of, done }) {
  const [isAsking, setAsking] = useState(false);
  const action = of.drained ? "restore" : "drain";
  const path = `/api/v1/services/${encodeURIComponent(service)}/instances/${encodeURIComponent(of.address)}/${action}`;
  const body = (reason) => (of.drained ? {} : { reason });
  return html`${of.drained ? html`<span class="quiet">${[of.drained.author, of.drained.reason].filter(Boolean).join(": ")} · <${Ago} at=${of.drained.at} /></span> ` : null}<button type="button" class="small" disabled=${unauthorized.value} onClick=${() => setAsking(true)}>${t(`do_${action}`)}</button>
    ${isAsking ? html`<${Confirm} title=${t(`do_${action}`)} danger=${!of.drained} reason=${!of.drained} text=${t(`do_${action}_text`, { address: of.address })}
      command=${(reason) => gateway(["instance", action, service, of.address, ...(of.drained ? [] : ["--reason", reason || "…"]), ...(author.value ? ["--author", author.value] : [])])}
      action=${async (reason) => { await ask("POST", path, { body: body(reason) }); say(t("done")); done(); }} close=${() => setAsking(false)} />` : null}`;
}

function Service({ of, done }) {
  const all = of.pools.reduce((sum, pool) => sum + pool.size, 0);
  return html`<section class="panel"><header class="bar"><h2><a href=${link("services", [of.service])}>${of.service}</a></h2><${State} of=${of} />
      <span class="quiet">${t("heard", { age: seconds(of.age) })}</span>
      ${of.pools.map((pool) => html`<${Badge} kind=${pool.usable ? "tag" : "bad"} title=${t("usable")}>${pool.tag} ${pool.usable}/${pool.size}</${Badge}>`)}</header>
    ${of.reason ? html`<p class="trouble">${of.reason}</p>` : null}
    ${all ? html`<${Pools} of=${of.pools} actions=${(item) => html`<${Drain} service=${of.service} of=${item} done=${done} />`} />` : html`<${Empty}>${t("no_instances")}</${Empty}>`}
    <details><summary>${t("registries")}</summary><${Registries} of=${of.registries || []} /></details></section>`;
}

export function Services() {
  const [name] = route.value.path;
  const [text, setText] = useState("");
  const found = usePoll(async (signal) => (await ask("GET", "/api/v1/services", { signal })).body.services, []);
  const fits = (of) => (name ? of.service === name : [of.service, ...of.pools.flatMap((pool) => [pool.tag, ...pool.instances.flatMap((item) => [item.address, ...Object.values(item.metadata)])])]
    .some((value) => value.toLowerCase().includes(text.toLowerCase())));
  return html`<h1>${name ? html`<a href=${link("services")}>${t("page_services")}</a> / ${name}` : t("page_services")}</h1>
    ${name ? null : html`<p><label class="hidden" for="find">${t("find")}</label><input id="find" type="search" placeholder=${t("find_services")} value=${text} onInput=${(event) => setText(event.target.value)} /></p>`}
    <${Loaded} of=${found}>${(services) => {
      const fitting = services.filter(fits);
      return fitting.length ? fitting.map((item) => html`<${Service} key=${item.service} of=${item} done=${found.again} />`) : html`<${Empty}>${t(services.length ? "nothing_found" : "no_services")}</${Empty}>`;
    }}</${Loaded}>
    <${Command} text=${gateway(["registry", "list", ...(name ? [name] : [])])} />`;
}
