"""withItems, withParam, withSequence, and what consumers of a loop see."""

from __future__ import annotations

import json

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.loops import item_index, item_name, json_list, sequence
from tiphys.engine.model import NodeType, Phase
from tiphys.errors import ExpressionError

WORK = template("work", inputs={"parameters": [{"name": "x"}]})
TAKE = template("take", inputs={"parameters": [{"name": "xs"}], "artifacts": [{"name": "all"}]})


def test_items_run_and_are_gathered_in_order() -> None:
    run = Drive(
        flow(
            {"name": "src"},
            {
                "name": "work", "template": "work", "depends": "src.Succeeded",
                "withParam": "{{tasks.src.outputs.parameters.items}}",
                "arguments": {"parameters": [{"name": "x", "value": "{{item}}"}]},
            },
            {
                "name": "take", "template": "take", "depends": "work.Succeeded",
                "arguments": {
                    "parameters": [{"name": "xs", "value": "{{tasks.work.outputs.parameters.y}}"}],
                    "artifacts": [{"name": "all", "from": "{{tasks.work.outputs.artifacts.out}}"}],
                },
            },
            templates=[WORK, TAKE],
        )
    )  # fmt: skip

    assert run.end("src", parameters={"items": '["1", "\\"b\\"", "{\\"k\\": 1}"]'}) == [
        "launch work(0:1)", 'launch work(1:"b")', 'launch work(2:{"k": 1})',
    ]  # fmt: skip
    assert run.task('work(1:"b")').inputs.parameters == {"x": '"b"'}
    group = run.node("work")
    assert (group.type, group.phase) == (NodeType.TASK_GROUP, Phase.RUNNING)
    refs = [{"id": number} for number in range(3)]
    run.end('work(2:{"k": 1})', parameters={"y": "30"}, artifacts={"out": refs[2]})
    run.end("work(0:1)", parameters={"y": "10"}, artifacts={"out": refs[0]})

    assert run.end('work(1:"b")', parameters={"y": "20"}, artifacts={"out": refs[1]}) == ["launch take"]
    taken = run.task("take").inputs
    assert taken.parameters == {"xs": '["10","20","30"]'}
    assert taken.artifacts["all"] == refs
    assert all(found is ref for found, ref in zip(taken.artifacts["all"], refs, strict=True))


def test_a_failed_item_fails_the_loop_and_only_successes_are_gathered() -> None:
    run = Drive(
        flow(
            {"name": "work", "withItems": ["a", "b"]},
            {
                "name": "any", "template": "take", "depends": "work.AnySucceeded",
                "arguments": {
                    "parameters": [{"name": "xs", "value": "{{tasks.work.outputs.result}}"}],
                    "artifacts": [{"name": "all", "from": "{{tasks.work.outputs.artifacts.out}}"}],
                },
            },
            {"name": "all", "depends": "work.AllFailed"},
            templates=[TAKE],
        )
    )  # fmt: skip
    run.end("work(0:a)", Phase.FAILED)

    assert run.end("work(1:b)", result='{"r": 1}', artifacts={"out": {"id": 1}}) == ["launch any"]
    assert run.node("work").phase is Phase.FAILED
    assert run.task("any").inputs.parameters == {"xs": '[{"r":1}]'}
    assert run.task("any").inputs.artifacts == {"all": [{"id": 1}]}
    assert run.node("all").phase is Phase.OMITTED


def test_an_empty_list_skips_the_task() -> None:
    run = Drive(flow({"name": "a", "withParam": "[]"}, {"name": "b", "depends": "a.Succeeded"}))

    assert run.commands == ["finish"]
    assert run.node("a").message == "Skipped, empty params"
    assert run.phases() == {"wf": "Succeeded", "a": "Skipped", "b": "Omitted"}


@pytest.mark.parametrize("param", ["no json", '{"a": 1}', "{{tasks.src.outputs.parameters.missing}}"])
def test_items_that_cannot_be_told_are_an_error(param: str) -> None:
    run = Drive(flow({"name": "src"}, {"name": "a", "depends": "src", "withParam": param}))

    assert run.end("src") == ["finish"]
    assert run.node("a").phase is Phase.ERROR
    assert run.machine.state.phase is Phase.ERROR


def test_a_condition_may_ask_for_the_item() -> None:
    run = Drive(flow({"name": "a", "withItems": [{"n": 1}, {"n": 2}], "when": "{{item.n}} > 1"}))

    assert run.commands == ["launch a(1:n:2)"]
    assert run.node("a(0:n:1)").phase is Phase.SKIPPED
    assert run.end("a(1:n:2)") == ["finish"]


def test_a_false_condition_skips_every_item() -> None:
    run = Drive(flow({"name": "a", "withItems": [1, 2], "when": "false"}))

    assert run.commands == ["finish"]
    assert run.phases() == {"wf": "Succeeded", "a": "Succeeded", "a(0:1)": "Skipped", "a(1:2)": "Skipped"}


def test_items_wait_for_a_place_without_nodes() -> None:
    run = Drive(flow({"name": "a", "withSequence": {"count": 1000}}, parallelism=2))

    assert run.commands == ["launch a(0:0)", "launch a(1:1)"]
    assert len(run.machine.nodes()) == 4
    assert run.end("a(0:0)") == ["launch a(2:2)"]


def test_a_stopped_run_starts_no_further_items() -> None:
    run = Drive(flow({"name": "a", "withSequence": {"count": 9}}, parallelism=2, mode="STOP_ON_FAILURE"))

    assert run.end("a(0:0)", Phase.FAILED) == []
    assert run.end("a(1:1)") == ["finish"]
    assert run.node("a").phase is Phase.FAILED
    assert len(run.machine.nodes()) == 4


def test_a_loop_of_dags() -> None:
    inner = {
        "name": "inner",
        "inputs": {"parameters": [{"name": "x"}]},
        "dag": {
            "tasks": [
                {
                    "name": "in",
                    "template": "work",
                    "arguments": {"parameters": [{"name": "x", "value": "<{{inputs.parameters.x}}>"}]},
                }
            ]
        },
        "outputs": {"parameters": [{"name": "y", "valueFrom": {"parameter": "{{tasks.in.outputs.parameters.y}}"}}]},
    }
    argument = {"parameters": [{"name": "x", "value": "{{item}}"}]}
    run = Drive(
        flow(
            {"name": "each", "template": "inner", "withItems": ["a", "b"], "arguments": argument},
            {
                "name": "sum", "template": "work", "depends": "each",
                "arguments": {"parameters": [{"name": "x", "value": "{{tasks.each.outputs.parameters.y}}"}]},
            },
            templates=[inner, WORK],
        )
    )  # fmt: skip
    first, second = (node for node in run.machine.nodes() if node.display_name == "in")
    assert (first.name, second.name) == ("wf.each(0:a).in", "wf.each(1:b).in")
    assert run.machine.task(second.id).inputs.parameters == {"x": "<b>"}
    from tiphys.engine.events import TaskFinished
    from tiphys.engine.model import Values

    for node in (second, first):
        run.handle(
            TaskFinished(f"uid/{node.id}/0", Phase.SUCCEEDED, outputs=Values({"y": node.inputs.parameters["x"]}))
        )

    assert json.loads(run.task("sum").inputs.parameters["x"]) == ["<a>", "<b>"]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"count": "3"}, ["0", "1", "2"]),
        ({"count": "0"}, []),
        ({"start": "5", "count": "2"}, ["5", "6"]),
        ({"start": "3", "end": "1"}, ["3", "2", "1"]),
        ({"start": "1", "end": "2", "format": "node-%02d"}, ["node-01", "node-02"]),
        ({"start": "10", "end": "11", "format": "%03X%%"}, ["00A%", "00B%"]),
    ],
)
def test_sequences(bounds: dict[str, str], expected: list[str]) -> None:
    assert sequence(**{"start": None, "end": None, "count": None, "format": None, **bounds}) == expected


def test_a_sequence_needs_bounds() -> None:
    with pytest.raises(ExpressionError, match="'end' or 'count'"):
        sequence(start="1", end=None, count=None, format=None)
    with pytest.raises(ExpressionError, match="whole number"):
        sequence(start=None, end=None, count="many", format=None)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("a", "t(3:a)"),
        (True, "t(3:true)"),
        (1.5, "t(3:1.5)"),
        ({"b": "x", "a": 1}, "t(3:a:1,b:x)"),
        (["a", 1], "t(3:[a 1])"),
        ("f(x)", "t(3:fx)"),
    ],
)
def test_names_of_items(item: object, name: str) -> None:
    assert item_name("t", 3, item) == name
    assert item_index("wf." + name, "wf.t") == 3


def test_lists_of_json_values_are_nested_and_others_are_texts() -> None:
    assert json_list(['{"b": 1}', "[2]"]) == '[{"b":1},[2]]'
    assert json_list(["1", "[2]"]) == '["1","[2]"]'
    assert json_list(["<a>"]) == '["\\u003ca\\u003e"]'
