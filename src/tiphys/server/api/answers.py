"""Answers of our API: records as JSON, and errors as `{code, message, hint}` with the error's own status."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tiphys.errors import TiphysError
from tiphys.ports.wire import dump, problems_in
from tiphys.server.answers import as_full_disk

_JSON = "application/json"
#: HTTP status of a request that no route is for → code.
_CODES = {404: "not_found", 405: "unimplemented"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What a request that is refused is told."""

    #: A stable word for programs.
    code: str
    message: str
    #: What to do next.
    hint: str | None = None


def answer(content: Any, *, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(dump(content), status, media_type=_JSON)


def once(content: Any, *, status: int = 200) -> Response:
    """A value as JSON that is kept nowhere, not even for a client that asks again (`repeats`)."""
    return Response(dump(content), status, {"Cache-Control": "no-store"}, media_type=_JSON)


def nothing() -> Response:
    """What is answered to a request that asks for no value."""
    return Response(status_code=204)


def tagged(content: Any, request: Request) -> Response:
    """A value as JSON with its ETag, or 304 for a client that has it."""
    body = dump(content).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, media_type=_JSON, headers={"ETag": tag})


def problem(error: TiphysError) -> Problem:
    """What a client is told of an error."""
    return Problem(error.code, error.message, error.hint)


async def answer_error(_request: Request, error: Exception) -> Response:
    """The answer to a request that raised one of our errors."""
    assert isinstance(error, TiphysError)  # noqa: S101  # what it is registered for
    told = as_full_disk(error) or error
    return answer(problem(told), status=told.http_status)


async def answer_system_error(_request: Request, error: Exception) -> Response:
    """The answer to a request that met an error of the system: a full disk is told of, all else is a defect of ours."""
    full = as_full_disk(error)
    if full is None:
        raise error
    return answer(problem(full), status=full.http_status)


async def answer_invalid(_request: Request, error: Exception) -> Response:
    """The answer to a request whose parameters or body have another form than the route's."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # what it is registered for
    return answer(Problem("invalid", f"The request is wrong: {problems_in(error.errors())}."), status=400)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The answer to a request that no route is for."""
    assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
    code = _CODES.get(error.status_code)
    message = f"There is no {request.method} {request.url.path}." if code else error.detail
    made = answer(Problem(code or "invalid", message), status=error.status_code)
    made.headers.update(error.headers or {})
    return made


async def answer_defect(_request: Request, error: Exception) -> Response:
    """The answer to a request that met a defect of ours; the traceback is logged, not sent."""
    return answer(Problem("internal", f"Internal error: {type(error).__name__}."), status=500)
