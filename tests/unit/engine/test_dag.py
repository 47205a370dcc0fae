"""Order, conditions and phases of DAGs."""

from __future__ import annotations

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.events import TaskFinished
from tiphys.engine.ids import fnv32
from tiphys.engine.machine import children
from tiphys.engine.model import NodeType, Phase, Reason


def test_a_chain_runs_in_order() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a.Succeeded"}, {"name": "c", "dependencies": ["b"]}))

    assert run.commands == ["launch a"]
    assert run.end("a") == ["launch b"]
    assert run.end("b") == ["launch c"]
    assert run.end("c") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED
    assert run.machine.state.finished_at == 103.0


def test_nodes_are_named_as_in_argo() -> None:
    run = Drive(flow({"name": "a"}))
    root, leaf = run.machine.nodes()

    assert (root.id, root.name, root.type) == ("wf", "wf", NodeType.DAG)
    assert (leaf.name, leaf.boundary_id, leaf.type) == ("wf.a", "wf", NodeType.PLUGIN)
    assert leaf.id == f"wf-{fnv32('wf.a')}"
    assert children(run.machine.nodes()) == {"wf": [leaf.id]}


def diamond(mode: str) -> Drive:
    """1 → (2, 3, 4) → (5, 6, 7) → 8, with data dependencies."""
    tasks = [{"name": "s1"}]
    tasks += [{"name": f"s{n}", "depends": "s1.Succeeded"} for n in (2, 3, 4)]
    tasks += [{"name": f"s{n}", "depends": f"s{n - 3}.Succeeded"} for n in (5, 6, 7)]
    tasks += [{"name": "s8", "depends": "s5.Succeeded && s6.Succeeded && s7.Succeeded"}]
    run = Drive(flow(*tasks, mode=mode, dag={"failFast": mode != "CONTINUE_ON_FAILURE"}))
    assert run.end("s1") == ["launch s2", "launch s3", "launch s4"]
    return run


def test_fail_fast_cancels_what_runs() -> None:
    run = diamond("FAIL_FAST")

    assert run.end("s2", Phase.FAILED, message="boom") == ["cancel s3", "cancel s4", "finish"]
    assert run.phases() == {"wf": "Failed", "s1": "Succeeded", "s2": "Failed", "s3": "Failed", "s4": "Failed"}
    assert {run.node(name).reason for name in ("s3", "s4")} == {Reason.STOPPED}
    assert run.node("s2").reason is Reason.NONE
    assert run.machine.state.message == "task 's2' ended as Failed: boom"


def test_stop_on_failure_lets_what_runs_end() -> None:
    run = diamond("STOP_ON_FAILURE")

    assert run.end("s2", Phase.FAILED) == []
    assert run.end("s3") == []
    assert run.end("s4") == ["finish"]
    assert run.phases() == {"wf": "Failed", "s1": "Succeeded", "s2": "Failed", "s3": "Succeeded", "s4": "Succeeded"}


def test_continue_on_failure_runs_all_that_can() -> None:
    run = diamond("CONTINUE_ON_FAILURE")

    assert run.end("s2", Phase.FAILED) == []
    assert run.end("s3") == ["launch s6"]
    assert run.end("s4") == ["launch s7"]
    assert run.end("s6") == []
    assert run.end("s7") == ["finish"]
    found = run.phases()
    assert found == {
        "wf": "Failed", "s1": "Succeeded", "s2": "Failed", "s3": "Succeeded", "s4": "Succeeded",
        "s5": "Omitted", "s6": "Succeeded", "s7": "Succeeded", "s8": "Omitted",
    }  # fmt: skip
    assert run.node("s5").message == "omitted: depends condition not met"


def test_a_failure_that_a_task_waits_for_does_not_stop_the_dag() -> None:
    run = Drive(
        flow({"name": "a"}, {"name": "b"}, {"name": "cleanup", "depends": "a.Failed"}, {"name": "c", "depends": "b"})
    )

    assert run.end("a", Phase.FAILED) == ["launch cleanup"]
    assert run.end("b") == ["launch c"]
    assert run.end("cleanup") == []
    assert run.end("c") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


def test_plain_fail_fast_starts_nothing_new_and_omits_what_failed() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b"}, {"name": "c", "depends": "a"}, {"name": "d", "depends": "b"}))

    assert run.end("a", Phase.ERROR) == []
    assert run.end("b") == ["finish"]
    assert run.phases() == {"wf": "Error", "a": "Error", "b": "Succeeded", "c": "Omitted"}


@pytest.mark.parametrize(
    ("depends", "a", "b", "runs"),
    [
        ("a.Succeeded || b.Succeeded", Phase.FAILED, Phase.SUCCEEDED, True),
        ("a.Succeeded || b.Succeeded", Phase.FAILED, Phase.FAILED, False),
        ("(a.Failed || a.Errored) && b", Phase.ERROR, Phase.SUCCEEDED, True),
        ("!a.Succeeded && b.Succeeded", Phase.FAILED, Phase.SUCCEEDED, True),
        ("!a.Failed && b", Phase.FAILED, Phase.SUCCEEDED, False),
    ],
)
def test_depends(depends: str, a: Phase, b: Phase, runs: bool) -> None:
    run = Drive(flow({"name": "a"}, {"name": "b"}, {"name": "c", "depends": depends}, dag={"failFast": False}))
    run.end("a", a)

    commands = run.end("b", b)

    assert ("launch c" in commands) is runs
    assert ("c" in run.phases() and run.phases()["c"] == "Omitted") is not runs


def test_continue_on_lets_dependents_run_and_the_dag_succeed() -> None:
    run = Drive(flow({"name": "a", "continueOn": {"failed": True}}, {"name": "b", "dependencies": ["a"]}))

    assert run.end("a", Phase.FAILED) == ["launch b"]
    assert run.end("b") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


def test_a_skipped_task_satisfies_a_bare_name_and_not_succeeded() -> None:
    run = Drive(
        flow(
            {"name": "a", "when": "1 > 2"},
            {"name": "after", "depends": "a"},
            {"name": "data", "depends": "a.Succeeded"},
        )
    )

    assert run.commands == ["launch after"]
    assert run.node("a").message == "when '1 > 2' evaluated false"
    assert run.end("after") == ["finish"]
    assert run.phases() == {"wf": "Succeeded", "a": "Skipped", "after": "Succeeded", "data": "Omitted"}


def test_a_condition_reads_outputs() -> None:
    condition = '{{tasks.a.outputs.parameters.loss}} < 0.5 && {{tasks.a.outputs.parameters.kind}} == "x"'
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a.Succeeded", "when": condition}))

    assert run.end("a", parameters={"loss": "2.5e-05", "kind": '"x"'}) == ["launch b"]


def test_a_bad_condition_makes_an_error() -> None:
    run = Drive(flow({"name": "a", "when": "{{workflow.name}} =="}))

    assert run.commands == ["finish"]
    assert run.node("a").phase is Phase.ERROR
    assert "wf ==" in run.node("a").message
    assert run.machine.state.phase is Phase.ERROR


def test_only_what_leads_to_the_target_runs() -> None:
    run = Drive(
        flow(
            {"name": "a"},
            {"name": "b", "depends": "a"},
            {"name": "c", "depends": "b"},
            {"name": "z"},
            dag={"target": "b"},
        )
    )

    assert run.commands == ["launch a"]
    assert run.end("a") == ["launch b"]
    assert run.end("b") == ["finish"]


def test_parallelism_bounds_the_leaves_and_keeps_their_order() -> None:
    run = Drive(flow(*({"name": f"t{n}"} for n in range(5)), parallelism=2))

    assert run.commands == ["launch t0", "launch t1"]
    assert set(run.phases()) == {"wf", "t0", "t1"}
    assert run.end("t1") == ["launch t2"]
    assert run.end("t0") == ["launch t3"]


def test_reports_that_do_not_matter_change_nothing() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b"}))
    done = TaskFinished(run.task("a").id, Phase.SUCCEEDED)
    run.handle(done)

    assert run.handle(done) == []
    assert run.handle(TaskFinished("uid/wf-1/0", Phase.FAILED)) == []
    assert run.handle(TaskFinished("other/" + run.node("b").id + "/0", Phase.FAILED)) == []
    assert run.handle(TaskFinished("nonsense", Phase.FAILED)) == []
    assert run.machine.take_changes() == (None, [])
    assert run.node("b").phase is Phase.RUNNING


def test_a_leaf_may_be_the_entry_point() -> None:
    run = Drive(flow(entrypoint="step"))

    assert run.commands == ["launch wf"]
    assert run.end("wf", Phase.FAILED, message="no") == ["finish"]
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.FAILED, "no")


def test_an_empty_dag_succeeds() -> None:
    assert Drive(flow()).commands == ["finish"]


def test_long_chains_of_omitted_tasks_do_not_recurse() -> None:
    tasks = [{"name": "t0"}] + [{"name": f"t{n}", "depends": f"t{n - 1}.Succeeded"} for n in range(1, 3000)]
    run = Drive(flow(*tasks))

    assert run.end("t0", Phase.FAILED) == ["finish"]
    assert run.node("t2999").phase is Phase.OMITTED


def test_a_story_tells_what_happened_to_a_node() -> None:
    run = Drive(flow({"name": "a"}))
    node = run.node("a")
    run.end("a", after=5)

    assert run.machine.story(node.id) == [(100.0, "Running"), (105.0, "Running -> Succeeded")]


def test_changes_come_once_and_parents_first() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a"}, templates=[template()]))
    assert [node.name for node in run.store.values()] == ["wf", "wf.a"]

    run.machine.handle(TaskFinished(run.task("a").id, Phase.SUCCEEDED), 101.0)
    state, nodes = run.machine.take_changes()

    assert state is None
    assert [node.name for node in nodes] == ["wf.a", "wf.b"]  # the DAG's own node is not written for each child
    assert run.machine.take_changes() == (None, [])
