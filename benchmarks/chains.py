"""Chains of services, a proxy in front of each: entry, and for each service a sidecar of the baseline and one of the gray pool.

    client → entry → sidecar → A → sidecar → sidecar → B → …

Applications are nginx: each passes what it was sent to the next service, by its own sidecar, and the last one says who it is.
A sidecar is one process for what its application is sent and for what it sends, as in a pod.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.contenders import Setting, envoy_binary
from benchmarks.machine import start, tool, wait_listening
from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.release.ports import free_port

POOLS = ("base", "gray")
STARTS = 90.0
"""Seconds that all of a chain's proxies have to start, on one core."""
KEEPALIVE = "keepalive 256; keepalive_requests 1000000000;"


@dataclass
class Place:
    """One instance of a service, and the ports of its application and of its sidecar."""

    service: str
    tag: str
    app: int = field(default_factory=free_port)
    inbound: int = field(default_factory=free_port)
    outbound: int = field(default_factory=free_port)


@dataclass
class Chain:
    """A running chain; `proxies` are its processes, the entry first. `apps` are not measured."""

    name: str
    port: int
    proxies: list[subprocess.Popen[bytes]]
    apps: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Ends all of it."""
        for process in (*self.proxies, self.apps):
            process.terminate()
        for process in (*self.proxies, self.apps):
            process.wait(10)


Proxies = Callable[[Path, int, list[Place]], list[list[str]]]
"""Writes the configurations into a folder, for an entry at a port; returns the commands, the entry's first."""


def begin(setting: Setting, name: str, services: list[str], proxies: Proxies) -> Chain:
    """Starts a chain, and sees that it does the split. Raises RuntimeError if it does not, and what `proxies` raises."""
    folder = setting.folder / name.replace(" ", "-").replace(",", "").replace("/", "-")
    folder.mkdir()
    folder.chmod(0o755)
    places = [Place(service, tag) for service in services for tag in POOLS]
    port = free_port()
    commands = proxies(folder, port, places)
    log = folder / "log"
    config = folder / "apps.conf"
    config.write_text(_apps(folder, places, services))
    apps = start([tool("nginx", "nginx-light"), "-c", str(config), "-p", str(folder)], setting.load_cores, log)
    chain = Chain(name, port, [], apps)
    try:
        for command in reversed(commands):
            chain.proxies.insert(0, start(command, setting.proxy_cores, log))
        for listens in (port, *(place.inbound for place in places), *(place.outbound for place in places)):
            wait_listening(listens, apps, log, STARTS)
        _verify(chain)
    except RuntimeError:
        chain.stop()
        raise
    return chain


def _verify(chain: Chain) -> None:
    """Both pools, to the chain's end: as soon as everybody has read everything."""
    deadline = time.monotonic() + 20
    for query, who in (("group=gray", "gray"), ("", "base")) * 3:
        body = ""
        while body != f'{{"who":"{who}"}}':
            if time.monotonic() > deadline:
                raise RuntimeError(f"{chain.name} does not do the split: ?{query} gave {body!r} instead of {who}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{chain.port}/A/items?{query}", timeout=5) as answer:
                    body = answer.read().decode()
            except OSError as error:
                body = str(error)
                time.sleep(0.1)


def _apps(folder: Path, places: list[Place], services: list[str]) -> str:
    """nginx as every application."""
    blocks = []
    for place in places:
        following = services.index(place.service) + 1
        does = f'return 200 \'{{"who":"{place.tag}"}}\';'
        if following < len(services):
            blocks.append(f"upstream next{place.app} {{ server 127.0.0.1:{place.outbound}; {KEEPALIVE} }}")
            does = f"""proxy_pass http://next{place.app}; proxy_http_version 1.1; proxy_set_header Connection "";
              proxy_set_header Host {services[following]};"""
        blocks.append(
            f"server {{ listen 127.0.0.1:{place.app} backlog=4096; default_type application/json; location / {{ {does} }} }}"
        )
    return _nginx_config(folder, "apps", blocks)


def _nginx_config(folder: Path, name: str, blocks: list[str]) -> str:
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{name}-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; {temporary}
{chr(10).join(blocks)} }}
"""


# --- who does it


def gateway(python: str, protocol: str) -> Proxies:
    """Entry and sidecars as `python` has them installed, which speak `protocol` (h2c, http1) to each other."""

    def proxies(folder: Path, port: int, places: list[Place]) -> list[list[str]]:
        listed: dict[str, list[dict[str, Any]]] = {}
        for place in places:
            metadata = {SIDECAR_KEY: place.service}
            if protocol == "h2c":
                metadata[PROTOCOL_KEY] = "h2c"
            instance = {"address": f"127.0.0.1:{place.inbound}", "tag": place.tag, "metadata": metadata}
            listed.setdefault(place.service, []).append(instance)
        registry = {"kind": "static", "services": listed}
        limits = {"connections_per_client": 8192}
        lane = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}
        (folder / "rules.yaml").write_text(yaml.safe_dump({"lane_groups": [{"name": "bench", "lanes": [lane]}]}))
        entry = {
            "listen": f"127.0.0.1:{port}",
            "admin": f"127.0.0.1:{free_port()}",
            "registry": registry,
            "routes": [{"path": "/A", "service": places[0].service, "strip_prefix": True}],
            "rules": "rules.yaml",
            "limits": limits,
        }
        commands = [_ours(folder, python, "serve", "entry", entry)]
        for place in places:
            sidecar = {
                "service": place.service,
                "tag": place.tag,
                "app": f"127.0.0.1:{place.app}",
                "inbound": f"127.0.0.1:{place.inbound}",
                "outbound": f"127.0.0.1:{place.outbound}",
                "admin": f"127.0.0.1:{free_port()}",
                "registry": registry,
                "limits": limits,
            }
            commands.append(_ours(folder, python, "sidecar", f"{place.service}-{place.tag}", sidecar))
        return commands

    return proxies


def _ours(folder: Path, python: str, role: str, name: str, config: dict[str, Any]) -> list[str]:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return [python, "-m", "gateway", role, "-c", str(path)]


def nginx(folder: Path, port: int, places: list[Place]) -> list[list[str]]:
    """nginx in every place."""
    program = tool("nginx", "nginx-light")
    peers = [_nginx_peer(f"{place.service}_{place.tag}", place.inbound) for place in places]
    tags = 'map $arg_group $tag { gray gray; default ""; } map $arg_group $pool { gray gray; default base; }'
    first = f"http://{places[0].service}_$pool"
    head = "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header x-gray-tag $tag;"
    blocks = [tags, *peers, _nginx_server(port, "/A/", f"rewrite ^/A(/.*)$ $1 break; {head}", first, "$host")]
    commands = [_nginx(folder, program, "entry", blocks)]
    for place in places:
        pool = "map $http_x_gray_tag $pool { gray gray; default base; }"
        inbound = _nginx_server(place.inbound, "/", "", "http://app", "$host")
        outbound = _nginx_server(place.outbound, "/", "", "http://${http_host}_$pool", "$http_host")
        blocks = [pool, *peers, _nginx_peer("app", place.app), inbound, outbound]
        commands.append(_nginx(folder, program, f"{place.service}-{place.tag}", blocks))
    return commands


def _nginx(folder: Path, program: str, name: str, blocks: list[str]) -> list[str]:
    path = folder / f"{name}.conf"
    path.write_text(_nginx_config(folder, name, blocks))
    return [program, "-c", str(path), "-p", str(folder)]


def _nginx_peer(name: str, port: int) -> str:
    return f"upstream {name} {{ server 127.0.0.1:{port}; {KEEPALIVE} }}"


def _nginx_server(port: int, path: str, more: str, target: str, host: str) -> str:
    return f"""server {{ listen 127.0.0.1:{port} backlog=4096; location {path} {{ {more} proxy_pass {target};
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host {host}; }} }}"""


def envoy(protocol: str) -> Proxies:
    """Envoy in every place, one worker thread each; between Envoys `protocol` (h2c, http1) is spoken."""

    def proxies(folder: Path, port: int, places: list[Place]) -> list[list[str]]:
        program = envoy_binary()
        peers = [_cluster(f"{place.service}-{place.tag}", place.inbound, protocol) for place in places]
        gray = {"query_parameters": [{"name": "group", "string_match": {"exact": "gray"}}]}
        to = {"prefix": "/A/"}
        first = places[0].service
        mark = [{"header": {"key": "x-gray-tag", "value": "gray"}}]
        routes: list[dict[str, Any]] = [
            {
                "match": to | gray,
                "route": {"cluster": f"{first}-gray", "prefix_rewrite": "/"},
                "request_headers_to_add": mark,
            },
            {"match": to, "route": {"cluster": f"{first}-base", "prefix_rewrite": "/"}},
        ]
        entry = _listener(port, [{"name": "all", "domains": ["*"], "routes": routes}], "entry")
        commands = [_envoy(folder, program, "entry", [entry], peers)]
        for place in places:
            inbound = [
                {"name": "app", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}
            ]
            tagged = {"headers": [{"name": "x-gray-tag", "string_match": {"exact": "gray"}}]}
            outbound = [
                {
                    "name": service,
                    "domains": [service],
                    "routes": [
                        {"match": {"prefix": "/"} | tagged, "route": {"cluster": f"{service}-gray"}},
                        {"match": {"prefix": "/"}, "route": {"cluster": f"{service}-base"}},
                    ],
                }
                for service in dict.fromkeys(place.service for place in places)
            ]
            listeners = [_listener(place.inbound, inbound, "in"), _listener(place.outbound, outbound, "out")]
            clusters = [*peers, _cluster("app", place.app, "http1")]
            commands.append(_envoy(folder, program, f"{place.service}-{place.tag}", listeners, clusters))
        return commands

    return proxies


def _envoy(
    folder: Path, program: str, name: str, listeners: list[dict[str, Any]], clusters: list[dict[str, Any]]
) -> list[str]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}))
    return [program, "-c", str(path), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]


def _listener(port: int, hosts: list[dict[str, Any]], prefix: str) -> dict[str, Any]:
    extensions = "type.googleapis.com/envoy.extensions.filters"
    router = {"@type": f"{extensions}.http.router.v3.Router"}
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": prefix,
        "use_remote_address": prefix == "entry",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "route_config": {"virtual_hosts": hosts},
    }
    name = "envoy.filters.network.http_connection_manager"
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }


def _cluster(name: str, port: int, protocol: str) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if protocol == "h2c":
        kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        options = {
            "@type": f"type.googleapis.com/{kind}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        cluster["typed_extension_protocol_options"] = {kind: options}
    return cluster
