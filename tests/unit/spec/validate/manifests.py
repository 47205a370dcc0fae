"""Small manifests for tests of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiphys.spec.base import Spec
from tiphys.spec.library import ClusterWorkflowTemplate, WorkflowTemplate
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document
from tiphys.spec.validate.lint import validate
from tiphys.spec.validate.stored import GivenTemplates

Json = dict[str, Any]


def workflow(*templates: Json, kind: str = "Workflow", metadata: Json | None = None, **spec: Any) -> Json:
    """A workflow that starts at its first template."""
    body: Json = {"entrypoint": templates[0]["name"]} if templates and "entrypoint" not in spec else {}
    if templates:
        body["templates"] = list(templates)
    return {"kind": kind, "metadata": {"name": "w", **(metadata or {})}, "spec": body | spec}


def container(name: str = "work", **more: Any) -> Json:
    return {"name": name, "container": {"image": "busybox"}} | more


def script(name: str = "work", **more: Any) -> Json:
    return {"name": name, "script": {"image": "busybox", "source": "true"}} | more


def steps(*groups: Any, name: str = "main", **more: Any) -> Json:
    """A group is a list of steps or one step."""
    return {"name": name, "steps": [group if isinstance(group, list) else [group] for group in groups]} | more


def dag(*tasks: Json, name: str = "main", target: str | None = None, **more: Any) -> Json:
    return {"name": name, "dag": {"tasks": list(tasks)} | ({"target": target} if target else {})} | more


def call(name: str, template: str | None = "work", **more: Any) -> Json:
    """A step or task."""
    return {"name": name} | ({"template": template} if template else {}) | more


def stored_call(name: str, library: str, template: str, **more: Any) -> Json:
    return call(name, None, templateRef={"name": library, "template": template} | more)


def given(**values: Any) -> Json:
    """Arguments or inputs of parameters; None is a parameter without a value."""
    return {
        "parameters": [{"name": name} | ({} if value is None else {"value": value}) for name, value in values.items()]
    }


def taking(*names: str, **more: Any) -> Json:
    """A container with input parameters."""
    return container(inputs={"parameters": [{"name": name} for name in names]}, **more)


def giving(*names: str, **more: Any) -> Json:
    """A container with output parameters."""
    outputs = {"parameters": [{"name": name, "valueFrom": {"path": f"/{name}"}} for name in names]}
    return container(outputs=outputs, **more)


def inputs(*parameters: Json, artifacts: list[Json] | None = None) -> Json:
    return {"parameters": list(parameters)} | ({"artifacts": artifacts} if artifacts else {})


def gives(*parameters: Json, artifacts: list[Json] | None = None) -> Json:
    return {"outputs": inputs(*parameters, artifacts=artifacts)}


def takes(*artifacts: Json) -> Json:
    return {"inputs": {"artifacts": list(artifacts)}}


def leaf(**body: Any) -> Json:
    return {"name": "work"} | body


def container_set(*containers: Json, **more: Any) -> Json:
    return {"name": "work", "containerSet": {"containers": list(containers)} | more}


def resource(**body: Any) -> Json:
    return {"name": "work", "resource": {"action": "create", "manifest": "kind: ConfigMap"} | body}


def http(**body: Any) -> Json:
    return {"name": "work", "http": {"url": "http://x"} | body}


def stored(*templates: Json, name: str = "lib", kind: str = "WorkflowTemplate", **spec: Any) -> Spec:
    class_ = WorkflowTemplate if kind == "WorkflowTemplate" else ClusterWorkflowTemplate
    return class_.from_json({"kind": kind, "metadata": {"name": name}, "spec": {"templates": list(templates)} | spec})


def problems(
    document: Json, *, library: Iterable[Spec] = (), complete: bool = False, strict: bool = True, submit: bool = False
) -> list[str]:
    """All problems as texts; warnings begin with the word."""
    found = validate(
        read_document(document), library=GivenTemplates(library, complete=complete), strict=strict, submit=submit
    )
    return [("warning: " if problem.severity is Severity.WARNING else "") + str(problem) for problem in found]


def errors(document: Json, **options: Any) -> list[str]:
    """Problems that are no warnings."""
    return [problem for problem in problems(document, **options) if not problem.startswith("warning: ")]
