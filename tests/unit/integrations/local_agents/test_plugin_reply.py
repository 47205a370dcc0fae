"""What executor plugins are asked, what their answers mean, and which of them are asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.integrations.local_agents.agency import Agency, FakeCluster

from tiphys.engine.model import Phase, Values
from tiphys.errors import SpecError
from tiphys.integrations.local.agents.answers import Answer, Pause
from tiphys.integrations.local.agents.plugin_reply import Refusal, question, read_reply
from tiphys.integrations.local.agents.plugins import find_plugins
from tiphys.sdk.pods.context import PodContext


def reply(value: Any) -> Answer | Pause | Refusal:
    return read_reply(json.dumps(value).encode(), "p")


def test_an_end_with_all_that_a_node_may_have() -> None:
    outputs = {
        "parameters": [{"name": "a", "value": "x"}, {"name": "n", "value": 3}, {"name": "without"}],
        "artifacts": [{"name": "f", "s3": {"key": "k"}}],
        "result": "r",
        "exitCode": "7",
    }
    node = {"phase": "Failed", "message": "m", "outputs": outputs, "progress": "1/2", "unknown": 1}
    assert reply({"node": node}) == Answer(
        Phase.FAILED,
        "m",
        result="r",
        parameters={"a": "x", "n": "3"},
        artifacts={"f": {"name": "f", "s3": {"key": "k"}}},
        exit_code=7,
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Error", "Skipped", "Omitted"])
def test_an_end_is_not_asked_about_again(phase: str) -> None:
    assert reply({"node": {"phase": phase}, "requeue": "1s"}) == Answer(Phase(phase))


@pytest.mark.parametrize("phase", ["Pending", "Running", ""])
def test_what_goes_on_is_asked_about_again(phase: str) -> None:
    found = reply({"node": {"phase": phase, "message": "m", "progress": "1/2"}, "requeue": "1m30s"})
    assert found == Pause(90.0, "the executor plugin 'p'", "1/2", "m")


def test_a_progress_that_is_none_is_not_passed_on() -> None:
    assert reply({"node": {"phase": "Running", "progress": "3/2"}, "requeue": "1s"}).progress == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [{}, None, {"node": None}, {"requeue": "1s"}])
def test_no_node_means_not_for_me(value: Any) -> None:
    assert reply(value) == Refusal()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not an ExecuteTemplateReply"),
        (b"<html>", "is not an ExecuteTemplateReply"),
        (b"[1]", "is not an ExecuteTemplateReply"),
        (b'{"node": {"phase": []}}', "phase"),
        (b'{"node": {"phase": "Running"}, "requeue": "soon"}', "'soon' is not a duration"),
        (b'{"node": {"phase": "Running"}}', "no `requeue`"),
        (b'{"node": {}}', "no `requeue`"),
        (b'{"node": {"phase": "Done"}}', "the phase 'Done', which there is not"),
    ],
)
def test_answers_that_mean_nothing(body: bytes, message: str) -> None:
    with pytest.raises(SpecError, match="executor plugin 'p'") as raised:
        read_reply(body, "p")
    assert message in str(raised.value)


def test_the_question_has_the_values_of_the_inputs(agency: Agency) -> None:
    inputs = {"parameters": [{"name": "a", "default": "d"}], "artifacts": [{"name": "f", "path": "/f"}]}
    task = agency.task({"plugin": {"p": {"x": 1}}, "inputs": inputs})
    task = replace(task, inputs=Values(parameters={"a": "1"}, artifacts={"f": {"name": "f", "s3": {"key": "k"}}}))
    assert json.loads(question(task, PodContext.of(task))) == {
        "workflow": {"metadata": {"name": "parent", "namespace": "argo", "uid": "uid"}},
        "template": {
            "name": "t",
            "plugin": {"p": {"x": 1}},
            "inputs": {
                "parameters": [{"name": "a", "default": "d", "value": "1"}],
                "artifacts": [{"name": "f", "path": "/f", "s3": {"key": "k"}}],
            },
            "outputs": {},
        },
    }


def config_map(name: str, port: int, **container: Any) -> dict[str, Any]:
    described = {"name": name, "ports": [{"containerPort": port}], **container}
    return {
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{name}-executor-plugin",
            "labels": {"workflows.argoproj.io/configmap-type": "ExecutorPlugin"},
        },
        "data": {"sidecar.container": json.dumps(described)},
    }


def brought(name: str, port: int) -> dict[str, Any]:
    container = {"name": name, "ports": [{"containerPort": port}]}
    return {"metadata": {"name": name}, "spec": {"sidecar": {"container": container}}}


def test_the_one_that_is_named_like_the_key_is_asked_first() -> None:
    cluster = FakeCluster()
    for number, name in enumerate(("a", "b", "c")):
        cluster.put(config_map(name, number), "team")
    cluster.put({"kind": "ConfigMap", "metadata": {"name": "other"}}, "team")
    assert [each.name for each in find_plugins("b", "team", (), cluster)] == ["b", "a", "c"]


def test_a_namespace_has_its_own_and_those_of_the_default_one() -> None:
    cluster = FakeCluster()
    cluster.put(config_map("a", 1, image="default"), "default")
    cluster.put(config_map("b", 2, image="default"), "default")
    cluster.put(config_map("b", 3, image="team"), "team")
    cluster.put(config_map("c", 4), "elsewhere")
    found = find_plugins("x", "team", (), cluster)
    assert [(each.name, each.container.get("image"), each.port, each.namespace) for each in found] == [
        ("a", "default", 1, "team"),
        ("b", "team", 3, "team"),
    ]


def test_what_a_workflow_brings_takes_the_place_of_what_is_installed() -> None:
    cluster = FakeCluster()
    cluster.put(config_map("a", 1), "default")
    assert [each.name for each in find_plugins("a", "default", [brought("own", 2)], cluster)] == ["own"]


def test_two_on_one_port() -> None:
    with pytest.raises(SpecError, match="'a' and 'b' both listen on port 7"):
        find_plugins("x", "team", [brought("a", 7), brought("b", 7)], FakeCluster())


def test_one_without_a_port() -> None:
    cluster = FakeCluster()
    cluster.put(config_map("a", 1, ports=[]), "default")
    with pytest.raises(SpecError, match="'a' is invalid: at least one port is mandatory"):
        find_plugins("x", "default", (), cluster)
