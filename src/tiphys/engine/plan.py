"""What a machine knows of its workflow: the specification with references resolved to indices (see `compiling`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.model import ArtifactValue, NodeType, Phase
from tiphys.engine.references import Pattern, Reference
from tiphys.engine.retry import RetryPlan
from tiphys.lang import depends
from tiphys.spec.template import Template
from tiphys.spec.workflow import WorkflowSpec

#: How a task may fail, and what `depends` calls it.
FAILURES = {Phase.FAILED: "Failed", Phase.ERROR: "Errored"}


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """A value of a ConfigMap."""

    name: Pattern
    key: Pattern
    default: str | None
    optional: bool


@dataclass(frozen=True, slots=True)
class InputParameter:
    """A declared input parameter."""

    name: str
    #: Used if no argument is given; may hold `workflow.` tags.
    default: Pattern | ConfigKey | None
    #: The values that are allowed; empty if all are.
    enum: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputArtifact:
    """A declared input artifact."""

    name: str
    optional: bool
    #: Where it lies if no argument is given.
    location: ArtifactValue | None


@dataclass(frozen=True, slots=True)
class ArtifactArgument:
    """An artifact that a task is called with."""

    #: A reference, a text that becomes one when it is filled in, or a place.
    source: Reference | Pattern | ArtifactExpression | ArtifactValue
    optional: bool
    #: Part of the artifact that is meant.
    sub_path: Pattern | None = None


@dataclass(frozen=True, slots=True)
class ArtifactExpression:
    """`fromExpression`: an expression whose value is an artifact."""

    source: str


@dataclass(frozen=True, slots=True)
class ParameterOutput:
    """An output parameter of a DAG or steps template."""

    name: str
    value: Pattern | None
    default: str | None


@dataclass(slots=True)
class Call:
    """Arguments, compiled."""

    parameters: dict[str, Pattern | ConfigKey] = field(default_factory=dict)
    artifacts: dict[str, ArtifactArgument] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a task's items come from; exactly one field is set."""

    items: list[Any] | None = None
    param: Pattern | None = None
    #: start, end, count, format.
    sequence: tuple[Pattern | None, Pattern | None, Pattern | None, Pattern | None] = (None, None, None, None)


@dataclass(frozen=True, slots=True)
class HookPlan:
    """A lifecycle hook of a task or of the workflow."""

    name: str
    template: TemplatePlan
    call: Call
    #: When it is run; None (of exit hooks only): always, at the end.
    expression: str | None


@dataclass(frozen=True, slots=True)
class LockPlan:
    """A lock that a template or workflow takes."""

    #: "Mutex", "DatabaseMutex", "ConfigMap" or "Database" (a semaphore whose limit stands there).
    kind: str
    #: Of a ConfigMap `name/key`.
    name: Pattern
    namespace: Pattern | None


@dataclass(frozen=True, slots=True)
class MemoPlan:
    """Where the outputs of a template are kept for those who ask for the same."""

    cache: Pattern
    key: Pattern
    max_age: Pattern | None


@dataclass(slots=True)
class TaskPlan:
    """A task of a DAG, or a step."""

    index: int
    name: str
    #: What stands behind the name of the DAG's or steps' node: `.task`, `[0].step`.
    path: str
    template: TemplatePlan
    call: Call
    when: Pattern | None
    loop: Loop | None
    #: Failures that `continueOn` allows.
    tolerated: frozenset[Phase]
    depends: depends.Depends
    #: Indices of the tasks that it waits for, and of those that wait for it.
    dependencies: list[int] = field(default_factory=list)
    dependents: list[int] = field(default_factory=list)
    #: Failures after which no dependent can run, so that the DAG must fail.
    fatal: frozenset[Phase] = frozenset()
    hooks: tuple[HookPlan, ...] = ()
    #: Of a step: the number of its group.
    stage: int = 0


@dataclass(slots=True)
class DagPlan:
    """A DAG template: the tasks that lead to its targets; or a steps template."""

    tasks: list[TaskPlan]
    index: dict[str, int]
    fail_fast: bool
    #: Indices of the tasks whose phases make the DAG's.
    targets: list[int]
    roots: list[int]
    #: All indices, each after those it depends on.
    order: list[int]
    #: Of a steps template: the indices of each group's steps.
    stages: list[list[int]] | None = None
    #: Where the targets hold tags: their text, and what gives the plan for the targets that it comes to.
    target: Pattern | None = None
    retarget: Callable[[str], DagPlan] | None = None


@dataclass(slots=True)
class TemplatePlan:
    """A template."""

    name: str
    #: Where it stands: "" in the workflow, `namespaced/<name>` or `cluster/<name>` in a stored template.
    scope: str
    #: JSON name of its body's field: "plugin", "dag", "container", …
    kind: str
    type: NodeType
    spec: Template
    #: Most active children, of a DAG; None is no bound.
    parallelism: int | None
    inputs: list[InputParameter]
    input_artifacts: list[InputArtifact]
    #: Declared defaults of output parameters, for consumers of a skipped node.
    output_defaults: dict[str, str]
    #: The strategy, or its JSON where it holds tags, or None.
    retry: RetryPlan | dict[str, Any] | None
    jitter: float = 0.0
    #: Seconds that one attempt may take; a pattern where it holds tags.
    timeouts: tuple[Pattern, ...] = ()
    #: Body of a plugin of ours.
    body: Mapping[str, Any] | None = None
    #: The template as JSON, of other leaves.
    json: dict[str, Any] | None = None
    dag: DagPlan | None = None
    #: With a bound of parallelism: no further child starts once one has failed.
    fail_fast: bool = False
    daemon: bool = False
    locks: tuple[LockPlan, ...] = ()
    memo: MemoPlan | None = None
    #: Seconds that a node may wait before it runs.
    patience: tuple[Pattern, ...] = ()
    #: Output parameters that are supplied when a Suspend node is resumed, with their defaults.
    supplied: dict[str, str | None] = field(default_factory=dict)
    #: Output parameters and artifacts that the whole workflow may refer to: name → global name.
    global_parameters: dict[str, Pattern] = field(default_factory=dict)
    global_artifacts: dict[str, Pattern] = field(default_factory=dict)
    output_parameters: list[ParameterOutput] = field(default_factory=list)
    output_artifacts: dict[str, ArtifactArgument] = field(default_factory=dict)

    @property
    def is_leaf(self) -> bool:
        """Whether a runner carries it out."""
        return self.type not in (NodeType.DAG, NodeType.STEPS, NodeType.SUSPEND)


@dataclass(slots=True)
class WorkflowPlan:
    """A workflow."""

    spec: WorkflowSpec
    main: TemplatePlan
    call: Call
    exit: HookPlan | None
    #: Hooks but the exit handler.
    hooks: tuple[HookPlan, ...]
    locks: tuple[LockPlan, ...]
    #: FAIL_FAST, STOP_ON_FAILURE, CONTINUE_ON_FAILURE or "" for plain Argo.
    mode: str

    def templates(self) -> list[TemplatePlan]:
        """All templates that can be reached, each once."""
        found: dict[int, TemplatePlan] = {}
        pending = [self.main, *(hook.template for hook in (*self.hooks, *([self.exit] if self.exit else ())))]
        while pending:
            template = pending.pop()
            if id(template) in found:
                continue
            found[id(template)] = template
            for task in template.dag.tasks if template.dag else ():
                pending += [task.template, *(hook.template for hook in task.hooks)]
        return list(found.values())
