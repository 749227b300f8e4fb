"""The console of an entry gateway: true data on every page, every action end to end, nothing foreign ever at work."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from click.testing import CliRunner
from playwright.async_api import Route, expect

from gateway.cli import main
from tests.console.support import FOREIGN, RULES, Console, Served, becomes

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = ["lanes", "requests", "topology", "explain", "services", "history", "status"]
DEEP = ["#/lanes/shop/gray", "#/lanes/shop?edit=1", "#/lanes?group=new", "#/lanes?segments=1", "#/lanes/shop/gray/edit", "#/lanes/shop?new=1", "#/history/1", "#/services/a",
        "#/explain?method=GET&url=%2FA%2Fx%3Fgroup%3Dgray", *(f"#/{name}" for name in PAGES)]  # fmt: skip


async def row(console: Console, lane: str) -> str:
    return " ".join(
        (
            await console.page.locator("tr", has=console.page.get_by_role("link", name=lane, exact=True)).inner_text()
        ).split()
    )


async def has_row(console: Console, lane: str, start: str) -> bool:
    return (await row(console, lane)).startswith(start)


async def test_every_page_loads_in_every_look_without_a_complaint_and_fits(shared: Served, console: Console) -> None:
    """Both languages, dark and light, 360 px and 1440 px; nothing is wider than the window, each shows its command, and axe-core
    finds nothing serious."""
    await shared.ask("/A/x?group=gray")
    await becomes(lambda: shared.has_records(1))
    for width, language, theme in ((1440, "en", "light"), (360, "zh", "dark")):
        await console.page.set_viewport_size({"width": width, "height": 800})
        await console.open(shared.admin)
        await console.page.evaluate(
            f"localStorage.setItem('language', '{language}'); localStorage.setItem('theme', '{theme}')"
        )
        await console.page.reload()
        for target in DEEP:
            await console.follow(target)
            await expect(console.page.locator(".command").first).to_be_visible()
            await expect(console.page.locator("main h1")).to_be_visible()
            await expect(console.page.locator("p.quiet", has_text="Loading")).to_have_count(0)
            assert await console.page.evaluate("document.documentElement.scrollWidth") <= width, (target, width)
            await console.is_accessible(*(["color-contrast"] if theme == "dark" else []))
            assert await console.page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]


async def test_lanes_show_what_they_got_beside_the_baseline(served: Served, console: Console) -> None:
    for number in range(8):
        await served.ask("/A/x?group=gray" if number < 3 else "/A/x")
    await console.open(served.admin, "#/lanes")
    await console.sees("Baseline", "team-shop", "31 Mar 2099")
    await expect(console.page.locator("tr", has_text="team-shop")).to_contain_text("open")
    assert (await row(console, "gray")).startswith("gray gray open – 3 just now 3 0.0 %")
    assert (await row(console, "share")).startswith("share gray open 5 % 0 3 0.0 %")
    assert (await row(console, "internal")).startswith("internal blue closed – 0 0 –")
    await expect(console.page.locator(".base")).to_contain_text("5")
    await served.ask("/A/x?group=gray")
    await becomes(lambda: has_row(console, "gray", "gray gray open – 4 just now 4 "))  # by itself


async def test_a_lane_is_closed_and_opened(served: Served, console: Console) -> None:
    await console.open(served.admin, "#/lanes/shop/gray")
    await console.click("Close")
    await console.confirm("Close")
    await console.sees("closed")
    assert (await served.ask("/A/x?group=gray")).startswith("base")
    await console.click("Open")
    await console.confirm("Open")
    await console.sees("open")
    assert (await served.ask("/A/x?group=gray")).startswith("gray")


async def test_the_share_is_changed_and_the_comment_stays(served: Served, console: Console) -> None:
    await console.open(served.admin, "#/lanes")
    await console.click("5 %")
    await console.page.get_by_role("spinbutton").fill("12.5")
    await console.confirm("Change the share")
    await expect(console.button("12.5 %")).to_be_visible()
    assert "percent: 12.5" in served.file
    assert "# a few" in served.file


async def test_a_lane_shows_what_its_schedule_and_its_guard_say(served: Served, console: Console) -> None:
    lane = {
        "match": [{"cookie": "uid", "percent": 5}],
        "schedule": {"start": "2099-03-31T08:00:00Z", "steps": [1], "over": "2h"},
        "guard": {"errors": "+2%", "then": "warn"},
    }
    await served.api("PATCH", "/api/v1/groups/shop/lanes/share", lane)

    async def tripped(route: Route) -> None:
        response = await route.fetch()
        body = await response.json()
        body["lanes"][1]["guard"] |= {"state": "tripped", "outcome": "warned", "reason": "too many errors"}
        await route.fulfill(response=response, json=body)

    await console.open(served.admin, "#/lanes/shop/share")
    await console.sees("0 % now, 1 % next 31 Mar 2099", "Guard", "no verdict")
    await console.page.route("**/api/v1/lanes", tripped)
    await console.sees("worse than the baseline: too many errors")
    await console.follow("#/lanes")
    shown = console.page.locator("tr", has_text="0 % now").get_by_text("worse than the baseline")
    await expect(shown).to_have_attribute("title", "too many errors")


async def test_a_lane_is_edited_as_yaml_and_the_diff_is_seen_first(served: Served, console: Console) -> None:
    """Only what changes is written, whatever else the YAML repeats; the author is in the history."""
    await console.open(served.admin)
    await console.page.evaluate("localStorage.setItem('author', 'Анна 王')")
    await console.open(served.admin, "#/lanes/shop/share/edit")
    yaml = console.page.get_by_label("YAML")
    await expect(yaml).to_have_value(
        "name: share\ntag: gray\nexpires: '2099-03-31T23:59:59Z'\nmatch:\n  - {cookie: uid, percent: 5}\nenabled: true\n"
    )
    await expect(console.button("Publish")).to_be_disabled()
    await yaml.fill((await yaml.input_value()).replace("enabled: true", "owner: bob\nenabled: true"))
    await expect(console.page.locator(".diff .plus")).to_have_text("+        owner: bob\n")
    assert "owner: bob" not in served.file
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("bob")
    assert served.file == RULES.replace("# a few\n", "# a few\n        owner: bob\n")
    history = await served.api("GET", "/api/v1/history")
    assert {item["author"] for item in history["revisions"]} == {None, "Анна 王"}


async def test_a_lane_is_edited_as_a_form_and_what_would_come_of_it_is_seen_first(
    served: Served, console: Console
) -> None:
    """The YAML follows the form, and the form the YAML; tests that would fail and recent requests that would move are told."""
    served.write(
        "rules/tests/shop.yaml",
        "tests: [{name: <img src=x onerror=window.hit=1>, request: {url: '/A/x?group=gray'}, lane: shop/gray}]\n",
    )
    await served.ask("/A/x?group=gray")
    await becomes(lambda: served.has_records(1))
    await console.open(served.admin, "#/lanes/shop/gray/edit")
    yaml, form = console.page.get_by_label("YAML"), console.page.get_by_role("group")
    await form.get_by_label("Value").fill("green")
    await expect(yaml).to_have_value(
        "name: gray\ntag: gray\nowner: team-shop\nmatch:\n  - {param: group, equals: green}\nenabled: true\n"
    )
    await console.sees(
        "0 passed, 1 failed", "<img src=x", "expected shop/gray, found none", "1 of 1 would change lanes"
    )
    await console.is_inert()
    await console.is_accessible()
    await expect(console.page.get_by_test_id("review").get_by_role("link")).to_have_attribute(
        "href", re.compile("#/requests/[0-9]+")
    )
    await form.get_by_label("Value").fill("gray")
    await form.get_by_label("Operator").select_option("is one of")
    await form.get_by_label("Value").fill("gray\ngrey")
    await console.click("+ Condition")
    await form.get_by_label("Its name").last.fill("X-User")
    await form.get_by_label("Operator").last.select_option("is there")
    await expect(yaml).to_have_value(
        re.compile(r"in: \[gray, grey\]}\n  - \{header: x-user, exists: true\}", re.IGNORECASE)
    )
    await yaml.fill(
        (await yaml.input_value()).replace(
            "- {param: group", "- {not: {param: tester, exists: true}}\n  - {param: group"
        )
    )
    await console.sees("only in the YAML")
    await form.get_by_label("Remove condition 3").click()
    await form.get_by_label("Owner").fill("")
    await expect(console.page.locator(".diff .minus").first).to_have_text("-        owner: team-shop\n")
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("in: [gray, grey]")
    assert "{not: {param: tester, exists: true}}" in served.file


async def test_yaml_that_is_none_and_lanes_that_are_unsound_are_told_and_not_published(
    served: Served, console: Console
) -> None:
    console.expected = ["400", "422"]
    await console.open(served.admin, "#/lanes/shop/gray/edit")
    yaml = console.page.get_by_label("YAML")
    for text, told in (
        ("name: gray\ntag: [", "lane:3:1"),
        ("name: gray\ntag: gray\nmatch: [{cookie: u, percent: 101}]\n", "match.0.percent"),
        ("- 1", "expected a lane"),
        ("name: gray\nname: gray\n", "given twice"),
    ):
        await yaml.fill(text)
        await expect(console.page.locator("[aria-live] .trouble")).to_contain_text(told)
        await expect(console.button("Publish")).to_be_disabled()
    assert served.file == RULES


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten_unasked(
    served: Served, console: Console
) -> None:
    console.expected = ["412"]
    await console.open(served.admin, "#/lanes/shop/gray/edit")
    yaml = console.page.get_by_label("YAML")
    await yaml.fill((await yaml.input_value()).replace("team-shop", "mine"))
    await expect(console.button("Publish")).to_be_enabled()
    await served.api("PATCH", "/api/v1/groups/shop/lanes/gray", {"owner": "theirs"})
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("Somebody else has changed this lane", "owner: theirs")
    assert "owner: theirs" in served.file
    await console.click("Load the lane as it is")
    await expect(yaml).to_have_value(
        "name: gray\ntag: gray\nowner: theirs\nmatch:\n  - {param: group, equals: gray}\nenabled: true\n"
    )


async def test_a_lane_is_made_and_deleted(served: Served, console: Console) -> None:
    await console.open(served.admin, "#/lanes")
    await console.page.get_by_role("link", name="New lane").click()
    await console.page.get_by_label("YAML").fill("name: green\ntag: green\nmatch: [{param: group, equals: '8'}]\n")
    await expect(console.button("Publish")).to_be_enabled()
    await console.click("Publish")
    await console.confirm("Publish")
    await console.sees("shop / green")
    assert "equals: '8'" in served.file
    await console.click("Delete")
    await console.confirm("Delete")
    await expect(console.page.get_by_role("link", name="green", exact=True)).to_have_count(0)
    assert served.file == RULES


async def test_a_revision_comes_back(served: Served, console: Console) -> None:
    await served.api("PATCH", "/api/v1/groups/shop/lanes/gray", {"owner": "somebody"})
    await console.open(served.admin, "#/history")
    await console.sees("lane shop/gray changed", "in force")
    await console.page.get_by_role("link", name="1", exact=True).click()
    await expect(console.page.locator(".diff").first).to_contain_text("+        owner: team-shop")
    await console.click("Roll back")
    await console.confirm("Roll back")
    await console.sees("Nothing changes.")
    assert served.file == RULES


async def test_explain_says_which_condition_decided_and_the_command_says_the_same(
    shared: Served, console: Console
) -> None:
    await console.open(shared.admin, "#/explain")
    await console.page.get_by_label("URL", exact=True).fill("/A/x?group=gray")
    await console.page.get_by_label("Headers, one per line").fill('X-User: it\'s "her"\nX-Other: 1')
    await console.click("Explain")
    await console.sees(
        "Lane shop/gray takes it; gray serves it.",
        "param group equals 'gray'",
        "takes the request",
        "cookie uid percent 5 %",
        "the request does not have it",
    )
    command = shlex.split(await console.command())
    assert command[0] == "gateway"
    result = CliRunner().invoke(main, [*command[1:], "-o", "json"])
    assert json.loads(result.output)["decision"]["lane"] == "gray"
    assert command[command.index("-H") + 1] == 'X-User: it\'s "her"'


async def test_a_pasted_curl_command_is_explained(shared: Served, console: Console) -> None:
    await console.open(shared.admin, "#/explain")
    await console.page.get_by_text("Paste a curl command").click()
    await console.page.get_by_label("curl", exact=True).fill(
        "curl -sS 'http://shop.example/A/x?q=1' \\\n -H 'X-User: alice' --data-raw $'a\\nb' -o /dev/null -b uid=7 --compressed"
    )
    await expect(console.page.get_by_label("URL", exact=True)).to_have_value("http://shop.example/A/x?q=1")
    await expect(console.page.get_by_label("Method")).to_have_value("POST")
    await expect(console.page.get_by_label("Headers, one per line")).to_have_value(
        "X-User: alice\nCookie: uid=7\nContent-Type: application/x-www-form-urlencoded"
    )
    await console.click("Explain")
    await console.sees("header x-user in ['alice']", "value: alice", "bucket")
    assert "url=http" in console.page.url  # a link to send to somebody


async def test_services_show_instances_and_are_found(shared: Served, console: Console) -> None:
    await console.open(shared.admin, "#/services")
    await console.sees("fresh", "zone=north", shared.config["registry"]["services"]["a"][1]["address"], "gray 1/1")
    await console.page.keyboard.press("/")
    await console.page.keyboard.type("nowhere")
    await console.sees("Nothing fits.")


async def test_an_instance_is_drained_with_a_reason_and_brought_back(shared: Served, console: Console) -> None:
    address = shared.config["registry"]["services"]["a"][1]["address"]
    await console.open(shared.admin, "#/services/a")
    instance = console.page.locator("tr", has_text=address)
    await instance.get_by_role("button", name="Drain").click()
    await console.page.get_by_label("Reason").fill(FOREIGN)
    assert f"gateway instance drain a {address} --reason" in await console.page.locator("dialog code").inner_text()
    await console.confirm("Drain")
    await expect(instance).to_contain_text("drained")
    await expect(instance).to_contain_text(FOREIGN)
    await console.is_inert()
    assert (await shared.ask("/A/x?group=gray")).startswith("base")
    await console.follow("#/status")
    await console.sees(address, FOREIGN)
    await console.is_inert()
    await console.follow("#/services")
    await instance.get_by_role("button", name="Bring back").click()
    await console.confirm("Bring back")
    await expect(instance).not_to_contain_text("drained")
    assert (await shared.ask("/A/x?group=gray")).startswith("gray")
    console.expected = ["409"]
    await console.page.locator("tbody tr").first.get_by_role("button", name="Drain").click()
    await console.page.get_by_label("Reason").fill("all of it")
    await console.page.locator("dialog footer .danger").click()
    await expect(console.page.get_by_role("alert")).to_contain_text("the last usable instance of the baseline")


async def test_a_request_is_seen_as_it_comes_and_explained_and_its_call_is_in_the_topology(
    shared: Served, console: Console
) -> None:
    await console.open(shared.admin, "#/requests")
    await expect(console.page.locator(".badge", has_text="live")).to_be_visible()
    await shared.ask("/A/seen?group=gray")
    await console.sees("/A/seen")
    await console.page.locator("tbody tr", has_text="/A/seen").get_by_role("link").first.click()
    await console.sees(
        "Lane shop/gray takes it; gray serves it.Because param group equals 'gray'",
        "Path through the services",
        "a gray",
    )
    await console.click("Save as rule test")
    await expect(console.page.get_by_label("YAML")).to_have_text(
        "tests:\n  - name: GET /A/seen goes to shop/gray\n    request:\n      method: GET\n"
        "      url: http://127.0.0.1/A/seen?group=gray\n    lane: shop/gray\n"
    )
    await expect(console.page.get_by_role("dialog")).to_contain_text("passes now")
    await console.is_accessible()
    await console.open(shared.admin, "#/topology?lane=shop%2Fgray")
    way = console.page.locator(".way:not(.fallback)")
    await expect(way.locator("title")).to_have_text(re.compile(r"gateway → a, gray: 0\.\d/s · 0\.0 % · "))
    await expect(console.page.locator("tbody tr").first).to_have_text(re.compile("gateway.*a.*gray.*gray"))


async def test_status_tells_of_a_reload_that_failed(served: Served, console: Console) -> None:
    await console.open(served.admin, "#/status")
    await console.sees("Entry gateway", "ready", "1 succeeded, 0 failed")
    served.write("rules/gray.yaml", RULES.replace("tag: blue", "tga: blue"))
    await console.sees("The last reload failed", "Revision 1 is still in force", "did you mean 'tag'")


async def test_the_keyboard_is_enough(shared: Served, console: Console) -> None:
    await console.open(shared.admin)
    await console.sees("Baseline")
    await console.page.keyboard.press("5")
    await expect(console.page.get_by_role("heading", level=1)).to_have_text("Services")
    await console.page.keyboard.press(",")
    await expect(console.page.get_by_role("dialog")).to_be_visible()
    await console.page.get_by_label("Language").select_option("zh")
    await expect(console.page.get_by_role("heading", level=1)).to_have_text("服务")
    await console.page.keyboard.press("Escape")
    await expect(console.page.get_by_role("dialog")).to_have_count(0)


async def test_the_page_goes_on_after_the_gateway_was_away(served: Served, console: Console) -> None:
    console.expected = ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "Failed to load"]
    await console.open(served.admin, "#/lanes")
    await console.sees("team-shop")
    await served.close()
    await console.sees("The server does not respond", "team-shop")
    await served.run()
    await expect(console.page.locator(".trouble")).to_have_count(0)


async def test_without_the_token_nothing_but_health_and_numbers_is_seen(served: Served, console: Console) -> None:
    """The token stays in the tab: neither in storage that outlives it nor in the address."""
    console.expected = ["401"]
    await served.close()
    served.config["admin_token"] = "sixteen-letters!"
    await served.run()
    await console.open(served.admin, "#/lanes/shop/gray")
    await console.sees("This server asks for a token")
    await expect(console.page.locator("main")).not_to_contain_text("team-shop")
    await console.page.get_by_label("Token").fill("wrong-letters-16")
    await console.click("Use token")
    await console.sees("The token is wrong")
    await console.page.get_by_label("Token").fill("sixteen-letters!")
    await console.click("Use token")
    await console.sees("team-shop")
    assert "$TOKEN" in await console.command()
    assert "sixteen" not in await console.page.content()
    assert await console.page.evaluate("JSON.stringify(localStorage)") == "{}"
    await console.open(served.admin, "#/status")
    await console.sees("Entry gateway")


async def test_foreign_texts_stay_texts(served: Served, console: Console) -> None:
    """Owners, values of conditions, metadata, authors, file contents, paths, headers, values seen, errors."""
    console.expected = ["404", "400"]
    await served.api(
        "PATCH",
        "/api/v1/groups/shop/lanes/gray",
        {"owner": FOREIGN, "match": [{"header": "X-User", "equals": FOREIGN}]},
    )
    assert "onerror" in served.file
    await console.open(served.admin)
    for target, parts in (
        ("#/lanes", [FOREIGN]),
        ("#/lanes/shop/gray", [FOREIGN]),
        ("#/lanes/shop/gray/edit", []),
        ("#/services", [FOREIGN]),
        ("#/history/2", ["onerror"]),
        ("#/lanes/" + "%3Cimg%20src%3Dx%20onerror%3D%22window.hit%3D1%22%3E/x", ["<img src=x"]),
        ("#/services/%3Cimg%20src%3Dx%20onerror%3D%22window.hit%3D1%22%3E", ["<img src=x"]),
        ("#/%3Cimg%20src%3Dx%3E", []),
    ):
        await console.follow(target)
        await console.sees(*parts)
        await console.is_inert()
    await console.open(served.admin, "#/explain")
    await console.page.get_by_label("URL", exact=True).fill("/A/%3Cscript%3E?x=<script>window.hit=4</script>")
    await console.page.get_by_label("Headers, one per line").fill(f"X-User: {FOREIGN}")
    await console.click("Explain")
    await console.sees("takes the request", FOREIGN)
    await console.is_inert()
    await console.page.get_by_label("URL", exact=True).fill("<img src=x onerror=window.hit=5>")
    await console.click("Explain")
    await expect(console.page.locator(".trouble")).to_be_visible()
    await console.is_inert()


async def test_the_policy_forbids_what_no_page_of_ours_does(shared: Served, console: Console) -> None:
    """Were there a hole after all: no script of a document runs, nothing is fetched from elsewhere, no text becomes markup."""
    console.expected = ["Content Security Policy", "TrustedHTML", "Refused"]
    await console.open(shared.admin)
    await console.sees("Baseline")
    await console.page.evaluate("""() => {
        const script = document.createElement("script");
        try { script.textContent = "window.hit = 1"; document.body.append(script); } catch { /* trusted types */ }
        try { document.body.innerHTML += "<img src=x onerror='window.hit = 2'>"; } catch { /* trusted types */ }
    }""")
    assert (
        await console.page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'fetched', (error) => error.name)")
        == "TypeError"
    )
    await console.is_inert()
    console.troubles.clear()
    await becomes(lambda: console.page.evaluate("window.hit === undefined"))
