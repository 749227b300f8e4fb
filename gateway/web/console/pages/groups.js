// Groups and segments as forms: what would come of a change is shown before anything happens.
import { html, useEffect, useRef, useState } from "../lib.js";
import { ask, usePoll } from "../api.js";
import { curl } from "../commands.js";
import { Review } from "../review.js";
import { go, link, unauthorized } from "../state.js";
import { Command, Confirm, Diff, Empty, Loaded, Trouble, number, say } from "../ui.js";
import { t } from "../words.js";
import { Field, Wrong, problemsOf } from "./fields.js";

const UNCHECKED = { diff: null, review: null, error: null };

// The dry run of a change while it is made; one after the other, and only the latest counts.
function useDryRun(method, path, change, isEdited) {
  const [check, setCheck] = useState(UNCHECKED);
  const looking = useRef(Promise.resolve());
  useEffect(() => {
    setCheck((old) => ({ ...old, diff: null }));
    if (!isEdited) return undefined;
    let isOld = false;
    const look = async () => {
      if (isOld) return;
      const found = await ask(method, `${path}?dry_run=true`, change).then(({ body }) => ({ ...body, error: null }), (error) => ({ ...UNCHECKED, error }));
      if (!isOld) setCheck(found);
    };
    const timer = setTimeout(() => { looking.current = looking.current.then(look); }, 350);
    return () => { isOld = true; clearTimeout(timer); };
  }, [JSON.stringify(change), isEdited]);
  return check;
}

// What a change comes to, and the buttons that make it or leave.
function Outcome({ method, path, change, isEdited, check, back, done, children }) {
  const [isAsking, setAsking] = useState(false);
  const publish = async () => {
    const { body } = await ask(method, path, change);
    say(t("published", { revision: body.revision }));
    setTimeout(done);
  };
  return html`<section class="panel" aria-live="polite"><h2>${t("diff")}</h2>
      ${!isEdited ? html`<${Empty}>${t("try_hint")}</${Empty}>` : check.error ? html`<${Trouble} error=${check.error} />` : check.diff === null ? html`<p class="quiet">${t("checking")}</p>` : html`<${Diff} text=${check.diff} /><${Review} of=${check.review} />`}</section>
    <p class="actions"><button type="button" class="primary" disabled=${!isEdited || check.diff === null || unauthorized.value} onClick=${() => setAsking(true)}>${t("publish")}</button><a class="button" href=${back}>${t("cancel")}</a>${children}</p>
    ${isAsking ? html`<${Confirm} title=${t("publish")} text=${t("publish_text")} action=${publish} close=${() => setAsking(false)}><${Diff} text=${check.diff} /></${Confirm}>` : null}
    <${Command} text=${curl(method, path, change)} />`;
}

const FIELDS = [
  { name: "name" }, { name: "order", kind: "number", hint: "0" }, { name: "services", kind: "words", hint: "spring-cloud-a, spring-cloud-b" }, { name: "entry", kind: "words", hint: "*" },
  { name: "baseline", kind: "choice", options: ["untagged", "closed_lanes_rejoin"], word: (item) => t(`baseline_${item}`) }];

export function GroupEditor({ group }) {
  const path = "/api/v1/groups" + (group ? `/${encodeURIComponent(group)}` : "");
  const [data, setData] = useState(group ? null : { name: "" });
  const [known, setKnown] = useState({ etag: "", lanes: 0 });
  const [isEdited, setEdited] = useState(false);
  const [error, setError] = useState(null);
  const [isDeleting, setDeleting] = useState(false);
  useEffect(() => {
    if (group) ask("GET", path).then(({ body, etag }) => { setData(body.group); setKnown({ etag, lanes: body.lanes }); }, setError);
  }, [group]);
  const method = group ? "PUT" : "POST";
  const change = { body: data, match: known.etag };
  const check = useDryRun(method, path, change, isEdited);
  const put = (next) => { setEdited(true); setData(next); };
  const problems = problemsOf(check.error);
  return html`<h1><a href=${link("lanes")}>${t("page_lanes")}</a> / ${group || t("new_group")}</h1><p class="lead">${t("group_lead")}</p><${Trouble} error=${error} />
    ${data ? html`<section class="panel"><div class="lane-form">
        ${FIELDS.map((field) => html`<${Field} key=${field.name} of=${field} data=${data} change=${put} problems=${problems} />`)}
        <${Field} of=${{ name: "enabled", kind: "flag", label: t("form_open"), default: true }} data=${data} change=${put} problems=${problems} /></div>
        ${group ? html`<p class="quiet">${t("group_rename")}</p>` : null}</section>
      <${Outcome} method=${method} path=${path} change=${change} isEdited=${isEdited} check=${check} back=${link("lanes")} done=${() => go("lanes")}>
        ${group ? html`<button type="button" class="danger" disabled=${unauthorized.value} onClick=${() => setDeleting(true)}>${t("delete")}</button>` : null}</${Outcome}>` : null}
    ${isDeleting ? html`<${Confirm} title=${t("delete")} danger text=${t("group_delete_text", { group, lanes: known.lanes })} command=${() => curl("DELETE", path, { match: known.etag })}
      action=${async () => { await ask("DELETE", path, { match: known.etag }); say(t("deleted")); go("lanes"); }} close=${() => setDeleting(false)} />` : null}`;
}

export function Segments() {
  const found = usePoll(async (signal) => (await ask("GET", "/api/v1/segments", { signal })).body.segments, []);
  return html`<h1><a href=${link("lanes")}>${t("page_lanes")}</a> / ${t("segments")}</h1><p class="lead">${t("segments_lead")}</p>
    <${Loaded} of=${found}>${(segments) => html`<section class="panel">${segments.length ? html`<div class="wide"><table><thead><tr><th scope="col">${t("segment")}</th><th scope="col" class="number">${t("values")}</th><th scope="col">${t("file")}</th><th scope="col"><span class="hidden">${t("actions")}</span></th></tr></thead>
      <tbody>${segments.map((item) => html`<tr key=${item.segment}><th scope="row" data-label=${t("segment")}>${item.segment}</th><td data-label=${t("values")} class="number">${number(item.values)}</td><td data-label=${t("file")}><code>${item.file}</code></td><td class="actions"><a class="button small" href=${link("lanes", [], { segment: item.segment })}>${t("edit")}</a></td></tr>`)}</tbody></table></div>` : html`<${Empty}>${t("no_segments")}</${Empty}>`}</section>`}</${Loaded}>
    <${Command} text=${curl("GET", "/api/v1/segments")} />`;
}

export function SegmentEditor({ name }) {
  const path = `/api/v1/segments/${encodeURIComponent(name)}`;
  const [text, setText] = useState(null);
  const [etag, setEtag] = useState("");
  const [isEdited, setEdited] = useState(false);
  const [error, setError] = useState(null);
  useEffect(() => { ask("GET", path).then((found) => { setText(found.body.text); setEtag(found.etag); }, setError); }, [name]);
  const change = { body: { text }, match: etag };
  const check = useDryRun("PUT", path, change, isEdited);
  return html`<h1><a href=${link("lanes")}>${t("page_lanes")}</a> / <a href=${link("lanes", [], { segments: "1" })}>${t("segments")}</a> / ${name}</h1><${Trouble} error=${error} />
    ${text === null ? null : html`<section class="panel"><label>${t("segment_values")}<textarea class="segment-text" spellcheck=${false} autocapitalize="off" value=${text} onInput=${(event) => { setEdited(true); setText(event.target.value); }} /></label>
      <${Wrong} id="wrong-segment" text=${problemsOf(check.error).map(({ detail }) => detail).join("; ")} /></section>
    <${Outcome} method="PUT" path=${path} change=${change} isEdited=${isEdited} check=${check} back=${link("lanes", [], { segments: "1" })} done=${() => go("lanes", [], { segments: "1" })} />`}`;
}
