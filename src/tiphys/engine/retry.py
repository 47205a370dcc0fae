"""Whether a failed attempt is followed by another one, and when.

Semantics: argo-workflows, operator.go (processNodeRetries), except that the wait holds where no limit is set, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys.engine.expressions import check
from tiphys.engine.model import Phase
from tiphys.errors import ExpressionError, SpecError
from tiphys.lang.duration import parse_duration

_POLICIES: dict[str, frozenset[Phase]] = {
    "Always": frozenset({Phase.FAILED, Phase.ERROR}),
    "OnFailure": frozenset({Phase.FAILED}),
    "OnError": frozenset({Phase.ERROR}),
    # Only Kubernetes' client knows which errors are transient; all that could not be carried out are taken for it.
    "OnTransientError": frozenset({Phase.ERROR}),
}


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """A retry strategy with its numbers read."""

    #: How many attempts may follow the first; None is no bound.
    limit: int | None
    #: Phases that are tried again.
    phases: frozenset[Phase]
    #: Seconds before the second attempt.
    duration: float = 0.0
    factor: float = 1.0
    cap: float | None = None
    #: Seconds from the start of the first attempt after which none follows.
    max_duration: float | None = None
    #: Part of the wait, 0 to 1, by which it is spread.
    jitter: float = 0.0
    #: Must hold of the failed attempt, besides.
    expression: str | None = None

    def wait(self, attempt: int, task_id: str) -> float:
        """Seconds between the end of attempt `attempt` (zero-based) and the start of the next one.

        The spread comes from a hash of the task's id: tasks that failed together do not come back together, and the
        same task waits the same time whoever computes it.
        """
        try:
            seconds = self.duration * self.factor**attempt
        except OverflowError:
            seconds = float("inf")
        if self.jitter:
            digest = hashlib.sha256(task_id.encode()).digest()
            seconds *= 1 + self.jitter * (int.from_bytes(digest[:8]) / 2**63 - 1)
        return seconds if self.cap is None else min(seconds, self.cap)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a failed attempt."""

    again: bool
    #: Seconds to wait first.
    wait: float = 0.0
    #: Why no attempt follows; empty if the attempt's own message says it.
    message: str = ""


def decide(plan: RetryPlan, *, attempt: int, phase: Phase, task_id: str, began: float, ended: float) -> Verdict:
    """Whether attempt `attempt`, which ended in `phase`, is followed by another one.

    Args:
        plan: The strategy.
        attempt: Zero-based.
        phase: Failed or Error.
        task_id: Of the attempt that failed.
        began: When the first attempt started.
        ended: When this one ended.
    """
    wait = plan.wait(attempt, task_id)
    if plan.max_duration is not None:
        if ended > began + plan.max_duration:
            return Verdict(again=False, message="Max duration limit exceeded")
        if ended + wait > began + plan.max_duration:
            return Verdict(again=False, message="Backoff would exceed max duration limit")
    if phase not in plan.phases:
        return Verdict(again=False)
    if plan.limit is not None and attempt >= plan.limit:
        return Verdict(again=False, message="No more retries left")
    return Verdict(again=True, wait=wait)


def read_strategy(strategy: Mapping[str, Any], jitter: float, *, where: str) -> RetryPlan:
    """Read a `retryStrategy` (JSON form, tags replaced).

    Raises:
        SpecError: a field cannot be read.
    """
    expression = strategy.get("expression") or None
    if expression is not None and "{{" not in expression:
        try:
            check(expression)
        except ExpressionError as error:
            raise SpecError(f"{where}.retryStrategy.expression: {error.message}", hint=error.hint) from error
    policy = strategy.get("retryPolicy") or ("Always" if expression else "OnFailure")
    if policy not in _POLICIES:
        raise SpecError(f"{where}.retryStrategy.retryPolicy: '{policy}' is not one of {', '.join(_POLICIES)}.")
    backoff = strategy.get("backoff") or {}
    if backoff and not backoff.get("duration"):
        raise SpecError(f"{where}.retryStrategy.backoff: a duration is needed.")
    limit = _number(strategy.get("limit"), f"{where}.retryStrategy.limit")
    factor = _number(backoff.get("factor"), f"{where}.retryStrategy.backoff.factor")
    return RetryPlan(
        limit=None if limit is None else int(limit),
        phases=_POLICIES[policy],
        duration=_seconds(backoff.get("duration")) or 0.0,
        factor=factor if factor is not None and factor > 0 else 1.0,
        cap=_seconds(backoff.get("cap")),
        max_duration=_seconds(backoff.get("maxDuration")),
        jitter=jitter,
        expression=expression,
    )


def _seconds(text: str | None) -> float | None:
    return parse_duration(text) if text else None


def _number(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SpecError(f"{where}: '{value}' is not a number.") from None
