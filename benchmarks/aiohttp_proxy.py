"""What a team would write first: aiohttp's server in front of aiohttp's client, doing the same gray split."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}


async def serve(port: int, base: int, gray: int) -> None:
    """Serves until it is killed."""
    session = ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=60), timeout=ClientTimeout(total=60), auto_decompress=False
    )

    async def handle(request: web.Request) -> web.StreamResponse:
        is_gray = request.query.get("group") == "gray"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        headers["X-Forwarded-Host"] = request.host
        if is_gray:
            headers["x-gray-tag"] = "gray"
        url = f"http://127.0.0.1:{gray if is_gray else base}{request.rel_url.raw_path_qs.removeprefix('/A')}"
        data = request.content if request.can_read_body else None
        async with session.request(request.method, url, headers=headers, data=data, allow_redirects=False) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/A/{rest:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(*(int(argument) for argument in sys.argv[1:])))
