"""Answers of the server; the one place where errors become statuses.

Bodies of errors are those of grpc-gateway, `{"code": …, "message": …, "details": …}` with gRPC's codes, and so are the
statuses. The details name our own code and hint, in the form that Google's APIs have for it (google.rpc.ErrorInfo).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tiphys._util.disks import is_full
from tiphys.errors import (
    AlreadyExistsError,
    ArtifactMissingError,
    ConflictError,
    DiskFullError,
    ForbiddenError,
    TiphysError,
    TooManyAttemptsError,
    UnauthenticatedError,
)
from tiphys.ports.wire import ERROR_DOMAIN
from tiphys.services.attempts import WINDOW

INVALID, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, ABORTED = 3, 5, 6, 7, 8, 10
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 12, 13, 14, 16

#: Paths below which errors are ours instead of grpc-gateway's.
_OWN = "/api/tiphys/"
#: Of an answer 401. Basic is left out: browsers would ask for a password and send it with all that follows.
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Tiphys"'}

#: gRPC code → HTTP status (grpc-gateway, runtime/errors.go).
_STATUS = {
    INVALID: 400,
    NOT_FOUND: 404,
    EXISTS: 409,
    DENIED: 403,
    EXHAUSTED: 429,
    ABORTED: 409,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
    UNAVAILABLE: 503,
    UNAUTHENTICATED: 401,
}
_BY_CLASS: dict[type[TiphysError], int] = {
    AlreadyExistsError: EXISTS,
    ConflictError: ABORTED,
    ArtifactMissingError: NOT_FOUND,
    UnauthenticatedError: UNAUTHENTICATED,
    ForbiddenError: DENIED,
    TooManyAttemptsError: EXHAUSTED,
}
#: HTTP status of an error → gRPC code.
_BY_STATUS = {
    400: INVALID,
    403: DENIED,
    404: NOT_FOUND,
    405: UNIMPLEMENTED,
    501: UNIMPLEMENTED,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    507: UNAVAILABLE,
}


def code_of(error: TiphysError) -> int:
    """The gRPC code of an error."""
    for kind, code in _BY_CLASS.items():
        if isinstance(error, kind):
            return code
    return _BY_STATUS.get(error.http_status, INTERNAL)


def error_body(error: TiphysError) -> dict[str, Any]:
    """What a client is told of an error."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.code,
        "domain": ERROR_DOMAIN,
        "metadata": {"hint": error.hint} if error.hint else {},
    }
    message = f"{error.message} {error.hint}" if error.hint else error.message
    return {"code": code_of(error), "message": message, "details": [detail]}


def stream_error(error: TiphysError) -> dict[str, Any]:
    """What the last frame of a stream tells of the error that ends it (grpc-gateway 1.16, runtime/handler.go)."""
    body = error_body(error)
    status = _STATUS[body["code"]]
    return {
        "grpc_code": body["code"],
        "http_code": status,
        "message": body["message"],
        "http_status": HTTPStatus(status).phrase,
        "details": body["details"],
    }


def refusal(code: int, message: str, *, status: int | None = None) -> Response:
    """An answer that is an error; its status is that of the code unless it has another one."""
    return JSONResponse({"code": code, "message": message}, status or _STATUS[code])


async def answer_error(_request: Request, error: Exception) -> Response:
    """The answer to a request that raised one of our errors."""
    assert isinstance(error, TiphysError)  # noqa: S101  # what it is registered for
    return _answer_to(as_full_disk(error) or error)


async def answer_system_error(_request: Request, error: Exception) -> Response:
    """The answer to a request that met an error of the system: a full disk is told of, all else is a defect of ours."""
    full = as_full_disk(error)
    if full is None:
        raise error
    return _answer_to(full)


def as_full_disk(error: Exception) -> DiskFullError | None:
    """What to tell of an error that came of a full disk; None for others."""
    if isinstance(error, DiskFullError) or not is_full(error):
        return None
    return DiskFullError(
        "The server's disk is full, so nothing can be stored.", hint="Try again when room was made there."
    )


def answer_to(path: str, error: TiphysError) -> Response:
    """The answer to a request that was refused before a route was looked for, as those of its path are."""
    if path.startswith(_OWN):
        body = {"code": error.code, "message": error.message, "hint": error.hint}
        return JSONResponse(body, error.http_status, headers=_headers(error))
    return _answer_to(error)


def _answer_to(error: TiphysError) -> Response:
    return JSONResponse(error_body(error), _STATUS[code_of(error)], headers=_headers(error))


def _headers(error: TiphysError) -> dict[str, str]:
    if isinstance(error, TooManyAttemptsError):
        return {"Retry-After": f"{WINDOW:.0f}"}
    return _CHALLENGE if isinstance(error, UnauthenticatedError) else {}


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The answer to a request that no route is for."""
    assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
    code = _BY_STATUS.get(error.status_code, INTERNAL)
    if code in (NOT_FOUND, UNIMPLEMENTED):
        return refusal(code, f"There is no {request.method} {request.url.path}.")
    return refusal(code, error.detail)


async def answer_defect(_request: Request, error: Exception) -> Response:
    """The answer to a request that met a defect of ours; the traceback is logged, not sent."""
    return refusal(INTERNAL, f"Internal error: {type(error).__name__}.")
