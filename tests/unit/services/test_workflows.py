"""Workflows in the store: looking at them, asking things of them, ending and repeating them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tiphys._util.ids import new_id
from tiphys._util.times import from_epoch, utc_now
from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.errors import ConflictError, NotFoundError, UsageError
from tiphys.ports.store import WorkflowBatch
from tiphys.ports.workflows import LogQuery, SubmitOptions, WorkflowFilter
from tiphys.records.base import Query
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.synchronization import LockClaim
from tiphys.records.workflows import WorkflowOperation, WorkflowRequest, WorkflowRow, WorkflowSummary
from tiphys.sdk.logs.files import live_path
from tiphys.services.workflows import changes as changes_module
from tiphys.services.workflows import service as service_module
from tiphys.services.workflows.listing import matcher
from tiphys.services.workflows.pods import log_of, pod_name
from tiphys.services.workflows.submission import LABEL_COMPLETED, LABEL_PHASE, LABEL_RESUBMITTED
from tiphys.testing.playing import step_body

BEGAN = 1_750_000_000.0
MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
APPROVE = {
    "name": "main",
    "suspend": {},
    "outputs": {
        "parameters": [
            {"name": "ok", "valueFrom": {"supplied": {}}},
            {"name": "why", "valueFrom": {"supplied": {}, "default": "none"}},
        ]
    },
}


@pytest.fixture
def submit(backend):
    """Submits a workflow, and carries it to a phase."""

    def call(name="w", phase="Pending", *, template=MAIN, labels=None, seconds=5, nodes=None, **options):
        manifest = {"metadata": {"labels": labels or {}}, "spec": {"entrypoint": "main", "templates": [template]}}
        made = backend.workflows.submit(manifest, SubmitOptions(name=name, **options))
        if phase != "Pending":
            carry(backend, made["metadata"]["uid"], name, phase, seconds, nodes)
        return made

    return call


def carry(backend, uid, name, phase, seconds=5, nodes=None):
    ended = Phase(phase).fulfilled
    state = WorkflowState(uid, name, Phase(phase), "", BEGAN, BEGAN + seconds if ended else None)
    root = Node(
        id=name,
        name=name,
        display_name=name,
        type=NodeType.POD,
        phase=Phase(phase),
        template="main",
        started_at=BEGAN,
        finished_at=BEGAN + seconds if ended else None,
    )
    with backend.store.transaction() as transaction:
        transaction.save(WorkflowBatch(uid, [root] if nodes is None else nodes, state))


def waiting(name="w", **changes):
    values = {
        "id": name,
        "name": name,
        "display_name": name,
        "type": NodeType.SUSPEND,
        "phase": Phase.RUNNING,
        "template": "main",
        "started_at": BEGAN,
        **changes,
    }
    return Node(**values)


def wishes(backend):
    found = backend.find(Query.of(WorkflowRequest, order="id"))
    return [(one.operation, one.node_id, one.phase, one.message, dict(one.outputs)) for one in found]


# Looking


def test_a_workflow_is_shown_with_its_status(backend, submit):
    submit("w", "Succeeded", labels={"a": "1"})
    shown = backend.workflows.get("w")
    assert shown["metadata"]["labels"] == {
        "a": "1",
        "workflows.argoproj.io/phase": "Succeeded",
        "workflows.argoproj.io/completed": "true",
    }
    assert (shown["status"]["phase"], shown["status"]["finishedAt"]) == ("Succeeded", "2025-06-15T15:06:45Z")
    assert shown["status"]["nodes"]["w"]["type"] == "Pod"
    with pytest.raises(NotFoundError, match="no workflow 'other' in the namespace default"):
        backend.workflows.get("other")


def test_latest_is_the_newest(backend, submit):
    with pytest.raises(NotFoundError, match="Nothing was submitted"):
        backend.workflows.get("@latest")
    submit("first")
    submit("second")
    assert backend.workflows.get("@latest")["metadata"]["name"] == "second"


def test_what_stands_in_the_state_stands_in_the_specification(backend, submit):
    made = submit()
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, made["metadata"]["uid"], suspended=True, shutdown="Stop")
    spec = backend.workflows.get("w")["spec"]
    assert (spec["suspend"], spec["shutdown"]) == (True, "Stop")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"names": ("a", "d")}, ["d", "a"]),
        ({"prefix": "b"}, ["b"]),
        ({"contains": "c"}, ["c"]),
        ({"phases": ("Failed", "Error")}, ["c"]),
        ({"completed": True}, ["c", "b"]),
        ({"completed": False}, ["d", "a"]),
        ({"labels": "app=x"}, ["c", "a"]),
        ({"labels": "app=x,workflows.argoproj.io/phase=Failed"}, ["c"]),
        ({"labels": "workflows.argoproj.io/completed!=true"}, ["d", "a"]),
        ({"fields": "metadata.name!=a,status.phase=Pending"}, []),
        ({"finished_before": from_epoch(BEGAN + 60)}, ["b"]),
        ({"created_after": utc_now() + timedelta(days=1)}, []),
        ({"resubmitted": True}, ["d"]),
        ({"archive": True}, ["c", "b"]),
    ],
)
def test_workflows_are_chosen(backend, submit, wanted, names):
    submit("a", labels={"app": "x"})
    submit("b", "Succeeded")
    submit("c", "Failed", labels={"app": "x"}, seconds=120)
    submit("d", "Running", labels={"workflows.argoproj.io/resubmitted-from-workflow": "z"})
    assert [row.name for row in backend.workflows.find(WorkflowFilter(**wanted)).items] == names


def test_a_list_comes_in_pages(backend, submit):
    for name in ("a", "b", "c"):
        submit(name)
    first = backend.workflows.find(WorkflowFilter(), limit=2)
    rest = backend.workflows.find(WorkflowFilter(), limit=2, after=first.next)
    assert [row.name for row in first.items] == ["c", "b"]
    assert [row.name for row in rest.items] == ["a"]
    assert rest.next == ""


def test_namespaces_are_apart(backend, submit):
    submit("here")
    team = backend.workflows.in_namespace("team")
    team.submit({"spec": {"entrypoint": "main", "templates": [MAIN]}}, SubmitOptions(name="there"))
    assert [row.name for row in team.find(WorkflowFilter()).items] == ["there"]
    found = backend.workflows.find(WorkflowFilter(all_namespaces=True)).items
    assert [(row.workspace, row.name) for row in found] == [("team", "there"), ("default", "here")]


def test_what_only_the_archive_has(backend, submit):
    made = submit("w", "Succeeded")
    uid = made["metadata"]["uid"]
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, uid, archived=True)
    assert backend.workflows.find(WorkflowFilter()).items == []
    with pytest.raises(NotFoundError):
        backend.workflows.get("w")
    assert backend.workflows.get("w", archive=True)["metadata"]["uid"] == uid
    submit("w")  # the name is free again
    assert [row.id for row in backend.workflows.find(WorkflowFilter(archive=True)).items] == [uid]
    assert [run.name for run in backend.find(Query.of(Run, order="id"))] == ["w", f"w-{_uid(backend)[-6:]}"]


def _uid(backend):
    return backend.workflows.get("w")["metadata"]["uid"]


def test_waiting_for_one_that_has_ended(backend, submit):
    submit("w", "Failed")
    assert backend.workflows.wait("w").phase == "Failed"


def test_waiting_for_one_that_nobody_carries_out(backend, submit, host):
    submit("w", "Running")
    host.alive.clear()
    with pytest.raises(ConflictError, match="process that carried out w died"):
        backend.workflows.wait("w")


def test_a_workflow_is_shown_as_often_as_it_changes(backend, submit, monkeypatch):
    made = submit("w", "Running")
    later = iter(["Running", "Succeeded"])
    monkeypatch.setattr(
        service_module.time, "sleep", lambda _: carry(backend, made["metadata"]["uid"], "w", next(later))
    )
    assert [one["status"]["phase"] for one in backend.workflows.watch("w")] == ["Running", "Succeeded"]


# Ending


@pytest.mark.parametrize(("verb", "strategy"), [("stop", "Stop"), ("terminate", "Terminate")])
def test_the_host_is_asked_to_end_a_workflow(backend, submit, host, verb, strategy):
    made = submit("w", "Running")
    getattr(backend.workflows, verb)("w")
    assert host.shut == [(made["metadata"]["uid"], strategy)]


@pytest.mark.parametrize("verb", ["stop", "terminate", "suspend", "resume"])
def test_what_has_ended_stays(backend, submit, verb):
    submit("w", "Succeeded")
    with pytest.raises(ConflictError, match=r"w has ended"):
        getattr(backend.workflows, verb)("w")


def test_a_deleted_workflow_leaves_nothing(backend, submit):
    made = submit("w", "Succeeded")
    uid = made["metadata"]["uid"]
    log = log_of(backend.home, uid, "w")
    log.parent.mkdir(parents=True)
    log.write_text("line\n")
    backend.workflows.delete("w")
    assert backend.find(Query.of(Run)) == []
    assert backend.find(Query.of(WorkflowRow)) == []
    assert not log.parent.exists()
    with pytest.raises(NotFoundError):
        backend.workflows.delete("w")


def test_a_running_workflow_is_terminated_before_it_is_deleted(backend, submit, host):
    made = submit("w", "Running")
    backend.workflows.delete("w")
    assert host.shut == [(made["metadata"]["uid"], "Terminate")]
    assert backend.find(Query.of(WorkflowRow)) == []


def test_an_artifact_that_names_a_key_alone_is_in_the_default_repository(backend, submit, tmp_path):
    value = {"path": "/x", "archive": {"none": {}}, "s3": {"key": "made/out.txt"}}
    done = {"type": NodeType.POD, "phase": Phase.SUCCEEDED, "finished_at": BEGAN}
    submit("w", "Succeeded", nodes=[waiting(outputs=Values(artifacts={"out": value}), **done)])
    file = backend.home / "repository" / "made" / "out.txt"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    backend.workflows.fetch_artifact("w", "w", "out", tmp_path / "copy" / "out.txt")
    assert (tmp_path / "copy" / "out.txt").read_text() == "x"


# Workflows that nobody carries out


def claim(backend, uid, holder, *, granted):
    facts = {"key": "default/Mutex/m", "workflow_uid": uid, "holder": holder, "granted": granted}
    with backend.store.transaction() as transaction:
        transaction.add(LockClaim(id=new_id(), created_at=utc_now(), **facts))


def test_a_workflow_whose_process_died_says_so_where_it_is_looked_at(backend, submit, host):
    submit("w", "Running")
    submit("ended", "Failed")
    assert "message" not in backend.workflows.get("w")["status"]
    host.alive.clear()
    said = "The process that carried it out died. Take it up again: tiphys argo controller"
    assert backend.workflows.get("w")["status"]["message"] == said
    assert "message" not in backend.workflows.get("ended")["status"]
    listed = backend.workflows.find(WorkflowFilter()).items
    assert {row.name: row.message for row in listed} == {"w": said, "ended": ""}


def test_who_waits_for_the_lock_of_a_dead_process_is_told(backend, submit, host):
    holder = submit("holder", "Running")["metadata"]["uid"]
    status = "Waiting for default/Mutex/m lock. Lock status: 0/1"
    node = waiting("w", type=NodeType.POD, phase=Phase.PENDING, message=status, waiting=status)
    waiter = submit("w", "Running", nodes=[node])["metadata"]["uid"]
    claim(backend, holder, "holder", granted=True)
    claim(backend, waiter, "w", granted=False)
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, holder, owner="gone:1:1")
    told = backend.workflows.get("w")["status"]
    said = "holder holds it, and its process died. Take it up again: tiphys argo controller"
    assert told["nodes"]["w"]["message"] == f"{status}. {said}"
    assert "message" not in told
    host.alive.add("gone:1:1")
    assert backend.workflows.get("w")["status"]["nodes"]["w"]["message"] == status


# Wishes


def test_suspend_and_resume_are_left_for_the_owner(backend, submit):
    submit("w", "Running")
    backend.workflows.suspend("w")
    backend.workflows.resume("w")
    assert wishes(backend) == [
        (WorkflowOperation.SUSPEND, "", None, None, {}),
        (WorkflowOperation.RESUME, "", None, None, {}),
    ]


def test_a_node_that_waits_for_values_is_not_resumed_without_them(backend, submit):
    submit("w", "Running", template=APPROVE, nodes=[waiting()])
    with pytest.raises(UsageError, match="raw output parameter 'ok' has not been set"):
        backend.workflows.resume("w", selector="displayName=w")
    backend.workflows.set_nodes("w", selector="displayName=w", outputs={"ok": "yes"})
    # The owner has not granted it yet, and what follows relies on it.
    backend.workflows.resume("w", selector="displayName=w")
    assert wishes(backend) == [
        (WorkflowOperation.SET, "w", None, None, {"ok": "yes"}),
        (WorkflowOperation.SET, "w", "Succeeded", None, {"why": "none"}),
    ]


def test_a_waiting_node_is_stopped_by_a_selector(backend, submit, host):
    submit("w", "Running", template=APPROVE, nodes=[waiting(outputs=Values())])
    backend.workflows.stop("w", selector="displayName=w", message="not now")
    assert wishes(backend) == [(WorkflowOperation.SET, "w", "Failed", "not now", {})]
    assert host.shut == []
    with pytest.raises(UsageError, match="no suspend nodes matching"):
        backend.workflows.stop("w", selector="displayName=other")


def test_setting_needs_a_selector_and_a_phase_that_exists(backend, submit):
    submit("w", "Running", template=APPROVE, nodes=[waiting()])
    with pytest.raises(UsageError, match="needs a node field selector"):
        backend.workflows.set_nodes("w", selector="", phase="Failed")
    with pytest.raises(UsageError, match="no phase 'Done'"):
        backend.workflows.set_nodes("w", selector="displayName=w", phase="Done")
    assert wishes(backend) == []


def test_a_workflow_that_nobody_carries_out_is_taken_up_to_grant_a_wish(backend, submit, host, monkeypatch):
    made = submit("w", "Running")
    host.alive.clear()
    taken = []
    monkeypatch.setattr(service_module, "carry_out_detached", lambda uids, **_: taken.append(uids))
    backend.workflows.resume("w")
    assert taken == [[made["metadata"]["uid"]]]


# Again


def test_a_failed_workflow_is_taken_up_again(backend, submit, host):
    made = submit("w", "Failed")
    uid = made["metadata"]["uid"]
    logs = [log_of(backend.home, uid, "w"), log_of(backend.home, uid, "w", "side"), log_of(backend.home, uid, "w-1")]
    logs[0].parent.mkdir(parents=True)
    for log in logs:
        log.write_text("of the first time\n")
    again = backend.workflows.retry("w")
    assert [log.exists() for log in logs] == [False, False, True]
    assert (again["metadata"]["uid"], again["status"]["phase"]) == (uid, "Running")
    assert host.started == [uid, uid]
    (row,) = backend.find(Query.of(WorkflowRow))
    assert (row.owner, row.finished_at) == (host.owner, None)
    (run,) = backend.find(Query.of(Run))
    assert (run.status, run.finished_at) == (ExecutionStatus.RUNNING, None)


@pytest.mark.parametrize(("phase", "error"), [("Running", ConflictError), ("Succeeded", UsageError)])
def test_what_cannot_be_retried(backend, submit, phase, error):
    submit("w", phase)
    with pytest.raises(error):
        backend.workflows.retry("w")


def test_a_workflow_is_submitted_again(backend, submit, host):
    submit("w", "Succeeded", labels={"a": "1"})
    again = backend.workflows.resubmit("w", parameters={"p": "2"}, priority=7)
    metadata = again["metadata"]
    assert metadata["name"].startswith("w-")
    assert metadata["labels"] == {"a": "1", "workflows.argoproj.io/resubmitted-from-workflow": "w"}
    assert again["spec"]["arguments"]["parameters"] == [{"name": "p", "value": "2"}]
    assert again["spec"]["priority"] == 7
    assert host.started[-1] == metadata["uid"]
    with pytest.raises(UsageError, match="must be Failed/Error"):
        backend.workflows.resubmit("w", memoized=True)


def test_a_memoized_one_begins_with_what_succeeded(backend, submit):
    dag = {"name": "main", "dag": {"tasks": [{"name": "a", "template": "t"}, {"name": "b", "template": "t"}]}}
    manifest = {"spec": {"entrypoint": "main", "templates": [dag, {**MAIN, "name": "t"}]}}
    uid = backend.workflows.submit(manifest, SubmitOptions(name="w"))["metadata"]["uid"]
    root = waiting(type=NodeType.DAG, phase=Phase.FAILED, finished_at=BEGAN + 5)
    tasks = [
        waiting(
            id=f"w-{task}",
            name=f"w.{task}",
            display_name=task,
            task_name=task,
            template="t",
            type=NodeType.POD,
            phase=phase,
            boundary_id="w",
            finished_at=BEGAN + 4,
        )
        for task, phase in (("a", Phase.SUCCEEDED), ("b", Phase.FAILED))
    ]
    carry(backend, uid, "w", "Failed", nodes=[root, *tasks])
    again = backend.workflows.resubmit("w", memoized=True)
    shown = backend.workflows.get(again["metadata"]["name"])
    nodes = {node["displayName"]: node["phase"] for node in shown["status"]["nodes"].values()}
    assert shown["status"]["phase"] == "Running"
    assert nodes["a"] == "Succeeded"
    assert "b" not in nodes


# Logs


def test_logs_of_a_workflow(backend, submit):
    uid = submit("w", "Succeeded")["metadata"]["uid"]
    log_of(backend.home, uid, "w").parent.mkdir(parents=True)
    log_of(backend.home, uid, "w").write_bytes(b"one\ntwo\n\xff last")
    log_of(backend.home, uid, "w", "side").write_text("aside\n")

    def lines(**query):
        return [(one.pod, one.content) for one in backend.workflows.logs("w", LogQuery(**query))]

    assert lines() == [("w", "one"), ("w", "two"), ("w", "\ufffd last")]
    assert lines(tail=1) == [("w", "\ufffd last")]
    assert lines(tail=0) == []
    assert lines(grep="^t") == [("w", "two")]
    assert lines(container="side") == [("w", "aside")]
    assert lines(container="none") == []
    assert lines(pod="w", follow=True) == lines()
    assert lines(since=utc_now() + timedelta(hours=1)) == []
    assert lines(labels="workflows.argoproj.io/workflow=w") == lines()
    assert lines(labels="app=x") == []
    with pytest.raises(NotFoundError, match="no pod 'p'"):
        lines(pod="p")
    with pytest.raises(UsageError, match="not a regular expression"):
        lines(grep="(")


def test_lines_that_are_being_written_come_when_they_are_whole(backend, submit, monkeypatch):
    uid = submit("w", "Running")["metadata"]["uid"]
    log = log_of(backend.home, uid, "w")
    log.parent.mkdir(parents=True)
    log.write_text("one\ntw")
    texts = iter(["o\nthree\n", "end"])

    def later(_):
        with log.open("a") as file:
            file.write(next(texts))
        if log.read_text().endswith("end"):
            carry(backend, uid, "w", "Succeeded")

    monkeypatch.setattr("tiphys.services.workflows.logs.time.sleep", later)
    found = [one.content for one in backend.workflows.logs("w", LogQuery(follow=True))]
    assert found == ["one", "two", "three", "end"]


@pytest.mark.parametrize(
    ("node_id", "template", "name"),
    [("w", "main", "w"), ("w-123", "t", "w-t-123"), ("w-123", "", "w-123"), ("w-9", "x" * 300, f"w-{'x' * 240}-9")],
)
def test_names_of_pods(node_id, template, name):
    assert pod_name("w", node_id, template) == name


def test_logs_of_python_steps(backend, play):
    played = play()
    task = played.launch(played.task(step_body("train")))
    live = live_path(backend.home, played.run.id, "train", 0)
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_text("2026-01-31T12:00:00.000000Z stdout began\n2026-01-31T12:00:05.000000Z stderr half")
    row = backend.find(Query.of(WorkflowRow))[0]
    node = waiting(id=task.node_id, type=NodeType.PLUGIN, template="train")
    with backend.store.transaction() as transaction:
        transaction.save(WorkflowBatch(row.id, [node]))
    (entry,) = backend.workflows.logs(row.name, LogQuery())
    assert (entry.content, entry.at.isoformat()) == ("began", "2026-01-31T12:00:00+00:00")
    assert entry.pod == pod_name(row.name, task.node_id, "train")
    assert list(backend.workflows.logs(row.name, LogQuery(since=entry.at + timedelta(seconds=1)))) == []
    assert list(backend.workflows.logs(row.name, LogQuery(container="side"))) == []


# Watching


def told(changes):
    return [(one.type, one.object["metadata"]["name"], one.object["status"]["phase"]) for one in changes]


def test_changes_are_told_once_and_by_kind(backend, submit):
    submit("old", "Succeeded")
    made = submit("w", "Running")
    looks = backend.workflows.changes(WorkflowFilter())
    assert told(next(looks)) == [("ADDED", "old", "Succeeded"), ("ADDED", "w", "Running")]
    assert next(looks) == []
    carry(backend, made["metadata"]["uid"], "w", "Failed")
    submit("new")
    assert told(next(looks)) == [("MODIFIED", "w", "Failed"), ("ADDED", "new", "Pending")]
    backend.workflows.delete("w")
    assert told(next(looks)) == [("DELETED", "w", "Failed")]
    assert next(looks) == []


def test_a_changed_node_is_a_change(backend, submit):
    made = submit("w", "Running", nodes=[waiting()])
    looks = backend.workflows.changes(WorkflowFilter())
    next(looks)
    carry(backend, made["metadata"]["uid"], "w", "Running", nodes=[waiting(message="look")])
    assert told(next(looks)) == [("MODIFIED", "w", "Running")]


def test_changes_since_a_moment_leave_out_what_had_ended(backend, submit):
    submit("ended", "Succeeded")
    submit("running", "Running")
    looks = backend.workflows.changes(WorkflowFilter(), since=utc_now())
    submit("later")
    assert told(next(looks)) == [("MODIFIED", "running", "Running"), ("ADDED", "later", "Pending")]
    backend.workflows.delete("ended")
    assert told(next(looks)) == [("DELETED", "ended", "Succeeded")]


def test_one_that_goes_on_is_told_of_deletions_meanwhile(backend, submit):
    submit("before", "Succeeded")
    since = utc_now()
    submit("meanwhile", "Succeeded")
    backend.workflows.delete("before")
    backend.workflows.delete("meanwhile")
    looks = backend.workflows.changes(WorkflowFilter(), since=since)
    assert [one for _ in range(2) for one in told(next(looks))] == [("DELETED", "before", "Succeeded")]


def test_watchers_share_a_look_and_each_hears_of_what_it_watches(backend, submit):
    red = backend.workflows.changes(WorkflowFilter(labels="team=red"))
    all_of_them = backend.workflows.changes(WorkflowFilter())
    assert (next(red), next(all_of_them), next(red)) == ([], [], [])
    made = submit("r", labels={"team": "red"})
    submit("b", labels={"team": "blue"})
    assert told(next(red)) == [("ADDED", "r", "Pending")]
    assert told(next(all_of_them)) == [("ADDED", "r", "Pending"), ("ADDED", "b", "Pending")]
    carry(backend, made["metadata"]["uid"], "r", "Succeeded")
    assert told(next(all_of_them)) == [("MODIFIED", "r", "Succeeded")]
    assert told(next(red)) == [("MODIFIED", "r", "Succeeded")]
    assert (next(red), next(all_of_them)) == ([], [])


def test_one_that_leaves_what_is_watched_is_gone_for_the_watcher(backend, submit):
    made = submit("w", "Running")
    looks = backend.workflows.changes(WorkflowFilter(labels=f"{LABEL_COMPLETED}=false"))
    assert told(next(looks)) == [("ADDED", "w", "Running")]
    carry(backend, made["metadata"]["uid"], "w", "Succeeded")
    assert told(next(looks)) == [("DELETED", "w", "Succeeded")]
    assert next(looks) == []


def test_many_are_told_of_in_parts(backend, submit, monkeypatch):
    monkeypatch.setattr(changes_module, "_CHUNK", 2)
    for name in ("a", "b", "c"):
        submit(name, "Succeeded")
    looks = backend.workflows.changes(WorkflowFilter())
    assert [name for _, name, _ in told(next(looks))] == ["a", "b"]
    assert [name for _, name, _ in told(next(looks))] == ["c"]
    assert next(looks) == []


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("team=red", "ac"),
        ("team!=red", "bd"),
        ("team in (red, blue)", "abc"),
        ("team notin (red, blue)", "d"),
        ("team", "abc"),
        ("!team", "d"),
        ("size>1", "b"),
        ("size<2,team=red", "a"),
        (f"{LABEL_PHASE}=Failed", "b"),
        (f"{LABEL_PHASE}!=Failed", "acd"),
        (f"{LABEL_PHASE}", "abcd"),
        (f"!{LABEL_PHASE}", ""),
        (f"{LABEL_PHASE}>1", ""),
        (f"{LABEL_COMPLETED}=true", "ab"),
        (f"{LABEL_COMPLETED}!=true", "cd"),
        (f"{LABEL_COMPLETED}=perhaps", ""),
        (f"{LABEL_COMPLETED} in (true, false)", "abcd"),
    ],
)
def test_the_database_and_a_watcher_understand_label_selectors_alike(backend, submit, selector, expected):
    wanted = WorkflowFilter(labels=selector)
    _four(submit)
    assert [row.name for row in reversed(backend.workflows.find(wanted).items)] == list(expected)
    matches = matcher(wanted, "default")
    assert [row.name for row in backend.find(Query.of(WorkflowSummary, order="id")) if matches(row)] == list(expected)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (WorkflowFilter(fields="metadata.name=a"), "a"),
        (WorkflowFilter(fields="metadata.name!=a"), "bcd"),
        (WorkflowFilter(fields="status.phase in (Failed, Pending)"), "bd"),
        (WorkflowFilter(fields="spec.none=x"), ""),
        (WorkflowFilter(fields="spec.none!=x"), "abcd"),
        (WorkflowFilter(contains="c"), "c"),
        (WorkflowFilter(completed=True), "ab"),
        (WorkflowFilter(resubmitted=True), "d"),
        (WorkflowFilter(phases=("Running",), prefix="c"), "c"),
        (WorkflowFilter(all_namespaces=True), "abcd"),
        (WorkflowFilter(all_namespaces=True, among=("default", "other")), "abcd"),
        (WorkflowFilter(all_namespaces=True, among=("other",)), ""),
        (WorkflowFilter(all_namespaces=True, among=()), ""),
    ],
)
def test_the_database_and_a_watcher_understand_filters_alike(backend, submit, wanted, expected):
    _four(submit)
    assert [row.name for row in reversed(backend.workflows.find(wanted).items)] == list(expected)
    matches = matcher(wanted, "default")
    assert [row.name for row in backend.find(Query.of(WorkflowSummary, order="id")) if matches(row)] == list(expected)


def _four(submit):
    submit("a", "Succeeded", labels={"team": "red", "size": "1"})
    submit("b", "Failed", labels={"team": "blue", "size": "2"})
    submit("c", "Running", labels={"team": "red"})
    submit("d", labels={LABEL_RESUBMITTED: "a", "size": "large"})


def test_pages_end_where_they_should_though_a_selector_is_for_no_database(backend, submit):
    for number in range(5):
        submit(f"w{number}", labels={"size": str(number)})
    page = backend.workflows.find(WorkflowFilter(labels="size>0"), limit=2)
    assert [row.name for row in page.items] == ["w4", "w3"]
    page = backend.workflows.find(WorkflowFilter(labels="size>0"), limit=2, after=page.next)
    assert ([row.name for row in page.items], page.next) == (["w2", "w1"], "")


def test_without_nodes_a_workflow_is_the_same_but_for_them(backend, submit):
    submit("w", "Succeeded")
    (with_nodes,) = backend.workflows.find_whole(WorkflowFilter()).items
    (without,) = backend.workflows.find_whole(WorkflowFilter(), nodes=False).items
    for key in ("metadata", "spec", "kind"):
        assert without[key] == with_nodes[key]
    for key in ("phase", "startedAt", "finishedAt", "message"):
        assert without["status"].get(key) == with_nodes["status"].get(key)


def test_whole_workflows_come_in_pages(backend, submit):
    for name in ("a", "b", "c"):
        submit(name, "Succeeded")
    page = backend.workflows.find_whole(WorkflowFilter(), limit=2)
    assert [(one["metadata"]["name"], list(one["status"]["nodes"])) for one in page.items] == [
        ("c", ["c"]),
        ("b", ["b"]),
    ]
    rest = backend.workflows.find_whole(WorkflowFilter(), limit=2, after=page.next)
    assert ([one["metadata"]["name"] for one in rest.items], rest.next) == (["a"], "")
