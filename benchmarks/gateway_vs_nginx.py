"""The gateway beside nginx doing the same gray split: CPU time per request and the ratio."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import click
import yaml

from benchmarks.machine import Missing, cpu_seconds, resident_bytes, start, tool, wait_listening
from gateway.demo.processes import free_port

PROXY_CORE = 0
LOAD_CORE = 1

NGINX_COMMON = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {servers}
}}
"""

ORIGIN = """
  server {{ listen 127.0.0.1:{base}; location / {{ default_type application/json; return 200 '{{"who":"base"}}'; }} }}
  server {{ listen 127.0.0.1:{gray}; location / {{ default_type application/json; return 200 '{{"who":"gray"}}'; }} }}
"""

PROXY = """
  upstream base {{ server 127.0.0.1:{base}; keepalive 128; keepalive_requests 1000000000; }}
  upstream gray {{ server 127.0.0.1:{gray}; keepalive 128; keepalive_requests 1000000000; }}
  map $arg_group $pool {{ gray gray; default base; }}
  map $arg_group $tag {{ gray gray; default ""; }}
  server {{ listen 127.0.0.1:{port};
    location /A/ {{ rewrite ^/A(/.*)$ $1 break; proxy_pass http://$pool; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header x-gray-tag $tag;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host; }} }}
"""

RULES = """
lane_groups:
  - name: bench
    lanes:
      - name: gray
        tag: gray
        match: [{param: group, equals: gray}]
"""

# Browser-like heads, about 800 bytes, each different.
BROWSER = """
local n = 0
request = function()
  n = n + 1
  local id = string.format("%08x", n * 2654435761 % 4294967296)
  return "GET /A/items/" .. id .. "?page=" .. n .. "&group=" .. (n % 2 == 0 and "gray" or "x") .. " HTTP/1.1\\r\\n" ..
    "Host: shop.example.com\\r\\nConnection: keep-alive\\r\\nCache-Control: max-age=0\\r\\n" ..
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\\r\\n" ..
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\\r\\n" ..
    "Referer: https://shop.example.com/catalogue/" .. id .. "\\r\\nAccept-Encoding: gzip, deflate, br\\r\\n" ..
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\\r\\n" ..
    "Cookie: sid=" .. id .. id .. id .. id .. "; theme=dark; uid=u-" .. n .. "; consent=all; ab=" .. id .. "\\r\\n" ..
    "If-None-Match: W/\\"" .. id .. "\\"\\r\\n\\r\\n"
end
"""


@dataclass
class Contender:
    """One proxy under test."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    costs: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds; the medians are reported.")
@click.option("--seconds", default=4, show_default=True, help="Length of one measurement.")
@click.option("--connections", default=64, show_default=True, help="Client connections.")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="NAME=PATH",
    help="A Python that has the gateway installed; may be given more than once. Left out: this one.",
)
def main(rounds: int, seconds: int, connections: int, pythons: tuple[str, ...]) -> None:
    """CPU time per request of the gateway and of nginx, and the ratio."""
    try:
        nginx, wrk = tool("nginx", "nginx-light"), tool("wrk", "wrk")
    except Missing as missing:
        click.echo(str(missing), err=True)
        sys.exit(3)
    interpreters = {"gateway": sys.executable}
    if pythons:
        # Absolute, links kept: a virtual environment is known by the path it is called by.
        interpreters = {label: os.path.abspath(path) for label, path in (entry.split("=", 1) for entry in pythons)}  # noqa: PTH100
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx workers run as another user
        (folder / "browser.lua").write_text(BROWSER)
        processes: list[subprocess.Popen[bytes]] = []
        try:
            base, gray = free_port(), free_port()
            origin = _start_nginx(nginx, folder, "origin", ORIGIN.format(base=base, gray=gray), LOAD_CORE, base)
            processes.append(origin)
            port = free_port()
            servers = PROXY.format(base=base, gray=gray, port=port)
            contenders = [Contender("nginx", port, _start_nginx(nginx, folder, "proxy", servers, PROXY_CORE, port))]
            processes.append(contenders[0].process)
            for label, python in interpreters.items():
                contenders.append(_start_gateway(label, python, folder, base, gray))
                processes.append(contenders[-1].process)
            _measure(contenders, wrk, folder, rounds, seconds, connections)
            _report(contenders, rounds, seconds, connections)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


def _start_nginx(nginx: str, folder: Path, name: str, servers: str, core: int, port: int) -> subprocess.Popen[bytes]:
    config = folder / f"{name}.conf"
    config.write_text(NGINX_COMMON.format(folder=folder, name=name, servers=servers))
    log = folder / f"{name}.log"
    process = start([nginx, "-c", str(config), "-p", str(folder)], core, log)
    wait_listening(port, process, log)
    return process


def _start_gateway(label: str, python: str, folder: Path, base: int, gray: int) -> Contender:
    port = free_port()
    home = folder / label
    home.mkdir()
    (home / "rules.yaml").write_text(RULES)
    instances = [{"address": f"127.0.0.1:{base}"}, {"address": f"127.0.0.1:{gray}", "tag": "gray"}]
    config = {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{free_port()}",
        "registry": {"kind": "static", "services": {"a": instances}},
        "routes": [{"path": "/A", "service": "a", "strip_prefix": True}],
        "rules": "rules.yaml",
        "timeouts": {"upstream_idle": "60s"},
    }
    (home / "gateway.yaml").write_text(yaml.safe_dump(config))
    log = folder / f"{label}.log"
    arguments = [python, "-m", "gateway", "serve", "-c", str(home / "gateway.yaml")]
    process = start(arguments, PROXY_CORE, log)
    wait_listening(port, process, log)
    return Contender(label, port, process)


def _measure(contenders: list[Contender], wrk: str, folder: Path, rounds: int, seconds: int, connections: int) -> None:
    workloads = {"small": [], "browser": ["-s", str(folder / "browser.lua")]}
    for contender in contenders:  # warm up: connections made, code loaded
        _run_wrk(wrk, contender.port, 1, connections, [])
    for number in range(rounds):
        for workload, extra in workloads.items():
            for contender in contenders:
                click.echo(f"round {number + 1}/{rounds} {workload}: {contender.name}", err=True)
                before = cpu_seconds(contender.process.pid)
                count, rate = _run_wrk(wrk, contender.port, seconds, connections, extra)
                cost = (cpu_seconds(contender.process.pid) - before) / count * 1e6
                contender.costs.setdefault(workload, []).append(cost)
                contender.rates.setdefault(workload, []).append(rate)


def _run_wrk(wrk: str, port: int, seconds: int, connections: int, extra: list[str]) -> tuple[int, float]:
    url = f"http://127.0.0.1:{port}/A/items?group=gray"
    command = ["taskset", "-c", str(LOAD_CORE), wrk, "-t1", f"-c{connections}", f"-d{seconds}s", *extra, url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"requests failed:\n{output}")
    count = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert count is not None
    assert rate is not None
    return int(count[1]), float(rate[1])


def _report(contenders: list[Contender], rounds: int, seconds: int, connections: int) -> None:
    nginx = contenders[0]
    click.echo(
        f"{platform.machine()}, Python {platform.python_version()}, {rounds} rounds of {seconds} s, {connections} connections"
    )
    click.echo("")
    click.echo("| workload | proxy | CPU µs/request | × nginx | requests/s | RSS MiB |")
    click.echo("|---|---|---|---|---|---|")
    for workload in nginx.costs:
        for contender in contenders:
            cost = statistics.median(contender.costs[workload])
            # Round by round, so that a noisy minute of the machine falls on both sides of a ratio.
            ratios = [
                mine / theirs for mine, theirs in zip(contender.costs[workload], nginx.costs[workload], strict=True)
            ]
            rate = statistics.median(contender.rates[workload])
            resident = resident_bytes(contender.process.pid) / 2**20
            click.echo(
                f"| {workload} | {contender.name} | {cost:.1f} | {statistics.median(ratios):.2f} | {rate:.0f} | {resident:.0f} |"
            )


if __name__ == "__main__":
    main()
