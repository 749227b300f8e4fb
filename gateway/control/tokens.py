"""Tokens: how the claims that rules ask for are read out of a request (RFC 7519, signatures checked by PyJWT)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from gateway.errors import Problem
from gateway.files import read_file
from gateway.http.grammar import field_pattern
from gateway.http.request import Request
from gateway.rules.checks import NO_CLAIMS
from gateway.settings import GatewaySettings, ServingSettings, TokenSettings
from gateway.yamlfile import Document, Location, dotted

MAX_TOKEN = 8192
"""Characters of a token that is looked at; a longer one counts as none."""


class _Key(NamedTuple):
    id: str
    key: Any
    algorithm: str


class TokenReader:
    """Reads and verifies. Built with the configuration; holds keys, never tokens."""

    def __init__(self, settings: TokenSettings) -> None:
        """Raises ValueError or OSError where a key cannot be read."""
        self._settings = settings
        self._pattern = field_pattern(re.escape(settings.header.encode("ascii")))
        self._keys: list[_Key] = []
        for key in settings.keys:
            self._keys.extend(_keys_of(Path(key.file), key.algorithm))

    def __call__(self, request: Request) -> Mapping[str, Any]:
        """The claims of the request's token; empty where there is none, or one that is not accepted."""
        value = request.header(self._pattern)
        if value is None or len(value) > MAX_TOKEN:
            return NO_CLAIMS
        scheme, space, token = value.partition(" ")
        if space:
            if scheme.lower() != "bearer":
                return NO_CLAIMS
        else:
            token = value
        settings = self._settings
        try:
            if not settings.verify:
                return _mapping(jwt.decode(token, options={"verify_signature": False}))
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
        except (jwt.PyJWTError, ValueError, RecursionError):
            return NO_CLAIMS
        for key in self._keys:
            if key.id and key_id and key.id != key_id:
                continue
            try:
                return _mapping(
                    jwt.decode(
                        token,
                        key.key,
                        algorithms=[key.algorithm],
                        audience=settings.audience,
                        issuer=settings.issuer,
                        leeway=settings.leeway,
                        options={"verify_aud": settings.audience is not None},
                    )
                )
            except (jwt.PyJWTError, ValueError, RecursionError):
                continue
        return NO_CLAIMS


def _mapping(claims: Any) -> Mapping[str, Any]:
    return claims if isinstance(claims, dict) else NO_CLAIMS


def _keys_of(path: Path, algorithm: str | None) -> list[_Key]:
    """The keys of a file: a JWK set or a JWK (RFC 7517), a public key in PEM, or a secret."""
    content = read_file(path).strip()
    if content.startswith(b"{"):
        data = json.loads(content)
        members = [(str(member.get("kid", "")), jwt.PyJWK(member, algorithm)) for member in data.get("keys", [data])]
        return [_Key(name, key.key, key.algorithm_name) for name, key in members]
    if algorithm is None:
        raise ValueError("`algorithm` is missing: only a JWK says it itself")
    if not content:
        raise ValueError("the file is empty")
    return [_Key("", jwt.get_algorithm_by_name(algorithm).prepare_key(content), algorithm)]


def token_files(settings: ServingSettings) -> list[str]:
    """The files of all keys."""
    tokens = settings.jwt if isinstance(settings, GatewaySettings) else None
    return [] if tokens is None else [key.file for key in tokens.keys]


def token_problems(settings: ServingSettings, document: Document) -> list[Problem]:
    """What is wrong with the files of keys, each problem at the setting that names it."""
    problems: list[Problem] = []
    tokens = settings.jwt if isinstance(settings, GatewaySettings) else None
    for index, key in enumerate(tokens.keys if tokens is not None else ()):
        location: Location = ("jwt", "keys", index, "file")
        try:
            _keys_of(Path(key.file), key.algorithm)
        except OSError as error:
            message = f"{dotted(location)}: cannot read {key.file}: {error.strerror or error}"
            problems.append(document.problem(location, message))
        except (ValueError, KeyError, TypeError, jwt.PyJWTError, NotImplementedError) as error:
            problems.append(document.problem(location, f"{dotted(location)}: {key.file} holds no usable key: {error}"))
    return problems
