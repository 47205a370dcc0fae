"""What can be done to a workflow from outside besides stopping it: retry, resubmit, resume, set.

All functions are pure: they take a manifest, a state and nodes, and give back new ones or events for the machine.
Semantics: Argo, workflow/util/util.go (FormulateRetryWorkflow, FormulateResubmitWorkflow, updateSuspendedNode,
ResumeWorkflow).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tiphys.engine.events import NodeSet, ResumeRequested
from tiphys.engine.ids import fnv32, node_id
from tiphys.engine.model import ROUND, Node, NodeType, Phase, Reason, Values, WorkflowState
from tiphys.engine.status.templates import Calls
from tiphys.engine.status.tree import Role, Tree
from tiphys.engine.status.values import supplied
from tiphys.errors import UsageError
from tiphys.lang.selectors import parse_field_selector
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.template import Arguments, Parameter
from tiphys.spec.workflow import Workflow, WorkflowSpec, WorkflowStatus

_PREFIX = "workflows.argoproj.io"
#: Labels that say that a workflow is over.
_END_LABELS = frozenset({f"{_PREFIX}/completed", f"{_PREFIX}/workflow-archiving-status"})
#: Labels that a resubmitted workflow does not take over.
_OWN_LABELS = _END_LABELS | {
    f"{_PREFIX}/phase",
    f"{_PREFIX}/creator",
    f"{_PREFIX}/creator-email",
    f"{_PREFIX}/creator-preferred-username",
}
_PREVIOUS_LABEL = f"{_PREFIX}/resubmitted-from-workflow"
#: Nodes that stand for several others.
_GRAPHS = (NodeType.DAG, NodeType.STEPS)
_INNER = (*_GRAPHS, NodeType.STEP_GROUP, NodeType.TASK_GROUP, NodeType.RETRY)


@dataclass(frozen=True, slots=True)
class RetryResult:
    """A workflow as it is to go on from."""

    #: The manifest, with other parameters where they were given and without what says that it is over.
    workflow: Workflow
    state: WorkflowState
    #: What is left, in the order it was in; nodes that run again are copies.
    nodes: list[Node]
    #: Ids of the nodes in `nodes` that run again.
    reopened: list[str]
    #: Ids of the nodes that are gone. Results of their tasks must be forgotten: they may be launched again under the
    #: same ids.
    removed: list[str]


def select_nodes(workflow: Workflow, state: WorkflowState, nodes: Sequence[Node], selector: str) -> list[Node]:
    """The nodes that a node field selector means.

    Args:
        workflow: The manifest.
        state: The workflow's state.
        nodes: All its nodes, in the order in which they were first written.
        selector: `displayName`, `templateName`, `phase`, `name`, `id`, `templateRef.name`, `templateRef.template` and
            `inputs.parameters.<name>.value` with `=`, `!=` or `in`, separated by commas; all must hold.

    Raises:
        ExpressionError: the selector cannot be read.
    """
    tree = Tree(state.name, nodes)
    return _select(tree, Calls(workflow, tree), selector)


def _select(tree: Tree, calls: Calls, selector: str) -> list[Node]:
    parsed = parse_field_selector(selector)
    return [node for node in tree.nodes if not tree.is_hidden(node) and parsed.matches(_fields(node, calls))]


def _fields(node: Node, calls: Calls) -> dict[str, str]:
    caller = calls.call(node).caller
    ref = caller.template_ref if caller is not None else None
    fields = {
        "displayName": node.display_name,
        "templateName": (ref.template if ref is not None else caller.template if caller is not None else "") or "",
        "phase": node.phase.value,
        "name": node.name,
        "id": node.id,
    }
    if ref is not None:
        fields |= {"templateRef.name": ref.name or "", "templateRef.template": ref.template or ""}
    if node.inputs is not None:
        fields |= {f"inputs.parameters.{name}.value": value for name, value in node.inputs.parameters.items()}
    return fields


# --- retry


def retry(
    workflow: Workflow,
    state: WorkflowState,
    nodes: Sequence[Node],
    *,
    now: float,
    restart_successful: bool = False,
    selector: str = "",
    parameters: Mapping[str, str] | None = None,
) -> RetryResult:
    """Let a finished workflow go on under its own name: what failed is done again, what succeeded is kept.

    Taken back are nodes that failed and whatever follows them; the nodes above them run again. A failure that others
    allowed for is left alone where one of them succeeded. Hooks of nodes that end anew run anew.

    Args:
        workflow: The manifest.
        state: The workflow's state.
        nodes: All its nodes, in the order in which they were first written.
        now: The present time, epoch seconds.
        restart_successful: Whether the nodes that `selector` means are taken back, too, whatever their phase.
        selector: A node field selector; without `restart_successful` it means nothing, as in Argo.
        parameters: New values of the workflow's arguments. Loops that run again are then begun anew, and so are
            templates whose inputs may have changed.

    Raises:
        UsageError: the workflow is not over, or it succeeded and no nodes are selected.
        ExpressionError: the selector cannot be read.
    """
    if state.phase is Phase.SUCCEEDED:
        if not restart_successful or not selector:
            raise UsageError(
                "To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector",
                hint="Or resubmit it.",
            )
    elif not state.phase.failed:
        raise UsageError(f"Cannot retry a workflow in phase {state.phase.value}", hint="Wait for its end.")
    tree = Tree(state.name, nodes)
    calls = Calls(workflow, tree)
    chosen = _select(tree, calls, selector) if restart_successful and selector else []
    rewound = _Rewinding(tree, calls, anew=bool(parameters))
    rewound.take_back(chosen, failures=state.phase.failed)
    kept = [
        _reopened(node, now) if node.id in rewound.reopened else node
        for node in nodes
        if node.id not in rewound.removed
    ]
    if parameters:
        kept = [_with_parameters(node, parameters) if _is_entry(tree, node) else node for node in kept]
    return RetryResult(
        workflow=_revived(workflow, parameters),
        state=replace(state, phase=Phase.RUNNING, message="", started_at=now, finished_at=None, shutdown=""),
        nodes=kept,
        reopened=[node.id for node in kept if node.id in rewound.reopened],
        removed=[node.id for node in nodes if node.id in rewound.removed],
    )


class _Rewinding:
    """Finds what a retry takes back.

    Args:
        tree: The nodes.
        calls: Their templates.
        anew: Whether the workflow's parameters change.
    """

    def __init__(self, tree: Tree, calls: Calls, *, anew: bool) -> None:
        self._tree = tree
        self._calls = calls
        self._anew = anew
        self._parts: dict[str, list[Node]] = {}
        for node in tree.nodes:
            above = tree.above(node)
            if above is not None:
                self._parts.setdefault(above.id, []).append(node)
        #: Ids of nodes that are gone, and of those that run again.
        self.removed: set[str] = set()
        self.reopened: set[str] = set()

    def take_back(self, chosen: Iterable[Node], *, failures: bool) -> None:
        """Fill `removed` and `reopened`.

        Args:
            chosen: Nodes that are taken back whatever their phase.
            failures: Whether what failed is taken back.
        """
        for node in chosen:
            self._take(node)
        root = self._tree.root
        if failures and root is not None and root.phase.failed:
            self._descend(root)
        self._spread()

    def _take(self, node: Node) -> None:
        """Take back one node: what it is an inseparable part of goes, and what is above runs again."""
        unit, path = node, [node, *self._tree.ancestors(node)]
        for place, each in enumerate(path):
            role = self._tree.role(each)
            above = path[place + 1] if place + 1 < len(path) else None
            if above is None:
                break
            # Of a retried DAG the last attempt goes on; an earlier one is no place to go on from.
            attempt = role is Role.ATTEMPT and (each is unit or each is not self._last_attempt(above))
            if attempt or role in (Role.CONTAINER, Role.HOOK):
                unit = above
        if unit.type is NodeType.STEP_GROUP:
            # Its steps begin again under it.
            self.removed.update(part.id for part in self._parts.get(unit.id, ()))
            self.reopened.add(unit.id)
        else:
            self.removed.add(unit.id)
        self.reopened.update(above.id for above in self._tree.ancestors(unit))

    def _last_attempt(self, retry: Node) -> Node | None:
        attempts = [part for part in self._parts.get(retry.id, ()) if self._tree.role(part) is Role.ATTEMPT]
        return max(attempts, key=lambda attempt: attempt.attempt, default=None)

    def _descend(self, root: Node) -> None:
        """From a failed node down to the failures that made it fail."""
        pending = [root]
        while pending:
            node = pending.pop()
            causes = self._causes(node)
            if causes or self._is_unfinished(node):
                self.reopened.add(node.id)
                pending.extend(causes)
            else:
                self._take(node)

    def _causes(self, node: Node) -> list[Node]:
        """The parts of a failed node that are to be done again; none where it goes as a whole."""
        if node.type is NodeType.RETRY:
            last = self._last_attempt(node)
            return [last] if last is not None and last.type in _GRAPHS and last.phase.failed else []
        if node.type not in _INNER:
            return []
        parts = [part for part in self._parts.get(node.id, ()) if self._tree.role(part) is not Role.HOOK]
        tolerated = self._tolerated(node, parts) if node.type is NodeType.DAG else set()
        return [part for part in parts if part.phase.failed and part.task_name not in tolerated]

    def _tolerated(self, dag: Node, tops: list[Node]) -> set[str]:
        """Tasks of a DAG whose failure others allowed for: one of these succeeded, and no target inherits the failure.

        Argo looks at the first only, so that with tasks for the good and the bad end nothing would be done again.
        """
        shape = self._calls.shape(dag)
        went_on: set[str] = set()
        blamed: set[str] = set()
        for top in reversed(tops):
            before = shape.dependencies.get(top.task_name, ())
            succeeded = top.phase is Phase.SUCCEEDED and top.id not in self.removed
            if top.phase is not Phase.OMITTED and (succeeded or top.task_name in went_on):
                went_on.update(before)
            inherits = top.phase in (Phase.OMITTED, Phase.SKIPPED)
            if inherits and (top.task_name in shape.targets or top.task_name in blamed):
                blamed.update(before)
        return went_on - blamed

    def _is_unfinished(self, node: Node) -> bool:
        """Whether there is work in a node that was never begun, and that is begun if the node runs again."""
        parts = self._parts.get(node.id, ())
        begun = {part.task_name for part in parts}
        if node.type is NodeType.DAG:
            return not self._calls.shape(node).wanted <= begun
        template = self._calls.template(node)
        if node.type is NodeType.STEPS and template is not None:
            return sum(part.type is NodeType.STEP_GROUP for part in parts) < len(template.steps or ())
        if node.type is NodeType.STEP_GROUP and template is not None:
            return not {step.name for step in (template.steps or [])[self._tree.group_index(node)]} <= begun
        return node.type is NodeType.TASK_GROUP

    def _spread(self) -> None:
        """Draw the consequences of `_take`: parts go with the whole, and what follows goes, too."""
        for node in self._tree.nodes:
            if self._goes(node, self._tree.role(node), self._tree.above(node)):
                self.removed.add(node.id)
        self.reopened -= self.removed

    def _goes(self, node: Node, role: Role, above: Node | None) -> bool:
        if role is Role.HOOK and above is None:
            return True
        if above is not None and above.id in self.removed:
            return True
        if self._anew and node.id in self.reopened and self._is_stale(node):
            return True
        if above is None:
            return False
        if role is Role.HOOK:
            return above.id in self.reopened
        if role is Role.TASK:
            names = self._calls.shape(above).dependencies.get(node.task_name, ())
            return any(self._is_undone(self._tree.task(above, name)) for name in names)
        if role is Role.STEP_GROUP and (index := self._tree.group_index(node)):
            return self._is_undone(self._tree.step_group(above, index - 1))
        return False

    def _is_undone(self, node: Node | None) -> bool:
        return node is not None and (node.id in self.removed or node.id in self.reopened)

    def _is_stale(self, node: Node) -> bool:
        """Whether other parameters of the workflow may change the items or inputs with which a node was begun."""
        if node.type is NodeType.TASK_GROUP:
            return True
        caller = self._calls.call(node).caller
        if self._tree.role(node) is Role.ROOT or caller is None or caller.arguments is None:
            return False
        text = caller.arguments.to_json_text()
        return any(word in text for word in ("workflow.parameters", "inputs.parameters", "{{="))


def _reopened(node: Node, now: float) -> Node:
    return replace(
        node, phase=Phase.RUNNING, message="", reason=Reason.NONE, started_at=now, finished_at=None, outputs=None
    )


def _is_entry(tree: Tree, node: Node) -> bool:
    """Whether a node's inputs are the workflow's arguments: the root, and its attempts where it is retried."""
    above = tree.above(node)
    unit = above if above is not None and tree.role(node) is Role.ATTEMPT else node
    return tree.role(unit) is Role.ROOT


def _with_parameters(node: Node, parameters: Mapping[str, str]) -> Node:
    if node.inputs is None:
        return node
    given = {name: parameters.get(name, value) for name, value in node.inputs.parameters.items()}
    return replace(node, inputs=replace(node.inputs, parameters=given))


def _revived(workflow: Workflow, parameters: Mapping[str, str] | None) -> Workflow:
    """The manifest of a workflow that goes on."""
    changes: dict[str, object] = {"spec": _restarted(workflow.spec, parameters)}
    metadata, status = workflow.metadata or ObjectMeta(), workflow.status
    annotations = dict(metadata.annotations or {})
    annotations[ROUND] = str(int(annotations.get(ROUND, "0")) + 1)
    labels = {name: value for name, value in (metadata.labels or {}).items() if name not in _END_LABELS}
    changes["metadata"] = metadata.model_copy(update={"labels": labels or None, "annotations": annotations})
    if status is not None and status.stored_workflow_template_spec is not None:
        stored = _restarted(status.stored_workflow_template_spec, parameters)
        changes["status"] = status.model_copy(update={"stored_workflow_template_spec": stored})
    return workflow.model_copy(update=changes)


def _restarted(spec: WorkflowSpec | None, parameters: Mapping[str, str] | None) -> WorkflowSpec:
    """A specification that was not shut down, with other arguments."""
    spec = spec or WorkflowSpec()
    changes: dict[str, object] = {"shutdown": None}
    if spec.active_deadline_seconds == 0:
        changes["active_deadline_seconds"] = None
    if parameters:
        arguments = spec.arguments or Arguments()
        old = [parameter for parameter in arguments.parameters or () if parameter.name not in parameters]
        new = [Parameter(name=name, value=value) for name, value in parameters.items()]
        changes["arguments"] = arguments.model_copy(update={"parameters": [*new, *old]})
    return spec.model_copy(update=changes)


# --- resubmit


def resubmit(
    workflow: Workflow,
    state: WorkflowState,
    nodes: Sequence[Node],
    *,
    name: str,
    now: float,
    memoized: bool = False,
    parameters: Mapping[str, str] | None = None,
) -> tuple[Workflow, list[Node]]:
    """A new workflow like a finished one.

    Args:
        workflow: The manifest of the old one.
        state: The old one's state.
        nodes: Its nodes, in the order in which they were first written.
        name: The new one's name.
        now: The present time, epoch seconds.
        memoized: Whether it begins with what succeeded, as a retry of the old one would.
        parameters: New values of its arguments.

    Returns:
        The manifest, and the nodes to begin with: none unless `memoized`. A workflow with nodes is stored as Running
        and restored, not started.

    Raises:
        UsageError: `memoized`, and the workflow did not fail.
    """
    if memoized and not state.phase.failed:
        raise UsageError("workflow must be Failed/Error to resubmit in memoized mode", hint="Resubmit it without it.")
    old = workflow.metadata or ObjectMeta()
    labels = {key: value for key, value in (old.labels or {}).items() if key not in _OWN_LABELS}
    metadata = ObjectMeta(
        name=name,
        generate_name=old.generate_name or f"{state.name}-",
        namespace=old.namespace,
        labels={**labels, _PREVIOUS_LABEL: state.name},
        annotations=dict(old.annotations) if old.annotations else None,
        owner_references=old.owner_references,
    )
    spec = _restarted(workflow.spec, parameters)
    if not memoized:
        return Workflow(metadata=metadata, spec=spec), []
    stored = workflow.status or WorkflowStatus()
    template_spec = stored.stored_workflow_template_spec
    status = WorkflowStatus(
        stored_templates=stored.stored_templates,
        stored_workflow_template_spec=_restarted(template_spec, parameters) if template_spec is not None else None,
    )
    kept = retry(workflow, state, nodes, now=now, parameters=parameters).nodes
    return Workflow(metadata=metadata, spec=spec, status=status), _renamed(kept, state.name, name, now)


def _renamed(nodes: list[Node], old: str, new: str, now: float) -> list[Node]:
    """Nodes of the workflow `old` as nodes of `new`, as done at `now`."""
    ids: dict[str, str] = {}
    found: dict[str, Node] = {}
    for node in nodes:
        name = new + node.name[len(old) :]
        own = new if node.name == old else node_id(new, name, fnv32(name), found)
        copied = node.type not in _INNER and node.phase is Phase.SUCCEEDED
        ids[node.id] = own
        found[own] = replace(
            node,
            id=own,
            name=name,
            display_name=name if node.display_name == node.name else node.display_name,
            boundary_id=ids[node.boundary_id] if node.boundary_id else None,
            parent_id=ids[node.parent_id] if node.parent_id else None,
            reason=Reason.CACHED if copied else node.reason,
            message=f"original pod: {node.id}" if copied else node.message,
            started_at=now,
            finished_at=now if node.phase.fulfilled else None,
        )
    return list(found.values())


# --- resume and set


def resume(
    workflow: Workflow, state: WorkflowState, nodes: Sequence[Node], *, selector: str = "", message: str = ""
) -> list[NodeSet | ResumeRequested]:
    """Events that let a suspended workflow go on, or with a selector only the Suspend nodes that it means.

    Values that were to be supplied and were not take their defaults.

    Raises:
        UsageError: such a value has no default, or the selector means no Suspend node that waits.
        ExpressionError: the selector cannot be read.
    """
    if selector:
        return [*set_node(workflow, state, nodes, selector, phase=Phase.SUCCEEDED, message=message)]
    tree = Tree(state.name, nodes)
    calls = Calls(workflow, tree)
    waiting = [node for node in nodes if _waits(node)]
    events = [_setting(node, calls, Phase.SUCCEEDED, _joined(node, message), {}) for node in waiting]
    return [*events, ResumeRequested()]


def set_node(
    workflow: Workflow,
    state: WorkflowState,
    nodes: Sequence[Node],
    selector: str,
    *,
    phase: Phase | None = None,
    message: str = "",
    outputs: Mapping[str, str] | None = None,
) -> list[NodeSet]:
    """Events that give Suspend nodes that wait a phase, a message or values.

    A workflow is stopped at such a node by `phase=Phase.FAILED`.

    Args:
        workflow: The manifest.
        state: The workflow's state.
        nodes: All its nodes, in the order in which they were first written.
        selector: Which of them.
        phase: With Succeeded, values that are still to be supplied take their defaults.
        message: "" leaves what there is.
        outputs: Values of output parameters that are to be supplied.

    Raises:
        UsageError: no Suspend node that waits is meant, nothing is given, a value is not one that is to be supplied
            or was supplied before, or one is missing at the end.
        ExpressionError: the selector cannot be read.
    """
    tree = Tree(state.name, nodes)
    calls = Calls(workflow, tree)
    waiting = [node for node in _select(tree, calls, selector) if _waits(node)]
    if not waiting or not (phase or message or outputs):
        raise UsageError(
            f"currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: {selector}",
            hint="Give a phase, a message or output parameters for a Suspend node that is Running.",
        )
    return [_setting(node, calls, phase, message or None, outputs or {}) for node in waiting]


def _waits(node: Node) -> bool:
    return node.type is NodeType.SUSPEND and node.phase is Phase.RUNNING


def _joined(node: Node, message: str) -> str | None:
    return "; ".join(part for part in (node.message, message) if part) or None


def _setting(node: Node, calls: Calls, phase: Phase | None, message: str | None, given: Mapping[str, str]) -> NodeSet:
    """The event for one node, with the defaults of what it lacks where it is to succeed."""
    wanted = {parameter.name or "": parameter for parameter in supplied(calls.template(node))}
    present = (node.outputs or Values()).parameters
    _check_given(given, wanted, present)
    values = dict(given)
    if phase is Phase.SUCCEEDED:
        for name, parameter in wanted.items():
            default = parameter.value_from.default if parameter.value_from is not None else None
            if name in values or name in present:
                continue
            if default is None:
                raise UsageError(
                    f"raw output parameter '{name}' has not been set and does not have a default value",
                    hint=f"Set it first: argo node set … --output-parameter {name}=…",
                )
            values[name] = default
    return NodeSet(node.id, phase, message, values)


def _check_given(given: Mapping[str, str], wanted: Mapping[str, Parameter], present: Mapping[str, str]) -> None:
    if given and not wanted:
        raise UsageError("cannot set output parameters because node is not expecting any raw parameters")
    for name in given:
        if name not in wanted:
            raise UsageError(f"node is not expecting output parameter '{name}'")
        if name in present:
            raise UsageError(
                f"cannot set output parameter '{name}' because it does not use valueFrom.raw or it was already set"
            )
