"""A demo service: a small HTTP service that has never heard of lanes.

It returns its own name and, where it has somebody to call, that service's response after an arrow. Of the request's
headers it forwards `traceparent` alone, as any traced application does. Run it with `python -m gateway.demo.service`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import click
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from gateway.demo.registries import CONFIG_INTERVAL, config_document
from gateway.errors import RegistryError


@dataclass
class Service:
    """The parameters of one demo service. `next_service` is called through `outbound`, the sidecar's base URL."""

    name: str
    address: str
    outbound: str = ""
    next_service: str = ""
    registry_kind: str = "nacos"
    registry: str = ""
    config: str = "unset"

    def app(self) -> web.Application:
        """The service as an aiohttp application."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        app.cleanup_ctx.append(self._resources)
        return app

    async def _resources(self, _: web.Application) -> AsyncIterator[None]:
        self._session = ClientSession(timeout=ClientTimeout(total=10.0))
        following = None
        if self.registry:
            is_read = asyncio.Event()
            following = asyncio.create_task(self._follow_config(is_read))
            await is_read.wait()
        yield
        if following is not None:
            following.cancel()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        text = f"{self.name}[{self.address}]"
        if self.registry:
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

    async def _follow_config(self, is_read: asyncio.Event) -> None:
        while True:
            document = config_document(self.registry_kind, self.registry)
            try:
                async for text in document.watch():
                    if text is not None:  # a value that has gone is kept, as applications do
                        self.config = text.strip()
                    is_read.set()
            except RegistryError:
                is_read.set()
                await asyncio.sleep(CONFIG_INTERVAL)  # the registry is away: keep the value we have
            finally:
                await document.close()


@click.command()
@click.option("--name", required=True, help="Name of the service in its responses.")
@click.option("--listen", required=True, metavar="HOST:PORT", help="Address to listen on.")
@click.option("--outbound", default="", metavar="URL", help="Base URL of the sidecar's outbound listener.")
@click.option("--next", "next_service", default="", metavar="SERVICE", help="Service to call.")
@click.option("--registry-kind", default="nacos", type=click.Choice(["nacos", "consul"]), help="Kind of the registry.")
@click.option(
    "--registry",
    default="",
    metavar="HOST:PORT",
    help="Registry to read a config value from, which is shown in responses.",
)
def main(name: str, listen: str, outbound: str, next_service: str, registry_kind: str, registry: str) -> None:
    """Run a demo service."""
    host, _, port = listen.rpartition(":")
    service = Service(name, listen, outbound, next_service, registry_kind, registry)
    web.run_app(service.app(), host=host, port=int(port), print=None, access_log=None, shutdown_timeout=5.0)


if __name__ == "__main__":
    main()
