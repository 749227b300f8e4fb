"""Keys that check signatures, out of what identity providers publish: JWK sets (RFC 7517), PEM, shared secrets.

A published set holds more than one needs: keys for encryption, keys of other types, types that are not known yet. They are
ignored, as RFC 7517 §5 asks for; a set of which nothing is left is an error. No message says anything that is in a
key: some are secret.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import jwt

MAX_REASONS: Final = 5
"""Keys of a set whose reasons are given if none can be used."""

_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}
_TYPES: Final[dict[str, tuple[str, frozenset[str | None]]]] = {
    **{f"{family}{size}": ("RSA", frozenset({None})) for family in ("RS", "PS") for size in (256, 384, 512)},
    **{f"HS{size}": ("oct", frozenset({None})) for size in (256, 384, 512)},
    **{name: ("EC", frozenset({curve})) for name, curve in _CURVES.items()},
    "EdDSA": ("OKP", frozenset({"Ed25519", "Ed448"})),
}
"""By algorithm for signatures (RFC 7518 §3.1, RFC 8037 §3.1, RFC 8812 §3): the type of its keys, and their curves."""
_DEFAULTS: Final = {"RSA": "RS256", "oct": "HS256", "OKP": "EdDSA"}
"""By type of key: the algorithm where neither the key nor the configuration says one."""


class TokenKey(NamedTuple):
    """A key that checks the signatures of one algorithm. `id` is empty if it has none."""

    id: str
    key: Any
    algorithm: str


class _ForeignKeyError(Exception):
    """A key that is not for us. Its text says why, and nothing of the key."""


def read_keys(content: bytes, algorithm: str | None) -> list[TokenKey]:
    """The keys of a file: a JWK set or a JWK, a public key in PEM, or a secret. Raises ValueError if it has none."""
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    if not content:
        raise ValueError("the file is empty")
    if content.startswith(b"{"):
        return _read_set(content, algorithm)
    if algorithm is None:
        raise ValueError("`algorithm` is missing: only a JWK names its own")
    try:
        key = jwt.get_algorithm_by_name(algorithm).prepare_key(content)
    except Exception:  # noqa: BLE001 - of several libraries, and their words may quote the key
        wanted = "a secret" if algorithm.startswith("HS") else "a public key in PEM"
        raise ValueError(f"for {algorithm} {wanted} is needed, and this is not one") from None
    return [TokenKey("", _public(key), algorithm)]


def _read_set(content: bytes, algorithm: str | None) -> list[TokenKey]:
    try:
        data = json.loads(content)
    except RecursionError:
        raise ValueError("it is not JSON: nested too deeply") from None
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"it is not JSON{where}") from None
    members = data.get("keys", [data])
    found: list[TokenKey] = []
    reasons: list[str] = []
    for number, member in enumerate(members if isinstance(members, list) else (), 1):
        try:
            found.append(_read_jwk(member, algorithm))
        except _ForeignKeyError as error:
            reasons.append(f"key {number}: {error}")
    if not found:
        more = "" if len(reasons) <= MAX_REASONS else f"; and {len(reasons) - MAX_REASONS} more"
        raise ValueError(f"{'; '.join(reasons[:MAX_REASONS])}{more}" if reasons else "`keys` is not a list of keys")
    return found


def _read_jwk(member: Any, algorithm: str | None) -> TokenKey:
    """A key for signatures. Raises _ForeignKeyError."""
    if not isinstance(member, dict):
        raise _ForeignKeyError("it is not an object")
    if member.get("use", "sig") != "sig":
        raise _ForeignKeyError("its `use` is not `sig`")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or ("verify" not in operations and "sign" not in operations):
        raise _ForeignKeyError("its `key_ops` do not include `verify`")
    kind, curve, stated = (_text(member.get(name)) for name in ("kty", "crv", "alg"))
    if stated is not None and stated not in _TYPES:
        raise _ForeignKeyError("its `alg` is not a supported signature algorithm")
    if stated is not None and algorithm is not None and stated != algorithm:
        raise _ForeignKeyError(f"its `alg` is not {algorithm}")
    chosen = algorithm or stated or _default(kind, curve)
    if chosen is None:
        raise _ForeignKeyError("its `kty` or `crv` is not supported for signatures")
    wanted, curves = _TYPES[chosen]
    if kind != wanted or (curves != {None} and curve not in curves):
        raise _ForeignKeyError(f"its `kty` or `crv` is not one of {chosen}")
    try:
        key = jwt.PyJWK(member, chosen).key
    except Exception:  # noqa: BLE001 - of several libraries, and their words quote the key
        raise _ForeignKeyError(f"its members are not those of a key of {chosen}") from None
    name = member.get("kid")
    return TokenKey(name if isinstance(name, str) else "", _public(key), chosen)


def _text(value: Any) -> str | None:
    """A member's text; what is not text is none that is known."""
    return value if isinstance(value, str) or value is None else "?"


def _default(kind: str | None, curve: str | None) -> str | None:
    if kind == "EC":
        return next((name for name, known in _CURVES.items() if known == curve), None)
    return _DEFAULTS.get(kind or "")


def _public(key: Any) -> Any:
    """The half of a key that checks signatures: who gave us the private one, too, gets the same result."""
    return key.public_key() if hasattr(key, "public_key") else key
