"""Requests that another server on the same database has to answer: they are handed on, as they came.

A run whose steps a client carries out is in the memory of the server that holds its workflow, and a proxy may send the
client's requests to any. So each server tells in the database where it is reached; the certificate that it shows stands
there too, and is the only one that is trusted.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache

import httpx2
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tiphys.errors import HeldElsewhereError
from tiphys.records.servers import ServerAddress
from tiphys.server.api.answers import answer_error

_log = logging.getLogger("tiphys.server")
#: Of a request that was handed on, which is not handed on again.
_HEADER = "Tiphys-Handed-On"
#: Headers that are about one connection, or that were looked at here.
_OWN = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding", "origin"})
#: Headers of an answer that are its own.
_KEPT = ("content-type", "content-length", "etag", "retry-after")
#: Seconds: to be let in, and between two pieces of an answer; streams give a sign of life each 15.
_CONNECT, _ANSWER = 2.0, 30.0


async def answer_from_elsewhere(request: Request, error: Exception) -> Response:
    """The answer of the server that has to be asked; if it cannot be, the client is to ask again later."""
    assert isinstance(error, HeldElsewhereError)  # noqa: S101  # what it is registered for
    if error.url and not is_handed_on(request):
        try:
            return await _hand_on(request, error.url, error.certificate)
        except httpx2.TransportError:
            pass  # it is about to be taken for dead, or it is not: its lease will tell
    return await answer_error(request, error)


def is_handed_on(request: Request) -> bool:
    """Whether another server was asked first."""
    return _HEADER in request.headers


async def tell_others(request: Request, others: Iterable[ServerAddress]) -> None:
    """Have other servers do the same, as far as they can be reached."""
    for other in others:
        try:
            answer = await _hand_on(request, other.url, other.certificate)
            async for _ in answer.body_iterator:
                pass
        except httpx2.TransportError:
            continue


async def _hand_on(request: Request, url: str, certificate: str) -> StreamingResponse:
    headers = {name: value for name, value in request.headers.items() if name not in _OWN}
    path, query = request.scope.get("raw_path", b"").decode("ascii"), request.url.query
    client = _client(url, certificate)
    asked = client.build_request(
        request.method,
        (path or request.url.path) + (f"?{query}" if query else ""),
        content=await request.body(),
        headers={
            **headers,
            "host": httpx2.URL(url).netloc.decode("ascii"),
            "accept-encoding": "identity",
            _HEADER: "1",
        },
    )
    response = await client.send(asked, stream=True)
    kept = {name: value for name, value in response.headers.items() if name in _KEPT}
    return StreamingResponse(_pieces(response), response.status_code, headers=kept)


async def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    """What is answered, piece by piece: it may be a stream, and one that breaks off is known by having no end."""
    try:
        async for piece in response.aiter_raw():
            yield piece
    except httpx2.TransportError as error:
        _log.info("the server that was asked instead has gone away: %s", error)
    finally:
        await response.aclose()


@lru_cache(64)
def _client(url: str, certificate: str) -> httpx2.AsyncClient:
    trusted: ssl.SSLContext | bool = False
    if certificate:
        trusted = ssl.create_default_context(cadata=certificate)
        # Its names are those under which clients reach it; this one is known by itself.
        trusted.check_hostname = False
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return httpx2.AsyncClient(base_url=url, verify=trusted, timeout=httpx2.Timeout(_ANSWER, connect=_CONNECT))
