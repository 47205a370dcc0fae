"""What a step may know of itself and its run, and what it says about itself while it runs.

Records are fetched only when asked for; metadata and tags are collected and travel with the step's result, so that they
cost no round trip of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from pathlib import Path
from typing import Any

from tiphys._util.ids import new_id
from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.backend import Backend
from tiphys.ports.runner import Task
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.runs import StepRun
from tiphys.sdk.config import Tag
from tiphys.sdk.model import Model
from tiphys.sdk.plain import plain_values
from tiphys.sdk.session import current_backend
from tiphys.sdk.views import ArtifactVersionView, RunView, StepView, fetch


class StepContext:
    """The step that is being carried out; `get_step_context()` gives it.

    Args:
        task: What is carried out.
        store: Where its outputs go.
        backend: Where records are asked for; by default the backend in use, loaded when needed.
    """

    def __init__(self, task: Task, store: ArtifactStore, *, backend: Backend | None = None) -> None:
        self._task = task
        self._backend = backend
        self.artifact_store = store
        self.outputs: tuple[str, ...] = tuple(output["name"] for output in task.body.get("outputs", ()))
        self.version_ids: dict[str, str] = {}
        self.step_metadata: dict[str, Any] = {}
        self.output_metadata: dict[str, dict[str, Any]] = {}
        self.output_tags: dict[str, list[str]] = {}
        self.other_metadata: dict[tuple[str, str], dict[str, Any]] = {}
        self.other_tags: dict[tuple[str, str, str], None] = {}
        self._model: Model | None = None

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._known("run_id")

    @property
    def run_name(self) -> str:
        """Name of the run."""
        return self._known("run_name")

    @property
    def step_run_id(self) -> str:
        """Id of this attempt's step run."""
        return self._known("step_run_id")

    @property
    def step_name(self) -> str:
        """Invocation id of the step."""
        return self._task.step_name

    @property
    def pipeline_name(self) -> str:
        """Name of the pipeline."""
        return str(self._task.context.get("pipeline_name") or self._task.body.get("pipeline") or "")

    @property
    def attempt(self) -> int:
        """Zero-based number of the attempt."""
        return self._task.attempt

    @property
    def pipeline_run(self) -> RunView:
        """The run, as it is recorded now."""
        backend = self._backend_in_use()
        return RunView(backend.runs.get(self.run_id), backend)

    @property
    def step_run(self) -> StepView:
        """This attempt's step run, as it is recorded now."""
        backend = self._backend_in_use()
        found = backend.find(Query.of(StepRun, id=self.step_run_id))
        if not found:
            raise NotFoundError(f"The step run {self.step_run_id} is not recorded.")
        return StepView(found[0], backend)

    @property
    def model(self) -> Model:
        """The step's or its pipeline's Model, bound to the version of this run.

        Raises:
            UsageError: neither has a Model.
        """
        if self._model is None:
            known = self._model_context()
            self._model = Model(name=known["name"], version=known["version"])
        return self._model

    @property
    def inputs(self) -> dict[str, ArtifactVersionView | list[ArtifactVersionView]]:
        """The artifact versions that came in, by parameter name; lists for parameters that got several."""
        single: dict[str, str] = {}
        several: dict[str, list[str]] = {}
        for name, value in self._task.inputs.artifacts.items():
            parameter, dash, _ = name.partition("-")
            if isinstance(value, Mapping):
                ids = [str(value["version_id"])]
            else:
                ids = [str(ref["version_id"]) for ref in _refs(value)]
            if dash or not isinstance(value, Mapping):
                several.setdefault(parameter, []).extend(ids)
            else:
                single[parameter] = ids[0]
        wanted = [*single.values(), *(each for ids in several.values() for each in ids)]
        if not wanted:
            return {}
        backend = self._backend_in_use()
        versions = fetch(backend, ArtifactVersion, wanted)
        found = {each: ArtifactVersionView(version, backend) for each, version in versions.items()}
        return {name: found[each] for name, each in single.items() if each in found} | {
            name: [found[each] for each in ids if each in found] for name, ids in several.items()
        }

    def get_output_artifact_uri(self, output_name: str | None = None) -> str:
        """A local folder for files that belong to an output beside its value.

        The value itself is stored under the digest of its content, which is not known yet; the folder's place is noted
        in the output's metadata as `files_uri`.

        Raises:
            ValueError: the step has no such output, or several and none is named.
        """
        output = self._output(output_name)
        folder = Path(self._known("home")) / "files" / self.output_version_id(output)
        folder.mkdir(parents=True, exist_ok=True)
        self.log_artifact_metadata(output, {"files_uri": str(folder)})
        return str(folder)

    def add_output_metadata(self, metadata: Mapping[str, Any], output_name: str | None = None) -> None:
        """Note metadata of an output; the only one by default."""
        self.log_artifact_metadata(output_name, metadata)

    def get_output_metadata(self, output_name: str | None = None) -> dict[str, Any]:
        """Metadata that this step noted of an output so far."""
        return dict(self.output_metadata.get(self._output(output_name), {}))

    def add_output_tags(self, tags: Iterable[str | Tag], output_name: str | None = None) -> None:
        """Put tags on an output; the only one by default."""
        self.add_tags(tags, output_name=output_name)

    def get_output_tags(self, output_name: str | None = None) -> list[str]:
        """Tags that this step put on an output so far."""
        return list(self.output_tags.get(self._output(output_name), ()))

    def remove_output_tags(self, tags: Iterable[str | Tag], output_name: str | None = None) -> None:
        """Take tags off an output again that this step, or its definition, put on it."""
        output = self._output(output_name)
        unwanted = set(_names(tags))
        self.output_tags[output] = [tag for tag in self._tags_of(output) if tag not in unwanted]

    def add_tags(self, tags: Iterable[str | Tag], *, output_name: str | None = None) -> None:
        """Put tags on an output; the only one by default."""
        output = self._output(output_name)
        self.output_tags[output] = list(dict.fromkeys([*self._tags_of(output), *_names(tags)]))

    def add_run_tags(self, tags: Iterable[str | Tag]) -> None:
        """Put tags on the run."""
        self._add_other_tags(EntityType.RUN, self.run_id, tags)

    def add_model_tags(self, tags: Iterable[str | Tag]) -> None:
        """Put tags on the model version of this run."""
        self._add_other_tags(EntityType.MODEL_VERSION, str(self._model_context()["version_id"]), tags)

    def log_step_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Note metadata of this step run; later values of a key replace earlier ones."""
        self.step_metadata |= plain_values(metadata)

    def log_artifact_metadata(self, output_name: str | None, metadata: Mapping[str, Any]) -> None:
        """Note metadata of an output; None means the only one.

        Raises:
            ValueError: the step has no such output, or several and none is named.
        """
        self.output_metadata.setdefault(self._output(output_name), {}).update(plain_values(metadata))

    def log_model_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Note metadata of the model version of this run.

        Raises:
            UsageError: neither the step nor its pipeline has a Model.
        """
        self._log_other(EntityType.MODEL_VERSION, str(self._model_context()["version_id"]), metadata)

    def log_run_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Note metadata of the run."""
        self._log_other(EntityType.RUN, self.run_id, metadata)

    def output_version_id(self, output: str) -> str:
        """The id that the artifact version of an output will have."""
        known = self.version_ids.get(output)
        if known is None:
            known = self.version_ids[output] = new_id()
        return known

    def tags_of_output(self, output: Mapping[str, Any]) -> tuple[str, ...]:
        """Tags of an output: the definition's, changed by what the step did."""
        changed = self.output_tags.get(output["name"])
        return tuple(output.get("tags") or ()) if changed is None else tuple(changed)

    def _tags_of(self, output: str) -> list[str]:
        changed = self.output_tags.get(output)
        if changed is not None:
            return changed
        return next((list(each.get("tags") or ()) for each in self._task.body["outputs"] if each["name"] == output), [])

    def _add_other_tags(self, entity: EntityType, id: str, tags: Iterable[str | Tag]) -> None:
        for tag in _names(tags):
            self.other_tags[entity.value, id, tag] = None

    def _log_other(self, entity: EntityType, id: str, metadata: Mapping[str, Any]) -> None:
        self.other_metadata.setdefault((entity.value, id), {}).update(plain_values(metadata))

    def _output(self, name: str | None) -> str:
        if name is None:
            if len(self.outputs) == 1:
                return self.outputs[0]
            count = len(self.outputs) or "no"
            raise UsageError(
                f"The step '{self.step_name}' has {count} outputs, so the one that is meant must be named.",
                hint=f"Its outputs: {', '.join(self.outputs)}." if self.outputs else None,
            )
        if name not in self.outputs:
            raise UsageError(
                f"The step '{self.step_name}' has no output '{name}'.",
                hint=f"Its outputs: {', '.join(self.outputs) or 'none'}.",
            )
        return name

    def _model_context(self) -> Mapping[str, Any]:
        known = self._task.context.get("model")
        if not known:
            raise UsageError(
                f"Neither the step '{self.step_name}' nor its pipeline has a Model.",
                hint='Give one: @pipeline(model=Model(name="…")) or @step(model=Model(name="…")).',
            )
        model: Mapping[str, Any] = known
        return model

    def _known(self, key: str) -> str:
        value = self._task.context.get(key)
        if not value:
            raise UsageError(f"The step '{self.step_name}' was started without '{key}' in its context.")
        return str(value)

    def _backend_in_use(self) -> Backend:
        return self._backend or current_backend()


_current: ContextVar[StepContext | None] = ContextVar("tiphys_step", default=None)


def get_step_context() -> StepContext:
    """The context of the step that is being carried out.

    Raises:
        UsageError: this is not called from within a step (or one of its hooks) that runs as part of a pipeline.
    """
    context = _current.get()
    if context is None:
        raise UsageError(
            "There is no step context here: no step is being carried out.",
            hint="Call get_step_context() inside a step's function or hook, while its pipeline runs.",
        )
    return context


def current_step_context() -> StepContext | None:
    """The context of the step that is being carried out, or None."""
    return _current.get()


def enter_step_context(context: StepContext | None) -> Token[StepContext | None]:
    """Make `context` the present one (None: no step); `leave_step_context` undoes it."""
    return _current.set(context)


def leave_step_context(token: Token[StepContext | None]) -> None:
    """Undo `enter_step_context`."""
    _current.reset(token)


def _names(tags: Iterable[str | Tag]) -> list[str]:
    """Tag names of texts and of objects that have a `name`."""
    if isinstance(tags, str):
        return [tags]
    return [tag if isinstance(tag, str) else tag.name for tag in tags]


def _refs(value: Any) -> list[Mapping[str, Any]]:
    """All refs of a list that may hold lists."""
    if isinstance(value, Mapping):
        return [value]
    return [ref for item in value for ref in _refs(item)]
