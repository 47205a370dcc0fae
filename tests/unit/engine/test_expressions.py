"""Expressions in a workflow: where they stand, what they may refer to, and what their values become.

The language itself is tested with `tiphys.lang.expr`. Here the flows of argo-workflows' docs/variables.md, retries.md
and conditional-artifacts-parameters.md, and its examples skipped-output-defaults.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, given, grouped, steps, taking, template

from tiphys.engine.machine import Machine
from tiphys.engine.model import Phase
from tiphys.errors import SpecError
from tiphys.spec.workflow import Workflow

GIVER = template("giver", outputs={"parameters": [{"name": "y", "valueFrom": {"path": "/y"}}]})
SKIPPED = {"name": "a", "template": "giver", "when": "false"}


# --- arguments, when, withParam, outputs


@each_way
@pytest.mark.parametrize("kind", ["tasks", "steps"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{=KIND.a.outputs.parameters.y}}", "3"),
        ("{{=asInt(KIND.a.outputs.parameters.y) + 1}}", "4"),
        ("{{=KIND.a.outputs.parameters.y + '1'}}", "31"),
        ("<{{=KIND['a'].status}}|{{KIND.a.status}}>", "<Succeeded|Succeeded>"),
        ("{{=workflow.parameters.p == 'P' ? 'yes' : 'no'}}", "yes"),
        ("{{=jsonpath(KIND.a.outputs.result, '$.k')}}", "v"),
        ("{{=fromJSON(KIND.a.outputs.result).k}}", "v"),
        ("{{=toJson([1, 'b'])}}", '[1,"b"]'),
        ("{{=[1, 'b']}}", '[1,"b"]'),
        ("{{=sprig.upper(workflow.name)}}", "WF"),
        ("{{=KIND.a.outputs.parameters.none ?? 'fallback'}}", "fallback"),
        ("{{=KIND.a?.outputs?.parameters?.none ?? 'fallback'}}", "fallback"),
        ("{{=asFloat('1.50') * 2}}", "3"),
        ("{{=true}}", "true"),
    ],
)
def test_arguments(drive: type[Drive], kind: str, value: str, expected: str) -> None:
    take = taking(value.replace("KIND", kind))
    spec = given(p="P")
    workflow = (
        flow({"name": "a"}, {**take, "depends": "a"}, **spec)
        if kind == "tasks"
        else steps([{"name": "a"}], [take], **spec)
    )
    run = drive(workflow)

    assert run.end("a", parameters={"y": "3"}, result='{"k":"v"}') == ["launch take"]
    assert run.takes() == expected


@each_way
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{{=tasks.a.outputs.parameters.none}}", "tasks.a.outputs.parameters.none"),
        ("{{=tasks.nobody.status}}", "tasks.nobody.status"),
        ("{{=asInt('x')}}", "x"),
        ("{{=inputs.parameters.none}}", "inputs"),
    ],
)
def test_what_has_no_value_is_an_error_that_names_it(drive: type[Drive], value: str, named: str) -> None:
    run = drive(flow({"name": "a"}, taking(value, depends="a")))

    assert run.end("a") == ["finish"]
    assert run.node("take").phase is Phase.ERROR
    assert named in run.node("take").message


@each_way
def test_items_in_expressions(drive: type[Drive]) -> None:
    items = {"withItems": [{"n": 1}, {"n": 2}], "when": "{{=asInt(item.n) > 1}}"}
    run = drive(flow({"name": "a", "template": "take", **items, **given(x="{{=asInt(item.n) * 10}}")}))

    assert run.commands == ["launch a(1:n:2)"]
    assert run.takes("a(1:n:2)") == "20"


@each_way
@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ("{{=tasks.a.outputs.parameters.y == '3'}}", True),
        ("{{=asInt(tasks.a.outputs.parameters.y)}} > 5", False),
        ("{{=tasks.a.status in ['Failed', 'Error']}}", False),
    ],
)
def test_conditions(drive: type[Drive], when: str, runs: bool) -> None:
    run = drive(flow({"name": "a"}, {"name": "b", "depends": "a", "when": when}))

    assert run.end("a", parameters={"y": "3"}) == (["launch b"] if runs else ["finish"])


@each_way
@pytest.mark.parametrize(
    ("loop", "names"),
    [
        ({"withParam": "{{=toJson(filter([1, 2, 3], # > 1))}}"}, ["b(0:2)", "b(1:3)"]),
        ({"withParam": "{{=map(fromJSON(tasks.a.outputs.result), {#.k})}}"}, ["b(0:p)", "b(1:q)"]),
        ({"withSequence": {"count": "{{=len(fromJSON(tasks.a.outputs.result))}}"}}, ["b(0:0)", "b(1:1)"]),
    ],
)
def test_loops(drive: type[Drive], loop: dict[str, Any], names: list[str]) -> None:
    run = drive(flow({"name": "a"}, {"name": "b", "depends": "a", **loop}))

    assert run.end("a", result='[{"k":"p"},{"k":"q"}]') == [f"launch {name}" for name in names]


@each_way
def test_values_of_loops_and_of_the_workflow(drive: type[Drive]) -> None:
    value = "{{=len(fromJSON(tasks.a.outputs.parameters.y))}} {{=workflow.outputs.parameters.g}}"
    giver = template("giver", outputs={"parameters": [{"name": "y", "globalName": "g", "valueFrom": {"path": "/y"}}]})
    run = drive(
        flow({"name": "a", "template": "giver", "withItems": [1, 2]}, taking(value, depends="a"), templates=[giver])
    )
    run.end("a(1:2)", parameters={"y": "first"})
    run.end("a(0:1)", parameters={"y": "last"})

    assert run.takes() == "2 last"


@each_way
@pytest.mark.parametrize(
    ("coin", "artifact", "parameter"), [("heads", {"from": "h"}, "H"), ("tails", {"from": "t"}, "T")]
)
def test_conditional_outputs(drive: type[Drive], coin: str, artifact: dict[str, str], parameter: str) -> None:
    """As in Argo's examples conditional-artifacts and conditional-parameters."""
    choice = "steps.flip.outputs.result == 'heads' ? steps.heads.outputs.{0} : steps.tails.outputs.{0}"
    inner = {
        "name": "inner",
        "steps": grouped(
            [{"name": "flip"}],
            [
                {"name": "heads", "template": "both", "when": "{{steps.flip.outputs.result}} == heads"},
                {"name": "tails", "template": "both", "when": "{{steps.flip.outputs.result}} == tails"},
            ],
        ),
        "outputs": {
            "artifacts": [{"name": "out", "fromExpression": choice.format("artifacts.r")}],
            "parameters": [{"name": "p", "valueFrom": {"expression": choice.format("parameters.r")}}],
        },
    }  # fmt: skip
    both = template(
        "both",
        outputs={"artifacts": [{"name": "r"}], "parameters": [{"name": "r", "valueFrom": {"path": "/r"}}]},
    )
    run = drive(flow({"name": "in", "template": "inner"}, templates=[inner, both]))
    assert run.end("flip", result=coin) == [f"launch {coin}"]
    run.end(coin, artifacts={"r": {"from": coin[0]}}, parameters={"r": coin[0].upper()})

    outputs = run.node("in").outputs
    assert outputs is not None
    assert (outputs.artifacts, outputs.parameters) == ({"out": artifact}, {"p": parameter})


@each_way
def test_an_argument_that_an_expression_gives(drive: type[Drive]) -> None:
    leaf = template("leaf", inputs={"artifacts": [{"name": "in"}], "parameters": [{"name": "p"}]})
    choice = "tasks.a.status == 'Succeeded' ? tasks.a.outputs.artifacts.o : nil"
    arguments = {
        "artifacts": [{"name": "in", "fromExpression": choice}],
        "parameters": [{"name": "p", "valueFrom": {"expression": "tasks.a.outputs.result + '!'"}}],
    }  # fmt: skip
    run = drive(
        flow({"name": "a"}, {"name": "b", "template": "leaf", "depends": "a", "arguments": arguments}, templates=[leaf])
    )
    run.end("a", artifacts={"o": {"id": 1}}, result="R")

    inputs = run.task("b").inputs
    assert (inputs.artifacts, inputs.parameters) == ({"in": {"id": 1}}, {"p": "R!"})


@each_way
def test_bodies(drive: type[Drive]) -> None:
    args = ["{{=asInt(inputs.parameters.n) + 1}}", "{{=workflow.name + '-' + node.name}}"]
    inputs = {"parameters": [{"name": "n", "value": "4"}]}
    leaf = {"name": "sh", "inputs": inputs, "container": {"image": "i", "args": args}}
    run = drive(flow({"name": "a", "template": "sh"}, templates=[leaf]))

    assert run.task("a").body["container"]["args"] == ["5", "wf-wf.a"]


def test_chance_and_time_are_the_same_whoever_asks() -> None:
    leaf = {"name": "sh", "container": {"image": "i", "args": ["{{=sprig.randAlphaNum(9)}} {{=sprig.uuidv4()}}"]}}
    run = Drive(flow({"name": "a", "template": "sh"}, {"name": "b", "template": "sh"}, templates=[leaf]))
    [first], [second] = (run.task(name).body["container"]["args"] for name in ("a", "b"))

    assert first != second
    assert [first] == run.restored().task(run.node("a").id).body["container"]["args"]


# --- retryStrategy.expression


@each_way
@pytest.mark.parametrize(
    ("expression", "again"),
    [
        ("lastRetry.exitCode == '3'", True),
        ("asInt(lastRetry.exitCode) > 3", False),
        ("lastRetry.status == 'Error'", False),
        ("lastRetry.status == 'Failed' and lastRetry.message contains 'oo'", True),
        ("asInt(lastRetry.duration) == 2", True),
        ("asInt(retries) < 1", True),
        ("'{{retries}}' == '0'", True),
        ("'{{lastRetry.exitCode}}' == '4'", False),
        ("inputs.parameters.x == 'v'", True),
        ("workflow.name == 'other'", False),
    ],
)
def test_the_expression_decides_on_another_attempt(drive: type[Drive], expression: str, again: bool) -> None:
    retried = template(
        "take", inputs={"parameters": [{"name": "x"}]}, retryStrategy={"limit": 5, "expression": expression}
    )
    run = drive(flow(taking("v"), templates=[retried]))

    commands = run.end("take(0)", Phase.FAILED, message="boom", exit_code=3, after=2)
    assert commands == (["launch take(1)"] if again else ["finish"])
    if not again:
        assert run.node("take").message == "retryStrategy.expression evaluated to false: boom"


@each_way
def test_without_an_exit_code_it_is_minus_one(drive: type[Drive]) -> None:
    """As buildRetryStrategyLocalScope of Argo's operator.go; in a body it is zero."""
    again = {
        "name": "again", "container": {"image": "i", "args": ["{{lastRetry.exitCode}}/{{lastRetry.status}}"]},
        "retryStrategy": {"limit": 1, "expression": "lastRetry.exitCode == '-1'"},
    }  # fmt: skip
    run = drive(flow({"name": "a", "template": "again"}, templates=[again]))
    assert run.task("a(0)").body["container"]["args"] == ["0/"]

    assert run.end("a(0)", Phase.ERROR) == ["launch a(1)"]
    assert run.task("a(1)").body["container"]["args"] == ["0/Error"]


@each_way
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERROR])
def test_with_an_expression_the_policy_is_always(drive: type[Drive], phase: Phase) -> None:
    again = template("again", retryStrategy={"limit": 1, "expression": "true"})
    run = drive(flow({"name": "a", "template": "again"}, templates=[again]))

    assert run.end("a(0)", phase) == ["launch a(1)"]
    assert run.end("a(1)", phase) == ["finish"]
    assert run.node("a").message == "No more retries left"


@each_way
@pytest.mark.parametrize("expression", ["1 + 1", "lastRetry.none == 'x'", "asInt('x') == 1"])
def test_an_expression_that_fails_ends_the_attempts(drive: type[Drive], expression: str) -> None:
    again = template("again", retryStrategy={"limit": 3, "expression": expression})
    run = drive(flow({"name": "a", "template": "again"}, templates=[again]))

    assert run.end("a(0)", Phase.FAILED, message="boom") == ["finish"]
    assert run.node("a").phase is Phase.FAILED
    assert run.node("a").message.endswith(": boom")


# --- outputs of what was skipped


def oracle(name: str) -> Workflow:
    """The workflows of argo-workflows, examples/skipped-output-defaults."""
    ref, default = "tasks.producer.outputs.parameters.msg", {"default": "hello-from-producer"}
    msg = {"name": "msg", "valueFrom": {"path": "/tmp/out.txt", **(default if name == "producer" else {})}}
    fallback = {"default": "fallback-from-input"} if name == "consumer" else {}
    tasks: list[dict[str, Any]] = [{"name": "producer", "template": "produce", "when": "false"}]
    main: dict[str, Any] = {}
    if name == "expression":
        main["outputs"] = {"parameters": [{"name": "result", "valueFrom": {"expression": f"{ref} ?? 'expr-fallback'"}}]}
    else:
        consumer = {"name": "consumer", "template": "consume", "depends": "producer.Succeeded || producer.Skipped"}
        tasks.append({**consumer, **given(**{"in": f"{{{{{ref}}}}}"})})
    produce = template("produce", outputs={"parameters": [msg]})
    consume = template("consume", inputs={"parameters": [{"name": "in", **fallback}]})
    return flow(*tasks, templates=[produce, consume], main=main)


@each_way
@pytest.mark.parametrize(("name", "taken"), [("producer", "hello-from-producer"), ("consumer", "fallback-from-input")])
def test_defaults_for_what_a_skipped_task_would_have_given(drive: type[Drive], name: str, taken: str) -> None:
    run = drive(oracle(name))

    assert run.commands == ["launch consumer"]
    assert run.task("consumer").inputs.parameters == {"in": taken}
    assert run.end("consumer") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_a_fallback_for_what_a_skipped_task_would_have_given(drive: type[Drive]) -> None:
    run = drive(oracle("expression"))

    outputs = run.node("wf").outputs
    assert run.machine.state.phase is Phase.SUCCEEDED
    assert outputs is not None
    assert outputs.parameters == {"result": "expr-fallback"}


@each_way
@pytest.mark.parametrize("kind", ["tasks", "steps"])
@pytest.mark.parametrize(
    ("source", "default", "expected"),
    [
        ({"parameter": "{{REF}}"}, "D", "D"),
        ({"parameter": "{{REF}}"}, None, None),
        ({"expression": "REF"}, "D", "D"),
        ({"expression": "REF"}, None, None),
        ({"expression": "REF ?? 'F'"}, None, "F"),
        ({"expression": "REF == nil ? 'N' : 'V'"}, None, "N"),
    ],
)
def test_outputs_that_gather_what_was_not_given(
    drive: type[Drive], kind: str, source: dict[str, str], default: str | None, expected: str | None
) -> None:
    """Order: the producer's default, `??`, the default of the output itself, an error (scope.go of Argo)."""
    ref = f"{kind}.a.outputs.parameters.y"
    value_from = {key: text.replace("REF", ref) for key, text in source.items()}
    value_from |= {} if default is None else {"default": default}
    body = {"dag": {"tasks": [SKIPPED]}} if kind == "tasks" else {"steps": grouped([SKIPPED])}
    inner = {"name": "inner", **body, "outputs": {"parameters": [{"name": "o", "valueFrom": value_from}]}}
    run = drive(flow({"name": "in", "template": "inner"}, templates=[inner, GIVER]))

    node = run.node("in")
    assert node.phase is (Phase.ERROR if expected is None else Phase.SUCCEEDED)
    if expected is not None:
        assert node.outputs is not None
        assert node.outputs.parameters == {"o": expected}


@each_way
@pytest.mark.parametrize(
    ("task", "ref"),
    [
        ({**SKIPPED, "depends": "z.Failed"}, "an omitted task"),
        ({**SKIPPED, "withItems": [], "when": ""}, "an empty loop"),
    ],
)
def test_what_else_gave_nothing(drive: type[Drive], task: dict[str, Any], ref: str) -> None:
    take = taking("{{=tasks.a.outputs.parameters.y ?? 'F'}}", depends="a.Skipped || a.Omitted")
    tasks = [{"name": "z"}, task, take]
    run = drive(flow(*tasks, templates=[GIVER]))
    run.end("z")

    assert run.takes() == "F", ref


@each_way
def test_defaults_of_an_artifact(drive: type[Drive]) -> None:
    leaf = template("leaf", inputs={"artifacts": [{"name": "in", "optional": True}]})
    argument = {
        "arguments": {"artifacts": [{"name": "in", "from": "{{tasks.a.outputs.artifacts.o}}", "optional": True}]}
    }
    run = drive(flow(SKIPPED, {"name": "b", "template": "leaf", "depends": "a", **argument}, templates=[GIVER, leaf]))

    assert run.commands == ["launch b"]
    assert run.task("b").inputs.artifacts == {}


# --- inputs


@each_way
@pytest.mark.parametrize(("value", "runs"), [("a", True), ("b", True), ("c", False)])
def test_an_input_may_have_an_enum(drive: type[Drive], value: str, runs: bool) -> None:
    pick = template("take", inputs={"parameters": [{"name": "x", "enum": ["a", "b"]}]})
    run = drive(flow(taking(value), templates=[pick]))

    assert run.commands == (["launch take"] if runs else ["finish"])
    if not runs:
        assert run.node("take").message == "Input parameter 'x' of template 'take' is 'c', which is none of a, b."


def of_config(name: str = "conf", key: str = "k", **fields: Any) -> dict[str, Any]:
    """A parameter whose value is a ConfigMap's."""
    found = fields.pop("valueFrom", {})
    return {"name": "x", **fields, "valueFrom": {"configMapKeyRef": {"name": name, "key": key}, **found}}


CONFIG = {"conf": {"k": "K", "wf": "W"}}


@each_way
@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (of_config(), "K"),
        (of_config(key="{{workflow.name}}"), "W"),
        (of_config(key="{{workflow.parameters.key}}"), "K"),
        (of_config("none", default="D"), "D"),
        (of_config(key="none", valueFrom={"default": "D"}), "D"),
        (of_config("none"), "The ConfigMap 'none' does not exist or is no parameter ConfigMap."),
        (of_config(key="none"), "The ConfigMap 'conf' has no key 'none'."),
    ],
)
def test_an_input_may_come_from_a_config_map(drive: type[Drive], parameter: dict[str, Any], expected: str) -> None:
    take = template("take", inputs={"parameters": [parameter]})
    run = drive(flow({"name": "take", "template": "take"}, templates=[take], **given(key="k")), config=CONFIG)

    if run.commands == ["finish"]:
        assert run.node("take").message.partition("\n")[0] == expected
    else:
        assert run.takes() == expected


@each_way
def test_arguments_from_a_config_map(drive: type[Drive]) -> None:
    """As in Argo's examples global-parameters-from-configmap and arguments-parameters-from-configmap."""
    task = {"name": "take", "template": "take", "arguments": {"parameters": [of_config()]}}
    assert drive(flow(task), config=CONFIG).takes() == "K"
    workflow = flow(taking("{{workflow.parameters.x}}"), arguments={"parameters": [of_config(key="wf")]})
    assert drive(workflow, config=CONFIG).takes() == "W"


def test_an_argument_of_the_workflow_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match="spec.arguments.parameters.x: The ConfigMap 'conf' does not exist"):
        Machine("uid", flow({"name": "a"}, arguments={"parameters": [of_config()]}), "wf")


@pytest.mark.parametrize("text", ["{{=1 +}}", "{{=foo(1)}}"])
def test_an_expression_that_cannot_be_read_is_an_error_of_its_task(text: str) -> None:
    run = Drive(flow(taking(text)))

    assert (run.commands, run.node("take").phase) == (["finish"], Phase.ERROR)
