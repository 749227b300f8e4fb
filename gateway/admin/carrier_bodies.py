"""What a status says of the tags that requests carry."""

from __future__ import annotations

from pydantic import BaseModel


class LostTagBody(BaseModel):
    """Calls of an application that lost the tag of their request."""

    to: str
    tag: str
    why: str
    count: int


class SignatureBody(BaseModel):
    """Requests whose tag was not signed as it should be."""

    listener: str
    why: str
    accepted: bool
    count: int
