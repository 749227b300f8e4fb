// What a lane may have beside its conditions: a drill, a schedule, a guard, a mirror; and where its services lose the tag.
import { html } from "../lib.js";
import { link } from "../state.js";
import { Ago, Badge, Empty, Facts, Time, clock, number, percent, seconds } from "../ui.js";
import { t } from "../words.js";
import { guardKind, guardWord } from "./lanestate.js";

export function DrillBox({ of }) {
  const { delay, abort } = of;
  const what = [delay ? t("drill_delay", { delay: seconds(delay) }) : "", abort ? t("drill_abort", { abort }) : ""].filter(Boolean).join(t("drill_and"));
  return html`<section class="panel drilling" role="note" data-test="drill"><h2><${Badge} kind="drill">${t("drill")}</${Badge}> ${t("drill_text")}</h2>
    <p>${t("drill_what", { percent: of.percent, services: of.services.length ? of.services.join(", ") : t("every_service_of_group"), what })}</p>
    <${Facts} of=${[[t("drill_delayed"), number(of.injected.delay)], [t("drill_aborted"), number(of.injected.abort)]]} /></section>`;
}

// The steps in a row, each as high as its share; where it is now, and what comes next.
export function ScheduleBox({ of, now }) {
  const moment = Date.now() / 1000;
  const begun = of.steps.filter((step) => step.at <= moment).length;
  const kind = (at) => (at < begun - 1 ? "past" : at === begun - 1 ? "now" : "later");
  return html`<section class="panel" data-test="schedule"><header class="bar"><h2>${t("schedule")}</h2>
      <${Badge} kind=${of.held ? "warn" : "good"}>${t("schedule_now", { percent: now })}</${Badge}>${of.held ? html`<${Badge} kind="warn">${t("schedule_held_long")}</${Badge}>` : null}
      <span class="quiet">${of.next ? html`${t("schedule_next", { percent: of.next.percent })} <${Time} at=${of.next.at} />` : of.held ? t("schedule_release") : t("schedule_complete")}</span></header>
    <ol class="steps">${of.steps.map((step, at) => html`<li class=${kind(at)} aria-current=${kind(at) === "now" ? "step" : undefined}>
      <svg width="100%" height="44" aria-hidden="true"><rect width="100%" height=${Math.max(2, (step.percent / of.ends_with) * 44)} y=${44 - Math.max(2, (step.percent / of.ends_with) * 44)} /></svg>
      <strong>${step.percent} %</strong> <span class="quiet"><${Time} at=${step.at} /></span></li>`)}</ol></section>`;
}

export function GuardBox({ of, terms = {}, acts }) {
  const then = of.then === "close" ? t("guard_then_close") : of.then === "warn" ? t("guard_then_warn") : t("guard_then_shrink", { percent: of.then.replace(/[^\d.]/g, "") });
  return html`<section class="panel" data-test="guard"><header class="bar"><h2>${t("guard")}</h2><${Badge} kind=${guardKind(of)}>${guardWord(of)}</${Badge}>${of.at ? html`<span class="quiet"><${Ago} at=${of.at} /></span>` : null}</header>
    <p>${of.reason ? (of.state === "good" ? of.reason : `${guardWord(of)}: ${of.reason}`) : t(of.state === null ? "guard_away" : "guard_waits")}</p>
    <${Facts} of=${[[t("guard_compares"), t("baseline")], ...(terms.errors ? [[t("errors"), terms.errors]] : []), ...(terms.p95 ? [["p95", terms.p95]] : []), [t("guard_window"), terms.window || "1m"], [t("guard_least"), number(terms.min_requests ?? 50)], [t("guard_then"), then]]} />
    ${of.past.length ? html`<h3>${t("guard_past")}</h3><ol class="verdicts">${of.past.map((item) => html`<li class=${item.state}><span class="hidden">${clock(item.at)} ${guardWord(item)}: ${item.reason}</span><i title=${`${clock(item.at)} · ${guardWord(item)}: ${item.reason}`}></i></li>`)}</ol>` : null}
    ${acts.length ? html`<h3>${t("guard_acts")}</h3><ul class="plain-list">${acts.map((item) => html`<li><a href=${link("history", [item.revision])}>${item.revision}</a> <${Time} at=${item.at} /> ${item.cause}</li>`)}</ul>` : null}</section>`;
}

const RESULTS = { same: "good", different: "warn", failed: "bad", skipped: "off", dropped: "off" };

function compared({ status = true, headers = [], body = "none" } = {}) {
  return [status ? t("status") : "", ...headers, body === "none" ? "" : `${t("body")} (${body})`].filter(Boolean).join(", ") || "–";
}

// The latest of those that differ in the same way, and how many there are.
function alike(mirrored) {
  const found = new Map();
  for (const item of mirrored) {
    const key = JSON.stringify([item.method, item.path, item.service, item.differences]);
    const known = found.get(key);
    if (known) known.times += 1;
    else found.set(key, { ...item, times: 1 });
  }
  return [...found.values()];
}

export function MirrorBox({ of, mirrored, compare }) {
  const done = Object.entries(of.results);
  const all = done.reduce((sum, [, count]) => sum + count, 0);
  const share = (word) => (100 * of.results[word]) / all;
  let at = 0;
  return html`<section class="panel" data-test="mirror"><header class="bar"><h2>${t("mirror")}</h2><span class="quiet">${t("mirror_text", { percent: of.percent })}</span></header>
    ${all ? html`<svg class="results" width="100%" height="10" role="img" aria-label=${t("mirror_results")}>${done.map(([word, count]) => { const from = at; at += count ? share(word) : 0; return count ? html`<rect class=${RESULTS[word]} x=${`${from}%`} width=${`${share(word)}%`} height="10" />` : null; })}</svg>` : null}
    <${Facts} of=${[...done.map(([word, count]) => [html`<span class=${`key ${RESULTS[word]}`}><i></i>${t(`mirror_${word}`)}</span>`, html`${number(count)}${all && count ? html` <span class="quiet">${percent(count, all)}</span>` : null}`]), [t("mirror_methods"), of.methods.join(", ")], [t("mirror_compares"), compared(compare)]]} />
    <h3>${t("mirror_newest")}</h3>
    ${mirrored.length ? alike(mirrored).slice(0, 20).map((item, index) => html`<details class="difference" open=${index < 3}><summary><strong>${item.method}</strong> <span class="path">${item.path}</span>${item.times > 1 ? html` <${Badge}>× ${item.times}</${Badge}>` : null} <span class="quiet">${item.service} <code>${item.instance}</code> · <${Ago} at=${item.time} /></span></summary>
      <div class="wide"><table><thead><tr><th scope="col">${t("mirror_what")}</th><th scope="col">${t("baseline")}</th><th scope="col">${item.tag}</th></tr></thead>
        <tbody>${item.differences.map((found) => html`<tr><th scope="row" data-label=${t("mirror_what")}><code>${found.what}</code></th><td data-label=${t("baseline")}><code>${found.baseline}</code></td><td data-label=${item.tag}><code>${found.lane}</code></td></tr>`)}</tbody></table></div></details>`) : html`<${Empty}>${t("mirror_no_difference")}</${Empty}>`}</section>`;
}

export function LostBox({ of }) {
  return html`<section class="panel bad" data-test="lost"><h2>${t("lost_tags")}</h2><p class="quiet">${t("lost_tags_text")}</p>
    <ul class="plain-list">${of.map((item) => html`<li><a href=${link("services", [item.from])}>${item.from}</a> → ${item.to}: <${Badge} kind="bad">${number(item.count)}</${Badge}> ${t(`lost_${item.why}`)} · <${Ago} at=${item.last} /><div class="quiet">${t("lost_to_do")} ${t(`lost_do_${item.why}`)}</div></li>`)}</ul></section>`;
}
