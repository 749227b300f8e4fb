// What a dry run says of a change: findings of the linter, rule tests, and the requests of late that would move.
import { html } from "./lib.js";
import { link } from "./state.js";
import { Badge } from "./ui.js";
import { t } from "./words.js";

const KIND = { error: "bad", warning: "warn", info: "off" };
const place = (name) => (name === "baseline" ? t("baseline") : name);

export function Review({ of }) {
  if (!of) return null;
  const { lint, tests, what_if: moves } = of;
  const fresh = lint.filter((item) => item.is_new);
  return html`<div class="review" data-test="review">
    <h3>${t("review_lint")}</h3>
    ${fresh.length ? html`<ul class="plain-list">${fresh.map((item) => html`<li><${Badge} kind=${KIND[item.severity]}>${item.code}</${Badge}> <code>${item.lane ? `${item.group}/${item.lane}` : item.group}</code> ${item.message}${item.hint ? html` <span class="quiet">${item.hint}</span>` : null}</li>`)}</ul>` : html`<p class="quiet">${t("review_no_lint")}</p>`}
    <h3>${t("review_tests")}</h3>
    ${tests.problem ? html`<p class="trouble">${tests.problem}</p>` : tests.failed.length || tests.passed
      ? html`<p><${Badge} kind=${tests.failed.length ? "bad" : "good"}>${t("review_passed", { passed: tests.passed, failed: tests.failed.length })}</${Badge}></p>
        <ul class="plain-list">${tests.failed.map((item) => html`<li><code>${item.file}:${item.line}</code> ${item.name}: <span class="quiet">${t("review_failed", { expected: item.expected, lane: item.lane })}</span></li>`)}</ul>` : html`<p class="quiet">${t("review_no_tests")}</p>`}
    <h3>${t("review_moves")}</h3>
    <p>${moves.moved ? html`<${Badge} kind="warn">${t("review_moved", { moved: moves.moved, all: moves.requests })}</${Badge}>` : html`<span class="quiet">${t("review_none_moves", { all: moves.requests })}</span>`}</p>
    <ul class="plain-list">${moves.moves.map((item) => html`<li>${place(item.from)} → <strong>${place(item.to)}</strong>: ${item.requests}
      ${item.records.map((id) => html` <a href=${link("requests", [id])}>${t("request")} …${String(id).slice(-5)}</a>`)}</li>`)}</ul>
  </div>`;
}
