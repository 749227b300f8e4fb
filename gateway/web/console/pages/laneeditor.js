// A lane as a form and as YAML, side by side, checked while it is changed.
import { html, useEffect, useRef, useState } from "../lib.js";
import { ask, lanePath } from "../api.js";
import { curl } from "../commands.js";
import { Review } from "../review.js";
import { go, link, unauthorized } from "../state.js";
import { Command, Confirm, Diff, Empty, Trouble, say } from "../ui.js";
import { t } from "../words.js";
import { LaneForm } from "./laneform.js";

const NEW = { name: "", tag: "gray", enabled: false, match: [{ param: "group", equals: "gray" }] };
const NEW_TEXT = "name: \ntag: gray\nenabled: false\nmatch:\n  - {param: group, equals: gray}\n";
const UNCHECKED = { diff: null, review: null, error: null };

// A lane as a form and as YAML, checked by a dry run while it is changed. The server reads and writes the YAML: whichever of
// the two was touched last is sent, and the other one follows.
export function Editor({ group, name }) {
  const isNew = !name;
  const path = lanePath(group, isNew ? undefined : name);
  const method = isNew ? "POST" : "PUT";
  const [lane, setLane] = useState(isNew ? { data: NEW, text: NEW_TEXT } : null);
  const [etag, setEtag] = useState("");
  const [edited, setEdited] = useState("");  // "form", "yaml"; empty: nothing is changed
  const [theirs, setTheirs] = useState(null);
  const [check, setCheck] = useState(UNCHECKED);
  const [error, setError] = useState(null);
  const [isAsking, setAsking] = useState(false);
  const looking = useRef(Promise.resolve());
  const load = async () => {
    try {
      const text = await ask("GET", path, { accept: "application/yaml" });
      setLane({ text: text.body, data: (await ask("GET", path)).body.lane });
      setEtag(text.etag);
      setEdited("");
      setTheirs(null);
      setError(null);
      setCheck(UNCHECKED);
    } catch (problem) { setError(problem); }
  };
  // Somebody else was faster: what the lane is by now.
  const refused = async (problem) => {
    if (problem.status !== 412) throw problem;
    const now = await ask("GET", path, { accept: "application/yaml" });
    setTheirs({ text: now.body, etag: now.etag });
  };
  useEffect(() => { if (!isNew) load(); }, [group, name]);
  const sent = edited === "form" ? lane?.data : lane?.text;
  const change = { body: sent ?? "", match: etag };
  useEffect(() => {
    if (!edited) return undefined;
    let isOld = false;
    const look = async () => {
      if (isOld) return;
      try {
        const { body } = await ask(method, path + "?dry_run=true", change);
        if (isOld) return;
        setLane((old) => (edited === "form" ? { ...old, text: body.yaml } : { ...old, data: body.lane }));
        setCheck({ diff: body.diff, review: body.review, error: null });
      } catch (problem) {
        if (isOld) return;
        setCheck({ ...UNCHECKED, error: problem });
        refused(problem).catch(() => {});
      }
    };
    // One after the other: a thousand lanes take a second.
    const timer = setTimeout(() => { looking.current = looking.current.then(look); }, 350);
    return () => { isOld = true; clearTimeout(timer); };
  }, [edited === "form" ? JSON.stringify(sent) : sent, edited, etag]);
  useEffect(() => {
    const leave = (event) => { if (edited) event.preventDefault(); };
    addEventListener("beforeunload", leave);
    return () => removeEventListener("beforeunload", leave);
  }, [edited]);
  const edit = (how, more) => { setEdited(how); setLane({ ...lane, ...more }); setCheck((old) => ({ ...old, diff: null })); };
  const publish = async () => {
    try {
      const found = await ask(method, path, change);
      say(t("published", { revision: found.body.revision }));
      setEdited("");
      setTimeout(() => go("lanes", [group, found.body.lane.name]));
    } catch (problem) { await refused(problem); }
  };
  return html`<h1><a href=${link("lanes")}>${t("page_lanes")}</a> / ${group} / ${isNew ? t("new_lane") : html`<a href=${link("lanes", [group, name])}>${name}</a>`}</h1>
    ${theirs ? html`<section class="panel warn" role="alert"><h2>${t("conflict")}</h2><p>${t("conflict_text")}</p><pre tabindex="0" aria-label=${t("conflict")}>${theirs.text}</pre><p class="actions"><button type="button" onClick=${load}>${t("take_theirs")}</button>
      <button type="button" onClick=${() => { setEtag(theirs.etag); setTheirs(null); setCheck(UNCHECKED); }}>${t("keep_mine")}</button></p></section>` : html`<${Trouble} error=${error} />`}
    ${!lane ? null : html`<div class="pair editor">
      <section class="panel"><h2>${t("form")}</h2><${LaneForm} data=${lane.data} error=${check.error} disabled=${edited === "yaml" && check.diff === null} change=${(data) => edit("form", { data })} /></section>
      <section class="panel"><label for="yaml"><h2>YAML</h2></label>
        <textarea id="yaml" spellcheck=${false} autocapitalize="off" rows=${Math.max(12, lane.text.split("\n").length + 2)} value=${lane.text} onInput=${(event) => edit("yaml", { text: event.target.value })} /></section>
    </div>
    <section class="panel" aria-live="polite"><h2>${t("diff")}</h2>
      ${!edited ? html`<${Empty}>${t("edit_hint")}</${Empty}>` : check.error ? html`<${Trouble} error=${check.error} />` : check.diff === null ? html`<p class="quiet">${t("checking")}</p>` : html`<${Diff} text=${check.diff} /><${Review} of=${check.review} />`}</section>
    <p class="actions"><button type="button" class="primary" disabled=${!edited || check.diff === null || unauthorized.value} onClick=${() => setAsking(true)}>${t("publish")}</button>
      <a class="button" href=${isNew ? link("lanes") : link("lanes", [group, name])}>${t("cancel")}</a></p>
    ${isAsking ? html`<${Confirm} title=${t("publish")} text=${t("publish_text")} action=${publish} close=${() => setAsking(false)}><${Diff} text=${check.diff} /><${Review} of=${check.review} /></${Confirm}>` : null}
    <${Command} text=${curl(method, path, change)} />`}`;
}

