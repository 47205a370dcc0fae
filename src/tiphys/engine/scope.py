"""What references stand for at one moment: outputs of finished tasks, inputs of the DAG, the loop's item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tiphys._util.times import from_epoch, rfc3339
from tiphys.engine import expressions
from tiphys.engine.loops import item_value
from tiphys.engine.model import ArtifactValue, Node, NodeType, Phase, Values
from tiphys.engine.plan import ArtifactArgument, ArtifactExpression, Call, ConfigKey, TemplatePlan
from tiphys.engine.references import Pattern, Reference, Source, reference
from tiphys.engine.state import Boundary, Core, is_done
from tiphys.errors import ExpressionError
from tiphys.lang import tags
from tiphys.lang.gojson import go_json

_NOTHING = object()
#: Name of the Kubernetes node that a pod ran on: there is but this machine.
HOST = "localhost"
#: Phases of a producer that leave its outputs absent, which a consumer's default may fill.
_ABSENT = (Phase.SKIPPED, Phase.OMITTED)


@dataclass(slots=True)
class Scope:
    """A place to resolve references from."""

    core: Core
    boundary: Boundary | None = None
    item: Any = _NOTHING
    #: Further names, which hide others.
    extra: Mapping[str, Any] | None = None
    #: Name of the task or step that is resolved.
    own: str = ""

    def value(self, ref: Reference) -> str | None:
        """Text that a reference stands for; None if it was not produced because the producer did not run.

        Raises:
            ExpressionError: it stands for nothing; the message names the tag.
        """
        source = ref.source
        if self.own and ref.tag in ("steps.name", "tasks.name"):
            return self.own
        if self.extra is not None and ref.tag in self.extra:
            return str(self.extra[ref.tag])
        if source is Source.GLOBAL:
            found = self.core.global_value(ref.name)
        elif source is Source.ITEM:
            found = None if self.item is _NOTHING else item_value(self.item, ref.name)
        elif self.boundary is None:
            found = None
        elif source is Source.INPUT_PARAMETER:
            found = self.boundary.inputs.parameters.get(ref.name)
        elif source is Source.INPUT_PARAMETERS:
            found = go_json([{"name": n, "value": v} for n, v in self.boundary.inputs.parameters.items()])
        elif source in (Source.TASK_PARAMETER, Source.TASK_PARAMETERS, Source.TASK_FIELD):
            return self._of_task(ref, self.boundary)
        else:
            found = None
        if found is None:
            if tags.is_foreign(ref.tag):
                return "{{" + ref.tag + "}}"
            raise tags.unresolved(ref.tag)
        return found

    def _of_task(self, ref: Reference, boundary: Boundary) -> str | None:
        node = _finished(ref, boundary)
        group = boundary.groups.get(ref.task) if node.type is NodeType.TASK_GROUP else None
        found: str | None
        if ref.source is Source.TASK_PARAMETERS:
            found = group.outputs().parameters() if group else _own(node.outputs.parameters if node.outputs else {})
        elif ref.source is Source.TASK_PARAMETER:
            if group is not None:
                found = group.outputs().parameter(ref.name)
            else:
                found = node.outputs.parameters.get(ref.name) if node.outputs else None
            if found is None and node.phase in _ABSENT:
                return boundary.plan.tasks[ref.task].template.output_defaults.get(ref.name)
        elif group is not None and ref.name == "outputs.result":
            found = group.outputs().result()
        else:
            found = _field(_shown(boundary, ref.task, node), ref.name)
            if found is None and node.phase in _ABSENT and ref.name.startswith("outputs."):
                return None
        if found is None:
            raise tags.unresolved(ref.tag)
        return found

    def artifact(self, ref: Reference) -> ArtifactValue | None:
        """Artifact that a reference stands for, passed on as it is; None if there is none."""
        boundary = self.boundary
        if self.extra is not None and ref.tag in self.extra:
            own: ArtifactValue = self.extra[ref.tag]
            return own
        if ref.source is Source.GLOBAL_ARTIFACT:
            return self.core.global_artifacts.get(ref.name)
        if boundary is None:
            return None
        if ref.source is Source.INPUT_ARTIFACT:
            return boundary.inputs.artifacts.get(ref.name)
        if ref.source is not Source.TASK_ARTIFACT:
            return None
        node = _finished(ref, boundary)
        if node.type is NodeType.TASK_GROUP:
            group = boundary.groups.get(ref.task)
            return group.outputs().artifact(ref.name) if group else None
        return node.outputs.artifacts.get(ref.name) if node.outputs else None

    def lookup(self, tag: str) -> str | None:
        """`value` for a tag whose name is only known now."""
        return self.value(reference(tag, self.boundary.plan.index if self.boundary else {}))

    def fill(self, pattern: Pattern) -> str:
        """A text with its references replaced.

        Raises:
            ExpressionError: a reference stands for nothing.
        """
        if pattern.constant is not None:
            return pattern.constant
        filled = []
        for part in pattern.parts:
            if isinstance(part, str):
                filled.append(part)
            elif isinstance(part, Reference):
                value = self.value(part)
                if value is None:
                    raise tags.unresolved(part.tag)
                filled.append(value)
            else:
                filled.append(tags.Text(pattern.source, (part,)).fill(self.lookup, self.evaluate_text))
        return "".join(filled)

    def tree(self, tree: Any) -> Any:
        """A JSON tree with the references of its texts replaced."""
        return tags.fill_tree(tree, self.lookup, self.evaluate_text) if tags.has_tags(tree) else tree

    def argument(self, pattern: Pattern | ConfigKey) -> str | None:
        """The value of an argument; None if it is one reference to what was not produced: a default may hold."""
        if isinstance(pattern, ConfigKey):
            return self._configured(pattern)
        if pattern.constant is not None:
            return pattern.constant
        return self.value(pattern.single) if pattern.single is not None else self.fill(pattern)

    def _configured(self, ref: ConfigKey) -> str | None:
        name, key = self.fill(ref.name), self.fill(ref.key)
        found = self.core.config.get(name)
        if found is not None and key in found:
            return found[key]
        if ref.default is not None or ref.optional:
            return ref.default
        missing = f"has no key '{key}'" if found is not None else "does not exist or is no parameter ConfigMap"
        raise ExpressionError(
            f"The ConfigMap '{name}' {missing}.",
            hint=None if found is not None else "It needs the label workflows.argoproj.io/configmap-type: Parameter.",
        )

    def place(self, source: Reference | Pattern | ArtifactExpression | ArtifactValue) -> ArtifactValue | None:
        """The artifact that an argument stands for."""
        if isinstance(source, Reference):
            return self.artifact(source)
        if isinstance(source, ArtifactExpression):
            found = self.evaluate(source.source)
            if found is None or isinstance(found, (dict, list)):
                return found
            raise ExpressionError(f"fromExpression: '{source.source}' must give an artifact, not {found!r}.")
        if isinstance(source, Pattern):
            name = "".join(
                part.inner.fill(self.lookup) if isinstance(part, tags.Tag) and part.inner else ""
                for part in source.parts
            )
            return self.artifact(reference(name, self.boundary.plan.index if self.boundary else {}))
        placed: ArtifactValue | None = self.tree(source) or None
        return placed

    # Expressions ----------------------------------------------------------------------------------------------------

    def evaluate(self, source: str) -> Any:
        """The value of an expression.

        Raises:
            ExpressionError: it cannot be evaluated, or refers to what does not exist.
        """
        return expressions.evaluate(source, self._variables(source), now=self.core.now, seed=self._seed())

    def evaluate_text(self, source: str) -> str:
        """What stands in place of `{{=source}}`."""
        return expressions.evaluate_text(source, self._variables(source), now=self.core.now, seed=self._seed())

    def holds(self, source: str, where: str) -> bool:
        """Whether a condition is true."""
        variables = self._variables(source)
        return expressions.evaluate_condition(source, variables, now=self.core.now, seed=self._seed(), where=where)

    def _seed(self) -> str:
        return f"{self.core.uid}/{self.boundary.node.id if self.boundary else ''}"

    def _variables(self, source: str) -> dict[str, Any]:
        """What the expression may need, by dotted names: only that, as a wide DAG has many outputs."""
        needed, optional = expressions.referenced(source)
        found: dict[str, Any] = dict(self.extra or {})
        for path in sorted(needed | optional):
            head = path[0]
            if head in ("steps", "tasks") and len(path) > 1:
                self._add_task(found, path, needed=path in needed)
            elif head == "inputs" and self.boundary is not None:
                inputs = self.boundary.inputs
                found |= {f"inputs.parameters.{name}": value for name, value in inputs.parameters.items()}
                found |= {f"inputs.artifacts.{name}": value for name, value in inputs.artifacts.items()}
            elif head == "workflow":
                found |= self.core.globals
                found["workflow.duration"] = self.core.global_value("workflow.duration")
                found |= {f"workflow.outputs.artifacts.{n}": a for n, a in self.core.global_artifacts.items()}
            elif head == "item" and self.item is not _NOTHING:
                found |= _item_variables(self.item)
        return found

    def _add_task(self, found: dict[str, Any], path: tuple[str, ...], *, needed: bool) -> None:
        boundary, prefix = self.boundary, f"{path[0]}.{path[1]}"
        tag = ".".join(path)
        if tag in found:  # of a hook: what its own node gave
            return
        index = boundary.plan.index.get(path[1]) if boundary is not None else None
        node = boundary.tops[index] if boundary is not None and index is not None else None
        if boundary is None or node is None or index is None:
            if needed:
                raise tags.unresolved(tag)
            return
        fields = {name: read() for name, read in _fields(_shown(boundary, index, node)).items()}
        found |= {f"{prefix}.{name}": value for name, value in fields.items() if value is not None}
        group = boundary.groups.get(index) if node.type is NodeType.TASK_GROUP else None
        if group is not None:
            outputs = group.outputs()
            found[f"{prefix}.outputs.result"] = outputs.result()
            found |= {f"{prefix}.outputs.parameters.{name}": outputs.parameter(name) for name in outputs.names()}
        elif node.outputs is not None:
            found |= {f"{prefix}.outputs.parameters.{name}": v for name, v in node.outputs.parameters.items()}
            found |= {f"{prefix}.outputs.artifacts.{name}": v for name, v in node.outputs.artifacts.items()}
        if tag in found:
            return
        if node.phase in _ABSENT:
            defaults = boundary.plan.tasks[index].template.output_defaults
            found[tag] = defaults.get(path[4]) if path[2:4] == ("outputs", "parameters") and len(path) > 4 else None
        elif needed and path[2:3] == ("outputs",) and not any(name.startswith(f"{tag}.") for name in found):
            raise tags.unresolved(tag)


def _item_variables(item: Any) -> dict[str, Any]:
    if isinstance(item, dict):
        return {f"item.{key}": item_value(item, key) for key in item}
    return {"item": item_value(item, "")}


def _finished(ref: Reference, boundary: Boundary) -> Node:
    node = boundary.tops[ref.task]
    if node is None or not is_done(node):
        name = boundary.plan.tasks[ref.task].name
        raise ExpressionError(
            f"'{{{{{ref.tag}}}}}' cannot be resolved: task '{name}' has not ended.",
            hint=f"Let the task depend on '{name}'.",
        )
    return node


def _shown(boundary: Boundary, index: int, node: Node) -> Node:
    """The node whose fields a task has: of a step's loop, whose items stand in the group itself, the group."""
    if node.type is NodeType.TASK_GROUP and boundary.plan.stages is not None:
        return boundary.stages[boundary.plan.tasks[index].stage]
    return node


def _own(parameters: Mapping[str, str]) -> str:
    return go_json(dict(parameters))


def _field(node: Node, name: str) -> str | None:
    read = _fields(node).get(name)
    return read() if read else None


def _fields(node: Node) -> dict[str, Callable[[], str | None]]:
    return {
        "id": lambda: node.id,
        "ip": lambda: node.ip or None,
        "hostNodeName": lambda: HOST if node.type is NodeType.POD else None,
        "status": lambda: node.phase.value,
        "startedAt": lambda: None if node.started_at is None else rfc3339(from_epoch(node.started_at)),
        "finishedAt": lambda: None if node.finished_at is None else rfc3339(from_epoch(node.finished_at)),
        "exitCode": lambda: (
            None if node.outputs is None or node.outputs.exit_code is None else str(node.outputs.exit_code)
        ),
        "outputs.result": lambda: None if node.outputs is None else node.outputs.result,
    }


def node_variables(prefixes: Iterable[str], node: Node) -> dict[str, Any]:
    """What `steps.<name>.…` stands for of one node, which need not have ended: for its own hooks."""
    found: dict[str, Any] = {name: read() for name, read in _fields(node).items()}
    if node.outputs is not None:
        found |= {f"outputs.parameters.{name}": value for name, value in node.outputs.parameters.items()}
        found |= {f"outputs.artifacts.{name}": value for name, value in node.outputs.artifacts.items()}
    return {f"{prefix}.{name}": value for prefix in prefixes for name, value in found.items() if value is not None}


def resolve_inputs(template: TemplatePlan, call: Call, scope: Scope) -> Values | None:
    """The inputs of a template that is called with `call` from `scope`; None if it declares none.

    Raises:
        ExpressionError: an argument cannot be resolved, or a declared input is not given.
    """
    if not template.inputs and not template.input_artifacts:
        return None
    inputs = Values()
    for declared in template.inputs:
        argument = call.parameters.get(declared.name)
        value = scope.argument(argument) if argument is not None else None
        if value is None and declared.default is not None:
            value = scope.argument(declared.default)
        if value is None:
            if isinstance(argument, Pattern):
                raise tags.unresolved(argument.single.tag if argument.single else argument.source)
            raise ExpressionError(
                f"Template '{template.name}' needs input parameter '{declared.name}', which is not given."
            )
        if declared.enum and value not in declared.enum:
            raise ExpressionError(
                f"Input parameter '{declared.name}' of template '{template.name}' is '{value}', which is none of "
                f"{', '.join(declared.enum)}."
            )
        inputs.parameters[declared.name] = value
    for wanted in template.input_artifacts:
        given = call.artifacts.get(wanted.name)
        artifact = _given_artifact(scope, given) if given is not None else None
        if artifact is None and wanted.location is not None:
            own = {f"inputs.parameters.{name}": value for name, value in inputs.parameters.items()}
            artifact = replace(scope, extra={**(scope.extra or {}), **own}).tree(wanted.location)
        if artifact is not None:
            inputs.artifacts[wanted.name] = artifact
        elif not wanted.optional and not (given is not None and given.optional):
            if given is not None and isinstance(given.source, Reference):
                raise tags.unresolved(given.source.tag)
            raise ExpressionError(
                f"Template '{template.name}' needs input artifact '{wanted.name}', which is not given."
            )
    return inputs


def _given_artifact(scope: Scope, given: ArtifactArgument) -> ArtifactValue | None:
    try:
        found = scope.place(given.source)
    except ExpressionError:
        if given.optional:
            return None
        raise
    if found is None or given.sub_path is None or not isinstance(found, Mapping):
        return found
    return {**found, "subPath": scope.fill(given.sub_path)}


def dag_outputs(core: Core, boundary: Boundary) -> Values | None:
    """The outputs that a DAG or steps template declares, once its tasks are done.

    Raises:
        ExpressionError: one cannot be resolved and has no default.
    """
    template = boundary.template
    if not template.output_parameters and not template.output_artifacts:
        return None
    scope, outputs = Scope(core, boundary), Values()
    for parameter in template.output_parameters:
        value = None
        try:
            value = scope.argument(parameter.value) if parameter.value is not None else None
        except ExpressionError:
            if parameter.default is None:
                raise
        if value is None:
            value = parameter.default
        if value is None:
            raise ExpressionError(
                f"Output parameter '{parameter.name}' of template '{template.name}' cannot be resolved."
            )
        outputs.parameters[parameter.name] = value
    for name, artifact in template.output_artifacts.items():
        found = _given_artifact(scope, artifact)
        if found is not None:
            outputs.artifacts[name] = found
        elif not artifact.optional:
            raise ExpressionError(f"Output artifact '{name}' of template '{template.name}' cannot be resolved.")
    return outputs


def export(core: Core, node: Node) -> None:
    """Let the whole workflow refer to the outputs of a node that have global names."""
    if node.outputs is None or node.phase is not Phase.SUCCEEDED or node.type is NodeType.TASK_GROUP:
        return
    template = core.template_of(node)
    if not template.global_parameters and not template.global_artifacts:
        return
    for name, pattern in template.global_parameters.items():
        if name in node.outputs.parameters:
            core.globals[f"workflow.outputs.parameters.{_own_text(core, pattern, node)}"] = node.outputs.parameters[
                name
            ]
    for name, pattern in template.global_artifacts.items():
        if name in node.outputs.artifacts:
            core.global_artifacts[_own_text(core, pattern, node)] = node.outputs.artifacts[name]


def _own_text(core: Core, pattern: Pattern, node: Node) -> str:
    if pattern.constant is not None:
        return pattern.constant
    inputs = node.inputs.parameters if node.inputs is not None else {}
    extra = {f"inputs.parameters.{name}": value for name, value in inputs.items()}
    return Scope(core, extra=extra).fill(pattern)
