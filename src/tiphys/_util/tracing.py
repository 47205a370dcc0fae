"""Traces, where the process has OpenTelemetry set up (`opentelemetry-instrument tiphys server`).

Nothing is imported for them here: a process that nobody set up pays one look into a dictionary.
"""

from __future__ import annotations

import re
import sys
from typing import Any

#: Annotation of a workflow: the span that submitted it, as W3C's Trace Context writes it.
TRACE_ANNOTATION = "tiphys.dev/traceparent"
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def api() -> Any:
    """OpenTelemetry's `trace` module if the process uses it, else None."""
    return sys.modules.get("opentelemetry.trace")


def tracer() -> Any:
    """What makes spans; None if nothing is traced."""
    trace = api()
    return None if trace is None else trace.get_tracer("tiphys")


def current_parent() -> str:
    """The present span for others to link to; empty if there is none."""
    trace = api()
    context = None if trace is None else trace.get_current_span().get_span_context()
    if context is None or not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def context_of(parent: str) -> Any:
    """The span that `current_parent` told of; None if it is no such text, or nothing is traced."""
    trace, found = api(), _PARENT.fullmatch(parent)
    if trace is None or found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
