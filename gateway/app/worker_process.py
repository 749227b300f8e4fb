"""The process of one worker of `workers: N`, until there is a `worker.Worker` in it.

Started by `control.workers`. It holds signals before it loads the rest, so that none that is sent to the whole group of
processes ends one that has just been started.
"""

from __future__ import annotations

import logging
import sys

from gateway.app.heap import collect_seldom, keep_freed
from gateway.app.signals import hold_signals
from gateway.errors import ConfigError, GatewayError
from gateway.logs import set_up_worker

_log = logging.getLogger("gateway")


def main() -> None:
    """The numbers of the worker, of the channel's socket and of the listening sockets are the arguments."""
    index, talking, *listening = (int(argument) for argument in sys.argv[1:])
    hold_signals()
    set_up_worker(index)
    import uvloop  # noqa: PLC0415

    from gateway.app.worker import work  # noqa: PLC0415

    collect_seldom()
    keep_freed()
    try:
        uvloop.run(work(listening, talking))
    except GatewayError as error:
        for problem in error.problems if isinstance(error, ConfigError) else (error,):
            _log.error("%s", problem)
        sys.exit(3)


if __name__ == "__main__":
    main()
