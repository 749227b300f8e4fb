"""From settings to those who are asked whether requests may pass: made for a configuration, off the loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import Problem
from gateway.routing.questions import Question
from gateway.settings import ServingSettings
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.yaml.reading import Document, Location, dotted

if TYPE_CHECKING:
    from gateway.permission.calls import Calls
    from gateway.permission.forward import ForwardAuth
    from gateway.settings.gates import ForwardAuthSettings
    from gateway.settings.routes import RouteSettings

_TLS_FILES = ("ca", "cert", "key")


class Guards:
    """Of one configuration: `questions` are those of each route, in order."""

    def __init__(self, settings: ServingSettings) -> None:
        """Raises OSError, ValueError, or CertificateError."""
        self._services: list[ForwardAuth] = []
        self.questions = [self._questions(route) for route in settings.served_routes]

    @property
    def has_services(self) -> bool:
        """Whether authorization services are called."""
        return bool(self._services)

    def call_by(self, calls: Calls) -> None:
        """Takes what authorization services are called by."""
        for service in self._services:
            service.calls = calls

    def _questions(self, route: RouteSettings) -> list[Question]:
        questions: list[Question] = []
        basic, forward = route.basic_auth, route.forward_auth
        if basic is not None:
            from gateway.permission.basic import BasicAuth
            from gateway.permission.logins import LOGINS
            from gateway.permission.users import read_users

            users = read_users(Path(basic.users))
            keeps = basic.pass_credentials
            questions.append(BasicAuth(basic.realm, users, basic.user_header, keeps=keeps, logins=LOGINS).question)
        if forward is not None:
            from gateway.permission.forward import ForwardAuth  # it calls: only who asks somebody pays for that

            made = ForwardAuth(
                forward.url,
                request_headers=[name.lower() for name in forward.request_headers],
                response_headers=[name.lower() for name in forward.response_headers],
                client_headers=[name.lower() for name in forward.client_headers],
                timeout=forward.timeout,
                tls=_tls(forward),
                has_cors=route.cors is not None,
            )
            self._services.append(made)
            questions.append(made.question)
        return questions


def _tls(forward: ForwardAuthSettings) -> UpstreamTLS | None:
    if not forward.is_secured:
        return None
    return UpstreamTLS.load(forward.ca, forward.server_name or "", True, cert=forward.cert, key=forward.key)


def guard_files(settings: ServingSettings) -> list[str]:
    """The files that the above read."""
    files: list[str] = []
    for route in settings.served_routes:
        if route.basic_auth is not None:
            files.append(route.basic_auth.users)
        if route.forward_auth is not None:
            files += route.forward_auth.tls_files
    return files


def guard_problems(settings: ServingSettings, document: Document) -> list[Problem]:
    """What is wrong with these files, each problem at the setting that names it."""
    problems: list[Problem] = []
    for number, route in enumerate(settings.served_routes):
        here: Location = ("routes", number)
        basic, forward = route.basic_auth, route.forward_auth
        if basic is not None:
            from gateway.permission.users import read_users

            location: Location = (*here, "basic_auth", "users")
            try:
                read_users(Path(basic.users))
            except OSError as error:
                message = f"cannot read {basic.users}: {error.strerror or error}"
                problems.append(document.problem(location, f"{dotted(location)}: {message}"))
            except ValueError as error:
                problems.append(document.problem(location, f"{dotted(location)}: {error}"))
        if forward is not None:
            try:
                _tls(forward)
            except CertificateError as error:
                name = next((name for name in _TLS_FILES if getattr(forward, name) == error.file), "url")
                location = (*here, "forward_auth", name)
                problems.append(document.problem(location, f"{dotted(location)}: {error.message}"))
    return problems
