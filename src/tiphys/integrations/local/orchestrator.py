"""The orchestrator that runs steps on this machine: what a stack says about it. The work is done by the runners."""

from __future__ import annotations

from typing import ClassVar

from tiphys.ports.component import StackComponent


class LocalOrchestrator(StackComponent):
    """Steps in threads of this process or in processes of their own; see `LocalOrchestratorConfig`."""

    #: Values of ExecutionMode that a pipeline may ask for.
    supported_execution_modes: ClassVar[frozenset[str]] = frozenset(
        {"fail_fast", "stop_on_failure", "continue_on_failure"}
    )
