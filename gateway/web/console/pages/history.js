// The revisions of the rules: what each said, what would change by going back to it, and going back.
import { html, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { gateway } from "../commands.js";
import { Review } from "../review.js";
import { author, link, route, unauthorized } from "../state.js";
import { Badge, Command, Confirm, Diff, Loaded, Time, say } from "../ui.js";
import { t } from "../words.js";

function Revision({ number }) {
  const path = `/api/v1/history/${encodeURIComponent(number)}`;
  const [isAsking, setAsking] = useState(false);
  const found = usePoll(async (signal) => {
    const { body } = await ask("GET", path, { signal });
    // What the files would be against what they are; a revision that cannot come back says why.
    const back = await ask("POST", `${path}/rollback?dry_run=true`, { body: {}, signal }).then((item) => ({ diff: item.body.diff, review: item.body.review }), (error) => ({ error }));
    return { ...body, ...back };
  }, [number], 0);
  const back = () => gateway(["rules", "rollback", String(number)], ...(author.value ? ["--author", `'${author.value.replaceAll("'", `'\\''`)}'`] : []));
  return html`<h1><a href=${link("history")}>${t("page_history")}</a> / ${number}</h1>
    <${Loaded} of=${found}>${(of) => html`
      <p class="lead">${of.cause} · ${of.author || t("nobody")} · <${Time} at=${of.at} /></p>
      <section class="panel"><header class="bar"><h2>${t("back_diff")}</h2><button type="button" class="danger small" disabled=${unauthorized.value || Boolean(of.error) || !of.diff} onClick=${() => setAsking(true)}>${t("roll_back")}</button></header>
        ${of.error ? html`<p class="trouble">${of.error.message}</p>` : html`<${Diff} text=${of.diff} />${of.diff ? html`<${Review} of=${of.review} />` : null}`}</section>
      ${Object.entries(of.files).map(([name, text]) => html`<section class="panel"><h2><code>${name}</code></h2><pre tabindex="0">${text}</pre></section>`)}
      ${isAsking ? html`<${Confirm} title=${t("roll_back")} danger text=${t("roll_back_text", { revision: number })} command=${back}
        action=${async () => { const item = await ask("POST", `${path}/rollback`, { body: {} }); say(t("published", { revision: item.body.revision })); found.again(); }} close=${() => setAsking(false)}><${Diff} text=${of.diff} /></${Confirm}>` : null}`}
    </${Loaded}>
    <${Command} text=${gateway(["rules", "history", String(number)])} /><${Command} text=${back()} />`;
}

export function History() {
  const [number] = route.value.path;
  const found = usePoll(async (signal) => (await ask("GET", "/api/v1/history", { signal })).body.revisions.sort((a, b) => b.revision - a.revision), []);
  if (number) return html`<${Revision} key=${number} number=${number} />`;
  return html`<h1>${t("page_history")}</h1><p class="lead">${t("history_lead")}</p>
    <${Loaded} of=${found}>${(revisions) => html`<section class="panel"><div class="wide"><table><thead><tr>${["revision", "when", "author_of", "cause"].map((key) => html`<th scope="col">${t(key)}</th>`)}</tr></thead>
      <tbody>${revisions.map((item, at) => html`<tr key=${item.revision}><th scope="row" data-label=${t("revision")}><a href=${link("history", [item.revision])}>${item.revision}</a> ${at ? null : html`<${Badge} kind="good">${t("in_force")}</${Badge}>`}</th>
        <td data-label=${t("when")}><${Time} at=${item.at} /></td><td data-label=${t("author_of")}>${item.author || html`<span class="quiet">–</span>`}</td><td data-label=${t("cause")}>${item.cause}</td></tr>`)}</tbody></table></div></section>`}</${Loaded}>
    <${Command} text=${gateway(["rules", "history"])} />`;
}
