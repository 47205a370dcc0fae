"""Answers without end, frame by frame, from a server that may go away and come back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from tiphys.client.connection import Connection, error_in, error_of
from tiphys.errors import ServiceError, TiphysError

#: Seconds before a stream that broke off is asked for again.
PAUSE = 0.2
_VERSION = "/api/v1/version"
_PREFIX = b"data:"


class StreamLostError(ServiceError):
    """A stream broke off; what it was about to tell can be asked for again."""


def frames(connection: Connection, path: str, query: Mapping[str, Any]) -> Iterator[Any]:
    """The results that a stream of Argo's API tells of; None for a sign that it is alive.

    Raises:
        StreamLostError: the server went away, or does not answer.
        TiphysError: as the server raised it.
    """
    headers = {"Accept": "text/event-stream"}
    try:
        with connection.stream("GET", path, params=dict(query), headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                raise _refusal(error_in(answer), answer.status_code)
            for line in _lines(answer):
                if line.startswith(_PREFIX):
                    yield _result(json.loads(line[len(_PREFIX) :]))
                elif line.startswith(b":"):
                    yield None
    except httpx2.TransportError as error:
        raise StreamLostError(f"The server {connection.url} broke off: {error!r}.") from error


def await_server(connection: Connection) -> None:
    """Return when the server answers.

    Raises:
        ServiceError: the connection's patience has ended.
    """
    time.sleep(PAUSE)
    connection.ask("GET", _VERSION)


def _lines(answer: httpx2.Response) -> Iterator[bytes]:
    """Lines that newlines end: what is sent in them may hold the other marks that Python takes for ends of lines."""
    rest = b""
    for part in answer.iter_bytes():
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _result(frame: Mapping[str, Any]) -> Any:
    error = frame.get("error")
    if error is None:
        return frame["result"]
    status = error.get("http_code", 500)
    raise _refusal(error_of(error, status=status), status)


def _refusal(error: TiphysError, status: int) -> TiphysError:
    return StreamLostError(error.message) if status in (502, 503, 504) else error
