"""What a configuration needs to be in force, made beforehand and off the loop: the same for both roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.config.carriers import make_signer
from gateway.config.certificates import listener_certificates, mesh_of, registry_tls, secured
from gateway.config.matching import make_environment
from gateway.errors import ConfigError, Problem
from gateway.protocols import AUTO
from gateway.routing.questions import Question
from gateway.routing.routes import RouteTable
from gateway.routing.tagsigner import TagSigner
from gateway.rules.environment import MatchEnvironment
from gateway.rules.match import CompiledRules
from gateway.rules.ruleset import RuleSet
from gateway.settings import ServingSettings
from gateway.tls.certificates import Certificate
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.tls.mesh import Mesh, Secured

if TYPE_CHECKING:
    from gateway.permission.guards import Guards

S = TypeVar("S", bound=ServingSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build(Generic[S]):
    """Settings, rules, and everything that is made of the two. Nothing of it has to be read again to be put in force."""

    settings: S
    rules: RuleSet
    around: MatchEnvironment
    compiled: CompiledRules
    routes: RouteTable
    guards: Guards | None
    """Who is asked whether requests may pass; None: nobody is."""
    certificates: list[Certificate]
    """The listener's, in order; empty without TLS."""
    mesh: Mesh | None
    """This program in its mesh."""
    secured: Secured
    """How instances are spoken to in TLS."""
    protocols: dict[str, str]
    """What services speak for which that is set, by name."""
    registry_tls: dict[str, UpstreamTLS]
    """How registries are spoken to that speak TLS, by name."""
    signer: TagSigner | None
    """What signs tags; None: they are not signed."""

    @property
    def own_certificates(self) -> list[Certificate]:
        """Every certificate that shows who this program is."""
        return [*self.certificates, *(() if self.mesh is None else (self.mesh.certificate,))]

    @staticmethod
    def of(settings: S, rules: RuleSet) -> Build[S]:
        """Builds, which reads files and takes a while: for a thread. Lanes that have expired by now are closed.

        Raises ConfigError if a file cannot be read any more.
        """
        try:
            around = make_environment(settings)
            tls = settings.listener_tls
            certificates = [] if tls is None else listener_certificates(tls)
            mesh = mesh_of(settings)
            terms = secured(settings, mesh)
            registries = registry_tls(settings)
            signer = make_signer(settings)
            guards = make_guards(settings)
        except (CertificateError, OSError, ValueError) as error:
            # It could be read a moment ago: the files are being changed, and will be announced again.
            raise ConfigError([Problem("configuration", 0, 0, str(error))]) from error
        return Build(
            settings=settings,
            rules=rules,
            around=around,
            compiled=_compiled(rules, around),
            routes=_routes(settings, around, guards),
            guards=guards,
            certificates=certificates,
            mesh=mesh,
            secured=terms,
            protocols={name: item.protocol for name, item in settings.services.items() if item.protocol != AUTO},
            registry_tls=registries,
            signer=signer,
        )


def make_guards(settings: ServingSettings) -> Guards | None:
    """Who is asked about requests. Raises OSError, ValueError, or CertificateError."""
    if not any(route.asks for route in settings.served_routes):
        return None
    from gateway.permission.guards import Guards

    return Guards(settings)


def questions_of(guards: Guards | None) -> Sequence[Sequence[Question]]:
    """What they are asked about the requests of each route."""
    return () if guards is None else guards.questions


def _routes(settings: ServingSettings, around: MatchEnvironment, guards: Guards | None) -> RouteTable:
    if not settings.is_entry:
        return RouteTable([])
    from gateway.app.routes import make_routes

    return make_routes(settings, around.claims, questions=questions_of(guards))


def _compiled(rules: RuleSet, around: MatchEnvironment) -> CompiledRules:
    if not rules.groups:
        return CompiledRules.empty()
    from gateway.rules.compile import compile_rules  # the whole model of rules: who has none does without

    return compile_rules(rules, around)
