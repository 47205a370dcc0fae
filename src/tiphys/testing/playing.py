"""Carries runs out by hand: what the controller and a runner do around the recorder, step by step, with no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tiphys._util.ids import new_id
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import ArtifactValue, Node, NodeType, Phase, Reason, Values, WorkflowState
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.backend import Backend, RunRequest
from tiphys.ports.engine_host import EngineHost, Watcher
from tiphys.ports.recorder import Change, Recorder
from tiphys.ports.runner import Task
from tiphys.ports.step_result import OutputVersion, StepResult
from tiphys.ports.store import Store, Transaction
from tiphys.records.artifacts import ArtifactRef
from tiphys.records.runs import Run
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import WorkflowRow
from tiphys.sdk.materializing import save_value
from tiphys.spec.workflow import Workflow

#: When the played steps take place; epoch seconds.
BEGAN = 1_750_000_000.0


class IdleHost(EngineHost):
    """Carries nothing out, and remembers what it was asked for.

    Args:
        owner: Name of this process.
    """

    def __init__(self, owner: str = "here:1:1") -> None:
        self.owner = owner
        self.started: list[str] = []
        self.resumed: list[str] = []
        self.shut: list[tuple[str, str]] = []
        self.alive = {owner}

    def start(self, uid: str) -> None:
        """Note it."""
        self.started.append(uid)

    def serve(self) -> None:
        """Nobody's workflows stay nobody's."""

    def admit(self, transaction: Transaction, row: WorkflowRow, pipeline: str | None, *, detached: bool) -> WorkflowRow:  # noqa: ARG002  # the port's; there is no queue
        """Admit it."""
        return replace(row, owner="" if detached else self.owner)

    def await_turn(self, uid: str) -> None:
        """There is no queue."""

    def resume(self, uid: str) -> bool:
        """Note it."""
        self.resumed.append(uid)
        return True

    def is_alive(self, owner: str) -> bool:
        """Whether a test says so."""
        return owner in self.alive

    def shut_down(self, uid: str, strategy: str) -> None:
        """Note it."""
        self.shut.append((uid, strategy))

    def wait(self, uid: str, watcher: Watcher | None = None) -> None:
        """Return at once; a watcher is told that the workflow runs."""
        if watcher is not None:
            watcher(uid, WorkflowState(uid, uid, Phase.RUNNING), [])

    def watch(self, uid: str, watcher: Watcher) -> None:
        pass

    def close(self) -> None:
        """Nothing runs."""


def step_body(
    name: str, *, outputs: Sequence[str] = ("output",), code: str = "1", cache: bool = True, **more: Any
) -> dict[str, Any]:
    """A step as compiled.

    Args:
        name: Of the step and its function.
        outputs: Names of its outputs.
        code: Stands for its code: another text, another digest.
        cache: Whether caching is on.
        **more: Other fields of the body.
    """
    return {
        "step": name,
        "source": f"project:{name}",
        "code_digest": code,
        "code_parts": {f"project:{name}": code},
        "inputs": {},
        "outputs": [{"name": output, "artifact_name": None, "version": None} for output in outputs],
        "cache": {"enabled": cache, "policy": {}, "extras": {}, "environment": [], "expires_after": None},
        **more,
    }


def step_template(body: Mapping[str, Any]) -> dict[str, Any]:
    """The template that carries a step."""
    return {"name": body["step"].replace("_", "-"), "plugin": {"tiphys": dict(body)}}


def a_workflow(
    *templates: Mapping[str, Any], annotations: Mapping[str, str] | None = None, name: str = "p"
) -> Workflow:
    """A workflow with these templates."""
    return Workflow.from_json(
        {
            "metadata": {"generateName": f"{name}-", "annotations": dict(annotations or {})},
            "spec": {"entrypoint": "pipeline", "templates": [{"name": "pipeline", "dag": {"tasks": []}}, *templates]},
        }
    )


def a_request(pipeline: str = "p", workflow: Workflow | None = None, **fields: Any) -> RunRequest:
    """A compiled pipeline, ready to run; each with a digest of its own unless one is given."""
    return RunRequest(
        pipeline_name=pipeline,
        workflow=workflow or a_workflow(),
        **{"spec_digest": new_id(), **fields},
    )


class Played:
    """A run that is carried out by hand.

    Args:
        backend: Where it is submitted.
        store: The backend's database.
        recorder: What is under test.
        request: What is submitted.
    """

    def __init__(self, backend: Backend, store: Store, recorder: Recorder, request: RunRequest | None = None) -> None:
        self.backend = backend
        self.store = store
        self.recorder = recorder
        self.submitted = backend.runs.submit(request or a_request())
        self.uid = self.submitted.workflow_uid
        component = backend.stacks.component(ComponentType.ARTIFACT_STORE, stack=self.submitted.stack)
        assert isinstance(component, ArtifactStore)
        self.artifacts = component
        self.store_name = component.name
        self.state(Phase.RUNNING)

    @property
    def run(self) -> Run:
        """The run as it is recorded now."""
        return self.backend.runs.get(self.submitted.id)

    def state(self, phase: Phase, **fields: Any) -> None:
        """The workflow's own status becomes another."""
        finished = BEGAN + 60 if phase.fulfilled else None
        state = WorkflowState(self.uid, "p", phase, started_at=BEGAN, finished_at=finished, **fields)
        with self.store.transaction() as transaction:
            self.recorder.record(transaction, Change(self.uid, state))
        if phase.fulfilled:
            self.recorder.forget(self.uid)

    def task(
        self,
        body: Mapping[str, Any],
        name: str | None = None,
        *,
        attempt: int = 0,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Mapping[str, ArtifactValue] | None = None,
    ) -> Task:
        """The task of a step's attempt; `parameters` are values."""
        task_name = name or str(body["step"]).replace("_", "-")
        node_id = f"{task_name}-{attempt}"
        texts = {key: json.dumps(value) for key, value in (parameters or {}).items()}
        return Task(
            id=f"{self.uid}/{node_id}/{attempt}",
            workflow_uid=self.uid,
            node_id=node_id,
            name=task_name,
            attempt=attempt,
            body=body,
            inputs=Values(parameters=texts, artifacts=dict(artifacts or {})),
        )

    def launch(self, task: Task) -> Task | TaskFinished:
        """Prepare a task and record that it is launched, or its end where the cache knows it."""
        with self.store.transaction() as transaction:
            (prepared,) = self.recorder.prepare(transaction, [task])
            change = Change(self.uid)
            if isinstance(prepared, Task):
                change.launched.append(prepared)
            else:
                change.finished.append(prepared)
            self.recorder.record(transaction, change)
        return prepared if isinstance(prepared, Task) else prepared[1]

    def finish(self, task: Task, event: TaskFinished, *, retried: bool = False) -> TaskFinished:
        """Record a report; returns it as the recorder let it pass."""
        with self.store.transaction() as transaction:
            passed = self.recorder.check(transaction, task, event)
            change = Change(self.uid, finished=[(task, passed)], retried={task.node_id} if retried else set())
            self.recorder.record(transaction, change)
        return passed

    def execute(self, body: Mapping[str, Any], name: str | None = None, **options: Any) -> TaskFinished:
        """One step from its launch to its success; what it gives is `values` (by default its own name).

        Args:
            body: The step.
            name: Its task's name.
            **options: `values` by output, `result` (fields of the StepResult), `outputs` (fields of each
                OutputVersion), and those of `task`.
        """
        values, result = options.pop("values", {}), options.pop("result", {})
        fields = options.pop("outputs", {})
        launched = self.launch(self.task(body, name, **options))
        if isinstance(launched, TaskFinished):
            return launched
        return self.succeed(launched, values=values, result=result, outputs=fields)

    def succeed(
        self,
        task: Task,
        *,
        values: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> TaskFinished:
        """A launched step ends well."""
        versions = [
            self._output(task, declared, (values or {}).get(declared["name"], task.body["step"]), outputs or {})
            for declared in task.body["outputs"]
        ]
        passed = Values(
            parameters={
                declared["name"]: json.dumps((values or {}).get(declared["name"]))
                for declared in task.body["outputs"]
                if declared.get("exposed")
            },
            artifacts={version.output: version.ref.to_json() for version in versions},
        )
        details = StepResult(started_at=BEGAN, finished_at=BEGAN + 1, outputs=tuple(versions), **(result or {}))
        return self.finish(task, TaskFinished(task.id, Phase.SUCCEEDED, outputs=passed, details=details))

    def fail(self, task: Task, message: str = "no", *, retried: bool = False) -> TaskFinished:
        """A launched step raises a ValueError."""
        exception = {"type": "ValueError", "message": message, "traceback": "…"}
        details = StepResult(started_at=BEGAN, finished_at=BEGAN + 1, exception=exception)
        event = TaskFinished(task.id, Phase.FAILED, f"ValueError: {message}", details=details)
        return self.finish(task, event, retried=retried)

    def node(self, name: str, phase: Phase, *, reason: Reason = Reason.NONE, message: str = "") -> None:
        """A leaf's node is fulfilled without a report."""
        kind = NodeType.SKIPPED if phase in (Phase.SKIPPED, Phase.OMITTED) else NodeType.PLUGIN
        node = Node(
            id=f"{name}-0",
            name=f"p.{name}",
            display_name=name,
            type=kind,
            phase=phase,
            template=name,
            task_name=name,
            reason=reason,
            message=message,
            finished_at=BEGAN + 2,
        )
        with self.store.transaction() as transaction:
            self.recorder.record(transaction, Change(self.uid, nodes=[node]))

    def _output(self, task: Task, declared: Mapping[str, Any], value: Any, fields: Mapping[str, Any]) -> OutputVersion:
        saved = save_value(value, self.artifacts)
        step = task.context["step_name"]
        custom = declared.get("artifact_name")
        ref = ArtifactRef(
            version_id=new_id(),
            name=custom or f"{self.submitted.pipeline_name}::{step}::{declared['name']}",
            digest=saved.digest,
            materializer=saved.materializer,
            data_type=saved.data_type,
            type=saved.type,
            size=saved.size,
        )
        return OutputVersion(
            output=declared["name"],
            ref=ref,
            version=declared.get("version"),
            has_custom_name=custom is not None,
            uri=saved.uri,
            store=self.store_name,
            **fields,
        )
