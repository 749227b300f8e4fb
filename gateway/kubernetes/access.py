"""Where the API server is, and who we are there: in a pod by its service account, elsewhere by a kubeconfig.

https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import ConfigError, Problem
from gateway.files import read_file
from gateway.kubernetes.credentials import (
    BasicCredentials,
    Credentials,
    ExecCredentials,
    FileToken,
    NoCredentials,
    Token,
)
from gateway.yaml.reading import Document, Location, load

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet puts a pod's token, its namespace and the cluster's CA."""


@dataclass(frozen=True, slots=True)
class Access:
    """`server` is a URL without a slash at its end, `tls` None for plain HTTP, `namespace` the one to use if none is named.

    `server_name` is verified in place of the server's host, and `proxy` the URL of an HTTP proxy, if they are not empty.
    """

    server: str
    tls: ssl.SSLContext | None
    credentials: Credentials
    namespace: str
    server_name: str = ""
    proxy: str = ""


def open_access(
    kubeconfig: str | None, context: str = "", environ: Mapping[str, str] | None = None, account: Path = SERVICE_ACCOUNT
) -> Access:
    """By a kubeconfig file if one is named, else as a pod of a cluster. Reads files; raises ConfigError."""
    if kubeconfig is not None:
        return _Kubeconfig(Path(kubeconfig), context).access()
    return _in_cluster(os.environ if environ is None else environ, account)


def kubeconfig_problems(kubeconfig: str, context: str) -> list[str]:
    """What is wrong with a kubeconfig file, for people."""
    try:
        open_access(kubeconfig, context)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def _in_cluster(environ: Mapping[str, str], account: Path) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        message = "this is not a pod of a cluster (KUBERNETES_SERVICE_HOST is not set): name a `kubeconfig`"
        raise ConfigError([Problem("kubernetes", 0, 0, message)])
    try:
        namespace = read_file(account / "namespace").decode().strip()
    except (OSError, UnicodeDecodeError):
        namespace = "default"
    tls = _context(str(account / "ca.crt"), None, True)
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(server, tls, FileToken(account / "token"), namespace)


class _Kubeconfig:
    """One file. Each problem names its line."""

    def __init__(self, path: Path, context: str) -> None:
        self._path = path
        self._document: Document = load(path, {})
        self._context = context

    def access(self) -> Access:
        """See `open_access`."""
        where, context = self._named("contexts", "context", self._context or self._text((), "current-context"))
        at_cluster, cluster = self._named("clusters", "cluster", self._text(where, "cluster"))
        at_user, user = ((), {}) if "user" not in context else self._named("users", "user", self._text(where, "user"))
        server = self._text(at_cluster, "server").rstrip("/")
        if urlsplit(server).scheme not in ("http", "https") or not urlsplit(server).hostname:
            raise self._error((*at_cluster, "server"), f"server {server!r} is not a URL like https://10.0.0.1:6443")
        return Access(
            server,
            self._tls(at_cluster, cluster, at_user, user) if server.startswith("https:") else None,
            self._credentials(at_user, user, cluster),
            _text(context.get("namespace")) or "default",
            _text(cluster.get("tls-server-name")),
            self._proxy(at_cluster, cluster),
        )

    def _named(self, kind: str, key: str, name: str) -> tuple[Location, dict[str, Any]]:
        """The entry of a list by its name, and where it is."""
        data = self._document.data
        entries = data.get(kind) if isinstance(data, dict) else None
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
                return (kind, index, key), entry[key]
        raise self._error((kind,), f"there is no {key} {name!r}")

    def _text(self, where: Location, key: str) -> str:
        data: Any = self._document.data
        for part in where:
            data = data[part]
        found = data.get(key) if isinstance(data, dict) else None
        if not isinstance(found, str) or not found:
            raise self._error(where, f"`{key}` is missing")
        return found

    def _tls(
        self, at_cluster: Location, cluster: dict[str, Any], at_user: Location, user: dict[str, Any]
    ) -> ssl.SSLContext:
        verify = cluster.get("insecure-skip-tls-verify") != "true"
        authority = self._data(at_cluster, cluster, "certificate-authority")
        context = _context(None, authority.decode("latin-1") if authority else None, verify)
        certificate = self._data(at_user, user, "client-certificate")
        key = self._data(at_user, user, "client-key")
        if certificate and key:
            try:
                _load_pair(context, certificate, key)
            except (ssl.SSLError, OSError) as error:
                raise self._error(at_user, f"the client certificate cannot be used: {error}") from error
        elif certificate or key:
            raise self._error(at_user, "a client certificate and its key belong together")
        return context

    def _proxy(self, where: Location, cluster: dict[str, Any]) -> str:
        proxy = _text(cluster.get("proxy-url"))
        if proxy and (urlsplit(proxy).scheme != "http" or not urlsplit(proxy).hostname):
            message = f"the proxy {_without_password(proxy)!r} is not supported: a URL like http://proxy:3128 is"
            raise self._error((*where, "proxy-url"), message)
        return proxy

    def _credentials(self, where: Location, user: dict[str, Any], cluster: dict[str, Any]) -> Credentials:
        for key in ("as", "as-uid", "as-groups", "as-user-extra"):
            if user.get(key):
                message = f"`{key}` is not supported: name a user who is allowed to do this"
                raise self._error((*where, key), message)
        if isinstance(user.get("exec"), dict):
            return self._exec((*where, "exec"), user["exec"], cluster)
        if isinstance(user.get("tokenFile"), str):
            return FileToken(self._relative(user["tokenFile"]))
        if isinstance(user.get("token"), str):
            return Token(user["token"])
        if isinstance(user.get("username"), str):
            return BasicCredentials(user["username"], str(user.get("password") or ""))
        if "auth-provider" in user:
            raise self._error((*where, "auth-provider"), "auth-provider was removed in Kubernetes 1.26: use `exec`")
        return NoCredentials()

    def _exec(self, where: Location, plugin: dict[str, Any], cluster: dict[str, Any]) -> Credentials:
        command, version = plugin.get("command"), plugin.get("apiVersion")
        if not isinstance(command, str) or not command:
            raise self._error(where, "`command` is missing")
        if version not in ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"):
            raise self._error(where, f"apiVersion {version!r} of an exec plugin: v1 or v1beta1 is needed")
        if "/" in command:
            command = str(self._relative(command))
        arguments = [str(item) for item in plugin.get("args") or ()]
        variables = {str(item.get("name")): str(item.get("value")) for item in plugin.get("env") or ()}
        if plugin.get("interactiveMode") == "Always":
            raise self._error((*where, "interactiveMode"), "a plugin that always asks a person cannot be used")
        told = self._about(cluster) if plugin.get("provideClusterInfo") == "true" else None
        return ExecCredentials([command, *arguments], variables, version, told)

    def _about(self, cluster: dict[str, Any]) -> dict[str, Any]:
        """What a plugin learns of the cluster (client.authentication.k8s.io/v1, Cluster)."""
        keys = ("server", "tls-server-name", "proxy-url")
        found: dict[str, Any] = {key: cluster[key] for key in keys if _text(cluster.get(key))}
        authority = self._data((), cluster, "certificate-authority")
        if authority:
            found["certificate-authority-data"] = base64.b64encode(authority).decode()
        if cluster.get("insecure-skip-tls-verify") == "true":
            found["insecure-skip-tls-verify"] = True
        extensions = cluster.get("extensions")
        for item in extensions if isinstance(extensions, list) else ():
            if isinstance(item, dict) and item.get("name") == "client.authentication.k8s.io/exec":
                found["config"] = item.get("extension")
        return found

    def _data(self, where: Location, holder: dict[str, Any], key: str) -> bytes:
        """What a file or its content in base64 (`KEY-data`) holds; nothing if neither is there."""
        inline, file = holder.get(f"{key}-data"), holder.get(key)
        try:
            if isinstance(inline, str) and inline:
                return base64.b64decode(inline, validate=True)
            if isinstance(file, str) and file:
                return read_file(self._relative(file))
        except binascii.Error as error:
            raise self._error((*where, f"{key}-data"), "this is not base64") from error
        except OSError as error:
            message = f"cannot read {file}: {error.strerror or error}"
            raise self._error((*where, key), message) from error
        return b""

    def _relative(self, file: str) -> Path:
        """Files are relative to the kubeconfig."""
        return self._path.parent / file

    def _error(self, where: Location, message: str) -> ConfigError:
        return ConfigError([self._document.problem(where, message)], [self._path])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def _context(file: str | None, data: str | None, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=file, cadata=data)
    except (OSError, ssl.SSLError, ValueError) as error:
        name = file or "certificate-authority-data"
        raise ConfigError([Problem(name, 0, 0, f"cannot use the CA: {error}")]) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL reads a pair from files only: they are there for a moment, for us alone."""
    with tempfile.NamedTemporaryFile() as one, tempfile.NamedTemporaryFile() as other:
        one.write(certificate)
        one.flush()
        other.write(key)
        other.flush()
        context.load_cert_chain(one.name, other.name)
