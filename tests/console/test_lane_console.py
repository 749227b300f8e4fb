"""What a lane is doing, in the console: drill, schedule, guard, mirror, lost tags, traffic; and how all of it is edited."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Locator, Route, expect

from gateway.live.delivery import pack
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter
from tests.console.support import FOREIGN, Console, Served, becomes
from tests.support.records import record

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUSY = {
    "fault": {"delay": "1ms", "abort": 503, "services": ["a"]},
    "mirror": {"percent": 100, "compare": {"body": "bytes"}},
}
LANE = "/api/v1/groups/shop/lanes/gray"


def changed(change: Callable[[Any], None]) -> Callable[[Route], Awaitable[None]]:
    """What the API says, but for a change."""

    async def fulfil(route: Route) -> None:
        response = await route.fetch()
        body = await response.json()
        change(body)
        await route.fulfill(response=response, json=body)

    return fulfil


def part(console: Console, name: str) -> Locator:
    """A part of a lane's page."""
    return console.page.get_by_test_id(name)


async def test_a_drill_is_marked_wherever_its_lane_or_its_requests_are(served: Served, console: Console) -> None:
    await served.api("PATCH", LANE, BUSY)
    await served.ask("/A/x?group=gray")
    await becomes(lambda: served.has_records(1))
    await console.open(served.admin, "#/lanes")
    await expect(console.page.locator("tr", has_text="team-shop").locator(".badge.drill")).to_have_text("DRILL")
    await console.follow("#/lanes/shop/gray")
    drill = part(console, "drill")
    await expect(drill).to_contain_text("Of its requests to a, 100 % are held up for 1.0 ms and fail with 503.")
    await expect(drill).to_contain_text(re.compile(r"Held up so far\s*\d.*Failed so far\s*1"))
    for theme in ("light", "dark"):
        await console.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        await console.is_accessible()
    await console.follow("#/requests")
    await console.page.locator("tbody tr", has_text="DRILL").get_by_role("link").first.click()
    await console.sees("Injected", "DRILL: failed", "Rules it came with")
    await served.api("PATCH", LANE, {"fault": None})
    await console.follow("#/lanes/shop/gray")
    await console.sees("Beside the baseline")
    await expect(drill).to_have_count(0)


async def test_a_mirror_shows_its_counts_and_the_newest_differences(served: Served, console: Console) -> None:
    await served.api("PATCH", LANE, {"mirror": BUSY["mirror"]})
    for target in ("/A/twice", "/A/twice", "/A/%3Cscript%3E"):
        await served.ask(target)

    async def is_compared() -> bool:
        lane = (await served.api("GET", "/api/v1/lanes"))["lanes"][0]
        return bool(lane["mirror"]["results"]["different"] == 3)

    await becomes(is_compared)
    await console.open(served.admin, "#/lanes/shop/gray")
    mirror = part(console, "mirror")
    await expect(mirror).to_contain_text(re.compile(r"different\s*3 100.0 %"))
    await expect(mirror).to_contain_text("Status, Body (bytes)")
    await expect(mirror.locator("details")).to_have_count(2)  # what differs in the same way is told once
    await expect(mirror.locator("summary", has_text="/twice")).to_contain_text("× 2")
    await expect(mirror.locator("tbody tr").first).to_have_text(re.compile(r"body\s*\d+ bytes\s*\d+ bytes"))

    def find(body: Any) -> None:
        difference = {"what": f"/items/0/{FOREIGN}", "baseline": FOREIGN, "lane": "text of 2 letters"}
        body["mirrored"] = [{**body["mirrored"][0], "path": FOREIGN, "differences": [difference]}]

    await console.page.route("**/api/v1/mirrors", changed(find))
    await expect(mirror.locator("details")).to_have_count(1)
    await expect(mirror.locator("tbody th")).to_have_text(f"/items/0/{FOREIGN}")
    await expect(mirror.locator("summary")).to_contain_text(FOREIGN)
    await console.is_inert()
    await console.is_accessible()


async def test_a_schedule_shows_where_it_is_and_a_guard_what_it_found(served: Served, console: Console) -> None:
    began = int(time.time() // 3600) * 3600
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began - 3600))
    plan = {"start": start, "steps": [1, 10], "over": "4h"}
    guard = {"errors": "+2%", "p95": "x1.5", "then": "shrink to 1 %"}
    await served.api("PATCH", "/api/v1/groups/shop/lanes/share", {"match": [{"cookie": "uid", "percent": 50}], "schedule": plan, "guard": guard})  # fmt: skip
    await console.open(served.admin, "#/lanes/shop/share")
    schedule, watched = part(console, "schedule"), part(console, "guard")
    await expect(schedule).to_contain_text(re.compile(r"1 % now\s*10 % next"))
    await expect(schedule.locator("li")).to_have_count(3)
    await expect(schedule.locator("li[aria-current=step] strong")).to_have_text("1 %")
    await expect(watched).to_contain_text(re.compile(r"\+2%.*x1\.5.*1m.*50.*shrink it to 1 %"))

    def tripped(body: Any) -> None:
        past = [{"at": 1.0, "state": "good", "reason": "no worse"}, {"at": 61.0, "state": "worse", "reason": FOREIGN}]
        body["lanes"][1]["guard"] |= {"state": "tripped", "outcome": "shrunk", "reason": FOREIGN, "past": past}

    await console.page.route("**/api/v1/lanes", changed(tripped))
    await expect(watched.locator(".verdicts li")).to_have_count(2)
    await expect(watched.locator(".verdicts .worse")).to_contain_text(FOREIGN)
    await expect(watched).to_contain_text(f"stopped by its guard: {FOREIGN}")
    await console.is_inert()
    await console.is_accessible()


async def test_what_a_guard_has_done_is_told_from_the_history(served: Served, console: Console) -> None:
    await served.api("PATCH", LANE, {"guard": {"errors": "+2%", "then": "close"}})

    def acted(body: Any) -> None:
        cause = "lane shop/gray closed by its guard: too many errors"
        body["revisions"].insert(0, {"revision": 7, "at": 1.0, "author": "guard", "cause": cause})
        body["revisions"].insert(0, {"revision": 8, "at": 1.0, "author": "guard", "cause": "lane shop/other closed"})

    await console.page.route("**/api/v1/history", changed(acted))
    await console.open(served.admin, "#/lanes/shop/gray")
    await expect(part(console, "guard").get_by_role("link")).to_have_text("7")
    await console.sees("closed by its guard: too many errors")
    await expect(console.page.locator("main")).not_to_contain_text("shop/other")


async def test_tags_that_services_of_a_lane_lose_are_told_with_what_to_do(served: Served, console: Console) -> None:
    def delivery(service: str, why: str, tag: str = "") -> Any:
        made = record(time=time.time(), listener="outbound", service=FOREIGN, lost=why, lost_tag=tag)
        return pack(Reporter(service, "sidecar", "gray", "192.0.2.1:80"), [Stored(1, Reporter(service), made)])

    await served.api("POST", "/api/v1/records", delivery("a", "no_id"))
    await served.api("POST", "/api/v1/records", delivery("elsewhere", "changed"))
    await served.api("POST", "/api/v1/records", delivery("a", "changed", "blue"))
    await served.api("POST", "/api/v1/records", delivery("b", "no_id", "gray"))
    await console.open(served.admin, "#/lanes/shop/gray")
    lost = part(console, "lost")
    await expect(lost.locator("li")).to_have_count(2)
    await expect(lost).to_contain_text(f"b → {FOREIGN}: 1")
    await expect(lost).to_contain_text(f"a → {FOREIGN}: 1 carry neither a tag nor an id of a request")
    await expect(lost).to_contain_text("the application passes on `traceparent`")
    await console.is_inert()
    await console.is_accessible()


async def test_requests_of_the_last_minutes_are_drawn_beside_the_baseline(served: Served, console: Console) -> None:
    def come(body: Any) -> None:
        gray = {"tag": "gray", "rate": [0, 2, 4.25], "errors": [None, 0.5, 0.25], "p95": [None, 0.2, 0.1]}
        base = {"tag": "base", "rate": [50, 40, 41], "errors": [0, 0, 0.01], "p95": [0.01, 0.01, 0.02]}
        body |= {"step": 10, "times": [1, 11, 21], "tags": [base, gray]}

    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    await console.open(served.admin, "#/lanes/shop/gray")
    await console.sees("Lines come after twenty seconds.")
    await console.page.route("**/api/v1/trends*", changed(come))
    charts = part(console, "traffic").locator(".chart")
    await expect(charts).to_have_count(3)
    await expect(charts.nth(0)).to_contain_text("gray 4.3/sBaseline 41/s")
    await expect(charts.nth(1).get_by_role("img")).to_have_accessible_name("Failed: gray 25.0 %, Baseline 1.00 %")
    await expect(charts.nth(2)).to_contain_text("gray 100 msBaseline 20 ms")
    line = await charts.nth(1).locator("path.own").get_attribute("d")
    assert line == "M150.0 1.5L300.0 30.0"  # the first step had no requests: a gap
    assert any(url.endswith("/api/v1/trends?services=a") for url in asked)
    await console.is_accessible()
    await console.follow("#/lanes")
    sparks = console.page.locator("tr", has_text="team-shop").locator(".spark")
    await expect(sparks).to_have_accessible_name("4.3 requests per second now; the last ten minutes")


async def test_every_part_of_a_lane_is_edited_in_the_form_and_the_yaml_follows(
    served: Served, console: Console
) -> None:
    await console.open(served.admin, "#/lanes/shop/share/edit")
    yaml, page = console.page.get_by_label("YAML"), console.page

    async def says(*parts: str) -> None:
        for text in parts:
            await expect(yaml).to_have_value(re.compile(re.escape(text)))

    await page.get_by_label("Share in %").fill("40")
    await says("percent: 40")
    await page.get_by_label("Grows by a schedule").check()
    schedule = page.locator("[data-part=schedule]")
    await schedule.get_by_label("Starts").fill("2099-03-01T10:00:00Z")
    await schedule.get_by_label("Steps in %").fill("1, 5, 20")
    await schedule.get_by_label("Hold at %").fill("5")
    await says("schedule: {start: '2099-03-01T10:00:00Z', steps: [1, 5, 20], over: 2h, hold: 5}")
    await page.get_by_label("Is watched by a guard").check()
    guard = page.locator("[data-part=guard]")
    await guard.get_by_label("Requests at least").fill("80")
    await guard.get_by_label("If worse twice").select_option("shrink")
    await guard.get_by_label("To %").fill("2")
    await says("min_requests: 80", "then: shrink to 2 %")
    await page.get_by_label("Gets copies").check()
    mirror = page.locator("[data-part=mirror]")
    await mirror.get_by_label("Ignore in JSON").fill("/time\n/items/*/id")
    await mirror.get_by_label("POST").check()
    await expect(mirror).to_contain_text("These are done twice")
    await says("- /items/*/id", "- POST", "body: json")
    await page.get_by_label("DRILL").check()
    fault = page.locator("[data-part=fault]")
    await fault.get_by_label("Fail with status").fill("502")
    await says("fault: {delay: 200ms, abort: 502, percent: 10}")
    await console.is_accessible()
    # and the form follows the YAML
    text = await yaml.input_value()
    await yaml.fill(text.replace("delay: 200ms", "delay: 3s").replace("hold: 5", "hold: 1"))
    await expect(fault.get_by_label("Hold up for")).to_have_value("3s")
    await expect(schedule.get_by_label("Hold at %")).to_have_value("1")
    await page.get_by_label("Gets copies").uncheck()
    await expect(yaml).not_to_have_value(re.compile("mirror"))
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("shop / share", "held: it does not grow")
    assert "fault: {delay: 3s, abort: 502, percent: 10}" in served.file
    assert "# a few" in served.file


@pytest.mark.parametrize(
    ("named", "field", "value", "told"),
    [
        ("schedule", "Starts", "tomorrow", "tomorrow"),
        ("schedule", "Steps in %", "5, 1", "a schedule only grows"),
        ("schedule", "Steps in %", "1, 90", "the last one is less"),
        ("guard", "Failed at most above", "2", "errors are +N%"),
        ("guard", "Window", "1s", "from 10s to 24h"),
        ("mirror", "Of requests, in %", "0", "greater than 0"),
        ("mirror", "Compare headers", "set-cookie", "it holds secrets"),
        ("fault", "Hold up for", FOREIGN, "a delay is a number with ms or s"),
        ("fault", "Fail with status", "200", "400"),
    ],
)
async def test_what_is_wrong_is_told_beside_its_field(
    shared: Served, console: Console, named: str, field: str, value: str, told: str
) -> None:
    console.expected = ["422"]
    await console.open(shared.admin, "#/lanes/shop/share/edit")
    await console.page.locator(f"[name=has-{named}]").check()
    box = console.page.locator(f"[data-part={named}]").get_by_label(field)
    await box.fill(value)
    await expect(box).to_have_attribute("aria-invalid", "true")
    told_by = console.page.locator(f"[id='{await box.get_attribute('aria-describedby')}']")
    await expect(told_by).to_contain_text(told)
    await expect(console.page.locator(f"[data-part={named}] [aria-invalid=true]")).to_have_count(1)
    await expect(console.button("Publish")).to_be_disabled()
    await console.is_inert()


async def test_a_group_is_made_changed_and_deleted(served: Served, console: Console) -> None:
    console.expected = ["422"]
    before = served.file
    await console.open(served.admin, "#/lanes")
    await console.page.get_by_role("link", name="New group").click()
    await console.page.get_by_label("Name").fill("a b")
    await expect(console.page.locator("#wrong-name")).to_contain_text("a name is 1 to 63 letters")
    await console.page.get_by_label("Name").fill("beta")
    await console.page.get_by_label("Order").fill("-1")
    await expect(console.page.locator(".diff .plus").first).to_contain_text("- name: beta")
    await console.is_accessible()
    assert served.file == before
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("It has no lanes yet.")
    assert await console.page.locator("section h2").nth(1).inner_text() == "beta"  # it is tried first
    await console.page.get_by_role("link", name="Edit group").first.click()
    await console.page.get_by_label("Services").fill("a, b")
    await console.page.get_by_label("open").uncheck()
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("group closed", "a, b")
    assert "services: [a, b]" in served.file or "- b" in served.file
    await console.follow("#/lanes/beta?edit=1")
    await console.click("Delete")
    await console.confirm("Delete")
    await expect(console.page.locator("section h2", has_text="beta")).to_have_count(0)
    assert served.file == before


async def test_a_segment_is_edited_with_the_diff_first(served: Served, console: Console) -> None:
    console.expected = ["422"]
    served.write("vips.txt", "alice\n")
    served.write("rules/more.yaml", "segments: [{name: vips, file: ../vips.txt}]\n")
    await becomes(lambda: _has_segment(served))
    await console.open(served.admin, "#/lanes")
    await console.page.get_by_role("link", name="Segments").click()
    await expect(console.page.locator("tbody tr")).to_have_text([re.compile("vips.*1.*vips.txt.*Edit")])
    await console.page.get_by_role("link", name="Edit").click()
    values = console.page.get_by_label("Values, one per line")
    await values.fill("alice\n'bob\n")
    await expect(console.page.locator("#wrong-segment")).to_contain_text("begins with a quote")
    await values.fill(f"alice\n{json.dumps(FOREIGN)}\n")
    await expect(console.page.locator(".diff .plus")).to_contain_text("<img src=x")
    await console.is_inert()
    await console.is_accessible()
    await console.click("Publish")
    await console.confirm("Publish")
    await expect(console.page.locator("tbody tr")).to_have_text([re.compile("vips.*2")])
    assert (served.folder / "vips.txt").read_text() == f"alice\n{json.dumps(FOREIGN)}\n"


async def _has_segment(served: Served) -> bool:
    return bool((await served.api("GET", "/api/v1/segments"))["segments"])


async def test_a_request_shows_its_signature_its_mirror_and_the_status_of_a_call(
    served: Served, console: Console
) -> None:
    await served.ask("/A/x?group=gray")
    await becomes(lambda: served.has_records(1))

    def more(body: Any) -> None:
        more = {"signature": "forged", "unknown_rules": FOREIGN, "mirror": True, "grpc_status": "UNAVAILABLE"}
        body["requests"][0] |= {**more, "lost": "no_id"}

    number = (await served.api("GET", "/api/v1/requests"))["requests"][0]["id"]
    await console.page.route("**/api/v1/requests?*", changed(more))
    await console.open(served.admin, f"#/requests/{number}")
    for text in ("forged", FOREIGN, "copy of a mirror", "UNAVAILABLE", "carry neither a tag nor an id of a request"):
        await console.sees(text)
    await console.is_inert()


async def test_the_status_page_says_what_the_doctor_finds(served: Served, console: Console) -> None:
    await console.open(served.admin, "#/status")
    findings = part(console, "findings")
    await expect(findings).to_contain_text("Nothing is wrong")
    await served.api("PATCH", LANE, {"tag": "nowhere"})
    await expect(findings.locator("li")).to_contain_text(
        "warning shop/gray: open, but no service has a usable instance with the tag nowhere"
    )
    await expect(findings.locator("li")).to_contain_text("register one with this tag")
    await console.is_accessible()


async def test_a_thousand_lanes_are_found_and_drawn_as_far_as_anybody_reads(served: Served, console: Console) -> None:
    lanes = "\n".join(
        f"      - {{name: lane-{number}, tag: t{number}, match: [{{header: X-User, equals: u{number}}}]}}"
        for number in range(1000)
    )
    served.write("rules/many.yaml", f"lane_groups:\n  - name: many\n    lanes:\n{lanes}\n")

    async def are_there() -> bool:
        return len((await served.api("GET", "/api/v1/lanes"))["lanes"]) == 1003

    await becomes(are_there)
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    await console.open(served.admin, "#/lanes")
    await expect(console.page.locator("tbody tr")).to_have_count(200)
    assert len(set(asked) & {"lanes", "groups", "trends", "metrics"}) == 4  # no request for each group or lane
    await console.page.keyboard.press("/")
    await console.page.keyboard.type("lane-987")
    await expect(console.page.locator("tbody tr")).to_have_count(1)
    await console.sees("t987")
    await console.page.get_by_label("Find").fill("")
    await console.click("Show 803 more")
    await expect(console.page.locator("tbody tr")).to_have_count(1003)
