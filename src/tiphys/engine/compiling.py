"""Compiles a specification for a machine: references resolved to indices, conditions parsed, edges drawn.

Everything that can be wrong with a workflow whatever its inputs are is found here, and named by its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.engine.compiling_calls import (
    compile_artifact,
    compile_call,
    compile_default,
    compile_expression,
    compile_text,
    location_of,
)
from tiphys.engine.compiling_graphs import compile_dag, compile_steps
from tiphys.engine.model import NodeType
from tiphys.engine.plan import (
    HookPlan,
    InputArtifact,
    InputParameter,
    LockPlan,
    MemoPlan,
    ParameterOutput,
    TemplatePlan,
    WorkflowPlan,
)
from tiphys.engine.references import Pattern
from tiphys.engine.retry import read_strategy
from tiphys.errors import SpecError
from tiphys.lang.tags import has_tags
from tiphys.spec.merge import merge_template_defaults
from tiphys.spec.template import LifecycleHook, RetryStrategy, Synchronization, Template, TemplateRef
from tiphys.spec.workflow import Workflow, WorkflowSpec

#: The annotation that says what a failure of one step means for the others (see `Mode`).
MODE_ANNOTATION = "tiphys.dev/execution-mode"
#: The plugin whose body is ours: it is opaque and never searched for tags.
STEP_PLUGIN = "tiphys"

_NODE_TYPES = {
    "container": NodeType.POD,
    "script": NodeType.POD,
    "containerSet": NodeType.POD,
    "resource": NodeType.POD,
    "data": NodeType.POD,
    "http": NodeType.HTTP,
    "plugin": NodeType.PLUGIN,
    "suspend": NodeType.SUSPEND,
    "dag": NodeType.DAG,
    "steps": NodeType.STEPS,
}
_ATTRIBUTES = {kind: "container_set" if kind == "containerSet" else kind for kind in _NODE_TYPES}


def compile_workflow(workflow: Workflow) -> WorkflowPlan:
    """Compile a workflow.

    Templates that are stored elsewhere are expected in `status.storedTemplates` (by `<scope>/<name>/<template>`), and
    the specification of a `workflowTemplateRef`, merged, in `status.storedWorkflowTemplateSpec`.

    Raises:
        SpecError: the workflow is wrong; the message names the field.
    """
    spec = _whole_spec(workflow)
    metadata = workflow.metadata
    mode = ((metadata.annotations if metadata else None) or {}).get(MODE_ANNOTATION, "")
    if mode not in ("", "FAIL_FAST", "STOP_ON_FAILURE", "CONTINUE_ON_FAILURE"):
        raise SpecError(f"metadata.annotations: '{mode}' is not an execution mode.")
    stored = (workflow.status.stored_templates if workflow.status else None) or {}
    compiler = Compiler(spec, stored)
    main = compiler.template(spec.entrypoint or "", "spec.entrypoint", "")
    call = compile_call(spec.arguments, {}, "spec.arguments")
    hooks = compiler.hooks(spec.hooks, spec.on_exit, {}, "spec.hooks", "")
    exit_hook = next((hook for hook in hooks if hook.name == "exit"), None)
    locks = compile_locks(spec.synchronization, "spec.synchronization")
    compiler.run()
    # The tasks' own objects are not needed again; of a wide DAG they are more than all the rest that is kept.
    return WorkflowPlan(
        spec=spec.model_copy(update={"templates": None}),
        main=main,
        call=call,
        exit=exit_hook,
        hooks=tuple(hook for hook in hooks if hook.name != "exit"),
        locks=locks,
        mode=mode,
    )


def _whole_spec(workflow: Workflow) -> WorkflowSpec:
    spec = workflow.spec
    stored = workflow.status.stored_workflow_template_spec if workflow.status else None
    if spec is not None and spec.workflow_template_ref is not None:
        if stored is None:
            raise SpecError(
                f"spec.workflowTemplateRef: the template '{spec.workflow_template_ref.name}' is not at hand.",
                hint="Store it first, and submit the workflow again.",
            )
        # What may be changed while the workflow runs stands in its own specification.
        spec = stored.model_copy(update={"suspend": spec.suspend, "shutdown": spec.shutdown})
    if spec is None or not spec.entrypoint:
        raise SpecError("spec.entrypoint is required.")
    return spec


class Compiler:
    """Compiles the templates that can be reached, each once; templates may call each other in circles."""

    def __init__(self, spec: WorkflowSpec, stored: Mapping[str, Template]) -> None:
        self._spec = spec
        self._stored = stored
        self._templates = {template.name or "": template for template in spec.templates or ()}
        self._defaults = spec.template_defaults.to_json() if spec.template_defaults is not None else None
        self._plans: dict[tuple[str, str], TemplatePlan] = {}
        self._pending: list[tuple[TemplatePlan, Template, str]] = []

    def template(self, name: str, where: str, scope: str) -> TemplatePlan:
        """The template `name` of a scope."""
        known = self._plans.get((scope, name))
        if known is not None:
            return known
        spec = self._stored.get(f"{scope}/{name}") if scope else self._templates.get(name)
        if spec is None:
            place = f" in '{scope}'" if scope else ""
            raise SpecError(f"{where}: there is no template '{name}'{place}.")
        plan = self._plans[scope, name] = self.inline(spec, name, f"spec.templates.{name}", scope)
        return plan

    def inline(self, spec: Template, name: str, where: str, scope: str) -> TemplatePlan:
        """A template that stands where it is used."""
        if self._defaults is not None:
            spec = Template.from_json(merge_template_defaults(spec.to_json(), self._defaults))
        plan = _template(spec, name, where, self._spec.retry_strategy, scope)
        if spec.dag is not None or spec.steps is not None:
            self._pending.append((plan, spec, where))
        return plan

    def called(
        self, name: str | None, ref: TemplateRef | None, inline: Template | None, where: str, scope: str, task: str
    ) -> TemplatePlan:
        """The template that a task, step or hook calls."""
        if inline is not None:
            return self.inline(inline, inline.name or task, f"{where}.inline", scope)
        if ref is not None:
            kind = "cluster" if ref.cluster_scope else "namespaced"
            return self.template(ref.template or "", f"{where}.templateRef", f"{kind}/{ref.name}")
        if not name:
            raise SpecError(f"{where}: a template is needed.")
        return self.template(name, f"{where}.template", scope)

    def hooks(
        self,
        hooks: Mapping[str, LifecycleHook] | None,
        on_exit: str | None,
        tasks: Mapping[str, int],
        where: str,
        scope: str,
    ) -> tuple[HookPlan, ...]:
        """Lifecycle hooks; `onExit` is an exit hook that goes before another one.

        An exit hook without arguments takes the workflow's (GetExitHook of Argo's workflow_types.go).
        """
        found = []
        known = {**(hooks or {}), **({"exit": LifecycleHook(template=on_exit)} if on_exit else {})}
        for name, hook in known.items():
            path = f"{where.removesuffix('hooks')}onExit" if name == "exit" and on_exit else f"{where}.{name}"
            if name != "exit" and not hook.expression:
                raise SpecError(f"{path}.expression is required: it says when the hook is run.")
            template = self.called(hook.template, hook.template_ref, None, path, scope, name)
            call = compile_call(hook.arguments, tasks, f"{path}.arguments")
            if name == "exit" and not call.parameters and not call.artifacts:
                call = compile_call(self._spec.arguments, {}, "spec.arguments")
            found.append(HookPlan(name, template, call, hook.expression or None))
        return tuple(found)

    def run(self) -> None:
        """Compile the graphs of all templates that were met."""
        while self._pending:
            plan, spec, where = self._pending.pop()
            if spec.dag is not None:
                plan.dag = compile_dag(self, spec.dag, f"{where}.dag", plan.scope)
            else:
                plan.dag = compile_steps(self, spec.steps or [], f"{where}.steps", plan.scope)
            _graph_outputs(plan, where)
            plan.spec = plan.spec.model_copy(update={"dag": None, "steps": None})


def _template(spec: Template, name: str, where: str, default_retry: RetryStrategy | None, scope: str) -> TemplatePlan:
    present = [kind for kind in _NODE_TYPES if getattr(spec, _ATTRIBUTES[kind]) is not None]
    if len(present) != 1:
        found = ", ".join(present) if present else "none"
        raise SpecError(f"{where}: exactly one of {', '.join(_NODE_TYPES)} is needed, found {found}.")
    kind = present[0]
    plan = TemplatePlan(
        name=name,
        scope=scope,
        kind=kind,
        type=_NODE_TYPES[kind],
        spec=spec,
        parallelism=spec.parallelism or None,
        inputs=[],
        input_artifacts=[],
        output_defaults={},
        retry=None,
        fail_fast=bool(spec.fail_fast),
        daemon=bool(spec.daemon),
        locks=compile_locks(spec.synchronization, f"{where}.synchronization"),
        memo=_memo(spec, where),
    )
    if kind == "plugin":
        plan.body = _plugin_body(spec, where)
        plan.jitter = float(((plan.body or {}).get("retry") or {}).get("jitter") or 0.0)
    if plan.is_leaf and plan.body is None:
        plan.json = spec.to_json()
    if plan.is_leaf:
        limits = (spec.timeout, spec.active_deadline_seconds)
        plan.timeouts = tuple(compile_text(str(text), {}, where) for text in limits if text is not None)
    # Unlike activeDeadlineSeconds, a timeout counts from the moment that work was first asked for.
    waits = (spec.pending_timeout, spec.timeout if plan.is_leaf else None)
    plan.patience = tuple(compile_text(text, {}, where) for text in waits if text)
    strategy = spec.retry_strategy or default_retry
    if strategy is not None and kind != "suspend":
        data = strategy.to_json()
        plan.retry = data if has_tags(data) else read_strategy(data, plan.jitter, where=where)
    _interface(plan, where)
    return plan


def _plugin_body(spec: Template, where: str) -> Mapping[str, Any] | None:
    plugin = spec.plugin or {}
    if len(plugin) != 1:
        raise SpecError(f"{where}.plugin: exactly one key is needed, found {len(plugin)}.")
    body = plugin.get(STEP_PLUGIN)
    if body is not None and not isinstance(body, Mapping):
        raise SpecError(f"{where}.plugin.{STEP_PLUGIN}: an object is needed.")
    return body


def _memo(spec: Template, where: str) -> MemoPlan | None:
    memoize = spec.memoize
    if memoize is None:
        return None
    if not memoize.key:
        raise SpecError(f"{where}.memoize.key is required.")
    cache = memoize.cache.config_map.name if memoize.cache and memoize.cache.config_map else None
    return MemoPlan(
        cache=compile_text(cache or "default", {}, f"{where}.memoize.cache"),
        key=compile_text(memoize.key, {}, f"{where}.memoize.key"),
        max_age=compile_text(memoize.max_age, {}, f"{where}.memoize.maxAge") if memoize.max_age else None,
    )


def compile_locks(synchronization: Synchronization | None, where: str) -> tuple[LockPlan, ...]:
    """The locks that a template or workflow takes."""
    if synchronization is None:
        return ()
    locks = [
        _lock("DatabaseMutex" if mutex.database else "Mutex", mutex.name, mutex.namespace, f"{where}.mutexes")
        for mutex in synchronization.mutexes or ()
    ]
    for semaphore in synchronization.semaphores or ():
        path, found = f"{where}.semaphores", semaphore.config_map_key_ref
        if found is not None:
            locks.append(_lock("ConfigMap", f"{found.name}/{found.key}", semaphore.namespace, path))
        elif semaphore.database is not None:
            locks.append(_lock("Database", semaphore.database.key, semaphore.namespace, path))
        else:
            raise SpecError(f"{path}: a configMapKeyRef or a database is needed.")
    return tuple(locks)


def _lock(kind: str, name: str | None, namespace: str | None, where: str) -> LockPlan:
    if not name:
        raise SpecError(f"{where}: a name is needed.")
    return LockPlan(kind, compile_text(name, {}, where), compile_text(namespace, {}, where) if namespace else None)


def _interface(plan: TemplatePlan, where: str) -> None:
    inputs, outputs = plan.spec.inputs, plan.spec.outputs
    # What nobody supplies takes the default of the input of the same name (addRawOutputFields of Argo's operator.go).
    defaults = {parameter.name: parameter.default for parameter in (inputs.parameters if inputs else None) or ()}
    for parameter in (inputs.parameters if inputs else None) or ():
        default = compile_default(parameter, f"{where}.inputs.parameters.{parameter.name}")
        plan.inputs.append(InputParameter(parameter.name or "", default, tuple(parameter.enum or ())))
    for artifact in (inputs.artifacts if inputs else None) or ():
        plan.input_artifacts.append(InputArtifact(artifact.name or "", bool(artifact.optional), location_of(artifact)))
    for parameter in (outputs.parameters if outputs else None) or ():
        name, source = parameter.name or "", parameter.value_from
        if parameter.global_name:
            plan.global_parameters[name] = compile_text(parameter.global_name, {}, where)
        if source is not None and source.supplied is not None:
            plan.supplied[name] = next(
                (text for text in (source.default, defaults.get(name)) if text is not None), None
            )
        elif source is not None and source.default is not None:
            plan.output_defaults[name] = source.default
    for artifact in (outputs.artifacts if outputs else None) or ():
        if artifact.global_name:
            plan.global_artifacts[artifact.name or ""] = compile_text(artifact.global_name, {}, where)


def _graph_outputs(plan: TemplatePlan, where: str) -> None:
    outputs, dag = plan.spec.outputs, plan.dag
    if outputs is None or dag is None:
        return
    for parameter in outputs.parameters or ():
        path = f"{where}.outputs.parameters.{parameter.name}"
        source = parameter.value_from
        if source is not None and source.expression:
            value: Pattern | None = compile_expression(source.expression)
        else:
            text = parameter.value if source is None or source.parameter is None else source.parameter
            value = None if text is None else compile_text(text, dag.index, path)
        plan.output_parameters.append(ParameterOutput(parameter.name or "", value, source.default if source else None))
    for artifact in outputs.artifacts or ():
        path = f"{where}.outputs.artifacts.{artifact.name}"
        plan.output_artifacts[artifact.name or ""] = compile_artifact(artifact, dag.index, path)
