// What runs where; environments locked and unlocked, an earlier version brought back.
import { html, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { release } from "../commands.js";
import { go, link, unauthorized } from "../state.js";
import { Badge, Command, Confirm, Empty, Loaded, Time, say } from "../ui.js";
import { t } from "../words.js";

const KIND = { RUNNING: "good", DEPLOYING: "live", ERROR: "bad", NEW: "off" };

function Lock({ of, done }) {
  const [isAsking, setAsking] = useState(false);
  const action = of.lock ? "unlock" : "lock";
  return html`<button type="button" class="small" disabled=${unauthorized.value} onClick=${() => setAsking(true)}>${t(action)}</button>
    ${isAsking ? html`<${Confirm} title=${t(action)} reason text=${t(`${action}_text`, { environment: of.environment })} command=${(reason) => release(action, of.environment, "--reason", reason || "…")}
      action=${async (reason) => { await ask("POST", `/api/v1/environments/${encodeURIComponent(of.environment)}/${action}`, { body: { reason } }); say(t("done")); done(); }} close=${() => setAsking(false)} />` : null}`;
}

function Undo({ app, place, versions }) {
  const [isAsking, setAsking] = useState(false);
  const [version, setVersion] = useState("");
  const known = [...new Set(versions.filter((item) => item.application === app && item.environment === place.environment && item.version && item.version !== place.version).map((item) => item.version))];
  if (!known.length) return null;
  return html`<button type="button" class="small danger" disabled=${unauthorized.value} onClick=${() => setAsking(true)}>${t("undo")}</button>
    ${isAsking ? html`<${Confirm} title=${t("undo")} danger reason text=${t("undo_text", { app, environment: place.environment })}
      command=${(reason) => release("undo", app, place.environment, ...(version ? ["--to", version] : []), "--reason", reason || "…")}
      action=${async (reason) => { const { body } = await ask("POST", "/api/v1/undo", { body: { app, environment: place.environment, version: version || null, reason } }); go("releases", [body.id]); }} close=${() => setAsking(false)}>
      <label>${t("version")}<select name="version" value=${version} onChange=${(event) => setVersion(event.target.value)}><option value="">${t("the_one_before")}</option>${known.map((item) => html`<option value=${item}>${item}</option>`)}</select></label>
    </${Confirm}>` : null}`;
}

export function Environments() {
  const found = usePoll(async (signal) => {
    const [environments, apps, history] = await Promise.all(["environments", "apps", "history"].map((name) => ask("GET", `/api/v1/${name}`, { signal })));
    return { environments: environments.body.environments, apps: apps.body.apps, versions: history.body.versions };
  }, []);
  return html`<h1>${t("page_environments")}</h1>
    <${Loaded} of=${found}>${({ environments, apps, versions }) => html`
      <section class="panel"><div class="wide"><table><thead><tr>${["environment", "level", "state", "order", "locked"].map((key) => html`<th scope="col">${t(key)}</th>`)}<th><span class="hidden">${t("actions")}</span></th></tr></thead>
        <tbody>${environments.map((item) => html`<tr key=${item.environment}><th scope="row" data-label=${t("environment")}>${item.environment}</th><td data-label=${t("level")}>${item.level}</td><td data-label=${t("state")}><${Badge} kind=${KIND[item.state]}>${t(`env_${item.state}`)}</${Badge}></td>
          <td data-label=${t("order")}>${item.order ? html`<a href=${link("releases", [item.order])}>${item.order}</a>` : "–"}</td><td data-label=${t("locked")}>${item.lock ? html`${item.lock.by}: ${item.lock.reason}` : "–"}</td><td class="actions"><${Lock} of=${item} done=${found.again} /></td></tr>`)}</tbody></table></div></section>
      ${apps.map((app) => html`<section class="panel" key=${app.application}><header class="bar"><h2>${app.application}</h2><span class="quiet">${app.service}</span></header>
        <div class="wide"><table><thead><tr>${["environment", "version", "since", "instances"].map((key) => html`<th scope="col">${t(key)}</th>`)}<th><span class="hidden">${t("actions")}</span></th></tr></thead><tbody>${app.environments.map((place) => html`<tr key=${place.environment}>
          <th scope="row" data-label=${t("environment")}>${place.environment}</th><td data-label=${t("version")}>${place.version || "–"}</td><td data-label=${t("since")}>${place.since ? html`<${Time} at=${place.since} />` : "–"}</td>
          <td data-label=${t("instances")}>${place.replicas.map((item) => html`<div title=${item.message}><code>${item.address || item.id}</code> <${Badge} kind=${item.phase === "ready" ? "good" : item.message ? "bad" : "off"}>${item.phase}</${Badge}> ${item.tag ? html`<${Badge} kind="tag">${item.tag}</${Badge}>` : null}</div>`)}${place.replicas.length ? null : "–"}</td>
          <td class="actions"><${Undo} app=${app.application} place=${place} versions=${versions} /></td></tr>`)}</tbody></table></div></section>`)}
      ${apps.length ? null : html`<${Empty}>${t("no_apps")}</${Empty}>`}`}</${Loaded}>
    <${Command} text=${release("envs")} /><${Command} text=${release("apps")} />`;
}
