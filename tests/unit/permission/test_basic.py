"""Credentials as they come, and what is asked, remembered and kept in bounds when a password is verified."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import Any

import bcrypt
import pytest

from gateway.failures import CREDENTIALS_REQUIRED, TOO_MANY_LOGINS
from gateway.http.head_reader import build_request
from gateway.http.permission import Permission
from gateway.http.request import Request
from gateway.permission import logins
from gateway.permission.basic import BasicAuth, read_credentials
from gateway.permission.logins import MOST_OF_CLIENT, Logins
from gateway.routing.peer import Peer
from gateway.routing.questions import Denial

HASH = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
PEER = Peer("192.0.2.1")


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def request(text: str | bytes = "alice:wonder") -> Request:
    return build_request("GET", "/", [("Authorization", f"Basic {encoded(text)}")])


class Hashing:
    """Stands in for the hash, and counts: a test decides when it is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[bytes, str]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        monkeypatch.setattr(logins, "is_password", self)

    def __call__(self, password: bytes, hashed: str) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        self.asked.append((password, hashed))
        self.may_go.wait(30)
        return (password, hashed) in ((b"wonder", HASH), (b"other", OTHER))


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    return Hashing(monkeypatch)


def make(users: dict[str, str] | None = None, own: Logins | None = None, **options: Any) -> BasicAuth:
    return BasicAuth(
        "shop", users or {"alice": HASH}, "X-User", keeps=options.get("keeps", False), logins=own or Logins()
    )


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (f"Basic {encoded('alice:wonder')}", ("alice", b"wonder")),
        (f"bAsIc   {encoded('alice:wonder')} ", ("alice", b"wonder")),
        (f"Basic {encoded('alice:')}", ("alice", b"")),
        (f"Basic {encoded('alice:a:b')}", ("alice", b"a:b")),
        (f"Basic {encoded('Jörg:pässwörd')}", ("Jörg", "pässwörd".encode())),
        (f"Basic {encoded('alice')}", None),
        (f"Basic {encoded(':wonder')}", None),
        (f"Basic {encoded(b'alice:' + bytes([0xFF]))}", None),
        (f"Basic {encoded('alice:a' + chr(0))}", None),
        (f"Basic {encoded('al' + chr(10) + 'ice:a')}", None),
        ("Basic YWxpY2U6d29uZGVy=", None),
        ("Basic YWxpY2U6d29uZGV", None),
        ("Basic YWxp Y2U6d29uZGVy", None),
        ("Basic !!!!", None),
        ("Basic", None),
        ("Basic ", None),
        ("Bearer YWxpY2U6d29uZGVy", None),
        (f"Basic {encoded('alice:' + 'x' * 3000)}", None),
    ],
)
def test_credentials_are_read_as_rfc_7617_has_them(field: str, found: tuple[str, bytes] | None) -> None:
    assert read_credentials(build_request("GET", "/", [("authorization", field)])) == found


def test_two_fields_are_none_because_the_service_could_read_the_other() -> None:
    field = ("Authorization", f"Basic {encoded('alice:wonder')}")
    assert read_credentials(build_request("GET", "/", [field, ("authorization", "Basic eDp5")])) is None
    assert read_credentials(build_request("GET", "/")) is None


async def test_a_password_is_hashed_once_and_then_known(hashing: Hashing) -> None:
    users = make()
    assert users.recall(request()) is None
    for answer in (await users.ask(request(), PEER, "192.0.2.1"), users.recall(request())):
        assert isinstance(answer, Permission)
        assert answer.fields == b"X-User: alice\r\n"
    assert hashing.asked == [(b"wonder", HASH)]


async def test_so_is_a_wrong_one_and_the_challenge_says_how_to_ask(hashing: Hashing) -> None:
    users = make()
    for answer in (await users.ask(request("alice:x"), PEER, ""), users.recall(request("alice:x"))):
        assert isinstance(answer, Denial)
        assert answer.failure is CREDENTIALS_REQUIRED
        assert answer.lines == b'\r\nWWW-Authenticate: Basic realm="shop", charset="UTF-8"'
    assert users.recall(request("alice:wonder")) is None


async def test_who_does_not_exist_costs_as_much_and_never_passes(hashing: Hashing) -> None:
    """Not even with the password of the user whose hash is used in place of the one that there is not."""
    own = Logins()
    users = make({"alice": HASH, "bob": OTHER}, own)
    stands_in: set[str] = set()
    for number in range(20):
        asked = request(f"nobody{number}:wonder")
        assert users.recall(asked) is None
        assert isinstance(await users.ask(asked, PEER, str(number)), Denial)
        assert isinstance(users.recall(asked), Denial)
        stands_in.add(hashing.asked[-1][1])
    assert len(hashing.asked) == 20
    assert stands_in == {HASH, OTHER}
    # The same name is compared with the same hash each time, and what is known of one user is not of another.
    await users.ask(request("nobody1:again"), PEER, "")
    assert hashing.asked[-1][1] == hashing.asked[1][1]


async def test_what_is_known_of_a_hash_is_not_of_the_one_that_replaced_it(hashing: Hashing) -> None:
    own = Logins()
    await make(own=own).ask(request(), PEER, "")
    assert make(own=own).recall(request()) is not None
    assert make({"alice": OTHER}, own).recall(request()) is None
    assert make({"bob": HASH}, own).recall(request()) is None
    assert make({"alice": OTHER}, own).recall(request("alice:wonder")) is None


async def test_the_same_credentials_at_once_are_hashed_once(hashing: Hashing) -> None:
    users = make()
    answers = await asyncio.gather(*[users.ask(request(), PEER, "") for _ in range(50)])
    assert all(isinstance(answer, Permission) for answer in answers)
    assert len(hashing.asked) == 1


async def test_a_client_that_guesses_gets_429_and_others_get_in(hashing: Hashing) -> None:
    users = make()
    hashing.may_go.clear()
    guesses = [
        asyncio.ensure_future(users.ask(request(f"alice:{n}"), PEER, "192.0.2.6")) for n in range(MOST_OF_CLIENT)
    ]
    await asyncio.sleep(0)
    refused = await users.ask(request("alice:one more"), PEER, "192.0.2.6")
    assert isinstance(refused, Denial)
    assert refused.failure is TOO_MANY_LOGINS
    other = asyncio.ensure_future(users.ask(request(), PEER, "192.0.2.7"))
    await asyncio.sleep(0)
    hashing.may_go.set()
    assert isinstance(await other, Permission)
    await asyncio.gather(*guesses)
    assert isinstance(await users.ask(request("alice:one more"), PEER, "192.0.2.6"), Denial)
    assert (b"one more", HASH) in hashing.asked


async def test_all_clients_together_have_a_bound(hashing: Hashing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MOST", 3)
    users = make()
    hashing.may_go.clear()
    asked = [asyncio.ensure_future(users.ask(request(f"alice:{n}"), PEER, str(n))) for n in range(3)]
    await asyncio.sleep(0)
    answer = await users.ask(request("alice:x"), PEER, "last")
    assert isinstance(answer, Denial)
    assert answer.failure is TOO_MANY_LOGINS
    hashing.may_go.set()
    await asyncio.gather(*asked)


async def test_guesses_push_out_nobody_who_is_known(hashing: Hashing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MOST_WRONG", 2)
    monkeypatch.setattr(logins, "MOST_RIGHT", 2)
    users = make({"alice": HASH, "bob": HASH, "carol": HASH})
    await users.ask(request("alice:wonder"), PEER, "")
    for number in range(5):
        await users.ask(request(f"alice:{number}"), PEER, "")
    assert isinstance(users.recall(request("alice:wonder")), Permission)
    assert users.recall(request("alice:2")) is None
    assert isinstance(users.recall(request("alice:4")), Denial)
    await users.ask(request("bob:wonder"), PEER, "")
    users.recall(request("alice:wonder"))
    await users.ask(request("carol:wonder"), PEER, "")
    assert users.recall(request("bob:wonder")) is None
    assert isinstance(users.recall(request("alice:wonder")), Permission)


async def test_who_goes_away_leaves_the_others_waiting_for_the_same_hash(hashing: Hashing) -> None:
    users = make()
    hashing.may_go.clear()
    first, second = (asyncio.ensure_future(users.ask(request(), PEER, "")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    hashing.may_go.set()
    assert isinstance(await second, Permission)


def test_what_the_service_gets_is_for_the_answer_to_say() -> None:
    assert make().question.names == {b"authorization", b"x-user"}
    assert make(keeps=True).question.names == {b"x-user"}
