"""A mutating admission webhook: the API server shows each pod that is created, and gets a patch that adds a sidecar.

A pod that asks for a sidecar and cannot have one is admitted as it is, with a warning that `kubectl` shows.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import base64
import json
import logging
from typing import Any, Final

from aiohttp import web

from gateway.injection.pod import Object, Options, Refused, inject
from gateway.printable import printable
from gateway.web.bodies import check_type, parse_json, read_body
from gateway.web.problems import Rejected

_log = logging.getLogger("gateway.injection")

PATH: Final = "/inject"
MAX_REVIEW: Final = 8 << 20
"""Bytes: etcd's objects have 1.5 MiB, and a review shows two at most."""


def application(options: Options) -> web.Application:
    """The webhook at `/inject`, and `/livez` for probes."""
    made = web.Application(client_max_size=MAX_REVIEW)

    async def review(request: web.Request) -> web.Response:
        try:
            check_type(request, ["application/json"])
            return web.json_response(answer(parse_json(await read_body(request, MAX_REVIEW)), options))
        except Rejected as error:
            return error.response()

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    made.router.add_post(PATH, review)
    made.router.add_get("/livez", alive)
    return made


def answer(review: Any, options: Options) -> Object:
    """The AdmissionReview that answers one. Raises Rejected for what is none."""
    request = review.get("request") if isinstance(review, dict) else None
    pod = request.get("object") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise Rejected(400, "bad_review", "the body is not an AdmissionReview (admission.k8s.io/v1) with a request")
    response: Object = {"uid": request["uid"], "allowed": True}
    if isinstance(pod, dict) and isinstance(pod.get("spec"), dict):
        metadata = pod.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        try:
            outcome = inject(metadata, pod["spec"], options)
        except Refused as error:
            name = metadata.get("name") or metadata.get("generateName") or "?"
            where = printable(f"{request.get('namespace')}/{name}")
            _log.warning("pod %s gets no sidecar: %s", where, printable(str(error)))
            response["warnings"] = [f"gray-gateway: no sidecar: {error}"]
        else:
            if not outcome.left_alone:
                patch = [*_patch("metadata", metadata, outcome.metadata), *_patch("spec", pod["spec"], outcome.spec)]
                if "metadata" not in pod:
                    patch = [{"op": "add", "path": "/metadata", "value": {}}, *patch]
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def _patch(where: str, before: Object, after: Object) -> list[Object]:
    """What differs, a key each (RFC 6902: `add` replaces what is there). Nothing is ever taken away."""
    return [
        {"op": "add", "path": f"/{where}/{key}", "value": value}
        for key, value in after.items()
        if before.get(key) != value
    ]
