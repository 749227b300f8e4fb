"""What a gateway would decide for a request, from its files alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from gateway.app.balancing import make_choosers
from gateway.app.build import make_guards, questions_of
from gateway.app.parts import make_reader
from gateway.app.routes import make_routes
from gateway.config.carriers import make_signer
from gateway.config.load import load_gateway
from gateway.config.matching import make_environment
from gateway.http.head_reader import build_request
from gateway.routing.carriers import Carriers
from gateway.routing.debug import DebugAccess
from gateway.routing.entry import EntryRouter
from gateway.routing.explain import explain
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from gateway.rulesources.files import load_rules
from gateway.settings import known_instances


def explain_files(
    config: Path,
    rules: Path | None,
    method: str,
    url: str,
    headers: Sequence[tuple[str, str]],
    *,
    client_ip: str,
    body: bytes = b"",
) -> dict[str, object]:
    """What a gateway started from `config` (with `rules` instead of its own, if given) would decide for a request.

    Only a static registry's instances are in the files; another's are taken as unknown. Raises ConfigError, and
    ProtocolError if the gateway would refuse the request.
    """
    loaded = load_gateway(config)
    settings = loaded.settings
    draft = loaded.rules if rules is None else load_rules([rules]).rules
    around = make_environment(settings)
    compiled = compile_rules(draft, around)
    known = known_instances(settings.all_registries.values()) or {}
    choosers = make_choosers(settings, lambda _: 0)
    services = {
        name: ServiceView(name, items, Turns(), compiled.terms.rejoining(name), choosing=choosers.of(name))
        for name, items in known.items()
    }
    snapshot = Snapshot(
        1, compiled, make_routes(settings, around.claims, questions=questions_of(make_guards(settings))), services
    )
    carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
    carriers.sign_with(make_signer(settings))
    debug = None if settings.debug is None else DebugAccess(settings.debug.secret)
    router = EntryRouter(snapshot, carriers, random.Random(), tuple(settings.trusted), debug=debug)
    request = build_request(method, url, headers, reader=make_reader(settings), body=body)
    return explain(router, draft, around, request, client_ip=client_ip, body=body)
