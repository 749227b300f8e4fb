"""Settings that can never do anything as they stand are refused, at their place, with what is accepted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from gateway.config.load import load_gateway, load_sidecar
from gateway.errors import ConfigError
from gateway.ruletools.check import check
from tests.support.certificates import Authority

GATEWAY = "registry: {kind: static, services: {a: []}}\nroutes: [{path: /A, service: a}]\n"
SIDECAR = """\
service: a
app: 127.0.0.1:1
inbound: 127.0.0.1:2
outbound: 127.0.0.1:3
"""
NACOS = "registry: {kind: nacos, address: 127.0.0.1:8848}\n"
CONSUL = "registry: {kind: consul}\n"


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    load = load_sidecar if text.startswith("service:") else load_gateway
    try:
        load(path, (), {})
    except ConfigError as error:
        return [str(problem).replace(f"{path}:", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What is connected to has a port, and a host that there can be.
        ("registry: {kind: nacos, address: 'n:0'}", "1:34: registry.nacos.address: port 0 cannot be connected to: 1 to 65535 is accepted; found 'n:0'"),
        ("registry: {kind: nacos, addresses: ['n:1', 'n:0']}", "1:44: registry.nacos.addresses.1: port 0 cannot be connected to: 1 to 65535 is accepted; found 'n:0'"),
        ("registry: {kind: consul, address: 'n:0'}", "1:35: registry.consul.address: port 0 cannot be connected to: 1 to 65535 is accepted; found 'n:0'"),
        ("registry: {kind: static, services: {a: [{address: 'n:0'}]}}", "1:51: registry.static.services.a.0.address: port 0 cannot be connected to: 1 to 65535 is accepted; found 'n:0'"),
        ("registry: {kind: embedded}\nrules: {nacos: x, address: 'n:0'}", "2:28: rules.0.remote.address: port 0 cannot be connected to: 1 to 65535 is accepted; found 'n:0'"),
        ("registry: {kind: nacos, address: '10.0.0.256:1'}", "1:34: registry.nacos.address: an address is host:port, and '10.0.0.256' is neither a name nor an address; found '10.0.0.256:1'"),
        ("registry: {kind: nacos, address: '[1::2::3]:1'}", "1:34: registry.nacos.address: an address is host:port, and '1::2::3' is neither a name nor an address; found '[1::2::3]:1'"),
        # What is signed, and for how long.
        ("registry: {kind: embedded}\ncarriers: {signing: permissive}", "2:21: carriers.signing: has no effect without `carriers.keys`"),
        ("registry: {kind: embedded}\ncarriers: {lifetime: 5m}", "2:22: carriers.lifetime: has no effect without `carriers.keys`"),
        # Listeners, and what is connected to, do not meet.
        ("registry: {kind: embedded}\nadmin: 127.0.0.1:8080", "2:8: admin: '127.0.0.1:8080' conflicts with `listen` ('0.0.0.0:8080'): each needs its own port"),
        ("registry: {kind: embedded, listen: '[::]:9900'}", "1:36: registry.listen: '[::]:9900' conflicts with `admin` ('127.0.0.1:9900'): each needs its own port"),
        # Nacos' clients come to two ports.
        ("registry: {kind: embedded, listen: '127.0.0.1:8900'}", "1:36: registry.listen.gRPC: '127.0.0.1:9900' conflicts with `admin` ('127.0.0.1:9900'): each needs its own port"),
        ("registry: {kind: embedded, listen: '127.0.0.1:64536'}", "1:36: registry.embedded.listen: for gRPC, clients add 1000 to the port, which is 0 to 64535; found 64536"),
        (SIDECAR + NACOS + "facade: {nacos: '127.0.0.1:64999'}", "6:17: facade.nacos: for gRPC, clients add 1000 to the port, which is 0 to 64535; found 64999"),
        ("registry: {kind: consul, address: 'localhost:9900'}", "1:35: registry.address: 'localhost:9900' is this process's own `admin`"),
        ("registry: {kind: static, services: {a: [{address: '127.0.0.1:8080'}]}}", "1:51: registry.services.a.0.address: '127.0.0.1:8080' is this gateway itself: requests would loop"),
        ("registry: {kind: embedded}\nrules: {nacos: x, address: '127.0.0.1:9900'}", "2:28: rules.0.address: '127.0.0.1:9900' is this process's own `admin`"),
        # One registry's settings at another, or where they have nothing to do.
        ("registry: {kind: consul, ca: ca.pem}", "1:30: registry.ca: has no effect with `scheme: http`: only `scheme: https` uses TLS"),
        ("registry: {kind: consul, group: x}", "1:26: registry.consul.group: unknown key 'group'"),
        ("registry: {kind: static, token: x}", "1:26: registry.static.token: unknown key 'token'"),
        ("registry: {kind: embedded}\nrules: {consul: x, address: 'n:1', group: g}", "2:43: rules.0.group: `group` is for `nacos`; a Consul key is read with `token`"),
        ("registry: {kind: embedded}\nrules: {consul: x, address: 'n:1', interval: 9s}", "2:46: rules.0.interval: `interval` is for `nacos`; a Consul key is read with `token`"),
        ("registry: {kind: embedded}\nrules: {nacos: x, address: 'n:1', username: me}", "2:8: rules.0.remote: `username` and `password` belong together"),
        ("registry: {kind: embedded}\nrules: {nacos: x, address: 'n:1', username: me, password: x, token: y}", "2:8: rules.0.remote: either a user or a `token` is needed, not both"),
        ("registry: {kind: nacos, address: 'n:1', token: \"x\\n\"}", "1:48: registry.nacos.token: a token is printable ASCII without spaces and line feeds"),
        # Names that there cannot be.
        ("registry: {kind: nacos, address: 'n:1', group: 'my group'}", "1:48: registry.nacos.group: a name in Nacos is 1 to 128 letters, digits, '.', '_', '-' or ':'; found 'my group'"),
        ("registry: {kind: nacos, address: 'n:1', namespace: 'a b'}", "1:52: registry.nacos.namespace: a name in Nacos is 1 to 128 letters, digits, '.', '_', '-' or ':'; found 'a b'"),
        ("registry: {kind: nacos, address: 'n:1', clusters: ['']}", "1:52: registry.nacos.clusters.0: a name in Nacos is 1 to 128 letters, digits, '.', '_', '-' or ':'; found ''"),
        ("registry: {kind: consul, datacenter: 'dc 1'}", "1:38: registry.consul.datacenter: a name in Consul is up to 64 letters, digits, '_' or '-'; found 'dc 1'"),
        ("registry: {kind: consul, tag_keys: ['gray tag']}", "1:37: registry.consul.tag_keys.0: a key of metadata is 1 to 128 printable ASCII characters without spaces; found 'gray tag'"),
        ("registry: {kind: consul, tag_keys: ['--']}", "1:37: registry.consul.tag_keys.0: a key of metadata is 1 to 128 printable ASCII characters without spaces; found '--'"),
        # Twice the same.
        ("registry: {kind: consul, tag_keys: [gray.tag, gray-tag]}", "1:47: registry.tag_keys.1: is given twice"),
        ("registry: {kind: consul, tag_keys: [gray.tags]}", "1:37: registry.tag_keys.0: no known registry client uses the key 'gray.tags'; did you mean 'gray.tag'?"),
        ("registry: {kind: consul, tag_keys: [alicloud_service_tga, lane]}", "1:37: registry.tag_keys.0: no known registry client uses the key 'alicloud_service_tga'; did you mean 'alicloud.service.tag'?"),
        ("registry: {kind: consul, bare_tags: [gray, gray]}", "1:44: registry.bare_tags.1: is given twice"),
        ("registry: {kind: embedded}\nrules: {kubernetes: {name: x, context: y}}", "2:40: rules.0.kubernetes.context: a pod's own account has no contexts; name a `kubeconfig`"),
        ("registry: {kind: embedded}\nrules: {kubernetes: {name: X}}", "2:28: rules.0.kubernetes.kubernetes.name: an object's name in Kubernetes is 1 to 253 lower-case letters, digits, '-' or '.'; found 'X'"),
        ("registry: {kind: kubernetes, context: x}", "1:39: registry.context: a pod's own account has no contexts; name a `kubeconfig`"),
        ("registry: {kind: kubernetes, namespace: Shop}", "1:41: registry.kubernetes.namespace: a name in Kubernetes is up to 63 lower-case letters, digits or '-'; found 'Shop'"),
        ("registry: {kind: consul, bare_tags: [base]}", "1:38: registry.bare_tags.0: 'base' means unmarked, as is every instance without one of these tags"),
        (GATEWAY + "trusted: [10.0.0.0/8, 10.0.0.0/8]", "3:23: trusted.1: '10.0.0.0/8' is given twice"),
        (GATEWAY + "access_log: {headers: [x-user, X-User]}", "3:32: access_log.headers.1: 'x-user' is given twice"),
        (GATEWAY + "access_log: {mask: [key, key]}", "3:26: access_log.mask.1: 'key' is given twice"),
        ("registry: {kind: nacos, addresses: ['n:1', 'n:1']}", "1:44: registry.addresses.1: is given twice"),
        ("registry: {kind: nacos, address: 'n:1', clusters: [A, A]}", "1:55: registry.clusters.1: is given twice"),
        ("registries:\n  one: {kind: consul}\n  two: {kind: consul}", "3:8: registries.two: is the same as `registries.one`: each instance would be known twice"),
        ("registry: {kind: static, services: {a: [{address: 'n:1'}, {address: 'n:1', tag: gray}]}}", "1:69: registry.services.a.1.address: 'n:1' is given twice: an address is one instance, with one tag"),
        ("registry: {kind: embedded}\nrules: [{consul: x, address: 'n:1'}, {consul: x, address: 'n:1'}]", "2:38: rules.1: 'consul://n:1/x' is given twice"),
        # A tag that is said where it does not count.
        ("registry: {kind: static, services: {a: [{address: 'n:1', metadata: {dubbo_tag: gray}}]}}", "1:68: registry.services.a.0.metadata: has the tag 'gray', but `tag`, which applies here, is 'base'"),
        # Services and routes.
        (GATEWAY + "services: {b: {slow_start: 5s}}", "3:15: services.b: no route leads to a service 'b' (they lead to: a)"),
        (GATEWAY.replace("A, service: a}", "A, service: billing}").replace("{a:", "{billing:") + "services: {biling: {}}", "3:20: services.biling: no route leads to a service 'biling'; did you mean 'billing'?"),
        # How instances are chosen.
        (GATEWAY + "balancing: {policy: fastest}", "3:21: balancing.policy: must be 'round_robin', 'least_request' or 'consistent_hash' (found 'fastest')"),
        (GATEWAY + "balancing: {policy: consistent_hash}", "3:12: balancing: `consistent_hash` needs `by`: a cookie, a header, a param or `client_ip: true`"),
        (GATEWAY + "balancing: {policy: least_request, by: {header: x}}", "3:12: balancing: `by` has no effect with `policy: least_request`: it is for `consistent_hash`"),
        (GATEWAY + "services: {a: {balancing: {max_load: 2}}}", "3:27: services.a.balancing: `max_load` has no effect with `policy: round_robin`: it is for `consistent_hash`"),
        (GATEWAY + "services: {a: {sticky_instance: {cookie: at}}}", "3:33: services.a.sticky_instance: needs `sticky.secret`: the cookie calls an instance by a keyed hash"),
        (GATEWAY + "sticky: {secret: 0123456789abcdefg, cookie: at}\nservices: {a: {sticky_instance: {cookie: at}}}", "4:42: services.a.sticky_instance.cookie: 'at' is `sticky.cookie` already: each needs its own cookie"),
        (SIDECAR + CONSUL + "services: {b: {sticky_instance: {cookie: at}}}", "6:33: services.b.sticky_instance: is for entry gateways: applications keep no cookies"),
        (SIDECAR + CONSUL + "services: {b: {balancing: {policy: consistent_hash, by: {client_ip: true}}}}", "6:57: services.b.balancing.by: the client of a sidecar is always its own application: use a header, a cookie or a param"),
        (SIDECAR + CONSUL + "balancing: {policy: consistent_hash, by: {client_ip: true}}", "6:42: balancing.by: the client of a sidecar is always its own application: use a header, a cookie or a param"),
        (GATEWAY + "services: {a: {mtls: never}}", "3:22: services.a.mtls: has no effect without `mesh`"),
        (GATEWAY + "services: {a: {tls: {ca: ca.pem, verify: false}}}", "3:26: services.a.tls.ca: has no effect: no certificate is verified with `verify: false`"),
        ("registries: {one: {kind: static}, two: {kind: consul}}\nroutes: [{path: /A, service: a}]\nservices: {a: {registry: one}}", "3:26: services.a.registry: the static registry 'one' has no service 'a'"),
        (GATEWAY.replace("/A, service: a", "/A, strip_prefix: true, respond: {}"), "2:35: routes.0.strip_prefix: has no effect: a route with `respond` forwards nothing"),
        (GATEWAY.replace("/A, service: a", "/A, inspect_body: 5, respond: {}"), "2:35: routes.0.inspect_body: has no effect: a route with `respond` forwards nothing"),
        (GATEWAY.replace("/A, service: a", "/A, respond: {status: 204, body: x}"), "2:50: routes.0.respond.body: a response of 204 has no body (RFC 9110 §6.4.1)"),
        (GATEWAY.replace("/A,", "/, strip_prefix: true,"), "2:34: routes.0.strip_prefix: the path '/' has no prefix to strip"),
        (GATEWAY.replace("/A,", "/A, restore_prefix: false,"), "2:37: routes.0.restore_prefix: has no effect without `strip_prefix: true` or `rewrite.prefix`"),
        (GATEWAY.replace("/A,", "/A, match: {headers: {x-a: {regex: '('}}},"), "2:52: routes.0.match.headers.x-a.regex: not a regular expression (RE2 syntax, no look-around or back-references): missing ): ("),
        (GATEWAY.replace("/A,", "/A, rewrite: {regex: '(', to: /x},"), "2:38: routes.0.rewrite.regex: not a regular expression (RE2 syntax, no look-around or back-references): missing ): ("),
        (GATEWAY.replace("/A,", r"/A, rewrite: {regex: /x, to: '/\1'},"), r"2:46: routes.0.rewrite.to: `to` names group \1, and the expression has 0"),
        (GATEWAY.replace("/A,", "/A, match: {headers: {x-a: {regex: a, flags: i}}},"), "2:55: routes.0.match.headers.x-a.pattern.flags: unknown key 'flags'"),
        (GATEWAY.replace("/A,", "/A, match: {headers: {x-a: [a]}},"), "2:44: routes.0.match.headers.x-a.text: must be text (found a list)"),
        (GATEWAY.replace("/A,", "/A, match: {headers: {x-a: ' a'}},"), "2:44: routes.0.match.headers.x-a: no value of a header has white space around it: ' a'"),
        (GATEWAY.replace("/A,", "/A, match: {headers: {x-a: a, X-A: b}},"), "2:38: routes.0.match.headers: header 'x-a' is given twice: case does not count"),
        (GATEWAY.replace("/A,", "/A, request_headers: {set: {x-gray-mirror: '1'}},"), "2:60: routes.0.request_headers.set.x-gray-mirror.[key]: header 'x-gray-mirror' frames messages or is written by the gateway itself: no route can change it"),
        (GATEWAY.replace("/A,", "/A, request_headers: {set: {X-Request-Id: '1'}},"), "2:59: routes.0.request_headers.set.X-Request-Id: header 'X-Request-Id' is an id by which sidecars remember requests: with a fixed value all would have the same"),
        (GATEWAY.replace("/A,", "/A, request_headers: {set: {x: é}},"), "2:48: routes.0.request_headers.set.x: a header's value is printable ASCII; found 'é'"),
        (GATEWAY.replace("/A,", "/A, cors: {origins: ['https://a.example:99999']},"), "2:38: routes.0.cors.origins.0: an origin is scheme://host or scheme://host:port as browsers send it, scheme://*.host for all below a host, or *; found 'https://a.example:99999'"),
        (GATEWAY.replace("/A,", "/A, cors: {origins: ['https://a.example'], credentials: true, expose: ['*']},"), "2:87: routes.0.cors.expose: with `credentials`, browsers take `*` for a name: name the fields"),
        (GATEWAY.replace("/A,", "/A, cors: {origins: ['*']}, response_headers: {add: {Access-Control-Max-Age: '1'}},"), "2:94: routes.0.response_headers.add.Access-Control-Max-Age: `cors` of the route says that already"),
        ("registry: {kind: static}\nroutes: [{path: /A, cors: {origins: ['*']}, respond: {headers: {access-control-allow-origin: a}}}]", "2:94: routes.0.respond.headers.access-control-allow-origin: `cors` of the route says that already"),
        (GATEWAY.replace("/A,", "/A, rate_limits: [{rate: 1, by: {header: 'a b'}}],"), "2:58: routes.0.rate_limits.0.by.header: a name is 1 to 256 letters, digits and !#$%&'*+-.^_`|~; found 'a b'"),
        (GATEWAY.replace("/A,", "/A, request_headers: {remove: [x-gray-tag]},"), "2:38: routes.0.request_headers: header 'x-gray-tag' is the gateway's own: no route can change it"),
        (GATEWAY.replace("/A,", "/A, require_token: true,"), "2:36: routes.0.require_token: there is no `jwt` that says which tokens are valid"),
        (GATEWAY.replace("/A,", "/A, require_token: true,") + "jwt: {verify: false}", "2:36: routes.0.require_token: `jwt.verify: false` would let every token pass"),
        ("registry: {kind: static}\nroutes: [{path: /A, redirect: {path: /B, status: 304}}]\n", "2:50: routes.0.redirect.status: the status of a redirect is 301, 302, 303, 307 or 308; found 304"),
        (GATEWAY + "proxy_protocol: true", "3:17: proxy_protocol: has no effect without `trusted`: only load balancers in it may send the header"),
        (GATEWAY + "access: {allow: [10.0.0.0/8], deny: [10.0.0.0/8]}", "3:18: access.allow.0: '10.0.0.0/8' is in `deny`, too, and refused"),
        ("registry: {kind: static}\nroutes: [{path: /A, redirect: {path: /B}, rewrite: {path: /C}}]\n", "2:52: routes.0.rewrite: has no effect: a route with `redirect` forwards nothing"),
        (GATEWAY.replace("/A,", "/A, timeouts: {},"), "2:31: routes.0.timeouts: at least one of `body_idle`, `body_grace`, `connect`, `response`, `tunnel_idle` is needed"),
        (GATEWAY.replace("/A,", "/A, timeouts: {head: 3s},"), "2:32: routes.0.timeouts.head: unknown key 'head'"),
        (GATEWAY.replace("/A,", "/A, timeouts: {connect: 0},"), "2:41: routes.0.timeouts.connect: must be greater than 0 (found '0')"),
        (GATEWAY.replace("/A,", "/A, retries: {attempts: 0},"), "2:41: routes.0.retries.attempts: must be greater than or equal to 1 (found '0')"),
        (GATEWAY.replace("/A,", "/A, timeouts: {body_grace: 3s},") + "limits: {body_rate: 0}", "2:44: routes.0.timeouts.body_grace: has no effect with `limits.body_rate: 0`"),
        ("registry: {kind: static}\nroutes: [{path: /A, redirect: {path: /B}, timeouts: {response: 3s}}]\n", "2:53: routes.0.timeouts: has no effect: a route with `redirect` forwards nothing"),
        # One setting that leaves another nothing to do.
        (GATEWAY + "access_log: {format: combined, headers: [x-user]}", "3:41: access_log.headers: headers are logged in JSON only: `format: json`"),
        (GATEWAY + "ejection: {time: 60s, longest: 10s}", "3:32: ejection.longest: is shorter than `ejection.time` (60 s)"),
        (GATEWAY + "retries: {attempts: 1, share: 0.5}", "3:31: retries.share: `attempts: 1` means no retries: it must be 2 to 10"),
        (GATEWAY + "retries: {minimum: inf}", "3:20: retries.minimum: must be a finite number (found 'inf')"),
        (GATEWAY + "limits: {body_rate: 0}\ntimeouts: {body_grace: 5s}", "4:24: timeouts.body_grace: has no effect with `limits.body_rate: 0`"),
        (GATEWAY + "limits: {connections: 10, connections_per_client: 20}", "3:51: limits.connections_per_client: is more than `limits.connections` (10)"),
        # Identity.
        (GATEWAY + "jwt: {verify: false, issuer: me}", "3:30: jwt.issuer: has no effect: tokens are not verified with `verify: false`"),
        (GATEWAY + "jwt: {verify: false, header: connection}", "3:30: jwt.header: header 'connection' controls how a message is sent and cannot carry a token"),
        (GATEWAY + "debug: {secret: sixteen-letters-, header: host}", "3:43: debug.header: header 'host' has its own meaning and cannot carry the secret"),
        (GATEWAY + "debug: {secret: sixteen-letters-, header: x-gray-tag}", "3:43: debug.header: 'x-gray-tag' is `carriers.header` already: each needs its own header"),
        (GATEWAY + "jwt: {verify: false, header: x-gray-tag}", "3:30: jwt.header: 'x-gray-tag' is `carriers.header` already: each needs its own header"),
        (GATEWAY + "debug: {secret: sixteen-letters-}\naccess_log: {headers: [a, X-Gray-Debug]}", "4:27: access_log.headers.1: 'x-gray-debug' is `debug.header`: it carries a secret and is never logged"),
        (GATEWAY + "jwt: {verify: false, header: x-token}\naccess_log: {headers: [x-token]}", "4:24: access_log.headers.0: 'x-token' is `jwt.header`: it carries a secret and is never logged"),
        # Files.
        (GATEWAY + "state: ''", "3:8: state: the name of a file or directory is accepted; found ''"),
        (GATEWAY + "rules: ''", "3:8: rules.0.path: the name of a file or directory is accepted; found ''"),
        (GATEWAY + "access_log: {path: ' '}", "3:20: access_log.path: the name of a file or directory is accepted; found ' '"),
        # A sidecar, and what it registers.
        (SIDECAR.replace("127.0.0.1:1", "localhost:2") + NACOS, "2:6: app: 'localhost:2' is this sidecar's own `inbound`: requests would loop"),
        (SIDECAR.replace("127.0.0.1:1", "127.0.0.1:0") + NACOS, "2:6: app: port 0 cannot be connected to: 1 to 65535 is accepted; found '127.0.0.1:0'"),
        (SIDECAR.replace("127.0.0.1:3", "0.0.0.0:2") + NACOS, "4:11: outbound: '0.0.0.0:2' conflicts with `inbound` ('127.0.0.1:2'): each needs its own port"),
        (SIDECAR + NACOS + "advertise: 10.0.0.1:8080", "6:12: advertise: a name or an address is accepted, without port and brackets; found '10.0.0.1:8080'"),
        (SIDECAR + NACOS + "advertise: '[::1]'", "6:12: advertise: a name or an address is accepted, without port and brackets; found '[::1]'"),
        (SIDECAR + "registry: {kind: static}\nweight: 5", "6:9: weight: with a static registry an instance is listed, not registered: the list sets this"),
        (SIDECAR + "registry: {kind: static}\nmetadata: {a: b}", "6:11: metadata: with a static registry an instance is listed, not registered: the list sets this"),
        (SIDECAR + "registry: {kind: static}\nadvertise: 10.0.0.1", "6:12: advertise: with a static registry an instance is listed, not registered: the list sets this"),
        (SIDECAR + NACOS + "weight: 20000", "6:9: weight: Nacos accepts weights from 0 to 10000; found 20000"),
        (SIDECAR + CONSUL + "weight: 0", "6:9: weight: Consul accepts whole weights from 1 to 65535; found 0"),
        (SIDECAR + CONSUL + "weight: 1.5", "6:9: weight: Consul accepts whole weights from 1 to 65535; found 1.5"),
        (SIDECAR + NACOS + f"metadata: {{a: {'x' * 1024}}}", "6:11: metadata: Nacos accepts 1024 characters of keys and values, the tag's included; found 1025"),
        (SIDECAR + CONSUL + f"metadata: {{a: {'x' * 513}}}", "6:15: metadata.a: Consul accepts keys of 1 to 128 characters and values of at most 512"),
        (SIDECAR + CONSUL + "metadata: {consul-a: x}", "6:22: metadata.consul-a: Consul reserves keys that begin with 'consul-'"),
        (SIDECAR + CONSUL + "metadata: {a.b: x, a/b: y}", "6:25: metadata.a/b: becomes `a_b` in Consul, as does `a.b`"),
        (SIDECAR + CONSUL + f"metadata: {{{', '.join(f'k{number}: v' for number in range(65))}}}", "6:11: metadata: Consul accepts at most 64 keys; found 65"),
        (SIDECAR + NACOS + "metadata: {preserved.heart.beat.interval: 5s}", "6:43: metadata.preserved.heart.beat.interval: a whole number of milliseconds is accepted, 1 to 86400000; found '5s'"),
        (SIDECAR + NACOS + "metadata: {preserved.heart.beat.interval: 20000}", "6:43: metadata.preserved.heart.beat.interval: must increase: `preserved.heart.beat.timeout` is 15000 ms, and `preserved.heart.beat.interval` 20000 ms"),
        (SIDECAR + NACOS + "metadata: {preserved.heart.beat.timeout: 3000}", "6:42: metadata.preserved.heart.beat.timeout: must increase: `preserved.heart.beat.timeout` is 3000 ms, and `preserved.heart.beat.interval` 5000 ms"),
        (SIDECAR + NACOS + "metadata: {lane: gray}", "6:11: metadata: registries would read the tag 'gray' from it (by the keys alicloud.service.tag, opensergo.io/canary, __micro.service.env__, dubbo.tag, gray.tag, lane, tag), but `tag` is 'base'"),
        (SIDECAR + NACOS + "tag: gray\nmetadata: {dubbo.tag: blue}", "7:11: metadata: registries would read the tag 'blue' from it (by the keys alicloud.service.tag, opensergo.io/canary, __micro.service.env__, dubbo.tag, gray.tag, lane, tag), but `tag` is 'gray'"),
        (SIDECAR + NACOS.replace("8848}", "8848, tag_keys: [version]}") + "tag: gray", "6:6: tag: registries would read the tag 'base' from it (by the keys version), but `tag` is 'gray'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_at_its_place(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path / "c.yaml", text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "registry: {kind: embedded, listen: '127.0.0.1:0'}\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0",
        "registry: {kind: nacos, address: '127.0.0.1:8848', namespace: public}\nlisten: 10.0.0.1:9900",
        "registry: {kind: embedded}\nrules: {nacos: x, address: '127.0.0.1:8848'}",
        "registry: {kind: embedded}\nlisten: '[::1]:8080'\nadmin: 127.0.0.1:8080",
        GATEWAY + "services: {a: {}}\nretries: {attempts: 1, share: 0.2}",
        SIDECAR.replace("app: 127.0.0.1:1", "app: 10.0.0.1:2") + NACOS,
        SIDECAR + NACOS + "weight: 0\nadvertise: ::1\nmetadata: {preserved.heart.beat.interval: '300', zone: a}",
        SIDECAR + NACOS + "tag: gray\nmetadata: {lane: gray, alicloud.service.tag: gray}",
        SIDECAR + CONSUL + "weight: 3\ntag: gray",
        "registry: {kind: consul, tag_keys: [version, env, tags, stage, gray_tag, alicloud-service-tag, my.gray.tag]}",
        SIDECAR + "registry: {kind: static}\nweight: 1",
    ],
)
def test_what_makes_sense_is_accepted(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path / "c.yaml", text) == []


def test_what_the_environment_brings_is_blamed_on_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GATEWAY)
    with pytest.raises(ConfigError) as error:
        load_gateway(path, ["ejection.longest=1s"], {"GATEWAY_ADMIN": "0.0.0.0:8080"})
    assert [str(problem) for problem in error.value.problems] == [
        "--set ejection.longest: ejection.longest: is shorter than `ejection.time` (10 s)",
        "GATEWAY_ADMIN: admin: '0.0.0.0:8080' conflicts with `listen` ('0.0.0.0:8080'): each needs its own port",
    ]


class TestAuthorities:
    """The check reads what a registry's authorities are read from."""

    TEXT = "registries:\n  main: {kind: consul, scheme: https, ca: ca.pem}\n"

    def test_a_file_that_is_not_there_or_no_certificate_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text(self.TEXT)
        for content, reason in ((None, "No such file or directory"), ("x", "it is not a PEM file of certificates")):
            if content is not None:
                (tmp_path / "ca.pem").write_text(content)
            ((problem,), _) = check([tmp_path / "c.yaml"])
            file = os.path.join(tmp_path, "ca.pem")
            said = f"{tmp_path}/c.yaml:2:43: registries.main.ca: cannot use the CA file '{file}': {reason}"
            assert str(problem) == said

    def test_it_is_beside_the_configuration_and_watched(self, tmp_path: Path) -> None:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        (tmp_path / "c.yaml").write_text(self.TEXT)
        assert load_gateway(tmp_path / "c.yaml", (), {}).files == (tmp_path / "c.yaml", tmp_path / "ca.pem")


def test_where_the_embedded_registry_keeps_configs_does_not_depend_on_where_it_is_started(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("registry: {kind: embedded, data: data}\n")
    (registry,) = load_gateway(tmp_path / "c.yaml", (), {}).settings.all_registries.values()
    assert registry.data == tmp_path / "data"  # type: ignore[union-attr]


def test_nacos_own_name_for_its_public_namespace_means_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("registry: {kind: nacos, address: 'n:1', namespace: public}\n")
    (registry,) = load_gateway(tmp_path / "c.yaml", (), {}).settings.all_registries.values()
    assert registry.namespace == ""  # type: ignore[union-attr]


IDENTITY = "spiffe://mesh.example/{service}"


@pytest.mark.parametrize(
    ("text", "name", "more", "expected"),
    [
        (SIDECAR + NACOS, "spiffe://mesh.example/a", "", []),
        (SIDECAR + NACOS, "spiffe://mesh.example/b", "", ["mesh.cert: '{cert}' is of spiffe://mesh.example/b; peers expect spiffe://mesh.example/a (`mesh.identity`)"]),
        (GATEWAY, "spiffe://mesh.example/gateway", "", []),
        (GATEWAY, "spiffe://other.example/gateway", "", ["mesh.cert: '{cert}' is of spiffe://other.example/gateway, which is outside the trust domain of `mesh.identity`"]),
        (GATEWAY, "spiffe://mesh.example/gateway", "\nservices: {a: {mtls: required, tls: {}}}", ["services.a.mtls: has no effect: `tls` says how these instances are called"]),
        (GATEWAY, "spiffe://mesh.example/gateway", ", inbound: permissive", ["mesh.inbound: unknown key 'inbound'; did you mean 'outbound'?"]),
    ],
)  # fmt: skip
def test_a_certificate_that_peers_would_refuse_is_a_problem(
    tmp_path: Path, text: str, name: str, more: str, expected: list[str]
) -> None:
    authority = Authority()
    pair = authority.issue(tmp_path, "own", name)
    mesh = f"mesh: {{cert: own.crt, key: own.key, ca: {authority.trust(tmp_path)}, identity: '{IDENTITY}'"
    mesh += more if more.startswith("\n") is False else ""
    rest = more if more.startswith("\n") else ""
    found = problems(tmp_path / "c.yaml", f"{text}{mesh}}}{rest}\n")
    assert [problem.partition(": ")[2] for problem in found] == [item.format(cert=pair["cert"]) for item in expected]
