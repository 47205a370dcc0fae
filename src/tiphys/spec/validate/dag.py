"""DAGs: tasks and what they wait for; a task may refer to those it waits for, directly or through others."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiphys.errors import ExpressionError
from tiphys.lang import depends
from tiphys.spec.template import DAGTask, Template
from tiphys.spec.validate import graphs
from tiphys.spec.validate.calls import check_call, check_hooks, check_uses
from tiphys.spec.validate.context import Body, Context, Inline
from tiphys.spec.validate.findings import Place
from tiphys.spec.validate.names import check_names, field_name
from tiphys.spec.validate.references import check_text
from tiphys.spec.validate.scope import KnownNodes, Node, Scope

_OF_LOOPS = frozenset({"AnySucceeded", "AllFailed"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A task refers to another that it does not name among its dependencies."""

    task: str
    target: str
    field: str
    place: Place


@dataclass(slots=True)
class _Dag:
    """What is known of a DAG while it is checked."""

    place: Place
    context: Context
    tasks: dict[str, DAGTask]
    nodes: dict[str, Node] = field(default_factory=dict)
    #: Dependencies of each task, as the keys of a dictionary: in order, each once, quick to look up.
    waits_for: dict[str, dict[str, None]] = field(default_factory=dict)
    asked: list[_Asked] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ancestors:
    """The tasks that one task may refer to; references to distant ones are noted, to be judged all at once."""

    dag: _Dag
    task: str
    place: Place
    #: Whether the task may refer to itself, as its hooks may.
    with_itself: bool = False

    def refusal(self, name: str, field: str, *, part: bool) -> str | None:
        """See `Nodes`."""
        direct = name in self.dag.waits_for.get(self.task, ())
        if name in self.dag.tasks and name != self.task and not direct:
            self.dag.asked.append(_Asked(self.task, name, field, self.place))
        if name == self.task and not self.with_itself:
            return f"task '{name}' refers to itself"
        return KnownNodes(self.dag.nodes).refusal(name, field, part=part)


def check_dag(template: Template, scope: Scope, place: Place, context: Context) -> Body:
    """The tasks of a DAG."""
    body = template.dag
    tasks = (body and body.tasks) or []
    if not tasks:
        context.findings.error(place, "must have at least one task")
    at = Place((*place.at, "dag"), place.shown)
    check_names(tasks, lambda number: at.item("tasks", number, tasks[number].name), field_name, context.findings)
    dag = _Dag(at, context, {task.name: task for task in tasks if task.name})
    _check_style(dag)
    places = {id(task): at.item("tasks", number, task.name) for number, task in enumerate(tasks)}
    for task in tasks:
        _read_dependencies(task, dag, places[id(task)])
        dag.nodes[task.name or ""] = check_call(task, places[id(task)], context)
    inlines = []
    for task in tasks:
        inner = _check_task(task, scope, places[id(task)], dag)
        if task.inline is not None:
            inlines.append(Inline(task.inline, places[id(task)].field("inline"), inner))
    _check_order(dag)
    _check_target(body.target if body else None, scope, dag)
    return Body(Scope(scope, tasks=KnownNodes(dag.nodes)), inlines)


def _check_style(dag: _Dag) -> None:
    """One way of saying what a task waits for in the whole DAG."""
    tasks, findings = dag.tasks.values(), dag.context.findings
    by_depends = any(task.depends for task in tasks)
    if by_depends and any(task.dependencies for task in tasks):
        findings.error(dag.place, "cannot use both 'depends' and 'dependencies' in the same DAG template")
    if by_depends and any(task.continue_on for task in tasks):
        findings.error(
            dag.place, "cannot use 'continueOn' when using 'depends'. Instead use 'dep-task.Failed'/'dep-task.Errored'"
        )
    if by_depends or any(task.dependencies for task in tasks):
        for number, task in enumerate(tasks):
            if task.name and task.name[0].isdigit():
                findings.error(
                    dag.place.item("tasks", number, task.name),
                    "name cannot begin with a digit when using either 'depends' or 'dependencies'",
                )


def _read_dependencies(task: DAGTask, dag: _Dag, place: Place) -> None:
    findings = dag.context.findings
    names: tuple[str, ...] = tuple(task.dependencies or ())
    if task.depends:
        place = place.field("depends")
        try:
            condition = depends.parse(task.depends)
        except ExpressionError as error:
            findings.error(place, f"is invalid: {error}")
            return
        names = condition.names
        for term in condition.terms():
            target = dag.tasks.get(term.task)
            if (
                target
                and term.results & _OF_LOOPS
                and not (target.with_items or target.with_param or target.with_sequence)
            ):
                findings.error(
                    place,
                    f"dependency '{term.task}' uses an items-based condition such as .AnySucceeded or .AllFailed"
                    " but does not contain any items",
                )
    for name in names:
        if name not in dag.tasks:
            findings.error(place, f"dependency '{name}' not defined")
    dag.waits_for[task.name or ""] = {name: None for name in names if name in dag.tasks}


def _check_task(task: DAGTask, scope: Scope, place: Place, dag: _Dag) -> Scope:
    name = task.name or ""
    inner = check_uses(task, Scope(scope, tasks=_Ancestors(dag, name, place)), place, dag.context)
    own = Scope(inner, tasks=_Ancestors(dag, name, place, with_itself=True))
    check_hooks(task, own, place, dag.context)
    return inner


def _check_order(dag: _Dag) -> None:
    """No cycles, and no reference to a task that may not have run by then."""
    graph = {name: dag.waits_for.get(name, {}) for name in dag.tasks}
    ordered, cycle = graphs.order(graph)
    if cycle:
        dag.context.findings.error(
            dag.place.field("tasks"), f"dependency cycle detected: {'->'.join([*cycle, cycle[0]])}"
        )
    in_order = set(ordered)
    pairs = {(ask.task, ask.target) for ask in dag.asked if ask.task in in_order and ask.target in in_order}
    missing = graphs.unreached(graph, ordered, pairs)
    for ask in dag.asked:
        if (ask.task, ask.target) in missing:
            dag.context.findings.error(
                ask.place,
                f"failed to resolve {{{{tasks.{ask.target}.{ask.field}}}}}: missing dependency '{ask.target}'",
            )


def _check_target(target: str | None, scope: Scope, dag: _Dag) -> None:
    place = dag.place.field("target")
    check_text(target, scope, place, dag.context.findings)
    for name in (target or "").split():
        if "{{" not in name and "}}" not in name and name not in dag.tasks:
            dag.context.findings.error(place, f"target '{name}' is not defined")
