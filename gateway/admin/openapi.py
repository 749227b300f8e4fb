"""The OpenAPI description of the admin API."""

from __future__ import annotations

from typing import Any

from gateway.admin.table import ENDPOINTS
from gateway.web.openapi import openapi


def describe() -> dict[str, Any]:
    """All of it; a sidecar has only a part."""
    return openapi("gray-gateway admin API", [endpoint.operation() for endpoint in ENDPOINTS])
