"""Fields of every response of the listeners outside the data plane."""

from __future__ import annotations

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""On every response: no page elsewhere may show it, and no browser takes text that somebody else wrote for a page."""
