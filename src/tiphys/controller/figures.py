"""What a controller counts of its work, for those who watch over it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tiphys.controller.work import Orders, Work
from tiphys.engine.model import NodeType, Phase, WorkflowState
from tiphys.ports.engine_host import COMMIT_BOUNDS, RUNTIME_BOUNDS, Durations, HostFigures, TemplateName
from tiphys.ports.recorder import Change


class Figures:
    """Counts; only the thread that works on events changes them."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._commits = [0] * (len(COMMIT_BOUNDS) + 1)
        self._seconds = 0.0
        self._handled = 0
        self._entered: Counter[tuple[str, str]] = Counter()
        self._pods: Counter[tuple[str, str]] = Counter()
        self._of_templates: Counter[tuple[TemplateName, str]] = Counter()
        self._runtimes: dict[TemplateName, Durations] = {}
        self._locks: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    @contextmanager
    def commit(self, events: int) -> Iterator[None]:
        """While a batch of events is carried through."""
        self._began = began = time.monotonic()
        try:
            yield
        finally:
            self._began = None
            took = time.monotonic() - began
            self._commits[bisect_left(COMMIT_BOUNDS, took)] += 1
            self._seconds += took
            self._handled += events

    def note(self, work: Work, change: Change, orders: Orders) -> None:
        """Count what a commit changed."""
        namespace = work.row.workspace
        for node in change.nodes:
            if node.type is NodeType.POD and work.pods.get(node.id) is not node.phase:
                work.pods[node.id] = node.phase
                self._pods[node.phase.value, namespace] += 1
        state = change.state
        if state is not None and state.phase is not work.phase:
            work.phase = state.phase
            self._entered[state.phase.value, namespace] += 1
            if work.template is not None:
                self._of_templates[work.template, state.phase.value] += 1
                self._add_runtime(work.template, state)
        self._locks.update(orders.taken)

    def _add_runtime(self, template: TemplateName, state: WorkflowState) -> None:
        if state.started_at is None or state.finished_at is None:
            return
        took = state.finished_at - state.started_at
        known = self._runtimes.get(template) or Durations((0,) * (len(RUNTIME_BOUNDS) + 1), 0.0)
        place = bisect_left(RUNTIME_BOUNDS, took)
        counts = tuple(count + (number == place) for number, count in enumerate(known.counts))
        self._runtimes[template] = Durations(counts, known.seconds + took)

    def failed(self, cause: str) -> None:
        """Count an error."""
        self._errors[cause] += 1

    def read(self, works: Iterable[Work], *, queue: int) -> HostFigures:
        """All of them; from any thread."""
        began, works = self._began, list(works)
        # Copies: the thread that works on events goes on meanwhile.
        pods = [[phase for phase in list(work.pods.values()) if not phase.fulfilled] for work in works]
        return HostFigures(
            queue=queue,
            workflows=len(works),
            tasks=sum(len(work.in_flight) for work in works),
            busy=0.0 if began is None else time.monotonic() - began,
            commits=tuple(self._commits),
            commit_seconds=self._seconds,
            handled=self._handled,
            entered=self._entered.copy(),
            pods=self._pods.copy(),
            open_pods=Counter(phase.value for phases in pods for phase in phases),
            with_pods=sum(Phase.RUNNING in phases for phases in pods),
            of_templates=self._of_templates.copy(),
            runtimes=self._runtimes.copy(),
            locks_taken=self._locks.copy(),
            errors=self._errors.copy(),
        )
