"""The settings: what they accept, what they refuse, and that every one of them is documented."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.config.load import load_gateway, load_sidecar
from gateway.errors import ProtocolError
from gateway.http.target import match_path
from gateway.settings import Address, NacosRegistrySettings, StaticRegistrySettings
from gateway.settings.gateway import GatewaySettings
from gateway.settings.routes import RouteSettings
from gateway.settings.sidecar import SidecarSettings
from gateway.yaml.reading import Location

GATEWAY: dict[str, Any] = {"registry": {"kind": "static"}}
SIDECAR: dict[str, Any] = {
    "service": "a",
    "app": "127.0.0.1:1",
    "inbound": "127.0.0.1:2",
    "outbound": "127.0.0.1:3",
    "registry": {"kind": "nacos", "address": "127.0.0.1:8848"},
}


def gateway(**settings: Any) -> GatewaySettings:
    return GatewaySettings.model_validate({**GATEWAY, **settings})


def refusals(model: type[BaseModel], settings: dict[str, Any]) -> list[tuple[Location, str]]:
    """Where and why settings are refused."""
    with pytest.raises(ValidationError) as error:
        model.model_validate(settings)
    return [(detail["loc"], detail["msg"].removeprefix("Value error, ")) for detail in error.value.errors()]


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("0.0.0.0:8080", Address(host="0.0.0.0", port=8080), "0.0.0.0:8080"),
        ("gateway.example:0", Address(host="gateway.example", port=0), "gateway.example:0"),
        ("[::1]:65535", Address(host="::1", port=65535), "[::1]:65535"),
    ],
)
def test_addresses(text: str, address: Address, shown: str) -> None:
    assert gateway(listen=text).listen == address
    assert str(address) == shown


@pytest.mark.parametrize(
    "value",
    [
        "8080",
        ":8080",
        "a:",
        "a:65536",
        "a:-1",
        "a:8o",
        "a:\u0668",
        "::1:80",
        "a b:1",
        "",
        None,
        8080,
        {"host": "a", "port": 1},
    ],
)
def test_what_is_no_address(value: object) -> None:
    ((location, message),) = refusals(GatewaySettings, {**GATEWAY, "listen": value})
    assert location == ("listen",)
    assert message.startswith("an address is host:port, the port 0 to 65535; found ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2.0), ("1m", 60.0), ("1.5h", 5400.0), ("10", 10.0), ("0.25", 0.25), ("168h", 604800.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert gateway(timeouts={"head": text}).timeouts.head == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1d", "1e3", "inf", "nan", "\u0663s", "169h", "0", "9" * 400])
def test_what_is_no_timeout(text: str) -> None:
    ((location, _),) = refusals(GatewaySettings, {**GATEWAY, "timeouts": {"head": text}})
    assert location == ("timeouts", "head")


def test_a_delay_may_be_nothing() -> None:
    assert gateway(drain={"delay": "0"}).drain.delay == 0.0


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("X-Lane", True), ("x-lane", True), ("a b", False), ("", False), ("Host", False), ("Content-Type", False)]
    + [(name, False) for name in ("x-request-id", "b3", "forwarded", "proxy-authorization", "traceparent", "x-ü")],
)
def test_the_tag_header(header: str, accepted: bool) -> None:
    if accepted:
        assert gateway(carriers={"header": header}).carriers.header == header.lower()
    else:
        assert [where for where, _ in refusals(GatewaySettings, {**GATEWAY, "carriers": {"header": header}})] == [
            ("carriers", "header")
        ]


def test_case_counts_in_a_baggage_member() -> None:
    assert gateway(carriers={"baggage": "Lane"}).carriers.baggage == "Lane"
    assert refusals(GatewaySettings, {**GATEWAY, "carriers": {"baggage": "a,b"}})[0][0] == ("carriers", "baggage")


@pytest.mark.parametrize("path", ["/", "/A", "/A/", "/A/b.c/.d/...", "/a;b=c/%C3%A4%2F", "/:@!$&'()*+,;=~_-|"])
def test_a_route_path_is_written_as_it_is_matched(path: str) -> None:
    assert gateway(routes=[{"path": path, "service": "a"}]).routes[0].path == path
    assert match_path(path.encode()) == path


@pytest.mark.parametrize(
    "path",
    [
        *["A", "", "/A?x", "/A#x", "//A", "/A//B", "/ä", "/A B", "/A\r\nX: y", "/A\\b", "/A/../b", "/./A", "/A/..;x/b"],
        *["/%41", "/%7e", "/%7E", "/a%2fb", "/%00", "/a%", "/a%zz"],
    ],
)
def test_what_is_no_route_path(path: str) -> None:
    routes = [{"path": path, "service": "a"}]
    assert [where for where, _ in refusals(GatewaySettings, {**GATEWAY, "routes": routes})] == [("routes", 0, "path")]


@pytest.mark.parametrize("host", ["Shop.Example", "shop.example."])
def test_a_routes_host_is_written_as_it_is_matched(host: str) -> None:
    assert gateway(routes=[{"path": "/", "host": host, "service": "a"}]).routes[0].host == "shop.example"


@pytest.mark.parametrize(
    ("network", "meant"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fe80::/10", "fe80::/10"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_of_ipv4_addresses_is_one_of_ipv4(network: str, meant: str) -> None:
    """Clients have the one spelling that addresses have everywhere."""
    assert [str(item) for item in gateway(trusted=[network]).trusted] == [meant]


def test_a_static_registry_keeps_one_instance_an_address() -> None:
    registry = {
        "kind": "static",
        "services": {"a": [{"address": "b:2"}, {"address": "a:1"}, {"address": "b:2", "tag": "gray"}]},
    }
    instances = StaticRegistrySettings.model_validate(registry).instances()
    assert [(instance.address, instance.tag) for instance in instances["a"]] == [("a:1", "base"), ("b:2", "gray")]


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "heavy"])
def test_what_is_no_weight(weight: str) -> None:
    assert refusals(SidecarSettings, {**SIDECAR, "weight": weight})[0][0] == ("weight",)


def test_a_sidecar_does_not_bring_its_own_registry() -> None:
    ((where, message),) = refusals(SidecarSettings, {**SIDECAR, "registry": {"kind": "embedded"}})
    assert where == ("registry",)
    assert "'static', 'nacos'" in message


NACOS = {"kind": "nacos", "address": "127.0.0.1:8848"}


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        ({"kind": "nacos"}, "either `address` or `addresses` is needed"),
        ({**NACOS, "addresses": ["a:1"]}, "either `address` or `addresses` is needed"),
        ({**NACOS, "username": "me"}, "`username` and `password` belong together"),
        ({**NACOS, "username": "me", "password": "x", "token": "y"}, "either a user or a `token` is needed, not both"),
    ],
)
def test_what_is_no_nacos(registry: dict[str, Any], message: str) -> None:
    assert [text for _, text in refusals(GatewaySettings, {"registry": registry})] == [message]


def test_what_a_gateway_says_of_its_role() -> None:
    """What is asked of settings of either role, so that nobody has to ask which role they are of."""
    registries = {"own": {"kind": "embedded", "listen": "127.0.0.1:3"}, "nacos": {**NACOS, "token": "remote"}}
    plain = GatewaySettings.model_validate({"name": "shop", "listen": "127.0.0.1:1", "registries": registries})
    assert {place: str(address) for place, address in plain.listeners().items()} == {
        ("listen",): "127.0.0.1:1",
        ("admin",): "127.0.0.1:9900",
        ("registries", "own", "listen"): "127.0.0.1:3",
        ("registries", "own", "listen", "gRPC"): "127.0.0.1:1003",
    }
    assert [place for place, _ in plain.placed_registries()] == [("registries", "own"), ("registries", "nacos")]
    assert [place for place, _ in gateway().placed_registries()] == [("registry",)]
    assert plain.embedded_registry is plain.registries["own"]
    assert plain.remote_registries == {"nacos": plain.registries["nacos"]}
    assert gateway().embedded_registry is None
    assert (plain.place_name, plain.is_entry) == ("shop", True)
    assert (plain.listener_tls, plain.token_settings, plain.cookie_settings, plain.debug_header) == (
        None,
        None,
        None,
        "",
    )
    assert plain.secrets() == ["remote"]


def test_what_a_gateway_says_of_its_secrets() -> None:
    secret = "sixteen-letters-{}"
    settings = gateway(
        admin_token=secret.format(1),
        sticky={"secret": secret.format(2)},
        debug={"header": "x-why", "secret": secret.format(3)},
        rules=["here", {"nacos": "rules", "address": "127.0.0.1:8848", "username": "me", "password": "remote"}],
        tls={"certificates": [{"cert": "a", "key": "b"}]},
        jwt={"verify": False},
    )
    assert sorted(settings.secrets()) == ["remote", *(secret.format(number) for number in (1, 2, 3))]
    assert [source.name for source in settings.remote_rules] == ["nacos://127.0.0.1:8848/DEFAULT_GROUP/rules"]
    assert settings.debug_header == "x-why"
    assert settings.listener_tls is settings.tls is not None
    assert settings.token_settings is settings.jwt is not None
    assert settings.cookie_settings is settings.sticky is not None


def test_what_a_sidecar_says_of_its_role() -> None:
    sidecar = SidecarSettings.model_validate(
        {
            "service": "a",
            "app": "127.0.0.1:1",
            "inbound": "127.0.0.1:2",
            "outbound": "127.0.0.1:3",
            "admin": "127.0.0.1:4",
            "admin_token": "sixteen-letters!",
            "registry": {**NACOS, "token": "remote"},
        }
    )
    assert {place: str(address) for place, address in sidecar.listeners().items()} == {
        ("inbound",): "127.0.0.1:2",
        ("outbound",): "127.0.0.1:3",
        ("admin",): "127.0.0.1:4",
    }
    assert sidecar.placed_registries() == [(("registry",), sidecar.registry)]
    assert sidecar.remote_registries == {"nacos": sidecar.registry}
    assert (sidecar.place_name, sidecar.is_entry) == ("a", False)
    assert (sidecar.embedded_registry, sidecar.listener_tls, sidecar.token_settings) == (None, None, None)
    assert sidecar.secrets() == ["sixteen-letters!", "remote"]


def test_one_registry_or_several() -> None:
    several = {"new": NACOS, "old": {"kind": "consul"}}
    settings = GatewaySettings.model_validate({"registries": several, "services": {"a": {"registry": "old"}}})
    assert list(settings.all_registries) == ["new", "old"]
    assert settings.chosen_registries == {"a": "old"}
    assert list(gateway().all_registries) == ["static"]
    wrong = {"registries": several, "services": {"a": {"registry": "odl"}}}
    assert "services.a.registry: there is no registry 'odl'" in refusals(GatewaySettings, wrong)[0][1]
    assert refusals(GatewaySettings, {**GATEWAY, "registries": several}) == [
        ((), "either `registry` or `registries` is needed")
    ]
    twice = {"a": {"kind": "embedded"}, "b": {"kind": "embedded"}}
    assert "one embedded registry" in refusals(GatewaySettings, {"registries": twice})[0][1]


@pytest.mark.parametrize(
    ("advertise", "accepted"), [("10.0.0.1", True), ("a.example", True), ("0.0.0.0", False), ("::", False)]
)
def test_an_advertised_address_can_be_reached(advertise: str, accepted: bool) -> None:
    if accepted:
        assert SidecarSettings.model_validate({**SIDECAR, "advertise": advertise}).advertise == advertise
    else:
        assert "unspecified" in refusals(SidecarSettings, {**SIDECAR, "advertise": advertise})[0][1]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        gateway().trace_sampled = 0.5


DOCUMENT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted name of every setting; those of a list's or a mapping's items stand right below it."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if name == "registries":
            continue  # each has the settings of `registry`
        for inner in models_in(field.annotation):
            yield from settings_of(inner, f"{prefix}{name}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as `dict[str, list[Model]]`; an address is written as one text."""
    arguments = typing.get_args(annotation)
    for argument in arguments:
        yield from models_in(argument)
    is_model = not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel)
    if is_model and annotation is not Address:
        yield annotation


def section(title: str) -> str:
    """The part of the document under a heading of the second level."""
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


KINDS = {
    **{
        f"registry.{key}": "nacos"
        for key in [
            "namespace",
            "group",
            "interval",
            "protocol",
            "addresses",
            "clusters",
            "username",
            "password",
            "token",
        ]
    },
    **{f"registry.{key}": "consul" for key in ["scheme", "datacenter", "stale", "warning", "watches", "bare_tags"]},
    **{f"registry.{key}": "kubernetes" for key in ["context", "selector", "port", "ports"]},
    "registry.services": "static",
}
SECTIONS = {GatewaySettings: "The entry gateway", SidecarSettings: "The sidecar"}


@pytest.mark.parametrize("model", SECTIONS)
def test_every_setting_is_documented_and_nothing_else_is(model: type[BaseModel]) -> None:
    names = set(
        re.findall(r"^\| `([a-z0-9_.]+)` \|", section("Common settings") + section(SECTIONS[model]), re.MULTILINE)
    )
    assert names == set(settings_of(model))


@pytest.mark.parametrize(
    ("model", "name", "default"),
    [
        (model, name, default)
        for model, title in SECTIONS.items()
        for name, default in re.findall(
            r"^\| `([a-z0-9_.]+)` \| `([^`]+)` \|", section("Common settings") + section(title), re.MULTILINE
        )
        # Defaults of what is itself left out by default, or of a list's items, cannot be given alone.
        if not name.startswith(
            (
                "registry.services.",
                "routes.",
                "access_log.",
                "balancing.by.",
                "tls.",
                "services.",
                "jwt.",
                "sticky.",
                "debug.",
                "rules.",
                "mesh.",
                "gateway_api.",
            )
        )
    ],
)
def test_documented_defaults_are_the_defaults(tmp_path: Path, model: type[BaseModel], name: str, default: str) -> None:
    """Giving a setting its documented default changes nothing, and giving it is possible."""
    path = tmp_path / "c.yaml"
    kind = KINDS.get(name, "embedded" if model is GatewaySettings else "nacos")
    address = ", address: '127.0.0.1:1'" if kind == "nacos" else ""
    if model is GatewaySettings:
        path.write_text(f"registry: {{kind: {kind}{address}}}\n")
        assert load_gateway(path, [f"{name}={default}"], {}).settings == load_gateway(path, (), {}).settings
    else:
        path.write_text(
            "{service: a, app: 'a:1', inbound: 'a:2', outbound: 'a:3', registry: {kind: " + kind + address + "}}\n"
        )
        assert load_sidecar(path, [f"{name}={default}"], {}).settings == load_sidecar(path, (), {}).settings


def test_a_registry_is_another_one_where_its_lists_would_be() -> None:
    """Else a disk copy of one would be routed by in the other; how it is asked makes no difference, and no secret is kept."""
    nacos = NacosRegistrySettings.model_validate({"kind": "nacos", "address": "127.0.0.1:1"})
    assert nacos.identity != nacos.model_copy(update={"namespace": "other"}).identity
    assert nacos.identity != nacos.model_copy(update={"tag_keys": ["lane"]}).identity
    assert nacos.identity == nacos.model_copy(update={"interval": 9.0, "token": "s3cret"}).identity


def test_a_routes_path_is_in_the_form_in_which_the_listener_compares() -> None:
    digits = "0123456789abcdefABCDEF"
    texts = ["/.", "/..", "/a/./b", "/.well", "/a..", "/..;x/b", "/a%2", "/%", "/a\\b", "/a/", "/a;b"]
    for text in (*texts, *(f"/x%{high}{low}y" for high in digits for low in digits)):
        try:
            is_normal = match_path(text.encode()) == text
        except ProtocolError:
            is_normal = False
        if is_normal:
            RouteSettings.model_validate({"path": text, "service": "a"})
        else:
            with pytest.raises(ValidationError, match="must be normalized"):
                RouteSettings.model_validate({"path": text, "service": "a"})
