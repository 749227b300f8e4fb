"""The error codes of HTTP/2 (RFC 9113 §7), and the two kinds of errors: of a stream, and of the whole connection."""

from __future__ import annotations

from typing import Final

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
CONNECT_ERROR: Final = 0xA
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC
HTTP_1_1_REQUIRED: Final = 0xD

NAMES: Final = (
    "no_error",
    "protocol_error",
    "internal_error",
    "flow_control_error",
    "settings_timeout",
    "stream_closed",
    "frame_size_error",
    "refused_stream",
    "cancel",
    "compression_error",
    "connect_error",
    "enhance_your_calm",
    "inadequate_security",
    "http_1_1_required",
)


def name_of(code: int) -> str:
    """What a code is called; a code that the RFC does not have is `unknown`."""
    return NAMES[code] if code < len(NAMES) else "unknown"


class ConnectionFailure(Exception):
    """The whole connection is at an end (§5.4.1): `code` goes into GOAWAY, `detail` is a sentence for a person.

    `attack` names the limit that was passed (`LIMITS` in `budget`), empty if it is only a mistake.
    """

    def __init__(self, code: int, detail: str, attack: str = "") -> None:
        self.code = code
        self.detail = detail
        self.attack = attack
        super().__init__(f"{name_of(code)}: {detail}")


class StreamFailure(Exception):
    """One stream is at an end (§5.4.2): `code` goes into RST_STREAM. The connection goes on."""

    def __init__(self, code: int, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{name_of(code)}: {detail}")


class Malformed(Exception):
    """A header list is not a message (§8.1.1): `detail` is a sentence for a person.

    `is_too_large`: it is well-formed as far as it was looked at, and longer than what is accepted.
    """

    def __init__(self, detail: str, is_too_large: bool = False) -> None:
        self.detail = detail
        self.is_too_large = is_too_large
        super().__init__(detail)
