"""A pipeline as a workflow that any Argo carries out: each step is a container that calls `tiphys step run`.

The entrypoint's DAG stays as it was compiled. A step's inputs and outputs become Argo's: parameters in the container's
arguments, artifacts as folders below `/tiphys` (`sdk.step_files` says what is in them). What Argo does not pass on as
an artifact travels as text: the results of a loop (Argo gathers a loop's parameters only), and values from outside.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactError, ArtifactMissingError, DefinitionError, NotFoundError
from tiphys.records.artifacts import ArtifactRef, ArtifactVersion
from tiphys.sdk.compiled import CompiledPipeline
from tiphys.sdk.compiler.compile import compile_pipeline
from tiphys.sdk.components import Components
from tiphys.sdk.config import CachePolicy, ExecutionMode, ExternalArtifact
from tiphys.sdk.materializing import save_value
from tiphys.sdk.pipeline import Pipeline
from tiphys.sdk.registry import is_importable, resolve
from tiphys.sdk.sources import source_of
from tiphys.sdk.step_files import FINAL, PACKED, described_store, pack, write_artifact
from tiphys.spec.artifacts import Artifact, GitArtifact, RawArtifact
from tiphys.spec.kubernetes import Container, EnvVar
from tiphys.spec.template import Arguments, DAGTask, Inputs, Outputs, Parameter, RetryStrategy, Template, ValueFrom
from tiphys.spec.workflow import Workflow

#: Root of a step's files in its container.
ROOT = "/tiphys"
#: Where the working copy of a git repository is put.
CODE = "/src"
#: Bytes of a parameter; Linux bounds one argument of a program to 128 kB.
MOST_PARAMETER = 100_000

_COMMAND = ["python", "-u", "-m", "tiphys", "step", "run"]
_AGAIN = f"asInt(lastRetry.exitCode) != {FINAL}"
_FROM = re.compile(r"\{\{tasks\.([^.]+)\.outputs\.artifacts\.([^}]+)\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How the containers of an exported pipeline are set up."""

    #: Image with Python and Tiphys.
    image: str = "python:3.12"
    #: Environment variables of every container.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Address of the git repository that holds the steps' modules; empty if the image does.
    git: str = ""
    #: Branch, tag or commit; empty for the repository's default.
    revision: str = ""
    #: Folder from which the steps' modules are imported.
    working_directory: str = CODE


@dataclass(frozen=True, slots=True)
class Exported:
    """A workflow, and what of the pipeline it does not have."""

    workflow: Workflow
    #: Sentences for the user.
    warnings: tuple[str, ...]


def export_pipeline(pipeline: Pipeline, arguments: Mapping[str, Any], options: ExportOptions) -> Exported:
    """Compile a pipeline for an Argo that knows nothing of Tiphys.

    Args:
        pipeline: The pipeline.
        arguments: Arguments of its function, by name.
        options: How the containers are set up.

    Raises:
        DefinitionError: something is defined wrongly, or cannot be exported; the message names the step.
    """
    compiled = compile_pipeline(pipeline, arguments, surroundings=_Carried())
    spec = compiled.workflow.spec
    assert spec is not None  # noqa: S101  as it was compiled
    entry, *templates = spec.templates or []
    assert entry.dag is not None  # noqa: S101  as it was compiled
    exporter = _Exporter(compiled, {template.name or "": template for template in templates}, options)
    entry.dag.tasks = exporter.tasks(entry.dag.tasks or ())
    spec.templates = [entry, *exporter.templates]
    return Exported(compiled.workflow, tuple(_warnings(compiled, exporter.bodies)))


class _Carried:
    """Surroundings of an export: values from outside travel in the manifest."""

    def reference(self, source: ExternalArtifact | ArtifactVersion) -> Mapping[str, Any]:
        """The value as a text, under `packed`.

        Raises:
            NotFoundError: it is an artifact version.
            ArtifactMissingError: the value cannot be stored, or is too large.
        """
        if isinstance(source, ArtifactVersion) or source.id is not None:
            raise NotFoundError(
                "it is a stored version, and an exported workflow reaches no artifact store of Tiphys.",
                hint="Load it in Python and give ExternalArtifact(value=…), or let a step read it from where it is.",
            )
        given = source.materializer
        chosen = () if given is None else (given if isinstance(given, str) else source_of(given),)
        try:
            with tempfile.TemporaryDirectory(prefix="tiphys-export-") as scratch:
                store = Components({"artifact_store": [described_store(scratch)]}).store
                saved = save_value(source.value, store, materializers=chosen, visualize=False, metadata=False)
                ref = ArtifactRef(
                    version_id="",
                    name="external",
                    digest=saved.digest,
                    materializer=saved.materializer,
                    data_type=saved.data_type,
                    type=saved.type.value,
                    size=saved.size,
                )
                folder = Path(scratch, "external")
                write_artifact(ref, folder, store)
                return {"packed": pack(folder)}
        except ArtifactError as error:
            raise ArtifactMissingError(error.message, hint="Let a step make the value.") from error

    def trackers(self) -> list[str]:
        """None are known."""
        return []


class _Exporter:
    """One export.

    Args:
        compiled: The pipeline; its tasks stand in the order of its steps.
        known: Its steps' templates by name.
        options: How the containers are set up.
    """

    def __init__(self, compiled: CompiledPipeline, known: Mapping[str, Template], options: ExportOptions) -> None:
        self.compiled = compiled
        self.known = known
        self.options = options
        self.templates: list[Template] = []
        #: Step id → its body as compiled.
        self.bodies: dict[str, Mapping[str, Any]] = {}
        #: Template as compiled, inputs that come as text, outputs that are given as text → template's name.
        self._names: dict[tuple[str, frozenset[str], frozenset[str]], str] = {}
        self._taken = {(compiled.workflow.spec and compiled.workflow.spec.entrypoint) or ""}

    def tasks(self, tasks: Iterable[DAGTask]) -> list[DAGTask]:
        """The tasks of the entrypoint; `templates` are then those that they call."""
        tasks = list(tasks)
        loops = {task.name: set[str]() for task in tasks if task.with_param}
        gathered: list[frozenset[str]] = []
        for task in tasks:
            names = set()
            for artifact in (task.arguments and task.arguments.artifacts) or ():
                producer, output = _source(artifact)
                if producer in loops:
                    loops[producer].add(output)
                    names.add(artifact.name or "")
            gathered.append(frozenset(names))
        return [
            self._task(task, step_id, inputs, frozenset(loops.get(task.name, ())))
            for task, step_id, inputs in zip(tasks, self.compiled.steps, gathered, strict=True)
        ]

    def _task(self, task: DAGTask, step_id: str, gathered: frozenset[str], packed: frozenset[str]) -> DAGTask:
        template = self.known[task.template or ""]
        assert template.plugin is not None  # noqa: S101  every leaf that a pipeline compiles to
        body: Mapping[str, Any] = template.plugin["tiphys"]
        self.bodies[step_id] = body
        self._check_parameters(step_id, task)
        key = task.template or "", gathered, packed
        name = self._names.get(key)
        if name is None:
            self._check_code(step_id, body)
            name = self._names[key] = self._new_name(key[0])
            self.templates.append(self._template(name, template, body, gathered, packed))
        arguments = task.arguments
        if arguments is not None and gathered:
            artifacts = [_gathered(each) if each.name in gathered else each for each in arguments.artifacts or ()]
            arguments = Arguments(parameters=arguments.parameters, artifacts=artifacts)
        return task.model_copy(update={"template": name, "arguments": arguments})

    def _new_name(self, base: str) -> str:
        name, number = base, 1
        while name in self._taken or (number > 1 and name in self.known):
            number += 1
            name = f"{base}-{number}"
        self._taken.add(name)
        return name

    def _check_code(self, step_id: str, body: Mapping[str, Any]) -> None:
        named = [("function", body["source"], body["code_digest"])]
        named += [(f"hook {name}", source, "") for name, source in body["hooks"].items()]
        named += [("materializer", source, "") for output in body["outputs"] for source in output["materializers"]]
        for what, source, digest in named:
            if not is_importable(source, resolve(source, digest)):
                raise DefinitionError(
                    f"Step '{step_id}' of pipeline '{self.compiled.name}' cannot be exported: another process cannot "
                    f"import its {what} '{source}'.",
                    hint="Define it at the top of a module, not in a notebook, a script or another function.",
                )

    def _check_parameters(self, step_id: str, task: DAGTask) -> None:
        for parameter in (task.arguments and task.arguments.parameters) or ():
            size = len((parameter.value or "").encode())
            if size > MOST_PARAMETER:
                raise DefinitionError(
                    f"Step '{step_id}' of pipeline '{self.compiled.name}' cannot be exported: its parameter "
                    f"'{parameter.name}' has {size:,} bytes, and at most {MOST_PARAMETER:,} can be an argument of a "
                    "container.",
                    hint="Let a step make the value.",
                )

    def _template(
        self,
        name: str,
        template: Template,
        body: Mapping[str, Any],
        gathered: frozenset[str],
        packed: frozenset[str],
    ) -> Template:
        retry = _retry_strategy(template.retry_strategy)
        given = [parameter.name or "" for parameter in (template.inputs and template.inputs.parameters) or ()]
        environment = {**self.options.environment, **body["environment"]}
        return Template(
            name=name,
            inputs=self._inputs(template, body, gathered),
            outputs=_outputs(template, packed),
            container=Container(
                image=self.options.image,
                command=_COMMAND,
                args=_arguments(body, given, packed, retry),
                working_dir=self.options.working_directory,
                env=[EnvVar(name=key, value=value) for key, value in environment.items()] or None,
            ),
            retry_strategy=retry,
            timeout=template.timeout,
        )

    def _inputs(self, template: Template, body: Mapping[str, Any], gathered: frozenset[str]) -> Inputs | None:
        parameters = (template.inputs and template.inputs.parameters) or None
        artifacts: list[Artifact] = []
        if self.options.git:
            repository = GitArtifact(repo=self.options.git, revision=self.options.revision or None)
            artifacts.append(Artifact(name="tiphys-code", path=CODE, git=repository))
        for artifact in (template.inputs and template.inputs.artifacts) or ():
            input_name = artifact.name or ""
            ending = ".json" if input_name in gathered else ""
            artifacts.append(Artifact(name=input_name, path=f"{ROOT}/inputs/{input_name}{ending}"))
        for input_name, declared in body["inputs"].items():
            if declared["kind"] == "external":
                data = RawArtifact(data=json.dumps(declared["ref"]["packed"]))
                artifacts.append(Artifact(name=input_name, path=f"{ROOT}/inputs/{input_name}.json", raw=data))
        if not parameters and not artifacts:
            return None
        return Inputs(parameters=parameters, artifacts=artifacts or None)


def _outputs(template: Template, packed: frozenset[str]) -> Outputs | None:
    if template.outputs is None:
        return None
    names = [parameter.name or "" for parameter in template.outputs.parameters or ()]
    names += [output + PACKED for output in sorted(packed)]
    parameters = [Parameter(name=name, value_from=ValueFrom(path=f"{ROOT}/parameters/{name}")) for name in names]
    artifacts = [
        Artifact(name=artifact.name, path=f"{ROOT}/outputs/{artifact.name}")
        for artifact in template.outputs.artifacts or ()
    ]
    return Outputs(parameters=parameters or None, artifacts=artifacts or None)


def _arguments(
    body: Mapping[str, Any], parameters: Iterable[str], packed: frozenset[str], retry: RetryStrategy | None
) -> list[str]:
    text = json.dumps(_body(body, packed), ensure_ascii=False, separators=(",", ":"))
    arguments = [body["source"], "--body", text, "--run-name", "{{workflow.name}}"]
    for name in parameters:
        arguments += ["--parameter", f"{name}={{{{inputs.parameters.{name}}}}}"]
    if retry is not None:
        arguments += ["--attempt", "{{retries}}", "--retries", str(retry.limit)]
    return arguments


def _body(body: Mapping[str, Any], packed: frozenset[str]) -> dict[str, Any]:
    """What `tiphys step run` has to know, and no more."""
    retry = {key: body["retry"][key] for key in ("only", "never") if body["retry"].get(key)}
    outputs = [
        {
            "name": output["name"],
            **{
                key: output[key]
                for key in ("materializers", "artifact_type", "exposed", "mapped", "indexed")
                if output[key]
            },
            **({"packed": True} if output["name"] in packed else {}),
        }
        for output in body["outputs"]
    ]
    inputs = {
        name: {key: value for key, value in declared.items() if key != "ref"}
        for name, declared in body["inputs"].items()
    }
    found = {"step": body["step"], "pipeline": body["pipeline"], "inputs": inputs, "outputs": outputs}
    return {**found, **({"hooks": body["hooks"]} if body["hooks"] else {}), **({"retry": retry} if retry else {})}


def _retry_strategy(strategy: RetryStrategy | None) -> RetryStrategy | None:
    """The same for a container; Argo reads `factor` as a whole number, and its schema wants numbers as texts."""
    if strategy is None:
        return None
    backoff = strategy.backoff
    if backoff is not None and backoff.factor is not None:
        backoff = backoff.model_copy(update={"factor": str(math.ceil(float(backoff.factor)))})
    return strategy.model_copy(update={"limit": str(strategy.limit), "backoff": backoff, "expression": _AGAIN})


def _source(artifact: Artifact) -> tuple[str, str]:
    """Task and output that an argument is taken from."""
    found = _FROM.fullmatch(artifact.from_ or "")
    assert found is not None  # noqa: S101  as it was compiled
    return found[1], found[2]


def _gathered(artifact: Artifact) -> Artifact:
    """The results of a loop as a file: a JSON list of packed artifacts."""
    task, output = _source(artifact)
    data = f"{{{{tasks.{task}.outputs.parameters.{output}{PACKED}}}}}"
    return Artifact(name=artifact.name, raw=RawArtifact(data=data))


def _warnings(compiled: CompiledPipeline, bodies: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """What the workflow will not do, and of which steps."""
    name = compiled.name
    if compiled.model is not None:
        yield f"Pipeline '{name}' has the model '{compiled.model.name}': the workflow makes no version of it."
    for step_id, model in compiled.step_models.items():
        yield f"Step '{step_id}' has the model '{model.name}': the workflow makes no version of it."
    if compiled.options.get("execution_mode") is ExecutionMode.FAIL_FAST:
        yield f"Pipeline '{name}' fails fast: Argo starts no further steps, but lets those that run finish."
    ignored = [option for option in ("tags", "run_name", "stack", "runner") if compiled.options.get(option)]
    if ignored:
        yield f"Pipeline '{name}' has {', '.join(ignored)}: the workflow has none of it."
    for step_id, body in bodies.items():
        lost = _lost(compiled, step_id, body)
        if lost:
            yield f"Step '{step_id}' loses {', '.join(lost)}."
    cached = [step_id for step_id, body in bodies.items() if body["cache"]["enabled"]]
    if cached:
        which = "No step" if len(cached) == len(bodies) else f"None of the steps {', '.join(cached)}"
        yield f"{which} is cached: Argo carries out each of them in every run."


def _lost(compiled: CompiledPipeline, step_id: str, body: Mapping[str, Any]) -> list[str]:
    options = {**compiled.steps[step_id].options, **compiled.options.get("steps", {}).get(step_id, {})}
    policy = options.get("cache_policy")
    lost = ["its cache policy"] if isinstance(policy, CachePolicy) else []
    lost += ["its experiment tracker"] if body["experiment_tracker"] is not None else []
    lost += ["its settings"] if body["settings"] else []
    lost += ["the jitter of its retries"] if body["retry"].get("jitter") else []
    retry = options.get("retry")
    if retry is not None and retry.backoff != int(retry.backoff):
        lost.append(f"the backoff of its retries, which is rounded up from {retry.backoff}")
    for output in body["outputs"]:
        facts = [key for key in ("version", "tags", "metadata") if output[key]]
        if facts:
            lost.append(f"the {' and '.join(facts)} of its output '{output['name']}'")
    return lost
