// Who did what, and why.
import { html } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { release } from "../commands.js";
import { link } from "../state.js";
import { Command, Empty, Loaded, Time } from "../ui.js";
import { t } from "../words.js";

export function Audit() {
  const found = usePoll(async (signal) => {
    // The oldest come first, a thousand at a time.
    const lines = [];
    for (let after = 0, more; ; after = lines[lines.length - 1].id) {
      more = (await ask("GET", `/api/v1/audit?after=${after}`, { signal })).body.lines;
      lines.push(...more);
      if (more.length < 1000 || lines.length >= 20000) return lines.reverse().slice(0, 500);
    }
  }, [], 5000);
  return html`<h1>${t("page_audit")}</h1>
    <${Loaded} of=${found}>${(lines) => lines.length ? html`<section class="panel"><div class="wide"><table><thead><tr>${["when", "actor", "action", "subject", "reason", "order"].map((key) => html`<th scope="col">${t(key)}</th>`)}</tr></thead>
      <tbody>${lines.map((item) => html`<tr key=${item.id}><td data-label=${t("when")}><${Time} at=${item.at} /></td><td data-label=${t("actor")}>${item.actor}</td><td data-label=${t("action")}>${item.action}</td><td data-label=${t("subject")}>${item.subject}</td><td data-label=${t("reason")}>${item.reason}</td>
        <td data-label=${t("order")}>${item.order ? html`<a href=${link("releases", [item.order])}>${item.order}</a>` : "–"}</td></tr>`)}</tbody></table></div></section>` : html`<${Empty}>${t("no_audit")}</${Empty}>`}</${Loaded}>
    <${Command} text=${release("history", "--audit")} />`;
}
