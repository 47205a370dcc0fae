"""Traces, where the process has OpenTelemetry set up (`opentelemetry-instrument tiphys server`).

Nothing is imported for them here: a process that nobody set up pays one look into a dictionary.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from typing import Any

#: Environment variable by which a process is told of the span that started it.
PARENT_VARIABLE = "TRACEPARENT"
#: Scope of the spans of workflows, whose ids are made of theirs; one thread at a time makes these.
RUNS = "tiphys.runs"
#: Annotation of a workflow: the span that submitted it, as W3C's Trace Context writes it.
TRACE_ANNOTATION = "tiphys.dev/traceparent"
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def api() -> Any:
    """OpenTelemetry's `trace` module if the process uses it, else None."""
    return sys.modules.get("opentelemetry.trace")


def tracer(scope: str = "tiphys") -> Any:
    """What makes spans; None if nothing is traced."""
    trace = api()
    return None if trace is None else trace.get_tracer(scope)


class NamedIds:
    """Gives spans the ids that were chosen for them, where OpenTelemetry asks for fresh ones.

    What a node's containers trace is to be below the node's span, which is made when all has ended: so they must be
    told its id before it is there.
    """

    def __init__(self, workflow: str, node: str = "") -> None:
        self._workflow, self._node = workflow, node

    def generate_trace_id(self) -> int:
        """Of the workflow's trace."""
        return int.from_bytes(sha256(self._workflow.encode()).digest()[:16])

    def generate_span_id(self) -> int:
        """Of the workflow's span, or a node's."""
        return int.from_bytes(sha256(f"{self._workflow}/{self._node}".encode()).digest()[:8])

    def is_trace_id_random(self) -> bool:
        """Whether its trace's id says nothing."""
        return False


def parent_of(workflow: str, node: str) -> str:
    """The span that a node will have, for what carries it out; empty if this process has no traces set up."""
    if not hasattr(tracer(RUNS), "id_generator"):
        return ""
    ids = NamedIds(workflow, node)
    return f"00-{ids.generate_trace_id():032x}-{ids.generate_span_id():016x}-01"


def beneath(workflow: str, node: str) -> AbstractContextManager[object]:
    """A context in which spans are below that which a node will have."""
    parent = context_of(parent_of(workflow, node))
    return nullcontext() if parent is None else api().use_span(api().NonRecordingSpan(parent))


def given_parent(environment: Mapping[str, str]) -> str:
    """The present span, or else the one that started this process; empty if there is neither."""
    told = environment.get(PARENT_VARIABLE, "")
    return current_parent() or (told if _PARENT.fullmatch(told) else "")


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
