"""Who is answered: programs, people, and pages of our own."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.web.guard import check
from gateway.web.names import OwnNames
from gateway.web.problems import Rejected

HOST = "127.0.0.1:9900"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")


def verdict(method: str, *fields: tuple[str, str], path: str = "/api/v1/status") -> str:
    """The code of the refusal, empty where there is none. `Host` is ours where it is not given."""
    names = [name for name, _ in fields]
    headers = CIMultiDict((*([] if "Host" in names else [("Host", HOST)]), *fields))
    try:
        check(make_mocked_request(method, path, headers), OwnNames("127.0.0.1"))
    except Rejected as rejected:
        fits = rejected.status == (403 if rejected.code.startswith("wrong_") else 400)
        return rejected.code if fits else f"{rejected.status}"
    return ""


@pytest.mark.parametrize("method", ["GET", "HEAD", *UNSAFE])
def test_programs_and_own_pages_are_answered(method: str) -> None:
    assert verdict(method) == ""
    assert verdict(method, ("Origin", f"http://{HOST}"), ("Sec-Fetch-Site", "same-origin")) == ""
    assert verdict(method, ("Origin", f"https://{HOST}")) == ""
    assert verdict(method, ("Host", "LOCALHOST:9900"), ("Origin", "http://localhost:9900")) == ""
    assert verdict(method, ("Sec-Fetch-Site", "none")) == ""
    assert verdict(method, ("Referer", f"http://{HOST}/x")) == ""


@pytest.mark.parametrize("method", ["GET", "HEAD", *UNSAFE])
@pytest.mark.parametrize(
    "origin",
    ["null", "NULL", "", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:9901", "http://localhost:9900", "file://",
     f"ftp://{HOST}", f"http://{HOST}.evil.example", f"http://evil.example/{HOST}", f"http://{HOST}/", f" http://x@{HOST}", "*"],
)  # fmt: skip
def test_an_origin_that_is_not_ours_is_refused_whatever_is_asked(method: str, origin: str) -> None:
    assert verdict(method, ("Origin", origin)) == "wrong_origin"
    assert verdict(method, ("Origin", f"http://{HOST}"), ("Origin", origin)) == "wrong_origin"
    assert verdict(method, ("Origin", origin), ("Sec-Fetch-Site", "same-origin")) == "wrong_origin"


@pytest.mark.parametrize("method", ["GET", "HEAD", *UNSAFE])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "Same-Origin", "", "same-origin, cross-site", "other"])
def test_fetch_metadata_of_elsewhere_is_refused_whatever_is_asked(method: str, site: str) -> None:
    assert verdict(method, ("Sec-Fetch-Site", site)) == "wrong_origin"
    assert verdict(method, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", site)) == "wrong_origin"
    assert verdict(method, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")) == (
        "wrong_origin"
    )


def test_a_link_may_lead_here_and_a_frame_or_a_form_may_not() -> None:
    link = (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"))
    assert verdict("GET", *link) == ""
    assert verdict("POST", *link) == "wrong_origin"
    for dest in ("iframe", "frame", "object", "embed"):
        assert verdict("GET", *link[:2], ("Sec-Fetch-Dest", dest)) == "wrong_origin"


@pytest.mark.parametrize("method", UNSAFE)
def test_an_old_browser_says_only_where_it_comes_from(method: str) -> None:
    for referer in (
        "http://evil.example/page",
        "http://127.0.0.1:1/",
        "",
        "http://[bad",
        f"http://evil.example/?{HOST}",
    ):
        assert verdict(method, ("Referer", referer)) == "wrong_origin"
    assert verdict("GET", ("Referer", "http://wiki.example/runbook")) == ""


@pytest.mark.parametrize("method", ["GET", *UNSAFE])
def test_a_page_that_rebinds_its_name_is_known_by_it(method: str) -> None:
    rebound = (("Host", "evil.example:9900"), ("Origin", "http://evil.example:9900"), ("Sec-Fetch-Site", "same-origin"))
    assert verdict(method, *rebound) == "wrong_host"
    assert verdict(method, rebound[0]) == "wrong_host"


def test_a_host_is_one_and_a_target_is_a_path() -> None:
    assert verdict("GET", ("Host", HOST), ("Host", "evil.example")) == "bad_request"
    assert verdict("GET", path="http://evil.example/api/v1/status") == "bad_request"
    # An HTTP/1.0 probe has no Host; no page speaks that.
    request = make_mocked_request("GET", "/livez", {})
    check(request, OwnNames("127.0.0.1"))
    with pytest.raises(Rejected):
        check(make_mocked_request("GET", "/livez", {"Origin": "http://"}), OwnNames("127.0.0.1"))
