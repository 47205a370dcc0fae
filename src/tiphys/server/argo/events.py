"""Argo's API over events: what is sent is kept and answered at once, and carried out later."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tiphys._util.times import to_epoch, utc_now
from tiphys.errors import UsageError
from tiphys.ports.access import ANYONE
from tiphys.ports.backend import Backend
from tiphys.ports.events import SignatureError
from tiphys.server.auth.permissions import Permission
from tiphys.server.events.reading import read_event
from tiphys.services.events.signatures import CLIENTS, Verified, verify, webhook_clients
from tiphys.spec.validate.names import is_object_name

_log = logging.getLogger("tiphys.server.events")

#: Bytes of the largest event, as of Argo's webhooks.
LARGEST = 2 * 1024 * 1024
#: Bytes that are read and thrown away of one that is larger: many clients look for an answer only when all is sent.
_PATIENCE = 128 * 1024 * 1024
#: gRPC's code for it.
_EXHAUSTED = 8
#: Characters of the longest discriminator.
_LONGEST = 253


async def receive(request: Request, needed: Permission) -> Response:
    """POST /events/{namespace}/{discriminator}."""
    body = await _body(request)
    if body is None:
        return JSONResponse({"code": _EXHAUSTED, "message": f"An event has at most {LARGEST} bytes."}, 413)
    return await run_in_threadpool(_receive, request, body, needed)


def webhook_sender(backend: Backend, namespace: str, headers: Mapping[str, str], body: bytes) -> Verified | None:
    """The webhook client that signed a request; None in a namespace that has no such clients.

    Whoever has been authenticated in another way need not be asked.

    Raises:
        SignatureError: the namespace has clients, and none of them signed it.
    """
    secret = backend.objects.secret(namespace, CLIENTS)
    if secret is None:
        return None
    return verify(webhook_clients(secret), headers, body, now=to_epoch(utc_now()))


def _sender(request: Request, backend: Backend, namespace: str, body: bytes, needed: Permission) -> Verified | None:
    """The webhook client that signed a request; None if it is somebody with an account, or if nobody is asked."""
    has_account = request.scope.get("principal") not in (None, ANYONE)
    verified = None if has_account else webhook_sender(backend, namespace, request.headers, body)
    if verified is None:
        needed(request)
    return verified


async def _body(request: Request) -> bytes | None:
    """The body; None if it is too large."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST:
            chunks.append(chunk)
        elif size > _PATIENCE:
            break
    return b"".join(chunks) if size <= LARGEST else None


def _receive(request: Request, body: bytes, needed: Permission) -> Response:
    backend: Backend = request.app.state.backend
    namespace, discriminator = request.path_params["namespace"], request.path_params.get("discriminator", "")
    if not is_object_name(namespace):
        raise UsageError(f"{namespace[:_LONGEST]!r} is not the name of a namespace.")
    if len(discriminator) > _LONGEST or not discriminator.isprintable():
        raise UsageError(f"A discriminator is one line of at most {_LONGEST} characters.")
    try:
        verified = _sender(request, backend, namespace, body, needed)
        event = read_event(discriminator, request.headers.items(), body)
        if verified is not None:
            event = replace(event, sender=verified.client, signature=verified.once)
        backend.events.in_namespace(namespace).receive(event)
    except SignatureError as error:
        place = request.client.host if request.client else "an unknown address"
        _log.warning("an event for %s/%r from %s was refused: %s", namespace, discriminator, place, error.message)
        raise
    return JSONResponse({})
