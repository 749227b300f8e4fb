"""The mark of a request that is the copy of another one: a mirror has sent it, and nobody sees its response.

    X-Gray-Mirror: 1
    baggage: x-gray-mirror=1

Applications may leave out what must not happen twice. It travels as the tag does: gateways and sidecars take it from what has
survived, or from what a sidecar remembers of the trace, and write both again.
"""

from __future__ import annotations

from typing import Final

FIELD: Final = b"x-gray-mirror"
"""The field's name in lower case, and the name of the baggage member."""
VALUE: Final = "1"
"""Any other value is no mark."""
LINE: Final = b"X-Gray-Mirror: 1\r\n"
MEMBER: Final = b"x-gray-mirror=1"
