"""A span for each request, if the process traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

from tiphys._util import tracing


class Outcome:
    """What becomes of a request."""

    #: HTTP status; 0 while there is none.
    status: int = 0


@contextmanager
def request_span(scope: Scope, outcome: Outcome) -> Iterator[None]:
    """While a request is answered: its span is the present one, and a child of the client's."""
    trace, tracer = tracing.api(), tracing.tracer()
    if trace is None:
        yield
        return
    parent = tracing.context_of(Headers(scope=scope).get("traceparent", ""))
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent is not None else None
    method: str = scope["method"]
    with tracer.start_as_current_span(method, context=context, kind=trace.SpanKind.SERVER) as span:
        try:
            yield
        finally:
            route = getattr(scope.get("route"), "path", "")
            span.update_name(f"{method} {route}".rstrip())
            span.set_attributes({"http.request.method": method, "http.route": route})
            span.set_attribute("http.response.status_code", outcome.status or 500)
            span.set_attribute("tiphys.request_id", scope.get("request_id", ""))
