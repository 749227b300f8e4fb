"""A worker that says that it serves, answers whoever asks how it is, and does nothing else."""

from __future__ import annotations

import asyncio
import socket
import sys

from gateway.control.channel import Channel


async def main() -> None:
    channel = await Channel.over(socket.socket(fileno=int(sys.argv[2])))
    channel.send("ready")
    while (message := await channel.receive()) is not None:
        if message[0] == "report":
            channel.send("statistics", {})


asyncio.run(main())
