"""Settings of passwords, authorization services and compression that are wrong, each at its place, with what is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme

from gateway.app.explain import explain_files
from gateway.config.load import load_gateway
from gateway.errors import ConfigError

HEAD = "registry: {kind: static, services: {a: []}}\n"
JWT = "jwt: {keys: [{file: jwks.json, algorithm: RS256}]}\n"


def problems(folder: Path, route: str, more: str = "") -> list[str]:
    (folder / "users").write_text(f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}\n")
    path = folder / "gateway.yaml"
    path.write_text(f"{HEAD}{more}routes: [{{path: /A, service: a, {route}}}]\n")
    try:
        load_gateway(path, (), {})
    except ConfigError as error:
        return [str(problem).partition(": ")[2].replace(str(folder), "") for problem in error.problems]
    return []


FORWARD = "forward_auth: {url: 'http://auth:1/'"


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("basic_auth: {users: users}", ""),
        ("basic_auth: {}", "users"),
        ("basic_auth: {users: nowhere}", "routes.0.basic_auth.users: cannot read /nowhere: No such file or directory"),
        ("basic_auth: {users: users, realm: 'a\"b'}", "a realm is 1 to 128 printable ASCII characters without quotes and backslashes"),
        ('basic_auth: {users: users, realm: "a\\r\\nX: 1"}', "a realm is 1 to 128 printable ASCII characters"),
        ("basic_auth: {users: users, user_header: Host}", "header 'host' frames messages or is written by the gateway itself"),
        ("basic_auth: {users: users, user_header: Cookie}", "header 'cookie' has its own meaning, and cannot be given to a request"),
        ("basic_auth: {users: users, user_header: X-Gray-Tag}", "header 'x-gray-tag' has its own meaning"),
        (FORWARD + "}", ""),
        ("forward_auth: {url: 'ftp://auth/'}", "an HTTP URL is accepted, such as http://auth.example:4181/verify"),
        ("forward_auth: {url: 'http://u:hunter2@auth/'}", "a URL with a password in it is not accepted"),
        ("forward_auth: {url: 'http://auth:0/'}", "an HTTP URL is accepted"),
        ("forward_auth: {url: 'http://auth:99999/'}", "an HTTP URL is accepted"),
        ('forward_auth: {url: "http://auth/\\r\\nX: 1"}', "an HTTP URL is accepted"),
        ("forward_auth: {url: 'http://auth/#x'}", "an HTTP URL is accepted"),
        (FORWARD + ", timeout: 0}", "timeout"),
        (FORWARD + ", response_headers: [X-User, x-user]}", "header 'x-user' is given twice"),
        (FORWARD + ", response_headers: [Content-Length]}", "header 'content-length' frames messages"),
        (FORWARD + ", response_headers: [X-Forwarded-For]}", "header 'x-forwarded-for' frames messages or is written by the gateway"),
        (FORWARD + ", response_headers: [X-Gray-Tag]}", "header 'x-gray-tag' has its own meaning"),
        (FORWARD + ", response_headers: [Range]}", "header 'range' has its own meaning"),
        (FORWARD + ", client_headers: [Transfer-Encoding]}", "header 'transfer-encoding' frames messages"),
        (FORWARD + ", request_headers: [Connection]}", "header 'connection' frames messages"),
        (FORWARD + ", request_headers: ['a b']}", "'a b' is not a header name"),
        (FORWARD + ", ca: users}", "routes.0.forward_auth.ca: has no effect: only an https `url` uses TLS"),
        (FORWARD + ", cert: users}", "`cert` and `key` belong together"),
        ("forward_auth: {url: 'https://auth/', ca: users}", "routes.0.forward_auth.ca: cannot use the CA file"),
        ("basic_auth: {users: users}, " + FORWARD + ", response_headers: [x-forwarded-user]}", "header 'x-forwarded-user' is set by `basic_auth`"),
        ("compress: {}", ""),
        ("compress: {codings: [br]}", "codings"),
        ("compress: {codings: [gzip, gzip]}", "routes.0.compress.codings.1: is given twice"),
        ("compress: {types: [text/html, 'text/*', text/html]}", "routes.0.compress.types.2: is given twice"),
        ("compress: {types: [Text/HTML]}", "a media type in lower case is accepted, such as text/html, or text/* for all texts"),
        ("compress: {types: ['*/*']}", "a media type in lower case is accepted"),
        ("compress: {types: [application/grpc]}", "gRPC compresses its messages itself"),
        ("compress: {types: []}", "types"),
        ("compress: {min_bytes: -1}", "min_bytes"),
        ("compress: {}, response_headers: {remove: [Content-Encoding]}", "with `compress`, the gateway writes 'content-encoding' itself"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_once_and_where(tmp_path: Path, route: str, expected: str) -> None:
    found = problems(tmp_path, route)
    if expected:
        (problem,) = found
        assert expected in problem
        assert "hunter2" not in problem
    else:
        assert found == []


def test_a_header_of_the_gateways_own_is_for_lanes_to_write(tmp_path: Path) -> None:
    route = (
        "basic_auth: {users: users, user_header: X-Tag}, forward_auth: {url: 'http://auth/', response_headers: [x-why]}"
    )
    own = "carriers: {header: X-Tag}\ndebug: {header: x-why, secret: sixteen-letters-}\n"
    assert problems(tmp_path, route) == []
    found = problems(tmp_path, route, own)
    assert [text.partition(": ")[0] for text in found] == [
        "routes.0.basic_auth.user_header",
        "routes.0.forward_auth.response_headers",
    ]


def test_a_password_is_where_a_token_would_be(tmp_path: Path) -> None:
    route = "basic_auth: {users: users}, require_token: true"
    assert any("`require_token` wants a token in Authorization" in text for text in problems(tmp_path, route, JWT))
    other = JWT.replace("jwt: {", "jwt: {header: x-token, ")
    assert not any("`require_token`" in text for text in problems(tmp_path, route, other))


def test_a_response_of_its_own_is_not_compressed_but_users_may_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    assert problems(tmp_path, "basic_auth: {users: users}") == []
    path.write_text(f"{HEAD}routes: [{{path: /A, respond: {{}}, basic_auth: {{users: users}}}}]\n")
    assert load_gateway(path, (), {}).settings.routes[0].asks
    path.write_text(f"{HEAD}routes: [{{path: /A, respond: {{}}, compress: {{}}}}]\n")
    with pytest.raises(ConfigError, match="has no effect: a route with `respond` forwards nothing"):
        load_gateway(path, (), {})


def test_the_files_are_followed_and_the_client_certificate_is_checked(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("gateway.example")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    route = "basic_auth: {users: users}, forward_auth: {url: 'https://auth/', cert: cert.pem, key: key.pem}"
    assert problems(tmp_path, route) == []
    files = load_gateway(tmp_path / "gateway.yaml", (), {}).files
    assert {tmp_path / name for name in ("users", "cert.pem", "key.pem")} <= set(files)
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (problem,) = problems(tmp_path, route)
    assert "routes.0.forward_auth.key: '/key.pem' is not the key of" in problem


def test_explain_says_who_is_asked_and_asks_nobody(tmp_path: Path) -> None:
    route = "basic_auth: {users: users, realm: shop}, forward_auth: {url: 'http://auth.example:1/verify?secret=1'}, compress: {}"
    assert problems(tmp_path, route) == []
    path = tmp_path / "gateway.yaml"

    def explained(*headers: tuple[str, str]) -> Any:
        found: Any = explain_files(path, None, "GET", "/A", list(headers), client_ip="127.0.0.1", body=b"")
        assert found["route"]["asked"] == ["basic_auth: realm 'shop'", "forward_auth: http://auth.example:1/verify"]
        assert found["route"]["compress"] == "zstd, gzip"
        return found["decision"]

    # As if they had let it pass: of a request that is explained later, the password is gone.
    assert explained()["error"] == "no_instances"
    assert explained(("Authorization", "Basic YWxpY2U6d29uZGVy"))["error"] == "no_instances"
