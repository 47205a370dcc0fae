"""References in task arguments, taken apart once, when the workflow is compiled.

`{{tasks.a.outputs.parameters.x}}` becomes a `Reference` that says which task's which output it means, so that filling
in an argument at run time is a matter of indexing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tiphys.lang import tags


class Source(Enum):
    """What a reference points to."""

    TASK_PARAMETER = "outputs.parameters.<name> of a task"
    TASK_PARAMETERS = "outputs.parameters of a loop"
    TASK_ARTIFACT = "outputs.artifacts.<name> of a task"
    TASK_FIELD = "a field of a task's node: status, outputs.result, …"
    INPUT_PARAMETER = "inputs.parameters.<name>"
    INPUT_PARAMETERS = "inputs.parameters"
    INPUT_ARTIFACT = "inputs.artifacts.<name>"
    ITEM = "item or item.<key>"
    GLOBAL = "workflow.…"
    GLOBAL_ARTIFACT = "workflow.outputs.artifacts.<name>"
    UNKNOWN = "nothing that exists"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a tag means."""

    source: Source
    #: The tag, for messages.
    tag: str
    #: Name of the parameter, artifact or field.
    name: str = ""
    #: Index of the task in its DAG.
    task: int = -1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with references."""

    source: str
    parts: tuple[str | Reference | tags.Tag | tags.Expression, ...]
    #: The text itself if it holds no tag.
    constant: str | None
    #: The reference if the text is nothing else.
    single: Reference | None

    @property
    def mentions_item(self) -> bool:
        """Whether it depends on a loop's item."""
        return any(
            part.source is Source.ITEM if isinstance(part, Reference) else not isinstance(part, str)
            for part in self.parts
        )


def reference(tag: str, tasks: Mapping[str, int]) -> Reference:
    """What `tag` means inside a DAG with these tasks."""
    head, _, rest = tag.partition(".")
    if head in ("tasks", "steps"):
        return _task_reference(tag, rest, tasks)
    if head == "inputs":
        if rest.startswith("parameters."):
            return Reference(Source.INPUT_PARAMETER, tag, rest[11:])
        if rest.startswith("artifacts."):
            return Reference(Source.INPUT_ARTIFACT, tag, rest[10:])
        if rest == "parameters":
            return Reference(Source.INPUT_PARAMETERS, tag)
    if head == "item":
        return Reference(Source.ITEM, tag, rest)
    if tag.startswith("workflow.outputs.artifacts."):
        return Reference(Source.GLOBAL_ARTIFACT, tag, tag[27:])
    if head == "workflow":
        return Reference(Source.GLOBAL, tag, tag)
    return Reference(Source.UNKNOWN, tag)


def _task_reference(tag: str, rest: str, tasks: Mapping[str, int]) -> Reference:
    name, _, field = rest.partition(".")
    index = tasks.get(name, -1)
    if index < 0:
        return Reference(Source.UNKNOWN, tag)
    if field.startswith("outputs.parameters."):
        return Reference(Source.TASK_PARAMETER, tag, field[19:], index)
    if field.startswith("outputs.artifacts."):
        return Reference(Source.TASK_ARTIFACT, tag, field[18:], index)
    if field == "outputs.parameters":
        return Reference(Source.TASK_PARAMETERS, tag, "", index)
    return Reference(Source.TASK_FIELD, tag, field, index)


def pattern(text: str, tasks: Mapping[str, int]) -> Pattern:
    """Compile a text.

    Raises:
        ExpressionError: a tag is not closed.
    """
    if "{{" not in text:
        return Pattern(text, (), text, None)
    parts = tuple(
        reference(part.name, tasks) if isinstance(part, tags.Tag) and part.inner is None else part
        for part in tags.parse(text).parts
    )
    only = parts[0] if len(parts) == 1 and isinstance(parts[0], Reference) else None
    return Pattern(text, parts, None, only)
