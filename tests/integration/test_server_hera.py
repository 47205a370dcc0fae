"""Hera, as the package index has it, against a real server."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hera.events.service import EventsService
from hera.exceptions import AlreadyExists, BadRequest, NotFound
from hera.workflows import (
    DAG,
    Artifact,
    AsyncWorkflowsService,
    ClusterWorkflowTemplate,
    Container,
    CronWorkflow,
    NoneArchiveStrategy,
    Parameter,
    Steps,
    Suspend,
    Workflow,
    WorkflowTemplate,
    script,
)
from hera.workflows.models import (
    CronWorkflowResumeRequest,
    CronWorkflowSuspendRequest,
    ResubmitArchivedWorkflowRequest,
    WorkflowResubmitRequest,
    WorkflowResumeRequest,
    WorkflowRetryRequest,
    WorkflowSetRequest,
    WorkflowStopRequest,
    WorkflowSubmitRequest,
    WorkflowSuspendRequest,
    WorkflowTerminateRequest,
)
from hera.workflows.models.sync import CreateSyncLimitRequest, UpdateSyncLimitRequest
from tests.integration.server_desk import PATIENCE, RunningServer

# Hera's own use of pydantic and of httpx.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated"),
    pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "hera" / "train_and_evaluate.py"


@script()
def twice(n: int):
    print(n * 2)


@script()
def add(a: int, b: int):
    print(a + b)


@script()
def fail():
    raise SystemExit(3)


def wait(service, name, namespace="argo", *, until=("Succeeded", "Failed", "Error")):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = service.get_workflow(name, namespace)
        if found.status and found.status.phase in until:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{name} is still {found.status and found.status.phase}")


def echo(service, namespace="argo", **given):
    with Workflow(
        entrypoint="main",
        namespace=namespace,
        workflows_service=service,
        arguments=[Parameter(name="who", value="you")],
        **({"generate_name": "echo-"} | given),
    ) as made:
        Container(name="main", image="busybox", command=["echo", "hello {{workflow.parameters.who}}"])
    return made


def contents(server, namespace, name):
    """Hera's own `workflow_logs` cannot read what any Argo answers: a line of JSON for each line."""
    with server.client() as client:
        lines = client.get(f"/api/v1/workflows/{namespace}/{name}/log").raise_for_status().iter_lines()
        return [json.loads(line)["result"]["content"] for line in lines]


def test_the_comparison_pages_script_runs_as_it_is(server: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), server.url.replace("127.0.0.1", "localhost")],
        env={**os.environ, "REQUESTS_CA_BUNDLE": server.authority},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name, phase = done.stdout.split()
    assert (name[:14], phase) == ("ml-train-eval-", "Succeeded")
    assert contents(server, "argo", name) == [
        "s3://ml-artifacts/data/clean.parquet",
        "s3://ml-artifacts/models/model.pkl",
        "evaluating s3://ml-artifacts/models/model.pkl",
    ]


def test_a_dag_of_scripts(server: RunningServer) -> None:
    with (
        Workflow(generate_name="dag-", entrypoint="main", namespace="argo", workflows_service=server.hera()) as made,
        DAG(name="main"),
    ):
        first = twice(name="first", arguments={"n": 2})
        second = twice(name="second", arguments={"n": 3})
        both = add(name="both", arguments={"a": first.result, "b": second.result})
        [first, second] >> both
    ended = made.create(wait=True, poll_interval=1)
    ended = wait(server.hera(), ended.metadata.name)
    assert ended.status.phase == "Succeeded"
    results = {node.display_name: node.outputs.result for node in ended.status.nodes.values() if node.type == "Pod"}
    assert results == {"first": "4", "second": "6", "both": "10"}


def test_the_asynchronous_client_sends_an_empty_authorization(server: RunningServer) -> None:
    async def run() -> str:
        async with AsyncWorkflowsService(host=server.url, verify_ssl=server.authority, namespace="argo") as service:
            return (await echo(service).async_create(poll_interval=1)).metadata.name

    assert asyncio.run(run()).startswith("echo-")


def test_the_asynchronous_client_waits_and_asks(server: RunningServer) -> None:
    async def run() -> tuple[str, list[str], str]:
        async with AsyncWorkflowsService(host=server.url, verify_ssl=server.authority, namespace="later") as service:
            made = await echo(service, "later").async_create(wait=True, poll_interval=1)
            listed = await service.list_workflows("later")
            version = await service.get_version()
            return made.metadata.name, [one.metadata.name for one in listed.items], version.version

    name, names, version = asyncio.run(run())
    assert (names, version[:1]) == ([name], "v")
    assert wait(server.hera(), name, "later").status.phase == "Succeeded"


def test_the_script_runner_has_its_fixed_paths_for_itself(server: RunningServer) -> None:
    from tests.integration.hera_steps import doubled, summed

    service = server.hera("runner")
    with (
        Workflow(generate_name="runner-", entrypoint="main", namespace="runner", workflows_service=service) as made,
        DAG(name="main"),
    ):
        first, second = doubled(name="first", arguments={"n": 2}), doubled(name="second", arguments={"n": 5})
        both = summed(
            name="both",
            arguments=[
                first.get_parameter("twice").with_name("a"),
                second.get_parameter("twice").with_name("b"),
                second.get_artifact("told"),
            ],
        )
        [first, second] >> both
    ended = wait(service, made.create().metadata.name, "runner")
    assert ended.status.phase == "Succeeded", "\n".join(contents(server, "runner", ended.metadata.name))
    outputs = {node.display_name: node.outputs for node in ended.status.nodes.values() if node.type == "Pod"}
    assert [one.value for one in outputs["both"].parameters] == ["14: 5 is half of it"]


def test_lint_and_create_refuse_what_is_wrong(server: RunningServer) -> None:
    service = server.hera()
    echo(service).lint()
    wrong = echo(service)
    wrong.entrypoint = "none"
    with pytest.raises(BadRequest, match="none"):
        wrong.lint()
    with pytest.raises(BadRequest, match="none"):
        wrong.create()


def test_names_are_taken_once_and_free_again(server: RunningServer) -> None:
    service = server.hera("names")
    echo(service, "names", name="mine", generate_name=None).create()
    with pytest.raises(AlreadyExists, match="mine"):
        echo(service, "names", name="mine", generate_name=None).create()
    wait(service, "mine", "names")
    service.delete_workflow("mine", "names")
    with pytest.raises(NotFound, match="no workflow 'mine'"):
        service.get_workflow("mine", "names")
    echo(service, "names", name="mine", generate_name=None).create()


def test_lists_are_of_a_namespace_and_come_in_pages(server: RunningServer) -> None:
    service = server.hera("lists")
    made = [echo(service, "lists", labels={"n": str(n)}).create().metadata.name for n in range(3)]
    page = service.list_workflows("lists", limit=2)
    assert [one.metadata.name for one in page.items] == made[:0:-1]
    rest = service.list_workflows("lists", limit=2, continue_=page.metadata.continue_)
    assert ([one.metadata.name for one in rest.items], rest.metadata.continue_) == (made[:1], None)
    assert [one.metadata.name for one in service.list_workflows("lists", label_selector="n=1").items] == made[1:2]
    assert service.list_workflows("lists", label_selector="n=9").items == []


def test_a_waiting_workflow_is_suspended_set_resumed_and_stopped(server: RunningServer) -> None:
    service = server.hera("ask")

    def started() -> str:
        with (
            Workflow(generate_name="ask-", entrypoint="main", namespace="ask", workflows_service=service) as made,
            Steps(name="main"),
        ):
            Suspend(name="approve", intermediate_parameters=[Parameter(name="ok", enum=["yes", "no"], default="no")])()
        name = made.create().metadata.name
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            nodes = (service.get_workflow(name, "ask").status or made).nodes or {}
            if any(node.type == "Suspend" and node.phase == "Running" for node in nodes.values()):
                return name
            time.sleep(0.1)
        raise AssertionError("it does not wait")

    name = started()
    assert service.suspend_workflow(name, WorkflowSuspendRequest(), "ask").metadata.name == name
    only = "displayName=approve"
    service.set_workflow(name, WorkflowSetRequest(node_field_selector=only, output_parameters='{"ok": "yes"}'), "ask")
    service.resume_workflow(name, WorkflowResumeRequest(node_field_selector=only), "ask")
    ended = wait(service, name, "ask")
    values = [p.value for node in ended.status.nodes.values() if node.outputs for p in node.outputs.parameters or []]
    assert (ended.status.phase, values) == ("Succeeded", ["yes"])
    stopped = started()
    service.stop_workflow(stopped, WorkflowStopRequest(message="enough"), "ask")
    assert wait(service, stopped, "ask").status.phase == "Failed"
    ended_now = started()
    service.terminate_workflow(ended_now, WorkflowTerminateRequest(), "ask")
    assert wait(service, ended_now, "ask").status.phase == "Failed"


def test_what_failed_is_retried_and_resubmitted(server: RunningServer) -> None:
    service = server.hera("again")
    with (
        Workflow(generate_name="again-", entrypoint="main", namespace="again", workflows_service=service) as made,
        Steps(name="main"),
    ):
        fail()
    name = made.create().metadata.name
    assert wait(service, name, "again").status.phase == "Failed"
    assert service.retry_workflow(name, WorkflowRetryRequest(), "again").metadata.name == name
    assert wait(service, name, "again").status.phase == "Failed"
    other = service.resubmit_workflow(name, WorkflowResubmitRequest(), "again").metadata.name
    assert other != name
    assert wait(service, other, "again").status.phase == "Failed"


def test_templates_are_stored_changed_and_submitted(server: RunningServer) -> None:
    service = server.hera("stored")

    def template(text: str) -> WorkflowTemplate:
        with WorkflowTemplate(
            name="greet",
            namespace="stored",
            entrypoint="main",
            workflows_service=service,
            arguments=[Parameter(name="who", value="you")],
        ) as made:
            Container(name="main", image="busybox", command=["echo", text + " {{workflow.parameters.who}}"])
        return made

    template("hello").lint()
    assert template("hello").update().metadata.name == "greet"  # there is none: it is created
    changed = template("bye").update()
    assert changed.metadata.resource_version == "2"
    assert [one.metadata.name for one in service.list_workflow_templates("stored").items] == ["greet"]
    request = WorkflowSubmitRequest(
        resource_kind="WorkflowTemplate",
        resource_name="greet",
        submit_options={"parameters": ["who=Anna"], "labels": "team=a"},
    )
    name = service.submit_workflow(request, "stored").metadata.name
    assert wait(service, name, "stored").metadata.labels["team"] == "a"
    assert contents(server, "stored", name) == ["bye Anna"]
    whole = template("now").create_as_workflow(generate_name="whole-")
    assert wait(service, whole.metadata.name, "stored").status.phase == "Succeeded"
    service.delete_workflow_template("greet", "stored")
    with pytest.raises(NotFound):
        service.get_workflow_template("greet", "stored")


def test_cluster_templates(server: RunningServer) -> None:
    service = server.hera()
    with ClusterWorkflowTemplate(name="everywhere", entrypoint="main", workflows_service=service) as made:
        Container(name="main", image="busybox", command=["true"])
    made.lint()
    made.create()
    assert made.get().metadata.name == "everywhere"
    assert made.update().metadata.resource_version == "2"
    assert [one.metadata.name for one in service.list_cluster_workflow_templates().items] == ["everywhere"]
    service.delete_cluster_workflow_template("everywhere")
    assert service.list_cluster_workflow_templates().items == []


def test_schedules_are_stored_suspended_and_run(server: RunningServer) -> None:
    service = server.hera("cron")
    with CronWorkflow(
        name="often", namespace="cron", entrypoint="main", schedules=["* * * * *"], workflows_service=service
    ) as made:
        Container(name="main", image="busybox", command=["echo", "tick"])
    made.lint()
    made.create()
    assert service.suspend_cron_workflow("often", CronWorkflowSuspendRequest(), "cron").spec.suspend is True
    assert made.get().spec.suspend is True
    made.schedules = ["0 0 * * *"]
    assert made.update().spec.schedules == ["0 0 * * *"]
    assert service.resume_cron_workflow("often", CronWorkflowResumeRequest(), "cron").spec.suspend is False
    name = service.submit_workflow(
        WorkflowSubmitRequest(resource_kind="cronwf", resource_name="often"), "cron"
    ).metadata.name
    assert wait(service, name, "cron").status.phase == "Succeeded"
    assert [one.metadata.name for one in service.list_cron_workflows("cron").items] == ["often"]
    service.delete_cron_workflow("often", "cron")


def test_the_archive_has_what_ended(server: RunningServer) -> None:
    service = server.hera("past")
    name = echo(service, "past", labels={"app": "x"}).create().metadata.name
    uid = wait(service, name, "past").metadata.uid
    assert [one.metadata.uid for one in service.list_archived_workflows(namespace="past").items] == [uid]
    assert service.get_archived_workflow(uid, namespace="past").metadata.name == name
    assert "app" in service.list_archived_workflow_label_keys(namespace="past").items
    assert service.list_archived_workflow_label_values(label_selector="app", namespace="past").items == ["x"]
    again = service.resubmit_archived_workflow(uid, ResubmitArchivedWorkflowRequest(namespace="past"))
    assert wait(service, again.metadata.name, "past").status.phase == "Succeeded"
    service.delete_archived_workflow(uid, namespace="past")
    with pytest.raises(NotFound):
        service.get_archived_workflow(uid, namespace="past")


def test_outputs_are_downloaded(server: RunningServer) -> None:
    @script(outputs=[Artifact(name="report", path="/tmp/report.txt", archive=NoneArchiveStrategy())])
    def write():
        from pathlib import Path

        Path("/tmp/report.txt").write_text("all is well")

    service = server.hera("files")
    with Workflow(generate_name="file-", entrypoint="write", namespace="files", workflows_service=service) as made:
        write()
    name = made.create().metadata.name
    ended = wait(service, name, "files")
    uid, node = ended.metadata.uid, name
    assert ended.status.phase == "Succeeded", ended.status.message
    assert service.get_output_artifact(name, node, "report", "files") == "b'all is well'"
    assert service.get_output_artifact_by_uid(uid, node, "report") == "b'all is well'"
    with pytest.raises(NotFound, match="no output artifact 'other'"):
        service.get_output_artifact(name, node, "other", "files")


def test_limits_of_semaphores(server: RunningServer) -> None:
    service = server.hera("limits")
    service.create_sync_limit(CreateSyncLimitRequest(type="DATABASE", key="gpu", limit=2), "limits")
    service.update_sync_limit("gpu", UpdateSyncLimitRequest(type="DATABASE", limit=3), "limits")
    service.get_sync_limit("gpu", "limits", type_="DATABASE")
    service.delete_sync_limit("gpu", "limits", type_="DATABASE")
    with pytest.raises(NotFound):
        service.get_sync_limit("gpu", "limits", type_="DATABASE")


def test_what_hera_asks_of_the_server_itself(server: RunningServer) -> None:
    service = server.hera()
    assert service.get_version().version.startswith("v4.")
    assert service.get_info().links == []
    assert service.get_user_info().email is None
    events = EventsService(host=server.url, verify_ssl=server.authority, namespace="argo")
    assert events.get_version().version == service.get_version().version
    assert (events.list_event_sources("argo").items, events.list_sensors("argo").items) == ([], [])
