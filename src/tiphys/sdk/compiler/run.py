"""Runs what was compiled: submits it to the backend, waits, and says clearly what went wrong."""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiphys._util.collector import no_collections
from tiphys.errors import ArtifactMissingError, RunFailedError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.backend import Backend, NewArtifactVersion, RunRequest
from tiphys.records.artifacts import ArtifactVersion, SaveType
from tiphys.records.base import Query
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.sdk.compiled import CompiledPipeline
from tiphys.sdk.compiler.compile import compile_pipeline
from tiphys.sdk.config import ExternalArtifact
from tiphys.sdk.materializing import save_value
from tiphys.sdk.pipeline import Pipeline
from tiphys.sdk.session import current_backend
from tiphys.sdk.signature import check_type, encode_parameter
from tiphys.sdk.sources import source_of
from tiphys.sdk.step import Step
from tiphys.sdk.views import RunView, ref_of, store_named


def run_pipeline(pipeline: Pipeline, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunView:
    """Compile a pipeline, run it and wait for its end.

    Raises:
        DefinitionError: nothing was run.
        RunFailedError: it did not complete.
    """
    backend = current_backend()
    arguments = pipeline.bind(args, kwargs)
    return execute(compile_pipeline(pipeline, arguments, surroundings=BackendSurroundings(backend)), backend)


def run_step_alone(step: Step, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run one step as an unlisted pipeline; returns its value (a tuple of them if it has several outputs).

    Values that are no parameters become external artifacts.
    """
    parameters = step.signature.parameters
    positional = step.signature.positional
    given = [
        _as_input(value, parameters[name].annotation) for name, value in zip(positional, args, strict=False)
    ] + list(args[len(positional) :])
    named = {
        name: _as_input(value, parameters[name].annotation) if name in parameters else value
        for name, value in kwargs.items()
    }
    backend = current_backend()
    pipeline = Pipeline(lambda: step(*given, **named), {"name": step.name})
    compiled = compile_pipeline(pipeline, {}, surroundings=BackendSurroundings(backend))
    run = execute(compiled, backend, listed=False)
    found = run.steps[next(iter(compiled.steps))].outputs
    values = tuple(found[output.name].load(_class_of(output.annotation)) for output in step.signature.outputs)
    return values if len(values) > 1 else values[0] if values else None


def _as_input(value: Any, annotation: Any) -> Any:
    try:
        encode_parameter(value, annotation)
    except ValueError:
        record = getattr(value, "record", value)
        if check_type(value, annotation) is None and not isinstance(record, (ExternalArtifact, ArtifactVersion)):
            return ExternalArtifact(value)
    return value


def _class_of(annotation: Any) -> Any:
    return annotation if isinstance(annotation, type) and annotation is not object else None


def execute(compiled: CompiledPipeline, backend: Backend, *, listed: bool = True) -> RunView:
    """Submit a compiled pipeline and wait for its end.

    Raises:
        RunFailedError: it did not complete.
    """
    with no_collections():
        run = backend.runs.submit(request_of(compiled, listed=listed))
    observer, close = load("tiphys.sdk.progress:observer_for")(run, len(compiled.steps))
    del compiled  # many objects, of a wide pipeline; the engine has read its own from the store
    try:
        run = backend.runs.wait(run.id, observer)
    except KeyboardInterrupt:
        backend.runs.interrupt(run)
        raise
    finally:
        close(run)
    if not run.status.is_successful:
        raise failure(run, backend.runs.steps(run.id))
    return RunView(run, backend)


def request_of(compiled: CompiledPipeline, *, listed: bool = True) -> RunRequest:
    """What the backend is asked for."""
    options = compiled.options
    return RunRequest(
        run_name=compiled.run_name,
        pipeline_name=compiled.name,
        pipeline_description=compiled.description,
        workflow=compiled.workflow,
        spec_digest=compiled.spec_digest,
        parameters=compiled.parameters,
        config={**_explanation(compiled.file), **compiled.config},
        substitutions=options.get("substitutions", {}),
        tags=compiled.tags,
        model=compiled.model,
        step_models=compiled.step_models,
        stack=options.get("stack"),
        runner=options.get("runner"),
        resume=options.get("resume", True),
        remote=options.get("remote", False),
        code_by_git=options.get("code") == "git",
        listed=listed,
    )


def failure(run: Run, steps: Sequence[StepRun]) -> RunFailedError:
    """The error of a run that did not complete: which step, why, and where to read more."""
    failed = [step for step in steps if step.status is ExecutionStatus.FAILED]
    failed.sort(key=lambda step: (step.finished_at is None, step.finished_at))
    if not failed:
        verb = "failed" if run.status is ExecutionStatus.FAILED else f"ended as {run.status.value}"
        reason = f": {run.message}" if run.message else "."
        return RunFailedError(
            f"The run '{run.name}' {verb}{reason}", run_id=run.id, hint=f"tiphys runs show {run.name}"
        )
    step = failed[0]
    exception = step.exception or {}
    cause = f"{exception['type']}: {exception['message']}" if exception else run.message
    attempts = f" (attempt {step.version})" if step.version > 1 else ""
    others = f"\n{len(failed) - 1} more failed: {', '.join(s.name for s in failed[1:6])}." if len(failed) > 1 else ""
    trace = str(exception.get("traceback") or "").rstrip()
    return RunFailedError(
        f"The run '{run.name}' failed in step '{step.name}'{attempts}: {cause}{others}"
        + (f"\n\n{trace}\n" if trace else ""),
        run_id=run.id,
        step=step.name,
        hint=f"tiphys runs logs {run.name} --step {step.name}",
    )


class BackendSurroundings:
    """What a compilation asks of a backend.

    Args:
        backend: Where the run will be submitted.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def reference(self, source: ExternalArtifact | ArtifactVersion) -> Mapping[str, Any]:
        """An artifact from outside; a value is stored, unless an equal one is already.

        Raises:
            NotFoundError: there is no version of that id.
            ArtifactMissingError: its data is gone.
        """
        if isinstance(source, ArtifactVersion) or source.id is not None:
            found = (
                source if isinstance(source, ArtifactVersion) else self._backend.artifacts.get_version(str(source.id))
            )
            if not store_named(self._backend, found.store).exists(found.digest):
                raise ArtifactMissingError(
                    f"The data of the artifact '{found.name}', version {found.version}, is gone from the artifact "
                    f"store '{found.store}'.",
                    hint="Take another version, or run what made it again with enable_cache=False.",
                )
            return ref_of(found).to_json()
        component = self._backend.stacks.component(ComponentType.ARTIFACT_STORE)
        if not isinstance(component, ArtifactStore):
            raise TypeError(f"The component '{component.name}' is no artifact store.")
        path = source.materializer
        saved = save_value(
            source.value,
            component,
            materializers=() if path is None else (path if isinstance(path, str) else source_of(path),),
            visualize=source.store_artifact_visualizations,
            metadata=source.store_artifact_metadata,
        )
        known = self._backend.find(
            Query.of(
                ArtifactVersion,
                digest=saved.digest,
                save_type=SaveType.EXTERNAL.value,
                materializer=saved.materializer,
                data_type=saved.data_type,
                store=component.name,
                limit=1,
            )
        )
        version = (
            known[0]
            if known
            else self._backend.artifacts.create_version(
                NewArtifactVersion(
                    name=f"external_{saved.digest.rpartition(':')[2][:16]}",
                    digest=saved.digest,
                    size=saved.size,
                    uri=saved.uri,
                    store=component.name,
                    materializer=saved.materializer,
                    data_type=saved.data_type,
                    type=saved.type,
                    save_type=SaveType.EXTERNAL,
                    has_custom_name=False,
                    metadata=saved.metadata,
                    visualizations=saved.visualizations,
                )
            )
        )
        return ref_of(version).to_json()

    def trackers(self) -> list[str]:
        """Name of the active stack's experiment tracker.

        Raises:
            StackError: it has none.
        """
        return [self._backend.stacks.component(ComponentType.EXPERIMENT_TRACKER).name]


@functools.cache
def _explanation(file: str) -> dict[str, Any]:
    """Where the code of a run comes from, and what it runs on.

    Args:
        file: What defines the pipeline; the entry where the program is no script of the user (our command line, say).
    """
    main = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "")
    is_script = main.suffix == ".py" and main.name != "__main__.py"
    entry = (main if is_script else Path(file)).absolute()
    found = entry.is_file()
    code = {"entry": str(entry) if found else "interactive", **_git(entry.parent if found else Path.cwd())}
    return {"code": code, "python": platform.python_version(), "platform": sys.platform}


def _git(folder: Path) -> dict[str, str]:
    """The commit that is checked out, read from git's files (its command would take longer than a small run)."""
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    if root is None:
        return {}
    try:
        git = root / ".git"
        if git.is_file():  # a worktree
            git = Path(root, git.read_text().partition("gitdir:")[2].strip())
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return {"git_commit": head}
        name = head.removeprefix("ref: ")
        common = git / "commondir"
        base = git / common.read_text().strip() if common.exists() else git
        found = {"git_branch": name.removeprefix("refs/heads/")}
        if (base / name).exists():
            return {"git_commit": (base / name).read_text().strip(), **found}
        packed = (base / "packed-refs").read_text().splitlines()
        commits = [line.split()[0] for line in packed if line.endswith(f" {name}")]
        return {"git_commit": commits[0], **found} if commits else found
    except OSError:  # not for us to read, or half written
        return {}
