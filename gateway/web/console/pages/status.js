// The program itself: what runs, since when, and what is wrong with it.
import { html } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { curl, gateway } from "../commands.js";
import { parseMetrics } from "../metrics.js";
import { link } from "../state.js";
import { Ago, Badge, Command, Empty, Facts, Loaded, Time, number, seconds } from "../ui.js";
import { t } from "../words.js";

async function load(signal) {
  const ready = await fetch("/readyz", { signal, cache: "no-store" });
  const reasons = (await ready.text()).split("\n").filter((line) => line.startsWith("not ready: "));
  const samples = parseMetrics((await ask("GET", "/metrics", { signal })).body);
  let status = null;
  try { status = (await ask("GET", "/api/v1/status", { signal })).body; } catch (error) { if (error.status !== 401) throw error; }
  const findings = await ask("GET", "/api/v1/findings", { signal }).then((found) => found.body, (error) => { if (error.status !== 401) throw error; return null; });
  return { isReady: ready.ok, findings, reasons: reasons.map((line) => line.slice(11)), samples, status };
}

const values = (samples, name) => samples.filter((item) => item.name === name);
const sum = (samples, name) => values(samples, name).reduce((all, item) => all + item.value, 0);

function Certificates({ samples }) {
  const found = values(samples, "gateway_tls_certificate_expiry_timestamp_seconds");
  if (!found.length) return html`<${Empty}>${t("no_certificates")}</${Empty}>`;
  return html`<ul class="plain-list">${found.map(({ labels, value }) => {
    const days = (value - Date.now() / 1000) / 86400;
    return html`<li><code>${labels.cert}</code> <${Badge} kind=${days < 0 ? "bad" : days < 14 ? "warn" : "good"}>${t("days", { days: Math.floor(days) })}</${Badge}> <${Time} at=${value} /></li>`;
  })}</ul>`;
}

// What the doctor would say, as far as this program knows it by itself.
function Findings({ of }) {
  const failed = of.findings.filter((item) => item.state === "failed");
  return html`<section class=${`panel${failed.length ? " bad" : ""}`} data-test="findings"><header class="bar"><h2>${t("findings")}</h2><span class="quiet">${t("findings_hint")}</span></header>
    ${of.findings.length ? html`<ul class="plain-list">${of.findings.map((item) => html`<li><${Badge} kind=${item.state === "failed" ? "bad" : "warn"}>${t(`finding_${item.state}`)}</${Badge}> <strong>${item.subject}</strong>: ${item.message}${item.hint ? html`<div class="quiet">→ ${item.hint}</div>` : null}</li>`)}</ul>${of.left_out ? html`<p class="quiet">${t("findings_more", { count: number(of.left_out) })}</p>` : null}` : html`<${Empty}>${t("findings_none", { checks: of.checks })}</${Empty}>`}</section>`;
}

export function Status() {
  const found = usePoll(load, []);
  return html`<h1>${t("page_status")}</h1>
    <${Loaded} of=${found}>${({ isReady, reasons, samples, status, findings }) => html`
      <section class="panel"><header class="bar"><h2>${status ? t(`role_${status.role}`) : t("server")}</h2>
        <${Badge} kind=${isReady ? "good" : "bad"}>${t(isReady ? "ready" : "not_ready")}</${Badge}>${status?.draining ? html`<${Badge} kind="warn">${t("draining")}</${Badge}>` : null}</header>
        ${reasons.length ? html`<ul class="trouble">${reasons.map((reason) => html`<li>${reason}</li>`)}</ul>` : null}
        ${status ? html`<${Facts} of=${[[t("version"), status.version], [t("revision"), status.revision], [t("loaded_at"), html`<${Time} at=${status.loaded_at} />`],
          [t("started_at"), html`<${Time} at=${status.started_at} />`], [t("reloads"), t("reloads_of", status.reloads)],
          ...(status.service ? [[t("service"), status.service], [t("tag"), status.tag], [t("registered"), t(status.registered ? "yes" : "no")]] : [])]} />` : null}
        <${Facts} of=${[[t("requests"), number(sum(samples, "gateway_requests_total"))], [t("in_flight"), number(sum(samples, "gateway_requests_in_flight"))],
          [t("connections"), number(sum(samples, "gateway_open_connections"))], [t("refused"), number(sum(samples, "gateway_refused_requests_total"))],
          [t("bugs"), number(sum(samples, "gateway_internal_errors_total"))]]} />
      </section>
      ${status?.last_reload_error ? html`<section class="panel bad" role="alert"><h2>${t("reload_failed")}</h2><p>${t("reload_failed_text", { revision: status.revision })}</p>
        <ul>${status.last_reload_error.map((line) => html`<li><code>${line}</code></li>`)}</ul></section>` : null}
      ${findings ? html`<${Findings} of=${findings} />` : null}
      ${status?.drained?.length ? html`<section class="panel warn"><h2>${t("drained")}</h2><ul class="plain-list">${status.drained.map((item) => html`<li><a href=${link("services", [item.service])}>${item.service}</a> <code>${item.address}</code> ${[item.author, item.reason].filter(Boolean).join(": ")} · <${Ago} at=${item.at} /></li>`)}</ul></section>` : null}
      ${status?.runs_old_rules ? html`<section class="panel warn"><p>${t("old_rules")}</p></section>` : null}
      ${status ? html`<section class="panel"><h2>${t("registries")}</h2><div class="wide"><table><thead><tr>${["registry", "kind", "address", "services", "troubled"].map((key) => html`<th scope="col" class=${["services", "troubled"].includes(key) ? "number" : ""}>${t(key)}</th>`)}</tr></thead>
        <tbody>${status.registries.map((item) => html`<tr key=${item.name}><th scope="row" data-label=${t("registry")}>${item.name}</th><td data-label=${t("kind")}>${item.kind}</td><td data-label=${t("address")}>${(item.addresses || [item.address]).filter(Boolean).join(", ")}</td>
          <td data-label=${t("services")} class="number">${item.services}</td><td data-label=${t("troubled")} class="number">${item.troubled ? html`<${Badge} kind="bad">${item.troubled}</${Badge}>` : 0}</td></tr>`)}</tbody></table></div></section>
      ${status.rules.length ? html`<section class="panel"><h2>${t("remote_rules")}</h2><ul class="plain-list">${status.rules.map((item) => html`<li><code>${item.source}</code> ${seconds(item.age)} ${item.problem ? html`<${Badge} kind="bad">${item.problem}</${Badge}>` : null}</li>`)}</ul></section>` : null}` : null}
      <div class="pair"><section class="panel"><h2>${t("certificates")}</h2><${Certificates} samples=${samples} /></section>
      <section class="panel"><h2>${t("workers")}</h2>${status?.workers?.length
        ? html`<ul class="plain-list">${status.workers.map((item) => html`<li>${Object.entries(item).map(([name, value]) => html`<span class="pair-of">${name} <strong>${String(value)}</strong></span> `)}</li>`)}</ul>`
        : html`<${Empty}>${t("one_process")}</${Empty}>`}
        <p class="quiet">${t("restarts", { count: sum(samples, "gateway_worker_restarts_total") })}</p></section></div>`}
    </${Loaded}>
    <${Command} text=${curl("GET", "/api/v1/status")} /><${Command} text=${gateway(["doctor"])} /><${Command} text=${gateway(["registry", "status"])} />`;
}
