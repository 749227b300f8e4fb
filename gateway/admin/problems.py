"""Errors of the admin API (RFC 9457)."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


def problem(status: int, code: str, detail: str, **more: Any) -> web.Response:
    """An answer that says what went wrong; `more` are further members."""
    body = {"type": f"urn:gray-gateway:error:{code}", "status": status, "code": code, "detail": detail, **more}
    return web.Response(
        status=status, text=json.dumps(body, ensure_ascii=False) + "\n", content_type="application/problem+json"
    )
