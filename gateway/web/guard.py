"""Keeps web pages out: what a browser sends on behalf of a page is not what the person in front of it wants.

A page of anybody may send a form, an image's GET or a `fetch` without CORS anywhere its browser can reach: loopback, the
network of the office. It does not see the response, and what it requests is done all the same. Browsers say so:

* `Origin` is in every request of a page but plain GET and HEAD, `null` for one without its own origin (a sandboxed
  frame, a `data:` URL, a redirect): https://fetch.spec.whatwg.org/#append-a-request-origin-header. Programs send none.
* `Sec-Fetch-Site` is in all of them if the address is loopback or https: https://www.w3.org/TR/fetch-metadata/. Other
  ports of this host are `same-site`, and no less strangers.
* `Referer` is what old browsers had.

So nothing that a GET does may have an effect: to an address of the network, a page's GET has neither of the first two.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.web.names import OwnNames
from gateway.web.problems import Rejected, shown

SAFE = frozenset({"GET", "HEAD"})
"""Methods that change nothing, here. OPTIONS is a page's preflight request: it may not."""


def guard(names: OwnNames) -> Middleware:
    """A middleware, the first of an application, that serves nobody but programs and its own pages."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check(request, names)
        except Rejected as rejected:
            return rejected.response()
        return await handler(request)

    return middleware


def check(request: web.Request, names: OwnNames) -> None:
    """Raises Rejected for a request that comes by a foreign name, or from a foreign page."""
    if not request.raw_path.startswith("/"):
        raise Rejected(400, "bad_request", "the target of a request must be a path")
    host = _host(request)
    if host and not names.includes(host):
        raise Rejected(
            403,
            "wrong_host",
            f"{shown(host)} is not a name of this listener; if it is a name of this machine, add it to allowed_hosts",
        )
    _check_origin(request, host)
    _check_fetch_metadata(request)


def _host(request: web.Request) -> str:
    hosts = request.headers.getall("Host", [])
    if len(hosts) > 1:
        raise Rejected(400, "bad_request", "there is more than one Host field")
    return hosts[0].strip().lower() if hosts else ""  # HTTP/1.0 may leave it out, which browsers do not speak


def _check_origin(request: web.Request, host: str) -> None:
    origins = request.headers.getall("Origin", [])
    if not origins and request.method not in SAFE:
        origins = [_origin_of(referer) for referer in request.headers.getall("Referer", [])]
    for origin in origins:
        if not host or origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise Rejected(403, "wrong_origin", f"requests from web pages of {shown(origin)} are not accepted")


def _origin_of(referer: str) -> str:
    try:
        parts = urlsplit(referer)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}"


def _check_fetch_metadata(request: web.Request) -> None:
    sites = request.headers.getall("Sec-Fetch-Site", [])
    if all(site in ("same-origin", "none") for site in sites):
        return
    # A link that a person follows, in its own window, is as good as the address typed in.
    if (
        request.method in SAFE
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    ):
        return
    raise Rejected(
        403, "wrong_origin", f"requests from web pages elsewhere ({shown(', '.join(sites))}) are not accepted"
    )
