"""Creates a run: its name, workflow, model versions and tags, all in the caller's transaction."""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tiphys._util.ids import dns_name, new_id
from tiphys._util.times import rfc3339
from tiphys.errors import AlreadyExistsError, StackError, UsageError
from tiphys.plugins.integrations import find_flavor
from tiphys.plugins.loading import load
from tiphys.ports.backend import ModelRequest, RunRequest
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import EntityType, Query
from tiphys.records.models import ModelVersion
from tiphys.records.runs import Pipeline, Run, StepRun
from tiphys.records.stacks import Component, ComponentType, StackRecord
from tiphys.records.workflows import WorkflowRow
from tiphys.sdk.compiled import step_bodies
from tiphys.services.client_tasks import runner_of_client
from tiphys.services.labels import put_tags
from tiphys.services.models import model_link, resolve_request
from tiphys.services.stacks import StackService, pick
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.step_names import read_exceptions
from tiphys.spec.workflow import Workflow

DEFAULT_NAME = "{pipeline}-{date}-{time}"
#: Annotation of a compiled workflow that says what it does when a step fails.
EXECUTION_MODE = "tiphys.dev/execution-mode"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LETTERS = string.ascii_lowercase + string.digits


def resolve_name(template: str, substitutions: Mapping[str, str]) -> str:
    """A run's name with its placeholders filled in.

    Raises:
        UsageError: a placeholder is not known.
    """

    def fill(match: re.Match[str]) -> str:
        known = substitutions.get(match[1])
        if known is None:
            raise UsageError(
                f"The run name '{template}' has the unknown placeholder {match[0]}.",
                hint=f"Known are: {', '.join(sorted(substitutions))}; add others with substitutions={{…}}.",
            )
        return str(known)

    return _PLACEHOLDER.sub(fill, template)


def orchestrator_for(stacks: StackService, reader: Reader, stack: StackRecord, request: RunRequest) -> Component:
    """The stack's orchestrator, if the stack can do all that is asked for.

    Raises:
        StackError: a step names a tracker that the stack lacks, or the orchestrator lacks the execution mode.
    """
    workflow, pipeline = request.workflow, request.pipeline_name
    wanted = {name: body["step"] for body in step_bodies(workflow) for name in body.get("experiment_tracker") or ()}
    if wanted:
        trackers = {one.name for one in stacks.components_of(reader, stack, ComponentType.EXPERIMENT_TRACKER)}
        for name, step in wanted.items():
            if name not in trackers:
                raise StackError(
                    f"The step '{step}' in pipeline '{pipeline}' names the experiment tracker '{name}', which the "
                    f"stack '{stack.name}' lacks.",
                    hint=f"The stack has: {', '.join(sorted(trackers)) or 'no experiment tracker'}. Register one "
                    "(tiphys experiment-tracker register), put it into a stack (tiphys stack register … -e NAME), "
                    "or change experiment_tracker= of the step.",
                )
    kind = ComponentType.ORCHESTRATOR
    orchestrator = pick(stacks.components_of(reader, stack, kind), kind, None, stack.name)
    metadata = workflow.metadata
    mode = ((metadata.annotations if metadata else None) or {}).get(EXECUTION_MODE)
    if mode:
        implementation = load(find_flavor(kind, orchestrator.flavor).implementation)
        supported: Iterable[str] | None = getattr(implementation, "supported_execution_modes", None)
        if supported is not None and mode.lower() not in {str(one).lower() for one in supported}:
            raise StackError(
                f"The orchestrator '{orchestrator.name}' of the stack '{stack.name}' cannot run the pipeline "
                f"'{pipeline}' with the execution mode {mode.upper()}.",
                hint=f"Set execution_mode= of the pipeline; this orchestrator can run with: "
                f"{', '.join(sorted(str(one).upper() for one in supported))}.",
            )
    return orchestrator


class Submission:
    """Creates one run.

    Args:
        transaction: What the run is created in.
        request: What is to run.
        stack: What it runs with.
        orchestrator: Of that stack; says how steps are run where the request does not.
        workspace: Where it belongs.
        now: The present.
    """

    def __init__(
        self,
        transaction: Transaction,
        request: RunRequest,
        *,
        stack: StackRecord,
        orchestrator: Component,
        workspace: str,
        now: datetime,
    ) -> None:
        self._transaction = transaction
        self._request = request
        self._stack = stack
        self._settings = orchestrator.configuration
        self._workspace = workspace
        self._now = now
        self._versions: dict[str, ModelVersion] = {}

    def create(self, admit: Callable[[WorkflowRow], WorkflowRow]) -> tuple[Run, WorkflowRow]:
        """Write the run and its workflow.

        Args:
            admit: Says who is to carry the workflow out; returns it as it is to be stored.
        """
        request, transaction, now = self._request, self._transaction, self._now
        uid = new_id()
        name = self._name()
        models = {step: self._model(model) for step, model in request.step_models.items()}
        model = None if request.model is None else self._model(request.model)
        workflow = self._named_workflow(uid)
        run = Run(
            id=request.id or new_id(),
            name=name,
            workspace=self._workspace,
            pipeline_id=self._pipeline_id() if request.listed else None,
            pipeline_name=request.pipeline_name,
            workflow_uid=uid,
            stack=self._stack.name,
            spec_digest=request.spec_digest,
            parameters=dict(request.parameters),
            config=self._config(models),
            model_version_id=None if model is None else model.id,
            created_at=now,
        )
        metadata, spec = workflow.metadata, workflow.spec
        row = admit(
            WorkflowRow(
                id=uid,
                name=(metadata.name if metadata else None) or uid,
                workspace=self._workspace,
                labels=(metadata.labels if metadata else None) or {},
                priority=(spec.priority if spec else None) or 0,
                manifest=workflow.to_json_text(),
                runner=self._runner(),
                pipeline=request.pipeline_name,
                created_at=now,
            )
        )
        versions = {one.id for one in (*models.values(), *((model,) if model else ()))}
        transaction.add(run, row, *(model_link(one, EntityType.RUN, run.id, now) for one in sorted(versions)))
        put_tags(transaction, self._workspace, request.tags, EntityType.RUN, run.id, now=now)
        return run, row

    def _runner(self) -> str:
        how = self._request.runner or self._settings.get("runner") or "inline"
        return runner_of_client(how) if self._request.by_client else how

    def _name(self) -> str:
        request = self._request
        moment = self._now.astimezone(UTC)
        known = {
            "pipeline": request.pipeline_name,
            "pipeline_name": request.pipeline_name,
            "date": moment.strftime("%Y_%m_%d"),
            "time": moment.strftime("%H_%M_%S_%f"),
            **request.substitutions,
        }
        name = resolve_name(request.run_name or DEFAULT_NAME, known)
        if self._transaction.count(Query.of(Run, workspace=self._workspace, name=name)):
            raise AlreadyExistsError(
                f"There is a run '{name}' already.", hint="Put {date} and {time} into the run's name, or leave it out."
            )
        return name

    def _model(self, request: ModelRequest) -> ModelVersion:
        """The version a Model means; one new version for all places of the run that leave the version out."""
        found = self._versions.get(request.name) if request.version is None else None
        if found is None:
            found = resolve_request(self._transaction, self._workspace, request, now=self._now)
            if request.version is None:
                self._versions[request.name] = found
        return found

    def _pipeline_id(self) -> str:
        request = self._request
        fresh = Pipeline(
            id=new_id(),
            name=request.pipeline_name,
            workspace=self._workspace,
            description=request.pipeline_description,
            created_at=self._now,
        )
        pipeline = self._transaction.ensure(fresh, "workspace", "name")
        if request.pipeline_description and pipeline.description != request.pipeline_description:
            self._transaction.update(Pipeline, pipeline.id, description=request.pipeline_description)
        return pipeline.id

    def _config(self, models: Mapping[str, ModelVersion]) -> dict[str, Any]:
        request = self._request
        metadata = request.workflow.metadata
        extra = {
            "models": {step: version.id for step, version in models.items()},
            "step_names": read_exceptions(metadata.annotations if metadata else None),
            "substitutions": dict(request.substitutions),
            "reuse": self._reused(),
            "code_tree": request.code,
        }
        # Whoever asks for a run does not say what is told of it under our names.
        given = {name: value for name, value in request.config.items() if name not in extra}
        return {**given, **{name: value for name, value in extra.items() if value}}

    def _reused(self) -> dict[str, str]:
        """Step runs that steps take their outputs from.

        Raises:
            UsageError: one of them has no outputs to take.
        """
        wanted = self._request.reuse
        found = self._transaction.get_many(StepRun, wanted.values()) if wanted else {}
        for name, step_run_id in wanted.items():
            step = found.get(step_run_id)
            if step is None or not (step.status.is_successful or step.original_step_run_id):
                raise UsageError(
                    f"The step '{name}' cannot be skipped: it never succeeded in the earlier run.",
                    hint="Leave it out of the steps to skip.",
                )
        return dict(wanted)

    def _named_workflow(self, uid: str) -> Workflow:
        """The workflow with the name, uid, time and parallelism that its object has from now on."""
        workflow = self._request.workflow
        metadata = workflow.metadata or ObjectMeta()
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(5))
        named = metadata.model_copy(
            update={
                "name": f"{dns_name(self._request.pipeline_name)[:50].rstrip('-')}-{suffix}",
                "namespace": self._workspace,
                "uid": uid,
                "creation_timestamp": rfc3339(self._now),
            }
        )
        if workflow.spec is None or workflow.spec.parallelism is not None:
            return workflow.model_copy(update={"metadata": named})
        most = self._settings.get("parallelism") or os.cpu_count() or 1
        spec = workflow.spec.model_copy(update={"parallelism": most})
        return workflow.model_copy(update={"metadata": named, "spec": spec})
