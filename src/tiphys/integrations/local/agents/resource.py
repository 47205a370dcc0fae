"""A `resource` template: an action on an object, the wait for its conditions, its output parameters.

As argo-workflows v4.1, workflow/executor/resource.go, over the objects that are kept here and those of a cluster.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tiphys.engine.model import Phase
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, SpecError, StoreError, UsageError
from tiphys.integrations.local.agents.answers import Answer, Pause, Work
from tiphys.integrations.local.agents.jq_filter import apply_filter
from tiphys.integrations.local.agents.keepers import Keepers
from tiphys.integrations.local.agents.outside import ArtifactSources
from tiphys.integrations.local.agents.resource_changes import delete, perform
from tiphys.integrations.local.agents.resource_order import Order, read_order
from tiphys.lang import kubectl_jsonpath
from tiphys.lang.selectors import ConditionsOverObject
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.object_keeper import Manifest, ObjectKeeper, UnavailableError
from tiphys.ports.runner import Task
from tiphys.sdk.pods.archives import archive_of, is_tarball, unpack
from tiphys.sdk.pods.context import PodContext
from tiphys.spec.template import Parameter, ResourceTemplate, Template

#: Seconds between the first two looks at an object that is waited for, by how much each next pause is longer, and the
#: longest: the one that Argo makes.
FIRST_PAUSE, FACTOR, LONGEST_PAUSE = 0.1, 1.5, 5.0
#: Seconds between the attempts at an action while there is no answer.
ATTEMPTS = (0.1, 0.5, 2.5, 5.0, 5.0)

_T = TypeVar("_T")


def carry_out(
    task: Task,
    context: PodContext,
    *,
    keepers: Keepers,
    store: ArtifactStore,
    sources: ArtifactSources,
    confined: bool = False,
) -> Work:
    """Carry out a task's `resource` template.

    Args:
        task: The task.
        context: The workflow it belongs to.
        keepers: Who keep objects.
        store: Where artifacts are that name no other place.
        sources: For artifacts in other places.
        confined: Whether, of the objects that are kept here, only those of the workflow's own namespace are for it.

    Raises:
        SpecError: it cannot be made out what is to be done, or there is nobody who keeps objects of the kind, or the
            object is not for this workflow.
        ExpressionError: a condition, or where an output parameter comes from, cannot be read.
        TiphysError: the manifest's artifact or the objects cannot be reached.
    """
    template = Template.from_json(dict(task.body))
    resource = template.resource or ResourceTemplate()
    outputs = (template.outputs and template.outputs.parameters) or []
    if resource.action == "delete" and (resource.success_condition or resource.failure_condition or outputs):
        raise SpecError("successCondition, failureCondition and outputs are not supported for the action 'delete'.")
    conditions = ConditionsOverObject.parse(resource.success_condition or "", resource.failure_condition or "")
    order = read_order(resource, _manifest(task, resource, store, sources), namespace=context.namespace)
    keeper = keepers.of(order.kind, template)
    if confined and keeper.has_workflows:
        _expect_own(replace(order, kind=keeper.kind(order.kind)), context, resource.action or "")
    message = ""
    if resource.set_owner_reference and isinstance(order.content, dict):
        if keeper.has_workflows:
            order = replace(order, content=_owned(order.content, task, context))
        else:
            message = "setOwnerReference has no effect: a cluster removes objects whose owner it does not know"
    waits = bool(resource.success_condition or resource.failure_condition or outputs)
    try:
        found = yield from _act(order, keeper, task.id, conditions, waits=waits)
    except (UsageError, NotFoundError, AlreadyExistsError, ConflictError) as error:
        return Answer(Phase.FAILED, str(error))
    if isinstance(found, Answer):
        return found
    if found is None:
        values = {str(one.name): _default(one) for one in outputs if one.value_from}
    else:
        values = _parameters(outputs, found, task)
    return Answer(Phase.SUCCEEDED, message, parameters=values)


def _expect_own(order: Order, context: PodContext, action: str) -> None:
    """Refuse what is in another namespace, and changes of what all namespaces share."""
    if order.kind.name == "ClusterWorkflowTemplate":
        if action != "get":
            raise SpecError(f"A workflow may not {action} the {order}: it is for all workspaces, and administrators.")
    elif order.namespace != context.namespace:
        raise SpecError(
            f"A workflow of the workspace '{context.namespace}' may not {action} the {order} of '{order.namespace}'."
        )


def _act(
    order: Order, keeper: ObjectKeeper, task_id: str, conditions: ConditionsOverObject, *, waits: bool
) -> Generator[Pause, None, Manifest | Answer | None]:
    """Do what is to be done and see its effect; returns the object, None if there is none, or why it has failed."""
    kind = yield from _persist(partial(keeper.kind, order.kind), order)
    order = replace(order, kind=kind)
    if order.action == "delete":
        staying = yield from _persist(partial(delete, order, keeper), order)
        for one in staying if order.wait else ():
            yield from _await_end(order, one, keeper)
        return None
    made = yield from _persist(
        lambda: perform(order, keeper, task_id=task_id, usable=lambda found: conditions.failed(found) is None), order
    )
    if made is None or not waits:
        return made
    return (yield from _await(order, str(made["metadata"]["name"]), keeper, conditions))


def _persist(action: Callable[[], _T], order: Order) -> Generator[Pause, None, _T]:
    """Do something, and once more if there was no answer."""
    for pause in ATTEMPTS:
        try:
            return action()
        except UnavailableError as error:
            yield Pause(pause, f"an answer about {order}: {error.message}")
    return action()


def _await(
    order: Order, name: str, keeper: ObjectKeeper, conditions: ConditionsOverObject
) -> Generator[Pause, None, Manifest | Answer]:
    """Look at an object until one of the conditions holds; returns it, or the answer that something is wrong."""
    what = f"{order.kind.name} '{name}'"
    for pause in _pauses():
        try:
            found = keeper.get(order.kind, order.namespace, name)
        except NotFoundError:
            break
        except (StoreError, UnavailableError) as error:
            yield Pause(pause, f"the store of {what}: {error.message}")
        else:
            failure = conditions.failed(found)
            if failure is not None:
                return Answer(Phase.FAILED, f"failure condition '{failure}' of {what} evaluated true")
            if conditions.succeeded(found):
                return found
            yield Pause(pause, f"'{conditions.success}' of {what}{_phase_of(found)}")
    return Answer(Phase.FAILED, f"The {what} has been deleted while its status was still being checked.")


def _await_end(order: Order, staying: Manifest, keeper: ObjectKeeper) -> Generator[Pause, None, None]:
    """Look for an object until it is gone; another one of the same name does not count."""
    metadata = staying["metadata"]
    for pause in _pauses():
        try:
            if keeper.get(order.kind, order.namespace, metadata["name"])["metadata"]["uid"] != metadata["uid"]:
                return
        except NotFoundError:
            return
        except UnavailableError:
            pass
        yield Pause(pause, f"the end of {order.kind.name} '{metadata['name']}'")


def _pauses() -> Iterator[float]:
    """Seconds from one look to the next, without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * FACTOR, LONGEST_PAUSE)


def _phase_of(found: Manifest) -> str:
    """How an object is that has a phase."""
    phase = (found.get("status") or {}).get("phase")
    return f", which is {phase}" if phase else ""


def _owned(manifest: Mapping[str, Any], task: Task, context: PodContext) -> dict[str, Any]:
    """The object with the workflow among its owners."""
    owner = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": context.workflow,
        "uid": task.workflow_uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = manifest.get("metadata") or {}
    owners = [*(metadata.get("ownerReferences") or ()), owner]
    return {**manifest, "metadata": {**metadata, "ownerReferences": owners}}


# The manifest


def _manifest(task: Task, resource: ResourceTemplate, store: ArtifactStore, sources: ArtifactSources) -> str:
    """YAML text; empty if there is none."""
    if resource.manifest_from is None:
        return resource.manifest or ""
    name = str((resource.manifest_from.artifact and resource.manifest_from.artifact.name) or "")
    declared = (task.body.get("inputs") or {}).get("artifacts") or ()
    declaration = next((one for one in declared if one.get("name") == name), None)
    value = task.inputs.artifacts.get(name) or declaration
    if declaration is None or not isinstance(value, Mapping):
        raise SpecError(f"resource.manifestFrom: there is no input artifact '{name}'.")
    if declaration.get("subPath") or value.get("subPath"):
        raise SpecError(f"resource.manifestFrom: the artifact '{name}' has a subPath, and a whole file is needed.")
    if "digest" in value:
        with store.open_tree(str(value["digest"])) as tree:
            return _text_in(tree, name)
    if value.get("raw") is not None:
        return str(value["raw"].get("data") or "")
    with tempfile.TemporaryDirectory(prefix="tiphys-") as scratch:
        loaded, unpacked = Path(scratch, "loaded"), Path(scratch, "unpacked")
        sources.fetch(value, loaded)
        kind = archive_of(declaration) or ("tar" if is_tarball(loaded) else "none")
        if kind != "none":
            unpack(loaded, unpacked, kind)
            loaded = unpacked
        return _text_in(loaded, name)


def _text_in(place: Path, name: str) -> str:
    """The text of a file, or of the only file of a folder."""
    files = list(place.iterdir()) if place.is_dir() else [place]
    if len(files) != 1 or not files[0].is_file():
        raise SpecError(f"resource.manifestFrom: the artifact '{name}' is not a single file.")
    try:
        return files[0].read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SpecError(f"resource.manifestFrom: the artifact '{name}' is not a text.") from None


# Output parameters


def _parameters(outputs: list[Parameter], found: Manifest, task: Task) -> dict[str, str]:
    values = {}
    for output in outputs:
        source = output.value_from
        if source is None:
            continue
        if source.json_path:
            values[str(output.name)] = kubectl_jsonpath.render(source.json_path, found)
        elif source.jq_filter:
            rest = None if task.deadline is None else task.deadline - time.time()
            values[str(output.name)] = apply_filter(source.jq_filter, found, seconds=rest)
    return values


def _default(output: Parameter) -> str:
    """The value of a parameter whose object is not there."""
    return str((output.value_from and output.value_from.default) or "")
