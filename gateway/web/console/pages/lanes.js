// Groups and lanes in the order in which they are tried, with what they get; and one lane, to be changed.
import { html, useEffect, useRef, useState } from "../lib.js";
import { ask, lanePath, usePoll } from "../api.js";
import { curl } from "../commands.js";
import { parseMetrics, traffic } from "../metrics.js";
import { Review } from "../review.js";
import { go, link, route, unauthorized } from "../state.js";
import { Ago, Badge, Command, Confirm, Diff, Empty, Facts, Loaded, Time, Trouble, number, percent, say, seconds } from "../ui.js";
import { t } from "../words.js";
import { LaneForm } from "./laneform.js";

const BASE = "base";

async function loadLanes(signal) {
  const metrics = traffic(parseMetrics((await ask("GET", "/metrics", { signal })).body));
  const { lanes } = (await ask("GET", "/api/v1/lanes", { signal })).body;
  const groups = [];
  for (const lane of lanes) {
    let group = groups.find((item) => item.name === lane.group);
    if (!group) groups.push((group = { name: lane.group, services: lane.services, lanes: [] }));
    group.lanes.push(lane);
  }
  await Promise.all(groups.map(async (group) => {
    // A sidecar shows lanes and changes none.
    const details = await ask("GET", lanePath(group.name), { signal }).catch((error) => { if (error.status === 404) return null; throw error; });
    for (const item of details?.body.lanes || []) {
      const lane = group.lanes.find((found) => found.lane === item.lane.name);
      if (lane) Object.assign(lane, { data: item.lane, etag: item.etag, place: `${item.file}:${item.line}` });
    }
  }));
  return { groups, metrics };
}

// [the condition, its number] of a share that is one number; of spans, and inside all, any, not, only the YAML knows.
function shareOf(data) {
  for (const [at, condition] of (data?.match || []).entries()) {
    const source = ["time", "all", "any", "not"].some((key) => key in condition) ? null : condition;
    const test = source && "percent" in source ? source : source && Object.values(source).find((value) => value && typeof value === "object" && "percent" in value);
    if (test && typeof test.percent === "number") return { at, test, value: test.percent };
  }
  return null;
}

function withShare(data, value) {
  const match = structuredClone(data.match);
  shareOf({ match }).test.percent = value;
  return { match };
}

function Switch({ lane, done }) {
  const [isAsking, setAsking] = useState(false);
  const action = lane.enabled ? "disable" : "enable";
  const path = `${lanePath(lane.group, lane.lane)}/${action}`;
  return html`<button type="button" class="small" disabled=${unauthorized.value} onClick=${() => setAsking(true)}>${t(lane.enabled ? "close" : "open")}</button>
    ${isAsking ? html`<${Confirm} title=${t(lane.enabled ? "close" : "open")} danger=${lane.enabled} text=${t(lane.enabled ? "close_text" : "open_text", { lane: `${lane.group}/${lane.lane}` })}
      command=${() => curl("POST", path, { match: lane.etag })}
      action=${async () => { await ask("POST", path, { match: lane.etag }); say(t(lane.enabled ? "closed" : "opened", { lane: lane.lane })); done(); }}
      close=${() => setAsking(false)} />` : null}`;
}

function Share({ lane, done }) {
  const [value, setValue] = useState(null);
  const share = shareOf(lane.data);
  if (!share) return html`<span class="quiet">–</span>`;
  const path = lanePath(lane.group, lane.lane);
  const change = { body: withShare(lane.data, value), match: lane.etag };
  return html`<button type="button" class="small" disabled=${unauthorized.value} title=${t("share_change")} onClick=${() => setValue(share.value)}>${share.value} %</button>
    ${value === null ? null : html`<${Confirm} title=${t("share_change")} text=${t("share_text", { lane: `${lane.group}/${lane.lane}` })}
      command=${() => curl("PATCH", path, change)}
      action=${async () => { await ask("PATCH", path, change); say(t("saved")); done(); }} close=${() => setValue(null)}>
      <label>${t("share")}<span class="share">
        <input type="range" min="0" max="100" step="1" aria-label=${t("share")} value=${value} onInput=${(event) => setValue(Number(event.target.value))} />
        <input type="number" name="percent" min="0" max="100" step="0.01" required value=${value} onInput=${(event) => setValue(Number(event.target.value))} /> %
      </span></label>
    </${Confirm}>`}`;
}

const Numbers = ({ of, label }) => html`<${Facts} of=${[
  [label || t("requests"), number(of?.requests ?? 0)],
  [t("errors"), of?.requests ? percent(of.errors, of.requests) : "–"],
  ["p95", seconds(of?.p95)],
]} />`;

function State({ lane }) {
  const isExpired = lane.expires && new Date(lane.expires) < new Date();
  if (isExpired) return html`<${Badge} kind="warn">${t("expired")}</${Badge}>`;
  return html`<${Badge} kind=${lane.enabled ? "good" : "off"}>${t(lane.enabled ? "is_open" : "is_closed")}</${Badge}>`;
}

// What the guard of a lane says: in the list only if that is nothing good.
const guardWord = ({ state, outcome }) => t(`guard_${state === "tripped" ? (["warned", "failed"].includes(outcome) ? outcome : state) : state || "undecided"}`);

function Guard({ of }) {
  if (!["tripped", "worse"].includes(of?.state)) return null;
  return html` <${Badge} kind=${of.state === "tripped" ? "bad" : "warn"} title=${of.reason}>${guardWord(of)}</${Badge}>`;
}

// What a schedule gives the lane now, and what comes next.
function Growth({ lane }) {
  if (!lane.schedule) return null;
  const { held, next } = lane.schedule;
  return html`<div class="quiet">${t("schedule_now", { percent: lane.percent })}${next ? html`, ${t("schedule_next", { percent: next.percent })} <${Time} at=${next.at} />` : held ? `, ${t("schedule_held")}` : null}</div>`;
}

function Row({ lane, metrics, done }) {
  const of = metrics.tags.get(lane.tag);
  const base = metrics.tags.get(BASE);
  const isWorse = of?.requests > 20 && base?.requests > 20 && of.errors / of.requests > 2 * (base.errors / base.requests) + 0.01;
  return html`<tr>
    <th scope="row" data-label=${t("lane")}><a href=${link("lanes", [lane.group, lane.lane])}>${lane.lane}</a> <${Badge} kind="tag" title=${t("tag")}>${lane.tag}</${Badge}></th>
    <td data-label=${t("state")}><${State} lane=${lane} /><${Guard} of=${lane.guard} /></td>
    <td data-label=${t("share")}><${Share} lane=${lane} done=${done} /><${Growth} lane=${lane} /></td>
    <td data-label=${t("hits")} class="number">${number(lane.hits)}${lane.last_hit ? html`<div class="quiet"><${Ago} at=${lane.last_hit} /></div>` : null}</td>
    <td data-label=${t("requests")} class="number">${number(of?.requests ?? 0)}</td>
    <td data-label=${t("errors")} class="number">${isWorse ? html`<${Badge} kind="bad" title=${t("worse")}>${percent(of.errors, of.requests)}</${Badge}>` : percent(of?.errors, of?.requests)}</td>
    <td data-label="p95" class="number">${seconds(of?.p95)}</td>
    <td data-label=${t("owner")}>${lane.owner || html`<span class="quiet">–</span>`}</td>
    <td data-label=${t("expires")}>${lane.expires ? html`<${Time} at=${lane.expires} />` : html`<span class="quiet">${t("never")}</span>`}</td>
    <td class="actions">${lane.data ? html`<${Switch} lane=${lane} done=${done} /> <a class="button small" href=${link("lanes", [lane.group, lane.lane, "edit"])}>${t("edit")}</a>` : null}</td>
  </tr>`;
}

function List() {
  const found = usePoll(loadLanes, []);
  return html`<h1>${t("page_lanes")}</h1>
    <p class="lead">${t("lanes_lead")}</p>
    <${Loaded} of=${found}>${({ groups, metrics }) => html`
      <section class="panel base"><h2>${t("baseline")} <${Badge} kind="tag">${BASE}</${Badge}></h2><${Numbers} of=${metrics.tags.get(BASE)} /></section>
      ${groups.length ? null : html`<${Empty}>${t("no_lanes")}</${Empty}>`}
      ${groups.map((group) => html`<section class="panel" key=${group.name}>
        <header class="bar"><h2>${group.name}</h2><span class="quiet">${group.services.length ? group.services.join(", ") : t("every_service")}</span>
          <a class="button small" href=${link("lanes", [group.name], { new: "1" })}>+ ${t("new_lane")}</a></header>
        <div class="wide"><table><thead><tr>${["lane", "state", "share", "hits", "requests", "errors"].map((key) => html`<th scope="col" class=${["hits", "requests", "errors"].includes(key) ? "number" : ""}>${t(key)}</th>`)}
          <th scope="col" class="number">p95</th><th scope="col">${t("owner")}</th><th scope="col">${t("expires")}</th><th scope="col"><span class="hidden">${t("actions")}</span></th></tr></thead>
          <tbody>${group.lanes.map((lane) => html`<${Row} key=${lane.lane} lane=${lane} metrics=${metrics} done=${found.again} />`)}</tbody></table></div>
      </section>`)}
      <p class="quiet">${t("numbers_hint")}</p>`}
    </${Loaded}>
    <${Command} text=${curl("GET", "/api/v1/lanes")} />`;
}

// One lane: what it says, and how to try it.
function Lane({ group, name }) {
  const path = lanePath(group, name);
  const found = usePoll(async (signal) => {
    const { groups, metrics } = await loadLanes(signal);
    const lane = groups.find((item) => item.name === group)?.lanes.find((item) => item.lane === name);
    const text = (await ask("GET", path, { accept: "application/yaml", signal })).body;
    return { lane, metrics, text };
  }, [group, name]);
  const [isDeleting, setDeleting] = useState(false);
  return html`<h1><a href=${link("lanes")}>${t("page_lanes")}</a> / ${group} / ${name}</h1>
    <${Loaded} of=${found}>${({ lane, metrics, text }) => html`
      <section class="panel"><header class="bar"><h2><${State} lane=${lane} /> <${Badge} kind="tag">${lane.tag}</${Badge}></h2>
        <span class="actions"><${Switch} lane=${lane} done=${found.again} /> <a class="button small" href=${link("lanes", [group, name, "edit"])}>${t("edit")}</a>
        <button type="button" class="small danger" onClick=${() => setDeleting(true)}>${t("delete")}</button></span></header>
        <${Facts} of=${[[t("share"), html`<${Share} lane=${lane} done=${found.again} /><${Growth} lane=${lane} />`], [t("hits"), number(lane.hits)], [t("last_hit"), lane.last_hit ? html`<${Ago} at=${lane.last_hit} />` : t("not_yet")], [t("owner"), lane.owner],
          [t("expires"), lane.expires ? html`<${Time} at=${lane.expires} />` : t("never")],
          ...(lane.guard ? [[t("guard"), `${guardWord(lane.guard)}${lane.guard.reason ? `: ${lane.guard.reason}` : ""}`]] : []), [t("file"), html`<code>${lane.place}</code>`]]} /></section>
      <div class="pair"><section class="panel"><h2>${t("tag")} ${lane.tag}</h2><${Numbers} of=${metrics.tags.get(lane.tag)} /></section>
        <section class="panel"><h2>${t("baseline")}</h2><${Numbers} of=${metrics.tags.get(BASE)} /></section></div>
      <section class="panel"><h2>YAML</h2><pre tabindex="0">${text}</pre></section>
      ${isDeleting ? html`<${Confirm} title=${t("delete")} danger text=${t("delete_text", { lane: `${group}/${name}` })} command=${() => curl("DELETE", path, { match: lane.etag })}
        action=${async () => { await ask("DELETE", path, { match: lane.etag }); say(t("deleted")); go("lanes"); }} close=${() => setDeleting(false)} />` : null}`}
    </${Loaded}>
    <${Command} text=${curl("GET", path, { accept: "application/yaml" })} />`;
}

const NEW = { name: "", tag: "gray", enabled: false, match: [{ param: "group", equals: "gray" }] };
const NEW_TEXT = "name: \ntag: gray\nenabled: false\nmatch:\n  - {param: group, equals: gray}\n";
const UNCHECKED = { diff: null, review: null, error: null };

// A lane as a form and as YAML, checked by a dry run while it is changed. The server reads and writes the YAML: whichever of
// the two was touched last is sent, and the other one follows.
function Editor({ group, name }) {
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
      <section class="panel"><h2>${t("form")}</h2><${LaneForm} data=${lane.data} disabled=${edited === "yaml" && check.diff === null} change=${(data) => edit("form", { data })} /></section>
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

export function Lanes() {
  const [group, name, what] = route.value.path;
  if (group && !name && route.value.query.has("new")) return html`<${Editor} key="new" group=${group} name="" />`;
  if (what === "edit") return html`<${Editor} key=${`${group}/${name}`} group=${group} name=${name} />`;
  return group && name ? html`<${Lane} key=${`${group}/${name}`} group=${group} name=${name} />` : html`<${List} />`;
}
