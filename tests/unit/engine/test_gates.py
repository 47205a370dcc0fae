"""What a node waits for before it runs: locks, and what is remembered under its key.

Semantics: argo-workflows, executeTemplate (operator.go): locks first, held across retries, then the memory, asked once.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Crashing, Drive, each_way, flow, given, grouped, steps, taking, template

from tiphys.engine.commands import Acquire, Lock, Recall
from tiphys.engine.events import LocksAwaited, LocksGranted, Recalled, ShutdownRequested, TimerFired
from tiphys.engine.machine import Machine
from tiphys.engine.model import NodeType, Phase, Reason, Values
from tiphys.errors import SpecError

MUTEX = {"synchronization": {"mutexes": [{"name": "m"}]}}
LOCKED = template("locked", **MUTEX)
MEMO = {"memoize": {"key": "k", "cache": {"configMap": {"name": "c"}}}}
KEPT = template("kept", outputs={"parameters": [{"name": "y", "valueFrom": {"path": "/y"}}]}, **MEMO)


def one(name: str, **spec: Any) -> Any:
    """A task "a" with the template `name`, and "b" after it."""
    return flow({"name": "a", "template": name}, {"name": "b", "depends": "a"}, templates=[LOCKED, KEPT], **spec)


# --- locks


@each_way
def test_a_node_waits_for_its_locks_and_gives_them_back(drive: type[Drive]) -> None:
    run = drive(one("locked"))
    assert (run.commands, run.asked) == ([], ["acquire a: default/Mutex/m"])
    assert (run.node("a").phase, run.node("a").type) == (Phase.PENDING, NodeType.PLUGIN)

    run.handle(LocksAwaited(run.node("a").id, "Waiting for default/Mutex/m lock. Lock status: 0/1"))
    assert run.node("a").waiting == run.node("a").message == "Waiting for default/Mutex/m lock. Lock status: 0/1"
    assert run.grant("a") == ["launch a"]
    assert (run.node("a").phase, run.node("a").waiting, run.node("a").message) == (Phase.RUNNING, "", "")
    assert run.end("a") == ["launch b"]
    assert run.asked == ["release a"]


@each_way
def test_a_second_grant_and_a_late_wait_are_nothing(drive: type[Drive]) -> None:
    run = drive(one("locked"))
    run.grant("a")

    assert run.grant("a") == []
    run.handle(LocksAwaited(run.node("a").id, "late"))
    run.handle(LocksGranted("wf-1"))
    assert (run.node("a").phase, run.node("a").message) == (Phase.RUNNING, "")


@each_way
def test_locks_that_can_never_be_held(drive: type[Drive]) -> None:
    run = drive(one("locked"))

    assert run.grant("a", "ConfigMap 'c' does not exist") == ["finish"]
    assert run.asked == ["release a"]
    assert (run.node("a").phase, run.node("a").message) == (Phase.ERROR, "ConfigMap 'c' does not exist")


def test_the_locks_of_a_template_in_one_order() -> None:
    synchronization = {
        "mutexes": [
            {"name": "{{inputs.parameters.x}}"}, {"name": "n", "namespace": "ns"}, {"name": "d", "database": True},
        ],
        "semaphores": [
            {"configMapKeyRef": {"name": "conf", "key": "{{workflow.name}}"}}, {"database": {"key": "limits"}},
        ],
    }  # fmt: skip
    both = template("take", inputs={"parameters": [{"name": "x"}]}, synchronization=synchronization)
    run = Drive(flow(taking("mine"), templates=[both]))

    [command] = run.last
    assert isinstance(command, Acquire)
    assert command.locks == (
        Lock("default/ConfigMap/conf/wf"), Lock("default/Database/limits"), Lock("default/DatabaseMutex/d", 1),
        Lock("default/Mutex/mine", 1), Lock("ns/Mutex/n", 1),
    )  # fmt: skip


@each_way
def test_a_lock_is_held_across_retries(drive: type[Drive]) -> None:
    again = template("again", retryStrategy={"limit": 1, "backoff": {"duration": "5s"}}, **MUTEX)
    run = drive(flow({"name": "a", "template": "again"}, templates=[again]))
    assert run.node("a").type is NodeType.RETRY
    assert run.grant("a") == ["launch a(0)"]

    run.end("a(0)", Phase.FAILED)
    assert run.asked == []
    assert run.fire(f"retry:{run.node('a').id}") == ["launch a(1)"]
    assert run.asked == []
    run.end("a(1)")
    assert run.asked == ["release a"]


@each_way
@pytest.mark.parametrize("kind", ["dag", "steps"])
def test_a_dag_or_steps_hold_their_lock_to_their_end(drive: type[Drive], kind: str) -> None:
    body = (
        {"dag": {"tasks": [{"name": "x", "template": "step"}]}}
        if kind == "dag"
        else {"steps": grouped([{"name": "x"}])}
    )
    run = drive(flow({"name": "in", "template": "inner"}, templates=[{"name": "inner", **body, **MUTEX}]))
    assert run.asked == ["acquire in: default/Mutex/m"]

    assert run.grant("in") == ["launch x"]
    assert run.end("x") == ["finish"]
    assert run.asked == ["release in"]


def test_nodes_that_wait_do_not_count_as_pods() -> None:
    run = Drive(flow({"name": "a", "template": "locked"}, {"name": "c"}, templates=[LOCKED], parallelism=1))
    assert run.commands == ["launch c"]

    assert run.grant("a") == []
    # Whoever takes the workflow up asks for the lock again, and hears of it again.
    assert [type(request) for request in run.restored().requests()] == [Acquire]
    assert run.end("c") == ["launch a"]


@each_way
def test_an_exit_hook_of_a_locked_node_runs_without_the_lock(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a", "template": "locked", "onExit": "step"}, templates=[LOCKED]))
    run.grant("a")

    assert run.end("a") == ["launch a.onExit"]
    assert run.asked == ["release a"]


@each_way
@pytest.mark.parametrize(
    ("strategy", "message"),
    [("Stop", "Stopped with strategy 'Stop'"), ("Terminate", "Stopped with strategy 'Terminate'")],
)
def test_a_shutdown_ends_what_waits(drive: type[Drive], strategy: str, message: str) -> None:
    run = drive(one("locked"))

    assert run.handle(ShutdownRequested(strategy)) == ["finish"]
    assert run.asked == ["release a"]
    assert (run.node("a").phase, run.node("a").message) == (Phase.FAILED, message)
    assert run.machine.state.phase is Phase.FAILED


@each_way
def test_the_deadline_ends_what_waits(drive: type[Drive]) -> None:
    run = drive(one("locked", activeDeadlineSeconds=9))

    assert run.fire("deadline") == ["finish"]
    assert (run.node("a").message, run.asked) == ("Step exceeded its deadline", ["release a"])


@each_way
@pytest.mark.parametrize("retry", [{}, {"retryStrategy": {"limit": 3}}])
@pytest.mark.parametrize(
    "limit", [{"pendingTimeout": "10s"}, {"timeout": "10s"}, {"timeout": "1m", "pendingTimeout": "10"}]
)
def test_a_node_that_waits_too_long(drive: type[Drive], limit: dict[str, str], retry: dict[str, Any]) -> None:
    """`pendingTimeout` bounds the wait, and `timeout` the wait and the run (checkTemplateTimeouts of operator.go)."""
    patient = template("patient", **MUTEX, **limit, **retry)
    run = drive(flow({"name": "a", "template": "patient"}, templates=[patient]))
    key = f"pending:{run.node('a').id}"
    assert run.timers == {key: 110.0}

    assert run.handle(TimerFired(key), after=3) == []
    assert run.fire(key) == ["finish"]
    assert (run.node("a").phase, run.node("a").reason, run.asked) == (Phase.FAILED, Reason.TIMED_OUT, ["release a"])


@each_way
def test_a_pending_timeout_is_over_when_the_node_runs(drive: type[Drive]) -> None:
    patient = template("patient", **MUTEX, pendingTimeout="{{workflow.parameters.t}}s")
    run = drive(flow({"name": "a", "template": "patient"}, templates=[patient], **given(t="10")))
    run.grant("a")

    assert run.fire(f"pending:{run.node('a').id}") == []
    assert run.node("a").phase is Phase.RUNNING


@each_way
def test_what_it_waited_counts_for_the_timeout_of_a_node(drive: type[Drive]) -> None:
    patient = template("patient", **MUTEX, timeout="60s")
    run = drive(flow({"name": "a", "template": "patient"}, templates=[patient]))
    run.handle(LocksGranted(run.node("a").id), after=20)

    assert run.task("a").deadline == 160.0
    assert run.fire(f"timeout:{run.node('a').id}") == ["cancel a", "finish"]


@each_way
def test_the_locks_of_the_workflow(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, **MUTEX, activeDeadlineSeconds=60))
    assert (run.commands, run.asked, run.machine.state.phase) == (
        [],
        ["acquire workflow: default/Mutex/m"],
        Phase.PENDING,
    )

    run.handle(LocksAwaited("", "Waiting"))
    assert (run.machine.state.message, run.timers) == ("Waiting", {})
    assert run.handle(LocksGranted(""), after=30) == ["launch a"]
    assert (run.machine.state.message, run.machine.state.started_at) == ("", 130.0)
    assert run.timers == {"deadline": 190.0}
    assert run.end("a") == ["finish"]
    assert run.asked == ["release workflow"]


@each_way
def test_the_workflow_holds_its_lock_while_its_exit_handler_runs(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, **MUTEX, onExit="step"))
    run.handle(LocksGranted(""))
    assert run.end("a") == ["launch wf.onExit"]

    assert run.asked == []
    run.end("wf.onExit")
    assert run.asked == ["release workflow"]


@each_way
@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_shutdown_of_a_workflow_that_waits_for_its_lock(drive: type[Drive], strategy: str) -> None:
    run = drive(flow({"name": "a"}, **MUTEX))

    assert run.handle(ShutdownRequested(strategy)) == ["finish"]
    assert run.asked == ["release workflow"]
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.FAILED, f"Stopped with strategy '{strategy}'")
    assert run.machine.nodes() == []


@each_way
def test_a_lock_of_the_workflow_that_can_never_be_held(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, **MUTEX))

    assert run.handle(LocksGranted("", "no such ConfigMap")) == ["finish"]
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.ERROR, "no such ConfigMap")


# --- memories


@each_way
def test_a_hit_takes_the_outputs_over(drive: type[Drive]) -> None:
    run = drive(
        flow(
            {"name": "a", "template": "kept", "onExit": "step"},
            taking("{{tasks.a.outputs.parameters.y}}", depends="a"), templates=[KEPT],
        )
    )  # fmt: skip
    assert (run.commands, run.asked) == ([], ["recall a: c/k"])

    assert run.recall("a", Values({"y": "kept"})) == ["launch a.onExit"]
    node = run.node("a")
    assert (node.phase, node.reason, node.memo) == (
        Phase.SUCCEEDED, Reason.MEMOIZED, {"hit": True, "key": "k", "cacheName": "c"},
    )  # fmt: skip
    assert run.end("a.onExit") == ["launch take"]
    assert run.takes() == "kept"
    assert run.asked == []


@each_way
@pytest.mark.parametrize(
    ("phase", "asked"), [(Phase.SUCCEEDED, ["memorize a: c/k = {'y': 'new'}"]), (Phase.FAILED, [])]
)
def test_a_miss_is_carried_out_and_remembered(drive: type[Drive], phase: Phase, asked: list[str]) -> None:
    run = drive(one("kept"))
    assert run.recall("a") == ["launch a"]
    assert run.node("a").memo == {"hit": False, "key": "k", "cacheName": "c"}

    run.end("a", phase, parameters={"y": "new"})
    assert run.asked == asked


@each_way
def test_a_memory_that_cannot_be_asked(drive: type[Drive]) -> None:
    run = drive(one("kept"))

    assert run.recall("a", problem="ConfigMap 'c' lacks its label") == ["finish"]
    assert (run.node("a").phase, run.node("a").message) == (Phase.ERROR, "ConfigMap 'c' lacks its label")


def test_the_key_and_the_age_may_hold_tags() -> None:
    memoize = {
        "key": "{{inputs.parameters.x}}-{{workflow.name}}", "maxAge": "{{workflow.parameters.age}}",
        "cache": {"configMap": {"name": "c"}},
    }  # fmt: skip
    kept = template("take", inputs={"parameters": [{"name": "x"}]}, memoize=memoize)
    run = Drive(flow(taking("in"), templates=[kept], **given(age="1h")))

    [command] = run.last
    assert isinstance(command, Recall)
    assert (command.key, command.cache, command.max_age) == ("in-wf", "c", 3600.0)


@each_way
def test_a_retried_node_is_remembered_as_a_whole(drive: type[Drive]) -> None:
    again = template("again", retryStrategy={"limit": 1}, **MEMO)
    run = drive(flow({"name": "a", "template": "again"}, templates=[again]))
    assert run.recall("a") == ["launch a(0)"]

    run.end("a(0)", Phase.FAILED)
    assert run.commands == ["launch a(1)"]
    run.end("a(1)", parameters={"y": "1"})
    assert run.asked == ["memorize a: c/k = {'y': '1'}"]


@each_way
@pytest.mark.parametrize("kind", ["dag", "steps"])
def test_graphs_are_remembered_by_their_outputs(drive: type[Drive], kind: str) -> None:
    """Argo remembers what a DAG or steps gave, too (executeDAG and executeSteps)."""
    prefix = "tasks" if kind == "dag" else "steps"
    body = (
        {"dag": {"tasks": [{"name": "x", "template": "step"}]}}
        if kind == "dag"
        else {"steps": grouped([{"name": "x"}])}
    )
    outputs = {"parameters": [{"name": "y", "valueFrom": {"parameter": f"{{{{{prefix}.x.outputs.result}}}}"}}]}
    inner = {"name": "inner", **body, "outputs": outputs, **MEMO}
    workflow = flow(
        {"name": "in", "template": "inner"},
        taking("{{tasks.in.outputs.parameters.y}}", depends="in"),
        templates=[inner],
    )
    run = drive(workflow)
    assert run.recall("in") == ["launch x"]
    assert run.end("x", result="R") == ["launch take"]
    assert run.asked == ["memorize in: c/k = {'y': 'R'}"]

    run = drive(workflow)
    assert run.recall("in", Values({"y": "kept"})) == ["launch take"]
    assert (run.takes(), run.node("in").phase) == ("kept", Phase.SUCCEEDED)
    assert "x" not in run.phases()


@each_way
def test_the_memory_is_asked_once_the_lock_is_held(drive: type[Drive]) -> None:
    both = template("both", **MUTEX, **MEMO)
    run = drive(flow({"name": "a", "template": "both"}, templates=[both]))
    assert run.asked == ["acquire a: default/Mutex/m"]

    assert (run.grant("a"), run.asked) == ([], ["recall a: c/k"])
    run.recall("a", Values())
    assert run.asked == ["release a"]
    assert run.node("a").phase is Phase.SUCCEEDED


@each_way
def test_a_second_answer_is_nothing(drive: type[Drive]) -> None:
    run = drive(one("kept"))
    run.recall("a")

    assert run.handle(Recalled(run.node("a").id, Values({"y": "late"}))) == []
    assert run.node("a").memo == {"hit": False, "key": "k", "cacheName": "c"}


@each_way
def test_items_of_a_loop_each_ask(drive: type[Drive]) -> None:
    memoize = {"key": "{{inputs.parameters.x}}", "cache": {"configMap": {"name": "c"}}}
    kept = template("take", inputs={"parameters": [{"name": "x"}]}, memoize=memoize)
    run = drive(
        steps([{"name": "a", "template": "take", "withItems": ["p", "q"], **given(x="{{item}}")}], templates=[kept])
    )
    assert run.asked == ["recall a(0:p): c/p", "recall a(1:q): c/q"]

    run.recall("a(0:p)", Values())
    assert run.recall("a(1:q)") == ["launch a(1:q)"]


@pytest.mark.parametrize("waits", ["locked", "kept"])
def test_what_is_asked_for_again_after_a_crash(waits: str) -> None:
    run = Drive(one(waits))

    assert run.restored().requests() == run.last


def test_a_lock_that_is_held_is_asked_for_again_after_a_crash() -> None:
    run = Drive(one("locked"))
    asked = run.last
    run.grant("a")

    assert run.restored().requests() == asked


def test_what_is_waited_for_is_bounded_after_a_crash_too() -> None:
    patient = template("patient", **MUTEX, pendingTimeout="10s")
    run = Crashing(flow({"name": "a", "template": "patient"}, templates=[patient]))

    assert [(timer.key, timer.due) for timer in run.machine.timers()] == list(run.timers.items())
    assert len(run.timers) == 1


@each_way
@pytest.mark.parametrize(
    "fields",
    [
        {"synchronization": {"mutexes": [{"name": "{{inputs.parameters.none}}"}]}},
        {"memoize": {"key": "{{inputs.parameters.none}}", "cache": {"configMap": {"name": "c"}}}},
        {"pendingTimeout": "{{inputs.parameters.none}}", **MUTEX},
    ],
)
def test_what_cannot_be_resolved_is_an_error(drive: type[Drive], fields: dict[str, Any]) -> None:
    run = drive(flow({"name": "a", "template": "bad"}, templates=[template("bad", **fields)]))

    assert (run.commands, run.asked) == (["finish"], [])
    assert run.node("a").message == "'{{inputs.parameters.none}}' cannot be resolved."


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"synchronization": {"mutexes": [{}]}}, "synchronization.mutexes: a name is needed"),
        ({"synchronization": {"semaphores": [{}]}}, "semaphores: a configMapKeyRef or a database is needed"),
        ({"memoize": {"cache": {"configMap": {"name": "c"}}}}, "memoize.key is required"),
    ],
)
def test_wrong_gates_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Machine("uid", flow({"name": "a", "template": "bad"}, templates=[template("bad", **fields)]), "wf")
