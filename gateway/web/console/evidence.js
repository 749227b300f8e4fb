// Why a request goes where it goes: the decision in a sentence, and each lane and condition with the value it saw.
import { html } from "./lib.js";
import { link } from "./state.js";
import { Badge, Facts } from "./ui.js";
import { t } from "./words.js";

function Condition({ of }) {
  return html`<li>
    <${Badge} kind=${of.held ? "good" : "off"}>${t(of.held ? "held" : "not_held")}</${Badge}> <code>${of.text}</code>
    ${of.members.length ? null : html`<span class="quiet">${of.value === null ? t("value_absent") : html`${t("value_was")} <code class="value">${of.value}</code>`}</span>`}
    ${of.bucket === null ? null : html`<span class="quiet">${t("bucket", { bucket: (of.bucket / 100).toFixed(2), share: of.share.join(", ") || "0" })}</span>`}
    ${of.kept ? html`<${Badge}>${t("kept")}</${Badge}>` : null}
    ${of.members.length ? html`<ul class="conditions">${of.members.map((item) => html`<${Condition} of=${item} />`)}</ul>` : null}
  </li>`;
}

function verdict(lane) {
  if (lane.winner) return ["good", t("winner")];
  if (lane.state !== "open") return ["off", t(`state_${lane.state.replace(" ", "_")}`)];
  return lane.matched ? ["warn", t("matched_later")] : ["off", t("not_matched")];
}

// What only some requests have, of a record or a decision.
export function noted(of) {
  const drill = of.fault && html`<${Badge} kind="drill">${t(`fault_${of.fault}`)}</${Badge}>`;
  const facts = [["signature", of.signature && html`<${Badge} kind="bad">${t(`signature_${of.signature}`)}</${Badge}>`],
    ["rules_pinned", of.rules && html`<code>${of.rules}</code>`], ["rules_unknown", of.unknown_rules && html`<code>${of.unknown_rules}</code>`], ["injected", drill],
    ["mirror", of.mirror && html`<${Badge} kind="tag">${t("is_copy")}</${Badge}>`], ["lost_tag", of.lost && html`<${Badge} kind="bad">${of.lost_tag} ${t(`lost_${of.lost}`)}</${Badge}>`], ["grpc_status", of.grpc_status]];
  return facts.filter(([, value]) => value).map(([key, value]) => [t(key), value]);
}

export function Evidence({ of }) {
  const { decision, lanes, pools } = of;
  const where = decision.error ? t("said_error", { error: decision.error })
    : decision.fallback ? t("said_fallback", { tag: decision.tag, pool: decision.pool, fallback: decision.fallback })
    : decision.lane ? t("said_lane", { lane: `${decision.group}/${decision.lane}`, pool: decision.pool })
    : decision.service ? t("said_base", { pool: decision.pool }) : t("said_nothing");
  const reasons = decision.fallback ? [] : (lanes.find((lane) => lane.winner)?.conditions || []).filter((item) => item.held);
  return html`
    <section class="panel verdict ${decision.error ? "bad" : decision.fallback ? "warn" : decision.lane ? "good" : ""}" data-test="verdict">
      <p class="say">${where}</p>${reasons.length ? html`<p>${t("because")} ${reasons.map((item) => html`<code>${item.text}</code> `)}</p>` : null}${decision.detail ? html`<p>${decision.detail}</p>` : null}
      <${Facts} of=${[[t("route"), decision.route], [t("service"), decision.service && html`<a href=${link("services", [decision.service])}>${decision.service}</a>`],
        [t("tag"), decision.tag], [t("tag_source"), t(`source_${decision.tag_source}`)], [t("pool"), decision.pool], [t("instance"), decision.instance],
        [t("fallback"), decision.fallback], [t("revision"), decision.revision], ...noted(decision)]} />
    </section>
    <h2>${t("evidence")}</h2>
    ${lanes.length ? null : html`<p class="empty">${t("no_lanes")}</p>`}
    <ol class="lanes">${lanes.map((lane) => {
      const [kind, text] = verdict(lane);
      return html`<li class="panel ${lane.winner ? "winner" : ""}">
        <header class="bar"><h3><a href=${link("lanes", [lane.group, lane.lane])}>${lane.group}/${lane.lane}</a></h3><${Badge} kind="tag">${lane.tag}</${Badge}><${Badge} kind=${kind}>${text}</${Badge}>
          <span class="quiet">${t(`match_${lane.match_mode}`)}</span></header>
        <ul class="conditions">${lane.conditions.map((item) => html`<${Condition} of=${item} />`)}</ul></li>`;
    })}</ol>
    ${pools?.length ? html`<h2>${t("pools")}</h2><section class="panel"><${Pools} of=${pools} chosen=${decision.instance} /></section>` : null}`;
}

// `actions` makes what can be done with an instance; then what is in flight there is shown, too.
export function Pools({ of, chosen, actions }) {
  const numbers = ["weight", "in_flight"];
  return html`<div class="wide"><table><thead><tr>${["instance", "tag", "weight", "health", ...(actions ? ["in_flight"] : []), "metadata"].map((key) => html`<th scope="col" class=${numbers.includes(key) ? "number" : ""}>${t(key)}</th>`)}${actions ? html`<th scope="col"><span class="hidden">${t("actions")}</span></th>` : null}</tr></thead>
    <tbody>${of.flatMap((pool) => pool.instances.map((item) => html`<tr key=${item.address} class=${item.address === chosen ? "chosen" : ""}>
      <th scope="row" data-label=${t("instance")}><code>${item.address}</code></th>
      <td data-label=${t("tag")}><${Badge} kind="tag">${pool.tag}</${Badge}></td>
      <td data-label=${t("weight")} class="number">${item.weight}</td>
      <td data-label=${t("health")}><${Health} of=${item} panicking=${pool.panicking} /></td>
      ${actions ? html`<td data-label=${t("in_flight")} class="number">${item.in_flight}</td>` : null}
      <td data-label=${t("metadata")} class="all">${Object.entries(item.metadata).map(([name, value]) => html`<code class="pair-of">${name}=${value}</code> `)}</td>${actions ? html`<td class="actions">${actions(item)}</td>` : null}</tr>`))}</tbody></table></div>`;
}

function Health({ of, panicking }) {
  return html`${of.drained ? html`<${Badge} kind="warn" title=${[of.drained.author, of.drained.reason].filter(Boolean).join(": ")}>${t("drained")}</${Badge}>` : !of.enabled ? html`<${Badge} kind="off">${t("disabled")}</${Badge}>` : of.ejected ? html`<${Badge} kind="bad">${t("ejected")}</${Badge}>`
    : of.healthy ? html`<${Badge} kind="good">${t("healthy")}</${Badge}>` : html`<${Badge} kind="bad">${t("unhealthy")}</${Badge}>`}
    ${of.kept ? html` <${Badge} kind="warn" title=${t("kept_hint")}>${t("kept_instance")}</${Badge}>` : null}
    ${panicking ? html` <${Badge} kind="warn">${t("panicking")}</${Badge}>` : null}`;
}
