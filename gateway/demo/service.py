"""A demo service: a small HTTP service that has never heard of lanes.

It answers with its own name and, where it has somebody to call, that one's answer behind an arrow. Of the request's
headers it forwards `traceparent` alone, as any traced application does. Run it with `python -m gateway.demo.service`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import click
from aiohttp import ClientError, ClientSession, ClientTimeout, web

CONFIG_WAIT = 30.0
"""Seconds that one long poll for a changed config value waits (the Nacos clients' value)."""


@dataclass
class Service:
    """What one demo service is told. `next_service` is called through `outbound`, the sidecar's base URL."""

    name: str
    address: str
    outbound: str = ""
    next_service: str = ""
    registry: str = ""
    config_key: str = ""
    config: str = ""

    def app(self) -> web.Application:
        """The service as an aiohttp application."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        app.cleanup_ctx.append(self._resources)
        return app

    async def _resources(self, _: web.Application) -> AsyncIterator[None]:
        self._session = ClientSession(timeout=ClientTimeout(total=10.0))
        following = None
        if self.config_key:
            self.config = await self._read_config()
            following = asyncio.create_task(self._follow_config())
        yield
        if following is not None:
            following.cancel()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        text = f"{self.name}[{self.address}]"
        if self.config_key:
            text += f"[config={self.config}]"
        if self.next_service:
            text += f" -> {await self._call_next(request)}"
        return web.Response(text=text)

    async def _call_next(self, request: web.Request) -> str:
        headers = {"Host": self.next_service}
        if "traceparent" in request.headers:
            headers["traceparent"] = request.headers["traceparent"]
        try:
            async with self._session.get(self.outbound + "/call", headers=headers) as response:
                text = await response.text()
        except ClientError as error:
            raise web.HTTPBadGateway(text=f"{self.name} could not call {self.next_service}: {error}") from error
        if response.status != 200:
            raise web.HTTPBadGateway(text=f"{self.name} got {response.status} from {self.next_service}: {text}")
        return text

    async def _read_config(self) -> str:
        url = f"http://{self.registry}/nacos/v1/cs/configs"
        async with self._session.get(url, params={"dataId": self.config_key, "group": "DEFAULT_GROUP"}) as response:
            return (await response.text()).strip() if response.status == 200 else "unset"

    async def _follow_config(self) -> None:
        """Nacos' long poll: it answers when the value is not the one whose MD5 we send."""
        import hashlib

        url = f"http://{self.registry}/nacos/v1/cs/configs/listener"
        headers = {
            "Long-Pulling-Timeout": str(int(CONFIG_WAIT * 1000)),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        while True:
            digest = "" if self.config == "unset" else hashlib.md5(self.config.encode()).hexdigest()
            listening = f"{self.config_key}\x02DEFAULT_GROUP\x02{digest}\x01"
            body = urlencode({"Listening-Configs": listening})
            try:
                timeout = ClientTimeout(total=CONFIG_WAIT + 10)
                async with self._session.post(url, data=body, headers=headers, timeout=timeout) as response:
                    changed = response.status == 200 and bool((await response.text()).strip())
                if changed:
                    self.config = await self._read_config()
                elif response.status != 200:
                    await asyncio.sleep(1.0)
            except (ClientError, TimeoutError):
                await asyncio.sleep(1.0)  # the registry is away: keep the value we have


@click.command()
@click.option("--name", required=True, help="What the service calls itself in its answer.")
@click.option("--listen", required=True, metavar="HOST:PORT", help="Where it serves.")
@click.option("--outbound", default="", metavar="URL", help="Base URL of the sidecar's outbound listener.")
@click.option("--next", "next_service", default="", metavar="SERVICE", help="The service it calls.")
@click.option("--registry", default="", metavar="HOST:PORT", help="Where it reads its config value.")
@click.option("--config-key", default="", metavar="DATA_ID", help="The config value to show in the answer.")
def main(name: str, listen: str, outbound: str, next_service: str, registry: str, config_key: str) -> None:
    """Run a demo service."""
    host, _, port = listen.rpartition(":")
    service = Service(name, listen, outbound, next_service, registry, config_key)
    web.run_app(service.app(), host=host, port=int(port), print=None, access_log=None, shutdown_timeout=5.0)


if __name__ == "__main__":
    main()
