"""An HTTP request and what its answer means, as argo-workflows v4.1, workflow/executor/agent.go: executeHTTPTemplate.

Other than in Argo a request has 30 seconds where the template says nothing (its documentation says so, its code sets no
bound), a condition may use Argo's functions, and of a long body only the beginning is kept. No request is repeated.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tiphys.engine.expressions import evaluate_condition
from tiphys.engine.model import Phase
from tiphys.errors import MissingExtraError, NotFoundError, ServiceError, SpecError
from tiphys.integrations.local.agents.answers import Answer, exceeded
from tiphys.integrations.local.agents.outside import Secrets
from tiphys.ports.runner import Task
from tiphys.spec.template import HTTP, HTTPHeader

#: Seconds that a request has where nothing else is said.
TIMEOUT = 30.0
#: Bytes of an answer's body that are kept.
LONGEST_BODY = 4 * 1024 * 1024
#: As Go's client.
_REDIRECTS = 10
#: Of a URL.
_USER = re.compile(r"//[^/]*@")
#: What a header's name is made of (RFC 9110, "token").
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class _Reply:
    """What a server answered."""

    status: int
    headers: dict[str, list[str]]
    body: bytes
    #: Whether there is more of the body.
    cut: bool


def call(task: Task, *, namespace: str, secrets: Secrets) -> Answer:
    """Make the request of a task's `http` template. The body of the answer is the result, whatever it means.

    Raises:
        SpecError: the template lacks something, or has what cannot be.
        NotFoundError: a Secret or its key is missing.
        ExpressionError: the condition cannot be evaluated.
        ServiceError: there was no answer.
        MissingExtraError: the HTTP client is not installed.
    """
    asked = HTTP.from_json(task.body["http"])
    if not asked.url:
        raise SpecError("http.url is missing.")
    content = _content(asked)
    headers = [_header(header, namespace, secrets) for header in asked.headers or ()]
    patience = float(asked.timeout_seconds or TIMEOUT)
    rest = None if task.deadline is None else task.deadline - time.time()
    is_short = rest is not None and rest < patience
    try:
        reply = _send(asked, content, headers, rest if rest is not None and is_short else patience)
    except TimeoutError:
        if is_short:
            return exceeded(f"while waiting for the answer of {_public(asked.url)}")
        message = f"{_method(asked)} {_public(asked.url)}: there was no answer within {patience:g} s."
        raise ServiceError(message, hint="Set http.timeoutSeconds.") from None
    return _judged(task, asked, content, reply)


def _judged(task: Task, asked: HTTP, content: bytes, reply: _Reply) -> Answer:
    body = reply.body.decode("utf-8", "replace")
    problem = ""
    if asked.success_condition:
        variables = {
            "request": {
                "method": asked.method or "",
                "url": asked.url,
                "body": asked.body or "",
                "bodyBytes": content if asked.body_from is not None else b"",
                "headers": {str(each.name): [each.value or ""] for each in asked.headers or () if not each.value_from},
            },
            "response": {"statusCode": reply.status, "body": body, "headers": reply.headers},
        }
        where = "http.successCondition"
        if not evaluate_condition(asked.success_condition, variables, now=time.time(), seed=task.id, where=where):
            problem = f"successCondition '{asked.success_condition}' evaluated false"
    elif not 200 <= reply.status < 300:
        problem = f"received non-2xx response code: {reply.status}"
    cut = f"of the response's body only the first {LONGEST_BODY} bytes were kept" if reply.cut else ""
    message = "; ".join(part for part in (problem, cut) if part)
    return Answer(Phase.FAILED if problem else Phase.SUCCEEDED, message, result=body)


def _content(asked: HTTP) -> bytes:
    """The request's body."""
    if asked.body_from is None:
        return (asked.body or "").encode()
    try:
        return base64.b64decode(asked.body_from.bytes or "", validate=True)
    except binascii.Error:
        raise SpecError("http.bodyFrom.bytes is not base64.") from None


def _header(header: HTTPHeader, namespace: str, secrets: Secrets) -> tuple[str, bytes]:
    """Name and value, which may be that of a Secret."""
    name = header.name or ""
    if not _TOKEN.fullmatch(name):
        raise SpecError(f"http.headers: '{name}' cannot be the name of a header.")
    selector = header.value_from.secret_key_ref if header.value_from else None
    if selector is None:
        return name, (header.value or "").encode()
    value = (secrets(namespace, selector.name or "") or {}).get(selector.key or "")
    if value is None:
        raise NotFoundError(
            f"http.headers: '{name}' takes the key '{selector.key}' of the Secret '{selector.name}', and there is no "
            f"such key or Secret in the namespace {namespace}.",
            hint=f"Create the Secret '{selector.name}' with a key '{selector.key}', or correct the header.",
        )
    return name, value


def _send(asked: HTTP, content: bytes, headers: list[tuple[str, bytes]], seconds: float) -> _Reply:
    """Ask, follow redirections, and read the answer.

    Raises:
        TimeoutError: that took longer than `seconds`.
        ServiceError: there is no answer.
    """
    try:
        import httpx2
    except ModuleNotFoundError:
        raise MissingExtraError("http", "httpx2") from None
    url, end = asked.url or "", time.monotonic() + seconds
    verify = _trust(insecure=bool(asked.insecure_skip_verify))
    try:
        with (
            httpx2.Client(verify=verify, timeout=max(seconds, 0.001), max_redirects=_REDIRECTS) as client,
            client.stream(
                _method(asked),
                url,
                content=content or None,
                headers=[(name.encode(), value) for name, value in headers],
                follow_redirects=True,
            ) as response,
        ):
            parts: list[bytes] = []
            size = 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if time.monotonic() > end:
                    raise TimeoutError
                if size > LONGEST_BODY:
                    break
            body = b"".join(parts)
            return _Reply(response.status_code, _canonical(response.headers), body[:LONGEST_BODY], size > LONGEST_BODY)
    except httpx2.TimeoutException:
        raise TimeoutError from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        told = str(error) or type(error).__name__
        raise ServiceError(f"{_method(asked)} {_public(url)}: {told.rstrip('.')}.") from error


@lru_cache(maxsize=2)
def _trust(*, insecure: bool) -> ssl.SSLContext:
    """Whose certificates are believed; reading those of all authorities takes longer than a request."""
    import httpx2

    return httpx2.create_ssl_context(verify=not insecure)


def _canonical(headers: Any) -> dict[str, list[str]]:
    """Values by name, the names spelt as Go's http.Header spells them: `Content-Type`."""
    found: dict[str, list[str]] = {}
    for name, value in headers.multi_items():
        found.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
    return found


def _method(asked: HTTP) -> str:
    return asked.method or "GET"


def _public(url: str) -> str:
    """A URL without what may be secret: the user's part and the query."""
    return _USER.sub("//", re.split("[?#]", url)[0])
