"""What every backend must do that can be said without running steps.

A test class derives from `BackendContract` and overrides the fixture `backend`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tiphys._util.ids import new_id
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, SpecError, StackError, UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.backend import Backend, ModelRequest, NewArtifactVersion, TagRequest
from tiphys.ports.workflows import SubmitOptions, WorkflowFilter
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.models import ModelStage, ModelVersion
from tiphys.records.objects import ObjectKind
from tiphys.records.runs import ExecutionStatus
from tiphys.records.stacks import ComponentType, Service
from tiphys.records.tags import TagRecord
from tiphys.testing.playing import a_request, a_workflow, step_body, step_template


def a_version(name: str = "m", **fields: Any) -> NewArtifactVersion:
    """A version of data that need not be there."""
    return NewArtifactVersion(
        name=name,
        **{
            "digest": f"sha256:{'0' * 64}",
            "size": 3,
            "uri": "/nowhere",
            "store": "default",
            "materializer": "module:Class",
            "data_type": "builtins.int",
            **fields,
        },
    )


def a_config_map(name: str = "c", **data: str) -> dict[str, Any]:
    """A ConfigMap that parameters may be taken from."""
    labels = {"workflows.argoproj.io/configmap-type": "Parameter"}
    return {"kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}


def a_manifest(**spec: Any) -> dict[str, Any]:
    """A workflow of one container."""
    main = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
    return {"metadata": {"generateName": "w-"}, "spec": {"entrypoint": "main", "templates": [main], **spec}}


class BackendContract:
    """The suite."""

    @pytest.fixture
    def backend(self) -> Backend:
        """A backend with nothing in it."""
        raise NotImplementedError

    # Runs -------------------------------------------------------------------------------------------------------------

    def test_a_submitted_run_can_be_read_by_name_id_and_beginning_of_the_id(self, backend: Backend) -> None:
        run = backend.runs.submit(a_request(run_name="first", parameters={"n": 1}, config={"git": "abc"}))
        assert (run.name, run.pipeline_name, run.status) == ("first", "p", ExecutionStatus.INITIALIZING)
        for asked in ("first", run.id, run.id[:20]):
            assert backend.runs.get(asked) == run
        assert (run.parameters, run.config) == ({"n": 1}, {"git": "abc"})
        with pytest.raises(NotFoundError, match="no run 'second'"):
            backend.runs.get("second")

    def test_names_of_runs_are_filled_in_and_unique(self, backend: Backend) -> None:
        named = a_request(run_name="{pipeline}-of-{city}", substitutions={"city": "Ulm"})
        assert backend.runs.submit(named).name == "p-of-Ulm"
        with pytest.raises(AlreadyExistsError, match="'p-of-Ulm'"):
            backend.runs.submit(named)
        with pytest.raises(UsageError, match=r"unknown placeholder \{town\}") as caught:
            backend.runs.submit(a_request(run_name="{town}"))
        assert "date" in (caught.value.hint or "")
        names = {backend.runs.submit(a_request(pipeline="many words")).name for _ in range(3)}
        assert len(names) == 3
        assert all(name.startswith("many words-2") for name in names)

    def test_what_a_refused_run_would_have_made_is_not_there(self, backend: Backend) -> None:
        backend.runs.submit(a_request(run_name="taken"))
        with pytest.raises(AlreadyExistsError):
            backend.runs.submit(a_request(run_name="taken", model=ModelRequest(name="m")))
        with pytest.raises(NotFoundError):
            backend.models.get("m")

    def test_a_run_without_a_pipeline_is_not_listed_with_one(self, backend: Backend) -> None:
        assert backend.runs.submit(a_request(listed=False)).pipeline_id is None
        assert backend.runs.submit(a_request()).pipeline_id is not None

    def test_what_the_stack_cannot_do_is_refused_before_anything_runs(self, backend: Backend) -> None:
        tracked = step_body("train", experiment_tracker=["mlflow"])
        with pytest.raises(
            StackError,
            match=r"'train' in pipeline '.+' names the experiment tracker 'mlflow', which the stack",
        ):
            backend.runs.submit(a_request(workflow=a_workflow(step_template(tracked))))
        odd = a_workflow(annotations={"tiphys.dev/execution-mode": "SOMEHOW"})
        with pytest.raises(ValueError, match=r"cannot run the pipeline '.+' with the execution mode SOMEHOW"):
            backend.runs.submit(a_request(workflow=odd))
        known = a_workflow(annotations={"tiphys.dev/execution-mode": "FAIL_FAST"})
        backend.runs.submit(a_request(workflow=known))

    def test_an_unfinished_run_is_not_deleted(self, backend: Backend) -> None:
        run = backend.runs.submit(a_request())
        with pytest.raises(ConflictError, match="not finished"):
            backend.runs.delete(run.id)

    # Artifacts --------------------------------------------------------------------------------------------------------

    def test_versions_are_numbered_and_the_newest_is_the_default(self, backend: Backend) -> None:
        first, second = (backend.artifacts.create_version(a_version()) for _ in range(2))
        assert (first.version, second.version, second.number) == ("1", "2", 2)
        assert backend.artifacts.get_version("m") == second
        assert backend.artifacts.get_version("m", 1) == first
        assert backend.artifacts.get_version(first.id) == first

    def test_explicit_versions_are_unique_and_newest_too(self, backend: Backend) -> None:
        backend.artifacts.create_version(a_version())
        named = backend.artifacts.create_version(a_version(version="44"))
        assert backend.artifacts.get_version("m") == named
        with pytest.raises(AlreadyExistsError, match="'m' has a version '44' already"):
            backend.artifacts.create_version(a_version(version="44"))
        assert backend.artifacts.create_version(a_version()).version == "45"
        assert backend.artifacts.create_version(a_version(version="beta")).number is None
        assert backend.artifacts.create_version(a_version()).version == "46"

    def test_parallel_versions_have_all_numbers_once(self, backend: Backend) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: backend.artifacts.create_version(a_version()), range(20)))
        assert sorted(version.number or 0 for version in made) == list(range(1, 21))
        in_order = backend.find(Query.of(ArtifactVersion, name="m", order="id"))
        assert [version.number for version in in_order] == list(range(1, 21))

    def test_what_is_not_there(self, backend: Backend) -> None:
        with pytest.raises(NotFoundError, match="no artifact 'm'"):
            backend.artifacts.get_version("m")
        backend.artifacts.create_version(a_version())
        with pytest.raises(NotFoundError, match="'m' has no version 7"):
            backend.artifacts.get_version("m", 7)

    def test_labels_of_a_version_go_with_it(self, backend: Backend) -> None:
        version = backend.artifacts.create_version(a_version(tags=("a", "b"), metadata={"rows": 3}))
        kind = EntityType.ARTIFACT_VERSION
        assert backend.labels.tags_of(kind, [version.id]) == {version.id: ["a", "b"]}
        assert backend.labels.metadata_of(kind, [version.id]) == {version.id: {"rows": 3}}
        assert backend.artifacts.delete_versions([version.id]) == 1
        assert backend.artifacts.delete_versions([version.id]) == 0
        assert backend.labels.tags_of(kind, [version.id]) == {version.id: []}
        assert backend.labels.metadata_of(kind, [version.id]) == {version.id: {}}

    # Models -----------------------------------------------------------------------------------------------------------

    def test_a_run_makes_one_version_however_often_it_names_the_model(self, backend: Backend) -> None:
        model = ModelRequest(name="m", card={"license": "MIT"}, tags=("t",))
        for number in (1, 2):
            run = backend.runs.submit(a_request(model=model, step_models={"a": model, "b": model}))
            version = backend.models.get_version("m")
            assert (version.number, version.name, run.model_version_id) == (number, str(number), version.id)
        assert backend.models.get("m").card == {"license": "MIT"}
        assert backend.labels.tags_of(EntityType.MODEL_VERSION, [version.id]) == {version.id: ["t"]}
        run = backend.runs.submit(a_request(model=ModelRequest(name="m", version="latest")))
        assert run.model_version_id == version.id
        assert backend.count(Query.of(ModelVersion)) == 2

    def test_versions_are_found_by_number_stage_name_and_latest(self, backend: Backend) -> None:
        one = backend.models.ensure_version(ModelRequest(name="m"))
        two = backend.models.ensure_version(ModelRequest(name="m", version="second"))
        assert backend.models.ensure_version(ModelRequest(name="m", version="second")) == two
        backend.models.set_stage(one.id, ModelStage.STAGING)
        found = {
            asked: backend.models.get_version("m", asked).id for asked in (1, "1", "staging", "second", "latest", None)
        }
        assert found == {1: one.id, "1": one.id, "staging": one.id, "second": two.id, "latest": two.id, None: two.id}
        for missing in ("7", "production", "third"):
            with pytest.raises(NotFoundError, match=f"no version '{missing}'"):
                backend.models.get_version("m", missing)
        with pytest.raises(NotFoundError, match="no version 'production'"):
            backend.models.ensure_version(ModelRequest(name="m", version="production"))
        with pytest.raises(NotFoundError, match="no model 'other'"):
            backend.models.ensure_version(ModelRequest(name="other", version="3"))

    @pytest.mark.parametrize("name", ["3", "production", "none", "latest"])
    def test_numbers_and_stages_are_no_names(self, backend: Backend, name: str) -> None:
        backend.models.ensure(ModelRequest(name="m"))
        with pytest.raises(ValueError, match=f"cannot be named '{name}'"):
            backend.models.create_version("m", name)
        assert backend.models.create_version("m").name == "1"

    def test_one_version_stands_in_a_stage(self, backend: Backend) -> None:
        models = backend.models
        one, two, three = (models.ensure_version(ModelRequest(name="m")) for _ in range(3))
        assert models.set_stage(one.id, ModelStage.PRODUCTION).stage is ModelStage.PRODUCTION
        with pytest.raises(ConflictError, match="Version 1 of the model 'm' is in stage production"):
            models.set_stage(two.id, ModelStage.PRODUCTION)
        models.set_stage(two.id, ModelStage.PRODUCTION, force=True)
        models.set_stage(three.id, ModelStage.PRODUCTION, force=True)
        stages = [models.get_version("m", number).stage.value for number in (1, 2, 3)]
        assert stages == ["archived", "archived", "production"]
        models.set_stage(three.id, ModelStage.PRODUCTION)  # where it is already
        with pytest.raises(UsageError, match="'latest' is not a stage"):
            models.set_stage(one.id, ModelStage.LATEST)

    def test_links_and_the_end_of_a_model(self, backend: Backend) -> None:
        version = backend.models.ensure_version(ModelRequest(name="m"))
        artifact = backend.artifacts.create_version(a_version())
        for _ in range(2):
            backend.models.link(version.id, EntityType.ARTIFACT_VERSION, [artifact.id])
        backend.models.delete("m")
        with pytest.raises(NotFoundError):
            backend.models.get("m")
        assert backend.artifacts.get_version(artifact.id) == artifact
        assert backend.models.ensure_version(ModelRequest(name="m")).number == 1

    # Labels -----------------------------------------------------------------------------------------------------------

    def test_later_metadata_replaces_earlier(self, backend: Backend) -> None:
        run, other = backend.runs.submit(a_request()), backend.runs.submit(a_request())
        targets = [(EntityType.RUN, run.id), (EntityType.RUN, other.id)]
        backend.labels.log_metadata({"a": 1, "b": {"c": [1.5, None]}}, targets)
        backend.labels.log_metadata({"a": "two"}, targets[:1])
        assert backend.labels.metadata_of(EntityType.RUN, [run.id, other.id]) == {
            run.id: {"a": "two", "b": {"c": [1.5, None]}},
            other.id: {"a": 1, "b": {"c": [1.5, None]}},
        }

    def test_an_exclusive_tag_moves_to_the_newest_run_of_its_pipeline(self, backend: Backend) -> None:
        tags = (TagRequest(name="best", exclusive=True),)
        runs = [backend.runs.submit(a_request(pipeline=pipeline, tags=tags)) for pipeline in ("p", "p", "q")]
        found = backend.labels.tags_of(EntityType.RUN, [run.id for run in runs])
        assert [found[run.id] for run in runs] == [[], ["best"], ["best"]]
        backend.labels.add_tags([TagRequest(name="best")], EntityType.RUN, runs[0].id)
        assert backend.labels.tags_of(EntityType.RUN, [runs[1].id])[runs[1].id] == []

    def test_tags_are_put_on_once_and_taken_off(self, backend: Backend) -> None:
        run = backend.runs.submit(a_request())
        for _ in range(2):
            backend.labels.add_tags([TagRequest(name="a"), TagRequest(name="b")], EntityType.RUN, run.id)
        with pytest.raises(NotFoundError, match="has no tag c"):
            backend.labels.remove_tags(["a", "c"], EntityType.RUN, run.id)
        backend.labels.remove_tags(["a"], EntityType.RUN, run.id)
        assert backend.labels.tags_of(EntityType.RUN, [run.id]) == {run.id: ["b"]}
        backend.labels.delete_tag("b")
        assert backend.labels.tags_of(EntityType.RUN, [run.id]) == {run.id: []}
        assert [tag.name for tag in backend.find(Query.of(TagRecord))] == ["a"]

    def test_a_tag_keeps_what_is_not_said_again(self, backend: Backend) -> None:
        backend.labels.ensure_tag(TagRequest(name="t", color="red", cascade=True))
        tag = backend.labels.ensure_tag(TagRequest(name="t", color="blue"))
        assert (tag.color, tag.cascade, tag.exclusive) == ("blue", True, False)

    # Stacks -----------------------------------------------------------------------------------------------------------

    def test_there_is_a_stack_from_the_start(self, backend: Backend) -> None:
        stack = backend.stacks.active()
        assert (stack.name, stack.active) == ("default", True)
        assert backend.stacks.get("default") == stack
        assert sorted(stack.components) == ["artifact_store", "orchestrator"]
        store = backend.stacks.component(ComponentType.ARTIFACT_STORE)
        assert isinstance(store, ArtifactStore)
        assert store is backend.stacks.component(ComponentType.ARTIFACT_STORE, "default")

    def test_a_stack_is_registered_used_and_deleted(self, backend: Backend, tmp_path: Any) -> None:
        stacks = backend.stacks
        path = str(tmp_path / "b")
        stacks.register_component(ComponentType.ARTIFACT_STORE, "b", "local", {"path": path})
        stacks.register("mine", {ComponentType.ARTIFACT_STORE: ["b"]}, activate=True)
        assert stacks.active().name == "mine"
        assert not stacks.get("default").active
        store = stacks.component(ComponentType.ARTIFACT_STORE)
        assert isinstance(store, ArtifactStore)
        assert store.root == path
        assert backend.runs.submit(a_request()).stack == "mine"
        described = stacks.describe("mine")
        assert [one["name"] for one in described["components"]["artifact_store"]] == ["b"]
        assert [one["name"] for one in described["components"]["orchestrator"]] == ["default"]
        with pytest.raises(ConflictError, match="'mine' is active"):
            stacks.delete("mine")
        with pytest.raises(ConflictError, match="part of the stack 'mine'"):
            stacks.delete_component(ComponentType.ARTIFACT_STORE, "b")
        stacks.activate("default")
        stacks.delete("mine")
        stacks.delete_component(ComponentType.ARTIFACT_STORE, "b")
        with pytest.raises(NotFoundError):
            stacks.get("mine")

    def test_what_is_wrong_about_components_is_said(self, backend: Backend) -> None:
        stacks = backend.stacks
        kind = ComponentType.ARTIFACT_STORE
        with pytest.raises(NotFoundError, match="no flavor 'cloudy'"):
            stacks.register_component(kind, "a", "cloudy", {})
        with pytest.raises(UsageError, match=r"artifact store 'a'.*pth"):
            stacks.register_component(kind, "a", "local", {"pth": "/x"})
        stacks.register_component(kind, "a", "local", {})
        with pytest.raises(AlreadyExistsError, match="artifact store 'a'"):
            stacks.register_component(kind, "a", "local", {})
        with pytest.raises(NotFoundError, match="no alerter 'bell'"):
            stacks.register("s", {ComponentType.ALERTER: ["bell"]})
        with pytest.raises(StackError, match="'default' has no experiment tracker") as caught:
            stacks.component(ComponentType.EXPERIMENT_TRACKER)
        assert "tiphys experiment-tracker register" in (caught.value.hint or "")

    def test_services_are_kept_and_changed(self, backend: Backend) -> None:
        run = backend.runs.submit(a_request())
        service = Service(id=new_id(), name="s", flavor="f", state={"port": 1}, created_at=run.created_at)
        assert backend.stacks.save_service(service) == service
        changed = Service(id=service.id, name="s", flavor="f", status="stopped", created_at=run.created_at)
        backend.stacks.save_service(changed)
        assert backend.find(Query.of(Service)) == [changed]
        backend.stacks.delete_service(service.id)
        assert backend.count(Query.of(Service)) == 0

    # Objects ----------------------------------------------------------------------------------------------------------

    def test_objects_are_created_changed_and_removed(self, backend: Backend) -> None:
        made = backend.objects.create(a_config_map(k="v"))
        assert backend.objects.get(ObjectKind.CONFIG_MAP, "c") == made
        with pytest.raises(AlreadyExistsError):
            backend.objects.create(a_config_map())
        changed = backend.objects.update({**made, "data": {"k": "w"}})
        assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
        assert changed["metadata"]["uid"] == made["metadata"]["uid"]
        with pytest.raises(ConflictError, match="changed meanwhile"):
            backend.objects.update(made)
        assert backend.objects.config_map("default", "c") == {"k": b"w"}
        backend.objects.delete(ObjectKind.CONFIG_MAP, "c")
        for ask in (backend.objects.get, backend.objects.delete):
            with pytest.raises(NotFoundError, match="no ConfigMap 'c'"):
                ask(ObjectKind.CONFIG_MAP, "c")

    def test_namespaces_have_objects_of_their_own(self, backend: Backend) -> None:
        for name in ("b", "a"):
            backend.objects.apply(a_config_map(name))
        backend.objects.in_namespace("team").apply(a_config_map("a"))
        kind = ObjectKind.CONFIG_MAP
        assert [one["metadata"]["name"] for one in backend.objects.find(kind)] == ["a", "b"]
        everywhere = backend.objects.find(kind, all_namespaces=True, fields="metadata.name=a")
        assert [one["metadata"]["namespace"] for one in everywhere] == ["default", "team"]

    # Workflows --------------------------------------------------------------------------------------------------------

    def test_a_submitted_workflow_can_be_read_and_found(self, backend: Backend) -> None:
        made = backend.workflows.submit(a_manifest(), SubmitOptions(labels={"app": "x"}))
        name = made["metadata"]["name"]
        assert name.startswith("w-")
        shown = backend.workflows.get("@latest")
        assert (shown["metadata"]["name"], shown["status"]["phase"]) == (name, "Pending")
        for wanted in (
            WorkflowFilter(names=(name,)),
            WorkflowFilter(prefix="w-", labels="app=x"),
            WorkflowFilter(completed=False, fields=f"metadata.name={name}"),
        ):
            assert [row.name for row in backend.workflows.find(wanted).items] == [name]
        assert backend.workflows.find(WorkflowFilter(archive=True)).items == []
        backend.workflows.delete(name)
        with pytest.raises(NotFoundError, match=f"no workflow '{name}'"):
            backend.workflows.get(name)

    def test_pages_of_workflows_hold_each_once(self, backend: Backend) -> None:
        names = [backend.workflows.submit(a_manifest())["metadata"]["name"] for _ in range(5)]
        found, after = [], ""
        while True:
            page = backend.workflows.find(WorkflowFilter(), limit=2, after=after)
            found += [row.name for row in page.items]
            after = page.next
            if not after:
                break
        assert found == names[::-1]

    def test_what_is_not_valid_is_not_stored(self, backend: Backend) -> None:
        with pytest.raises(SpecError, match="entrypoint"):
            backend.workflows.submit_all([a_manifest(), a_manifest(entrypoint="other")])
        backend.workflows.submit(a_manifest(), SubmitOptions(dry_run=True))
        assert backend.workflows.find(WorkflowFilter()).items == []

    def test_a_workflow_takes_what_it_refers_to_with_it(self, backend: Backend) -> None:
        spec = a_manifest(arguments={"parameters": [{"name": "p"}]})["spec"]
        backend.objects.create({"kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": spec})
        backend.objects.create(a_config_map(k="v"))
        source = {"name": "p", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
        manifest = {"spec": {"workflowTemplateRef": {"name": "t"}, "arguments": {"parameters": [source]}}}
        made = backend.workflows.submit(manifest, SubmitOptions(name="w"))
        backend.objects.delete(ObjectKind.WORKFLOW_TEMPLATE, "t")
        stored = backend.workflows.get("w")["status"]["storedWorkflowTemplateSpec"]
        assert stored["arguments"]["parameters"] == [{"name": "p", "value": "v"}]
        assert stored["templates"] == spec["templates"]
        assert made["metadata"]["labels"] == {"workflows.argoproj.io/workflow-template": "t"}
        with pytest.raises(NotFoundError):
            backend.workflows.submit_from("wftmpl", "t")

    def test_names_of_workflows_are_unique_in_a_namespace(self, backend: Backend) -> None:
        for service in (backend.workflows, backend.workflows.in_namespace("team")):
            service.submit(a_manifest(), SubmitOptions(name="w"))
            with pytest.raises(AlreadyExistsError, match="workflow 'w'"):
                service.submit(a_manifest(), SubmitOptions(name="w"))
