"""Calls to a Nacos cluster: which protocol and generation of its API there is, who we are, and what its answers mean."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import RegistryError
from gateway.registry.http import RegistryHttp, RegistryResponse, refusal
from gateway.registry.largejson import read_json
from gateway.registry.nacos.messages import NAMING
from gateway.registry.singleflight import SingleFlight
from gateway.settings.servers import ServerSettings
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.servers import server_tls

if TYPE_CHECKING:
    from gateway.registry.nacos.rpc import RpcClient

_log = logging.getLogger("gateway.registry")

V1: Final = "v1"
V3: Final = "v3"
GONE: Final = frozenset({404, 405, 410, 501})
"""Statuses that say that there is no such API (any more)."""
REFRESH: Final = 0.9
"""Share of a token's life after which a new one is asked for."""
LOGIN_PAUSE: Final = 10.0
"""Seconds between two log-ins for refused calls: who may not see one service is refused for ever."""
GRPC_AGAIN: Final = 30.0
"""Seconds after which gRPC is tried again where only HTTP is answered."""
AUTO: Final = "auto"
GRPC: Final = "grpc"
HTTP: Final = "http"
"""Protocols: gRPC where it is answered and HTTP otherwise, or one of the two."""
LIST_V1: Final = "/nacos/v1/ns/instance/list"
LIST_V3: Final = "/nacos/v3/client/ns/instance/list"
_LOGINS: Final = ("/nacos/v3/auth/user/login", "/nacos/v1/auth/login", "/nacos/v1/auth/users/login")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and password to log in with, or a token that is given. All empty: nobody."""

    username: str = ""
    password: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """How the server is reached: on the same terms, for each of the protocols that connections name when they begin."""

    http: UpstreamTLS
    grpc: UpstreamTLS

    @staticmethod
    def load(server: ServerSettings) -> TlsContexts | None:
        """As settings say; None in plain text. Raises CertificateError."""
        http, grpc = server_tls(server), server_tls(server, "h2")
        return None if http is None or grpc is None else TlsContexts(http, grpc)


# Many members: two protocols, and who we are in both, which adapters and documents must share.
class NacosClient:
    """Calls, with a login where there are credentials. All methods raise RegistryError.

    `module` is what it is for (`naming`, `config`) in `namespace`, as a connection over gRPC says once; `tls` is for `https`.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        credentials: Credentials | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        protocol: str = AUTO,
        module: str = NAMING,
        namespace: str = "",
        tls: TlsContexts | None = None,
    ) -> None:
        self.addresses = tuple(addresses)
        self._protocol = protocol
        self._module = module
        self._namespace = namespace
        self._tls = tls
        self._rpc: RpcClient | None = None
        self._grpc_again_at = float("-inf")
        self._http = RegistryHttp(
            addresses, scheme="http" if tls is None else "https", tls=None if tls is None else tls.http
        )
        self._credentials = credentials or Credentials()
        self._clock = clock
        self._token = self._credentials.token
        self._renew_at = float("inf")
        self._logging_in = SingleFlight[str]()
        self._refused_at = float("-inf")
        self._is_token_in_query: bool | None = None
        """None until a call has shown where the server takes it."""
        self._detecting = SingleFlight[str]()
        self.generation = ""
        """`v1` or `v3`; empty until the server has answered, and after it said that what we use is gone."""

    def describe(self) -> dict[str, object]:
        """Where it is and what it speaks, for people."""
        nodes = self._http.nodes
        spoken = GRPC if self._rpc is not None and self._rpc.is_connected else self.generation or None
        return {"address": nodes.current, "addresses": list(self.addresses), "generation": spoken}

    @property
    def node(self) -> str:
        """The address in use."""
        return self._http.nodes.current

    @property
    def has_others(self) -> bool:
        """Whether there are several addresses."""
        return len(self.addresses) > 1

    def trust(self, tls: TlsContexts | None) -> None:
        """Makes new connections on these terms."""
        if self._tls is not None and tls is not None:
            self._tls = tls
            self._http.trust(tls.http)
            if self._rpc is not None:
                self._rpc.tls = tls.grpc

    def prefer(self, better: str, worse: str) -> None:
        """See Nodes.prefer."""
        self._http.nodes.prefer(better, worse)

    # --- gRPC

    @property
    def rpc(self) -> RpcClient:
        """The connection over gRPC, made when it is asked for first."""
        if self._rpc is None:
            from gateway.registry.nacos.rpc import RpcClient

            tls = None if self._tls is None else self._tls.grpc
            self._rpc = RpcClient(self.addresses, self._module, self._namespace, self.token, tls)
        return self._rpc

    async def speaks_grpc(self) -> bool:
        """Whether the server is spoken to over gRPC now. It is tried, and after a failure only now and then."""
        if self._protocol == HTTP:
            return False
        if self._protocol == GRPC or self.rpc.is_connected:
            return True
        if self._clock() < self._grpc_again_at:
            return False
        try:
            await self.rpc.connection()
        except RegistryError as error:
            if self._grpc_again_at == float("-inf"):
                _log.info("registry %s is queried over HTTP: %s", self.node, error)
            self._grpc_again_at = self._clock() + GRPC_AGAIN
            return False
        return True

    def try_grpc_again(self) -> None:
        """It is not gRPC alone that was not answered: when the server is back, it may be."""
        self._grpc_again_at = min(self._grpc_again_at, self._clock())

    async def token(self, refused: str | None = None) -> str:
        """What to show for who we are, empty for nobody; another one than that which was refused, where there can be."""
        if refused is None or not self._credentials.username:
            return await self._current_token()
        return await self._login(refused, was_refused=True)

    # --- HTTP

    async def detect(self) -> str:
        """Which API the server speaks: asked once, and again after it said that what we use is gone."""
        return self.generation or await self._detecting.run(self._detect)

    async def _detect(self) -> str:
        self.generation = await self._asked()
        _log.info("registry %s speaks Nacos' %s API", self.node, self.generation)
        return self.generation

    async def _asked(self) -> str:
        probe = {"serviceName": "gateway-probe", "groupName": "DEFAULT_GROUP", "namespaceId": "public"}
        answer = await self._authorised("GET", LIST_V3, {"params": probe})
        if answer.status in GONE or "No static resource" in answer.text or "No endpoint" in answer.text:
            await self._check_v1(probe)
            return V1
        if answer.status != 200:
            raise _refused(answer)
        return V3

    async def _check_v1(self, probe: Mapping[str, str]) -> None:
        keys = {key: probe[key] for key in ("serviceName", "groupName")}
        answer = await self._authorised("GET", LIST_V1, {"params": keys})
        if answer.status not in GONE:
            return
        where = self.node
        second = await self._authorised("GET", "/nacos/v2/ns/instance/list", {"params": keys})
        if second.status not in GONE:
            message = f"{where} speaks Nacos' v2 API only: set nacos.core.api.compatibility.client.enabled=true there, or upgrade"
        else:
            message = (
                f"{where} speaks neither Nacos' v3 client API nor v1: is it the API's port (8848, not the console's)?"
            )
        raise RegistryError("api", message)

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """A call's JSON object; plain text (v1 says `ok`) comes as `{"text": …}`."""
        body, _ = await self.ask(method, path, params=params, form=form)
        return body

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        elsewhere: bool = False,
    ) -> tuple[dict[str, Any], str]:
        """The same, and the node that said so; `elsewhere`: another one than that in use."""
        answer = await self._authorised(method, path, {"params": params, "data": form, "elsewhere": elsewhere})
        if answer.status in GONE:
            self.generation = ""
            message = (
                f"{method} {path} returned {answer.status}: the API generation has changed, or it is the wrong port"
            )
            raise RegistryError("api", message)
        if answer.status != 200:
            raise _refused(answer)
        try:
            body = await read_json(answer.text)
        except (ValueError, RecursionError):
            body = answer.text
        return body if isinstance(body, dict) else {"text": answer.text}, answer.node

    async def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> RegistryResponse:
        """A call's plain answer, whatever its status."""
        return await self._authorised(method, path, {"headers": dict(headers or {}), **options})

    # --- who we are

    async def _authorised(self, method: str, path: str, options: dict[str, Any]) -> RegistryResponse:
        token = await self._current_token()
        answer = await self._http.call(method, path, **self._with_token(options, token))
        if answer.status == 403 and self._credentials.username:
            # A token that the server does not know any more: it has restarted.
            fresh = await self._login(token, was_refused=True)
            if fresh != token:
                token = fresh
                answer = await self._http.call(method, path, **self._with_token(options, token))
        if not token or self._is_token_in_query is not None:
            return answer
        if answer.status == 200:
            self._is_token_in_query = False
        elif answer.status == 403:
            second = await self._http.call(method, path, **self._with_token(options, token, in_query=True))
            if second.status != 403:
                self._is_token_in_query = True
                return second
        return answer

    def _with_token(self, options: dict[str, Any], token: str, in_query: bool = False) -> dict[str, Any]:
        if not token:
            return options
        if in_query or self._is_token_in_query:
            return {**options, "params": {**(options.get("params") or {}), "accessToken": token}}
        headers = {**(options.get("headers") or {}), "accessToken": token, "Authorization": f"Bearer {token}"}
        return {**options, "headers": headers}

    async def _current_token(self) -> str:
        if self._credentials.username and (not self._token or self._clock() >= self._renew_at):
            return await self._login(self._token)
        return self._token

    async def _login(self, known: str, was_refused: bool = False) -> str:
        """A new token, unless another task has got one in the meantime (`known` is the one that was used, and refused)."""
        if self._token != known and self._clock() < self._renew_at:
            return self._token
        if was_refused and not self._logging_in.is_running:
            if self._clock() - self._refused_at < LOGIN_PAUSE:
                return known
            self._refused_at = self._clock()
        return await self._logging_in.run(self._log_in)

    async def _log_in(self) -> str:
        form = {"username": self._credentials.username, "password": self._credentials.password}
        status = 404
        for path in _LOGINS:  # a server answers 403 to what it does not know, too
            answer = await self._http.call("POST", path, data=form)
            found = _token_of(answer)
            if found is not None:
                self._token, seconds = found
                self._renew_at = self._clock() + REFRESH * seconds
                return self._token
            status = answer.status if answer.status not in GONE else status
        self._token = ""
        message = f"the login of {self._credentials.username!r} returned {status}: is the password right?"
        raise RegistryError("auth", message)

    async def close(self) -> None:
        """Closes the connections."""
        if self._rpc is not None:
            await self._rpc.close()
        await self._http.close()


def payload(body: Mapping[str, Any]) -> Any:
    """The payload of a v3 answer. Raises RegistryError for an error code."""
    if body.get("code") != 0:
        reason = {10000: "bad_response", 10001: "auth", 40000: "api"}.get(body.get("code") or -1, "bad_response")
        raise RegistryError(reason, f"code {body.get('code')}: {body.get('message') or body.get('text')}")
    return body.get("data")


def _token_of(answer: RegistryResponse) -> tuple[str, float] | None:
    """The token of a login's answer, and for how many seconds it is good; None where it has none."""
    try:
        body = json.loads(answer.text)
        body = body.get("data") or body
        token = body["accessToken"]
        return (token, float(body.get("tokenTtl", 18_000))) if token and isinstance(token, str) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _refused(answer: RegistryResponse) -> RegistryError:
    error = refusal(answer)
    if error.reason == "auth":
        message = f"{error}; set username and password (or token), and the API's port (8848, not the console's)"
        return RegistryError("auth", message)
    return error
