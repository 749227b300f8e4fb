"""Where the guards of lanes report what they do."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from gateway.settings.fields import Model, Secret


def _check_url(text: str) -> str:
    if (
        "@" in text.partition("//")[2].partition("/")[0]
    ):  # first of all: whatever else is wrong, a password is not shown
        raise ValueError("a webhook's URL has no password in it; use `token`")
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna")  # no label is empty, or has more than 63 bytes
        is_sound = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound or not text.isascii() or any(character.isspace() for character in text):
        raise ValueError(f"a webhook is an HTTP URL, such as https://ops.example/hooks/gray; found {text!r}")
    return text


class GuardSettings(Model):
    """Where the guards of lanes report what they do."""

    webhook: Annotated[str, AfterValidator(_check_url)]
    """Events are posted here, as JSON."""
    token: Secret | None = None
    """Sent with each of them, as `Authorization: Bearer …`. Default: none."""
