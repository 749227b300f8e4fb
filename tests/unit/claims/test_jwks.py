"""Key sets as identity providers publish them: what is taken, what is ignored, and that no message quotes a key."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.claims.jwks import read_keys
from tests.support.tokens import SECRET, jwk, rsa_key

RSA = rsa_key()
EC = ec.generate_private_key(ec.SECP256R1())
EC_384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()


RSA_JWK = jwk(RSA.public_key(), kid="r", use="sig", alg="RS256")
EC_JWK = jwk(EC.public_key(), kid="e", use="sig")
ENCRYPTION = jwk(RSA.public_key(), kid="enc", use="enc", alg="RSA-OAEP")

FOREIGN = {
    "for encryption": ENCRYPTION,
    "for encryption, without alg": jwk(RSA.public_key(), use="enc"),
    "an algorithm of encryption": jwk(RSA.public_key(), alg="RSA-OAEP-256"),
    "none": jwk(RSA.public_key(), alg="none"),
    "operations of encryption": jwk(EC.public_key(), key_ops=["deriveKey"]),
    "operations that are no list": jwk(EC.public_key(), key_ops="verify"),
    "a type that nobody knows": {"kty": "AKP", "alg": "ML-DSA-65", "pub": SECRET},
    "a curve that nobody knows": {"kty": "EC", "crv": "P-999", "x": SECRET, "y": SECRET},
    "a curve for key agreement": {"kty": "OKP", "crv": "X25519", "x": SECRET},
    "no type": {"kid": "x", "n": SECRET},
    "a curve of another algorithm": jwk(EC_384.public_key(), alg="ES256"),
    "a type of another algorithm": jwk(RSA.public_key(), alg="ES256"),
    "members missing": {"kty": "RSA", "e": "AQAB"},
    "members that are nonsense": {"kty": "RSA", "e": "AQAB", "n": [SECRET]},
    "a point that is not on the curve": {"kty": "EC", "crv": "P-256", "x": SECRET, "y": SECRET},
    "a secret that is no text": {"kty": "oct", "k": 5},
    "types that are lists": {"kty": ["RSA"], "crv": [1], "alg": {}},
    "no object": "x",
}


def read(*members: Any, algorithm: str | None = None) -> list[tuple[str, str]]:
    """The names and algorithms of what is taken of a set."""
    keys = read_keys(json.dumps({"keys": members}).encode(), algorithm)
    return [(key.id, key.algorithm) for key in keys]


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_key_is_passed_over(foreign: Any) -> None:
    assert read(foreign, RSA_JWK, EC_JWK) == [("r", "RS256"), ("e", "ES256")]
    with pytest.raises(ValueError, match=r"^key 1: ") as refusal:
        read(foreign)
    assert SECRET not in str(refusal.value)
    assert RSA_JWK["n"] not in str(refusal.value)


def test_a_set_of_all_kinds() -> None:
    oct_key = {"kty": "oct", "k": SECRET, "alg": "HS256", "kid": "o", "key_ops": ["sign", "verify"]}
    found = read(
        ENCRYPTION,
        RSA_JWK,
        jwk(RSA.public_key(), alg="PS512"),
        EC_JWK,
        jwk(EC_384.public_key(), kid="e"),
        jwk(ED.public_key(), kid="d"),
        oct_key,
        jwk(EC.public_key(), kid=7, key_ops=["verify"]),
    )
    assert found == [
        ("r", "RS256"),
        ("", "PS512"),
        ("e", "ES256"),
        ("e", "ES384"),
        ("d", "EdDSA"),
        ("o", "HS256"),
        ("", "ES256"),
    ]


def test_the_configurations_algorithm_chooses() -> None:
    assert read(RSA_JWK, EC_JWK, jwk(RSA.public_key(), kid="p"), algorithm="PS256") == [("p", "PS256")]
    with pytest.raises(ValueError, match="its `alg` is not ES384; key 2: its `kty` or `crv` is not one of ES384"):
        read(RSA_JWK, EC_JWK, algorithm="ES384")


def test_a_private_key_serves_for_its_public_half() -> None:
    (key,) = read_keys(json.dumps(jwk(RSA, kid="r")).encode(), None)
    assert jwt.decode(jwt.encode({"a": 1}, RSA, "RS256"), key.key, [key.algorithm]) == {"a": 1}
    pem = RSA.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (key,) = read_keys(pem, "RS256")
    assert jwt.decode(jwt.encode({"a": 1}, RSA, "RS256"), key.key, [key.algorithm]) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "algorithm", "message"),
    [
        (b"", None, "the file is empty"),
        (b"{", None, "it is not JSON (line 1, column 2)"),
        (b'{"keys":' + b"[" * 100_000, None, "it is not JSON: nested too deeply"),
        (b'{"keys": []}', None, "`keys` is not a list of keys"),
        (b'{"keys": 3}', None, "`keys` is not a list of keys"),
        (b"{}", None, "key 1: its `kty` or `crv` is not supported for signatures"),
        (b'{"keys": [1,2,3,4,5,6,7]}', None, "; ".join(f"key {n}: it is not an object" for n in range(1, 6)) + "; and 2 more"),
        (b"hunter2hunter2hunter2hunter2hunter2", None, "`algorithm` is missing: only a JWK names its own"),
        (b"hunter2hunter2hunter2hunter2hunter2", "RS256", "for RS256 a public key in PEM is needed, and this is not one"),
        (b"-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----", "EdDSA", "for EdDSA a public key in PEM is needed, and this is not one"),
        (b"-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----", "HS256", "for HS256 a secret is needed, and this is not one"),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_without_a_key(content: bytes, algorithm: str | None, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        read_keys(content, algorithm)
    assert str(refusal.value) == message


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_keys(b"\xef\xbb\xbf" + json.dumps(RSA_JWK).encode(), None)[0].id == "r"
