"""The kinds of templates."""

from __future__ import annotations

from enum import StrEnum

from tiphys.spec.template import Template


class Kind(StrEnum):
    """What a template is, in Argo's words."""

    CONTAINER = "Container"
    CONTAINER_SET = "ContainerSet"
    STEPS = "Steps"
    SCRIPT = "Script"
    RESOURCE = "Resource"
    DAG = "DAG"
    SUSPEND = "Suspend"
    DATA = "Data"
    HTTP = "HTTP"
    PLUGIN = "Plugin"
    #: A plugin whose body is ours: it is opaque, and knows its outputs and files without their descriptions.
    PYTHON_STEP = "Python step"
    #: None of them, or several.
    UNKNOWN = "Unknown"

    @property
    def is_pod(self) -> bool:
        """Whether it runs in a pod of its own."""
        return self in (
            *(Kind.CONTAINER, Kind.CONTAINER_SET, Kind.SCRIPT, Kind.RESOURCE, Kind.DATA),
            Kind.PYTHON_STEP,  # where there are pods it becomes a container
        )

    @property
    def is_leaf(self) -> bool:
        """Whether it does something itself, with files."""
        return self.is_pod or self in (Kind.HTTP, Kind.PLUGIN)


_PYTHON_STEP = "tiphys"

#: JSON name of the body → kind.
BODIES = {
    "container": Kind.CONTAINER,
    "containerSet": Kind.CONTAINER_SET,
    "steps": Kind.STEPS,
    "script": Kind.SCRIPT,
    "resource": Kind.RESOURCE,
    "dag": Kind.DAG,
    "suspend": Kind.SUSPEND,
    "data": Kind.DATA,
    "http": Kind.HTTP,
    "plugin": Kind.PLUGIN,
}


def bodies(template: Template) -> list[str]:
    """JSON names of the bodies that a template has."""
    return [
        name for name in BODIES if getattr(template, "container_set" if name == "containerSet" else name) is not None
    ]


def kind_of(template: Template) -> Kind:
    """The kind of a template."""
    given = bodies(template)
    if len(given) != 1:
        return Kind.UNKNOWN
    if template.plugin and _PYTHON_STEP in template.plugin:
        return Kind.PYTHON_STEP
    return BODIES[given[0]]
