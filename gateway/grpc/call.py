"""How a request says that it is a gRPC call, and of what."""

from __future__ import annotations

import re
from typing import Final

CONTENT_TYPE: Final = b"application/grpc"
_TYPE: Final = re.compile(rb"\r\ncontent-type:[ \t]*([^\r]*)", re.IGNORECASE)
_CALL: Final = re.compile(r"/([^/]+)/([^/]+)")


def is_call(head: bytes, start: int) -> bool:
    """Whether the POST whose fields begin at `start` of `head` is one: its content type says so, with or without a format."""
    if CONTENT_TYPE not in head:
        return False
    match = _TYPE.search(head, start)
    return match is not None and is_grpc(match[1])


def is_grpc(content_type: bytes) -> bool:
    """Whether a content type is gRPC's: `application/grpc`, `application/grpc+proto`; not gRPC-Web's.

    It is in lower case: the protocol gives it literally.
    """
    after = content_type[len(CONTENT_TYPE) : len(CONTENT_TYPE) + 1]
    return content_type.startswith(CONTENT_TYPE) and after in (b"", b"+", b";", b" ")


PREFIX: Final = 5
"""Bytes in front of a message: a flag, and its length."""


def framed(message: bytes) -> bytes:
    """A message that is not compressed, as the body of a call has it."""
    return b"\0" + len(message).to_bytes(PREFIX - 1, "big") + message


def is_one_message(body: bytes) -> bool:
    """Whether a call's whole body is one message, as a unary call's is: a flag, the length in four bytes, and the message."""
    return len(body) >= PREFIX and int.from_bytes(body[1:PREFIX], "big") == len(body) - PREFIX


def split_call(path: str) -> tuple[str, str] | None:
    """The service and the method of a call's path (`/package.Service/Method`); None for what is not one."""
    match = _CALL.fullmatch(path)
    return None if match is None else (match[1], match[2])
