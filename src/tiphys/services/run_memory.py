"""What the recorder remembers of one run while it is carried out: read once, so that a step costs few statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.model import Node
from tiphys.errors import StackError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.ports.store import Reader
from tiphys.records.artifacts import Artifact
from tiphys.records.base import EntityType, Query, Where
from tiphys.records.models import ModelLink, ModelVersion
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.records.tags import TagLink, TagRecord
from tiphys.records.workflows import WorkflowRow
from tiphys.sdk.caching import KeyMaker, input_name
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.stacks import StackService, pick
from tiphys.services.workflows.pods import PodFacts
from tiphys.spec.step_names import step_name

#: Artifacts whose ids are read ahead for a run.
READ_AHEAD = 2000
#: Types of components that steps get with their task.
STEP_COMPONENTS = (ComponentType.ARTIFACT_STORE, ComponentType.EXPERIMENT_TRACKER)
_decode = json.JSONDecoder(parse_constant=str).decode


class StepPlan:
    """What all executions of one definition of a step share.

    Args:
        body: The step as compiled.
        workspace: Of the run.
    """

    def __init__(self, body: Mapping[str, Any], *, workspace: str) -> None:
        cache = body.get("cache") or {}
        self.body = body
        self.source = str(body.get("source") or "")
        self.code_digest = str(body.get("code_digest") or "")
        self.keys = KeyMaker(body, workspace=workspace) if cache.get("enabled") else None
        self.expires_after: float | None = cache.get("expires_after") or (cache.get("policy") or {}).get(
            "expires_after"
        )
        self._inputs: Mapping[str, Any] = body.get("inputs") or {}
        self._names: dict[str, str] = {}
        #: Parameter → id of the artifact version from outside that it gets.
        self.external = {name: str(spec["ref"]["version_id"]) for name, spec in self._inputs.items() if spec.get("ref")}
        #: Parameters that other tasks of this workflow read: a cached result must have them.
        self.exposed = frozenset(
            name
            for output in body.get("outputs") or ()
            for name in (
                *((output["name"],) if output.get("exposed") else ()),
                *((f"{output['name']}-items",) if output.get("mapped") else ()),
                *((f"{output['name']}-indexes",) if output.get("indexed") else ()),
            )
        )

    def input_name(self, name: str) -> str:
        """The step's parameter that a task's input belongs to."""
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = input_name(name, self._inputs)
        return found

    def parameters(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The step's parameters as values; those that are whole artifacts or lists are left out."""
        values: dict[str, Any] = {}
        for name, text in texts.items():
            if name in self._inputs and not text.startswith('{"$item"'):
                try:
                    values[name] = _decode(text)
                except ValueError:
                    values[name] = text
        return values


@dataclass(slots=True)
class StepMemory:
    """One attempt of a step that is not finished."""

    id: str
    name: str
    plan: StepPlan
    attempt: int
    #: Whether its row is written.
    stored: bool = False
    key: str | None = None
    parts: str = ""
    #: The step run whose result it takes over.
    hit: StepRun | None = None


@dataclass(slots=True)
class RunMemory:
    """One run."""

    run: Run
    #: What every task's context has.
    base: dict[str, Any]
    store: ArtifactStore
    store_name: str
    #: Step name → model version, and the pipeline's under "".
    models: Mapping[str, ModelVersion]
    #: Step name → step run whose outputs it takes over.
    reuse: Mapping[str, StepRun]
    #: Tags that the run hands on to its outputs.
    cascading: list[TagRecord]
    #: Task names that are not turned into step names by the rule.
    step_names: Mapping[str, str]
    #: By id of the body, which is held so that the id stays its own.
    plans: dict[int, tuple[Mapping[str, Any], StepPlan | None]] = field(default_factory=dict)
    #: By node id.
    steps: dict[str, StepMemory] = field(default_factory=dict)
    #: Artifact name → id.
    artifacts: dict[str, str] = field(default_factory=dict)
    #: (model version id, target id) that are linked.
    linked: set[tuple[str, str]] = field(default_factory=set)
    #: Nodes whose skipped step is written down.
    skipped: set[str] = field(default_factory=set)
    #: The step that failed first, and how.
    failure: str = ""
    #: What the workflow's pods are told; None until there is one.
    pods: PodFacts | None = None
    _bodies: dict[str, Mapping[str, Any]] | None = None

    def plan(self, body: Mapping[str, Any]) -> StepPlan | None:
        """The plan of a body; None if it is not a Python step."""
        known = self.plans.get(id(body))
        if known is None:
            plan = StepPlan(body, workspace=self.run.workspace) if "source" in body else None
            known = self.plans[id(body)] = (body, plan)
        return known[1]

    def step(self, task: Task, plan: StepPlan, make_id: Callable[[], str]) -> StepMemory:
        """The memory of a task's step, made if it is new."""
        step = self.steps.get(task.node_id)
        if step is None:
            step = StepMemory(make_id(), self.name_of(task.name), plan, task.attempt)
            self.steps[task.node_id] = step
        step.plan = plan
        return step

    def name_of(self, task_name: str) -> str:
        """The step run's name: the step's, with the index of a loop's child."""
        base, bracket, rest = task_name.partition("(")
        name = step_name(base, self.step_names)
        return f"{name}({rest.partition(':')[0].rstrip(')')})" if bracket else name

    def model_of(self, step: str) -> ModelVersion | None:
        """The model version that a step works for."""
        base = step.partition("(")[0]
        return self.models.get(base) or self.models.get("")

    def body_of(self, reader: Reader, node: Node) -> Mapping[str, Any] | None:
        """The Python step that a node would have carried out, if it is one."""
        if self._bodies is None:
            row = reader.get(WorkflowRow, self.run.workflow_uid)
            templates = json.loads(row.manifest).get("spec", {}).get("templates", ()) if row else ()
            bodies = {template["name"]: (template.get("plugin") or {}).get("tiphys") for template in templates}
            self._bodies = {name: body for name, body in bodies.items() if body}
        return self._bodies.get(node.template)


def read_run(reader: Reader, uid: str, stacks: StackService, place: Mapping[str, Any]) -> RunMemory | None:
    """What is known of the run that a workflow carries out; None for a workflow without one.

    Args:
        reader: Sees the run.
        uid: The workflow's uid.
        stacks: Gives the run's components.
        place: What every context says of this installation (home, db_url).
    """
    runs = reader.find(Query.of(Run, workflow_uid=uid, limit=1))
    if not runs:
        return None
    run = runs[0]
    stack = stacks.find(reader, run.stack)
    if stack is None:
        raise StackError(f"The stack '{run.stack}' of the run {run.name} was deleted.")
    store_record = pick(
        stacks.components_of(reader, stack, ComponentType.ARTIFACT_STORE),
        ComponentType.ARTIFACT_STORE,
        None,
        stack.name,
    )
    ids = dict(run.config.get("models") or {})
    if run.model_version_id:
        ids[""] = run.model_version_id
    versions = reader.get_many(ModelVersion, set(ids.values())) if ids else {}
    links = reader.find(Query.of(TagLink, entity_type=EntityType.RUN.value, entity_id=run.id, order="id"))
    tags = reader.get_many(TagRecord, [link.tag_id for link in links]) if links else {}
    memory = RunMemory(
        run=run,
        base={
            "workspace": run.workspace,
            "run_id": run.id,
            "run_name": run.name,
            "pipeline_name": run.pipeline_name,
            "stack": stack.name,
            "tags": [link.tag_name for link in links],
            "substitutions": run.config.get("substitutions") or {},
            "components": stacks.recipes(reader, stack, STEP_COMPONENTS),
            **({"code": run.config["code_tree"]} if run.config.get("code_tree") else {}),
            **place,
        },
        store=as_artifact_store(stacks.in_use(store_record)),
        store_name=store_record.name,
        models={step: versions[version_id] for step, version_id in ids.items() if version_id in versions},
        reuse=_read_reused(reader, run),
        cascading=[tag for tag in tags.values() if tag.cascade],
        step_names=run.config.get("step_names") or {},
    )
    _read_ahead(reader, memory)
    return memory


def _read_reused(reader: Reader, run: Run) -> dict[str, StepRun]:
    """Step runs to take outputs from; a cached one's are those of the step run that made them."""
    ids: Mapping[str, str] = run.config.get("reuse") or {}
    found = reader.get_many(StepRun, ids.values()) if ids else {}
    originals = [one.original_step_run_id for one in found.values() if one.original_step_run_id]
    made = reader.get_many(StepRun, originals) if originals else {}
    named = {name: found[step_id] for name, step_id in ids.items() if step_id in found}
    return {name: made.get(step.original_step_run_id or "", step) for name, step in named.items()}


def _read_ahead(reader: Reader, memory: RunMemory) -> None:
    run = memory.run
    known = reader.find(
        Query(
            Artifact,
            (Where("workspace", run.workspace), Where("name", f"{run.pipeline_name}::", "prefix")),
            limit=READ_AHEAD,
        )
    )
    memory.artifacts.update((artifact.name, artifact.id) for artifact in known)
    for version in {version.id: version for version in memory.models.values()}.values():
        if version.created_at < run.created_at or run.started_at is not None:
            links = reader.find(Query.of(ModelLink, model_version_id=version.id))
            memory.linked.update((version.id, link.target_id) for link in links)
    if run.started_at is not None:
        _read_steps(reader, memory)


def _read_steps(reader: Reader, memory: RunMemory) -> None:
    """Attempts that were running when the run's last owner died."""
    steps = reader.find(Query.of(StepRun, run_id=memory.run.id, status=ExecutionStatus.RUNNING, order="id"))
    for step in steps:
        plan = StepPlan({"source": step.source, "code_digest": step.code_digest}, workspace=memory.run.workspace)
        memory.steps[step.node_id] = StepMemory(
            step.id, step.name, plan, step.version - 1, stored=True, key=step.cache_key, parts=step.cache_parts
        )
    failed = reader.find(Query.of(StepRun, run_id=memory.run.id, status=ExecutionStatus.FAILED, order="id", limit=1))
    if failed:
        memory.failure = failure_text(failed[0].name, failed[0].exception or {})


def failure_text(step: str, exception: Mapping[str, Any]) -> str:
    """A step's failure in one line."""
    lines = str(exception.get("message") or "").strip().splitlines()
    what = ": ".join(part for part in (str(exception.get("type") or ""), lines[0] if lines else "") if part)
    return f"step '{step}' failed: {what}" if what else f"step '{step}' failed"
