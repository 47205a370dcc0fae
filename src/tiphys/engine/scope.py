"""What references stand for at one moment: outputs of finished tasks, inputs of the DAG, the loop's item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tiphys._util.times import from_epoch, rfc3339
from tiphys.engine.loops import item_value
from tiphys.engine.model import ArtifactValue, Node, NodeType, Phase, Values
from tiphys.engine.plan import Call, TemplatePlan
from tiphys.engine.references import Pattern, Reference, Source, reference
from tiphys.engine.state import Boundary
from tiphys.errors import ExpressionError
from tiphys.lang import tags
from tiphys.lang.gojson import go_json

_NOTHING = object()
#: Phases of a producer that leave its outputs absent, which a consumer's default may fill.
_ABSENT = (Phase.SKIPPED, Phase.OMITTED)


@dataclass(slots=True)
class Scope:
    """A place to resolve references from."""

    boundary: Boundary | None
    globals: Mapping[str, str]
    item: Any = _NOTHING

    def value(self, ref: Reference) -> str | None:
        """Text that a reference stands for; None if it was not produced because the producer did not run.

        Raises:
            ExpressionError: it stands for nothing; the message names the tag.
        """
        source = ref.source
        if source is Source.GLOBAL:
            found = self.globals.get(ref.name)
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
            found = _field(node, ref.name)
            if found is None and node.phase in _ABSENT and ref.name.startswith("outputs."):
                return None
        if found is None:
            raise tags.unresolved(ref.tag)
        return found

    def artifact(self, ref: Reference) -> ArtifactValue | None:
        """Artifact that a reference stands for, passed on as it is; None if there is none."""
        boundary = self.boundary
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
                filled.append(tags.Text(pattern.source, (part,)).fill(self.lookup))
        return "".join(filled)

    def argument(self, pattern: Pattern) -> str | None:
        """The value of an argument; None if it is one reference to what was not produced: a default may hold."""
        if pattern.constant is not None:
            return pattern.constant
        return self.value(pattern.single) if pattern.single is not None else self.fill(pattern)

    def place(self, source: Reference | Pattern | ArtifactValue) -> ArtifactValue | None:
        """The artifact that an argument stands for."""
        if isinstance(source, Reference):
            return self.artifact(source)
        if isinstance(source, Pattern):
            name = "".join(
                part.inner.fill(self.lookup) if isinstance(part, tags.Tag) and part.inner else ""
                for part in source.parts
            )
            return self.artifact(reference(name, self.boundary.plan.index if self.boundary else {}))
        return tags.fill_tree(source, self.lookup) if tags.has_tags(source) else source


def _finished(ref: Reference, boundary: Boundary) -> Node:
    node = boundary.tops[ref.task]
    if node is None or not node.phase.fulfilled:
        name = boundary.plan.tasks[ref.task].name
        raise ExpressionError(
            f"'{{{{{ref.tag}}}}}' cannot be resolved: task '{name}' has not ended.",
            hint=f"Let the task depend on '{name}'.",
        )
    return node


def _own(parameters: Mapping[str, str]) -> str:
    return go_json(dict(parameters))


def _field(node: Node, name: str) -> str | None:
    fields: dict[str, Callable[[], str | None]] = {
        "id": lambda: node.id,
        "status": lambda: node.phase.value,
        "startedAt": lambda: None if node.started_at is None else rfc3339(from_epoch(node.started_at)),
        "finishedAt": lambda: None if node.finished_at is None else rfc3339(from_epoch(node.finished_at)),
        "exitCode": lambda: (
            None if node.outputs is None or node.outputs.exit_code is None else str(node.outputs.exit_code)
        ),
        "outputs.result": lambda: None if node.outputs is None else node.outputs.result,
    }
    read = fields.get(name)
    return read() if read else None


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
            value = scope.fill(declared.default)
        if value is None:
            if argument is not None:
                raise tags.unresolved(argument.single.tag if argument.single else argument.source)
            raise ExpressionError(
                f"Template '{template.name}' needs input parameter '{declared.name}', which is not given."
            )
        inputs.parameters[declared.name] = value
    for wanted in template.input_artifacts:
        given = call.artifacts.get(wanted.name)
        artifact = scope.place(given.source) if given is not None else wanted.location
        if artifact is not None:
            inputs.artifacts[wanted.name] = artifact
        elif not wanted.optional and not (given is not None and given.optional):
            if given is not None and isinstance(given.source, Reference):
                raise tags.unresolved(given.source.tag)
            raise ExpressionError(
                f"Template '{template.name}' needs input artifact '{wanted.name}', which is not given."
            )
    return inputs


def dag_outputs(boundary: Boundary, globals: Mapping[str, str]) -> Values | None:
    """The outputs that a DAG template declares, once its tasks are done.

    Raises:
        ExpressionError: one cannot be resolved and has no default.
    """
    template = boundary.template
    if not template.output_parameters and not template.output_artifacts:
        return None
    scope, outputs = Scope(boundary, globals), Values()
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
        found = scope.place(artifact.source)
        if found is not None:
            outputs.artifacts[name] = found
        elif not artifact.optional:
            raise ExpressionError(f"Output artifact '{name}' of template '{template.name}' cannot be resolved.")
    return outputs
