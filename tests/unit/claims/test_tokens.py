"""Claims of tokens: who signed them, and that nothing in a token raises or loses a digit."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.claims.tokens import MAX_TOKEN, TokenReader
from gateway.config.load import load_gateway
from gateway.errors import ConfigError
from gateway.rules.pointer import find_text
from gateway.settings.identity import TokenSettings
from tests.support.asked import asked
from tests.support.tokens import SECRET, jwk, rsa_key

RSA = rsa_key()
EC = ec.generate_private_key(ec.SECP256R1())


def reader(path: Path, *members: Any, **settings: Any) -> TokenReader:
    """A reader with a set of keys."""
    path.write_text(json.dumps({"keys": members}))
    return TokenReader(TokenSettings.model_validate({"keys": [{"file": str(path)}], **settings}))


def claims(tokens: TokenReader, token: str) -> Any:
    return tokens(asked("GET", "/", [("Authorization", f"Bearer {token}")]))


def test_keys_of_a_mixed_set_take_their_own_tokens(tmp_path: Path) -> None:
    members = [
        jwk(RSA.public_key(), use="enc", alg="RSA-OAEP"),
        jwk(RSA.public_key(), kid="same"),
        jwk(EC.public_key(), kid="same"),
        {"kty": "new"},
    ]
    tokens = reader(tmp_path / "keys.json", *members)
    for key, algorithm in ((RSA, "RS256"), (EC, "ES256")):
        for headers in ({"kid": "same"}, None):
            assert claims(tokens, jwt.encode({"sub": "u"}, key, algorithm, headers)) == {"sub": "u"}
        assert claims(tokens, jwt.encode({"sub": "u"}, key, algorithm, {"kid": "other"})) == {}
    # The public half of an RSA key is known to everybody: it is no secret to sign with.
    assert claims(tokens, jwt.encode({"sub": "u"}, jwk(RSA.public_key())["n"], "HS256", {"kid": "same"})) == {}


def test_an_encryption_key_takes_no_signature(tmp_path: Path) -> None:
    tokens = reader(tmp_path / "keys.json", {**jwk(RSA.public_key()), "use": "enc"}, jwk(EC.public_key()))
    assert claims(tokens, jwt.encode({"sub": "u"}, RSA, "RS256")) == {}


def test_numbers_of_claims_stay_the_text_that_they_are(tmp_path: Path) -> None:
    tokens = reader(tmp_path / "keys.json", {"kty": "oct", "k": SECRET})
    body = '{"a": 9007199254740993, "b": 1.10, "c": 1e3, "d": true, "e": "\\ud800", "f": [1, 2.0], "exp": 9999999999}'
    header, payload = (base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in ('{"alg": "HS256"}', body))
    secret = base64.urlsafe_b64decode(SECRET + "==")
    signature = jwt.get_algorithm_by_name("HS256").sign(header + b"." + payload, secret)
    found = claims(tokens, b".".join([header, payload, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode())
    assert [find_text(found, f"/{name}") for name in "abcdef"] == [
        "9007199254740993",
        "1.10",
        "1e3",
        "true",
        "\ufffd",
        "1,2.0",
    ]


@pytest.mark.parametrize(
    "payload",
    ["", "[]", "null", '"x"', "{", '{"exp": []}', '{"exp": 1e999}', '{"nbf": {}}', '{"iat": "x"}', '{"a":' * 3000, "\xff",
     '{"exp": ' + "9" * 5000 + "}", '{"iss": [1], "aud": {"a": 1}}', '{"a": NaN}', '{"a": [' + "[]," * 1000 + "[]]}"],
)  # fmt: skip
@pytest.mark.parametrize("verify", [True, False])
def test_whatever_a_token_says_nothing_is_raised(tmp_path: Path, payload: str, verify: bool) -> None:
    tokens = reader(tmp_path / "keys.json", {"kty": "oct", "k": SECRET}, verify=verify, issuer="i", audience="a")
    secret = base64.urlsafe_b64decode(SECRET + "==")
    for header in (
        '{"alg": "HS256"}',
        '{"alg": "HS256", "kid": 5}',
        '{"alg": [], "crit": 3}',
        "[]",
        "",
        '{"a":' * 3000,
    ):
        parts = [base64.urlsafe_b64encode(part.encode("latin-1")).rstrip(b"=") for part in (header, payload)]
        signature = jwt.get_algorithm_by_name("HS256").sign(b".".join(parts), secret)
        token = b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
        assert isinstance(claims(tokens, token), dict)
        assert isinstance(claims(tokens, token.replace(".", "..")), dict)
    assert claims(tokens, "x" * (MAX_TOKEN + 1)) == {}


def test_a_file_without_a_key_is_told_at_its_setting_and_quotes_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(
        json.dumps({"keys": [{"kty": "oct", "k": [SECRET]}, {"kty": "x", "d": SECRET}]})
    )
    config = tmp_path / "gateway.yaml"
    config.write_text("registry: {kind: static}\njwt:\n  keys: [{file: keys.json}]\n")
    with pytest.raises(ConfigError) as refusal:
        load_gateway(config, environ={})
    (problem,) = refusal.value.problems
    assert str(problem) == (
        f"{config}:3:17: jwt.keys.0.file: {tmp_path}/keys.json has no usable key: key 1: its members are not those of a "
        "key of HS256; key 2: its `kty` or `crv` is not supported for signatures"
    )
