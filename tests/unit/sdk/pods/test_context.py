"""What a pod knows of its workflow."""

from __future__ import annotations

from tests.unit.sdk.pods.planning import task

from tiphys.sdk.pods.context import PodContext


def test_the_context_comes_before_the_tasks_own_facts() -> None:
    found = PodContext.of(task({}, workflow="hello", home="ignored", volumes=[{"name": "v"}]))
    assert (found.workflow, found.node_id, found.pod_name) == ("hello", "wf-1", "wf-1")
    assert found.volumes == ({"name": "v"},)
    assert found.include_result


def test_what_is_not_said_has_a_default() -> None:
    found = PodContext.from_json({"log": None, "include_result": False})
    assert (found.log, found.include_result, found.namespace, found.grace) == (None, False, "argo", 30.0)


def test_logs_are_where_somebody_named_a_place_or_beside_the_task() -> None:
    named, plain = PodContext(log="/logs/x"), PodContext()
    assert [named.log_of(each, "/task/") for each in ("main", "s")] == ["/logs/x", "/logs/x.s"]
    assert [plain.log_of(each, "/task/") for each in ("main", "s")] == ["/task/main.log", "/task/s.log"]
