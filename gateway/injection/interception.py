"""Calls of a pod redirected to its sidecar by the kernel, for applications that can be given no proxy and no other URL. Pure.

An init container writes the rules. It needs the capability NET_ADMIN in the pod's own network namespace, as root.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

NAME: Final = "gray-intercept"
"""The container."""
USER: Final = 15081
"""User and group of a sidecar whose own calls are not redirected: nobody else's, as 65532 is of many images."""
PORTS: Final = "80"
NETWORKS: Final = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
"""Where calls are redirected: private addresses, as those of Services and pods are. What is outside stays untouched."""
MOST_PORTS: Final = 15
"""What one match of iptables holds (multiport)."""
MOST_NETWORKS: Final = 64


class Interception:
    """Calls to these ports (as `80,8080`) in these networks (as `10.0.0.0/8`). Raises ValueError, which says what is wrong."""

    def __init__(self, ports: str, networks: str) -> None:
        self.ports = [_port(text.strip()) for text in ports.split(",")]
        if len(self.ports) > MOST_PORTS:
            raise ValueError(f"{len(self.ports)} ports: at most {MOST_PORTS} are possible")
        self.networks = [_network(text.strip()) for text in networks.split(",")]
        if len(self.networks) > MOST_NETWORKS:
            raise ValueError(f"{len(self.networks)} networks: at most {MOST_NETWORKS} are possible")

    def rules(self, outbound: int) -> str:
        """What `iptables-restore --noflush` reads. `outbound` is the sidecar's port."""
        ports = ",".join(map(str, self.ports))
        redirect = f"-p tcp -m multiport --dports {ports} -j REDIRECT --to-ports {outbound}"
        return "\n".join(
            [
                "*nat",
                ":GRAY_OUTBOUND - [0:0]",
                "-A OUTPUT -p tcp -j GRAY_OUTBOUND",
                f"-A GRAY_OUTBOUND -m owner --uid-owner {USER} -j RETURN",
                "-A GRAY_OUTBOUND -o lo -j RETURN",
                *(f"-A GRAY_OUTBOUND -d {network} {redirect}" for network in self.networks),
                "COMMIT",
                "",
            ]
        )

    def container(self, image: str, outbound: int) -> dict[str, Any]:
        """The init container that writes the rules."""
        return {
            "name": NAME,
            "image": image,
            "command": ["sh", "-ec", 'printf %s "$RULES" | iptables-restore --noflush'],
            "env": [{"name": "RULES", "value": self.rules(outbound)}],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
            "securityContext": {
                "runAsNonRoot": False,
                "runAsUser": 0,
                "runAsGroup": 0,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }


def runs_as_sidecar(holders: list[Mapping[str, Any]]) -> bool:
    """Whether a pod's or a container's security context names the sidecar's user: its calls would not be redirected."""
    contexts = [holder.get("securityContext") for holder in holders]
    return any(isinstance(context, dict) and context.get("runAsUser") == USER for context in contexts)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise ValueError(f"{text[:80]!r} is not a port from 1 to 65535")
    return int(text)


def _network(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is not an IPv4 network like 10.0.0.0/8") from None
