"""What the bodies of requests mean."""

from __future__ import annotations

import pytest

from tiphys.errors import SpecError, UsageError
from tiphys.server.argo.bodies import (
    config_map_of,
    is_dry_run,
    limit_in,
    manifest_in,
    outputs_in,
    submit_options,
)


def test_an_object_gets_its_place_from_the_path() -> None:
    body = {"template": {"metadata": {"name": "t"}, "spec": {"arguments": {"parameters": [{"name": "n", "value": 1}]}}}}
    found = manifest_in(body, "template", "WorkflowTemplate", namespace="ns", name="t")
    assert (found["kind"], found["metadata"]) == ("WorkflowTemplate", {"name": "t", "namespace": "ns"})
    assert found["spec"]["arguments"]["parameters"][0]["value"] == "1"
    with pytest.raises(UsageError, match="name is 't', and the request's is 'other'"):
        manifest_in(body, "template", "WorkflowTemplate", name="other")


@pytest.mark.parametrize("body", [{}, {"workflow": None}, {"workflow": []}])
def test_an_object_must_be_there(body: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="has no object 'workflow'"):
        manifest_in(body, "workflow", "Workflow")


def test_fields_of_the_wrong_type_are_named() -> None:
    with pytest.raises(SpecError, match="spec.parallelism has the wrong type"):
        manifest_in({"workflow": {"spec": {"parallelism": "many"}}}, "workflow", "Workflow")


def test_a_submission_from_a_stored_object() -> None:
    given = {"parameters": ["a=b=c"], "labels": "x=1,y=2", "entryPoint": "main", "priority": 3, "serverDryRun": True}
    options = submit_options({"submitOptions": given})
    assert (options.parameters, options.labels) == ({"a": "b=c"}, {"x": "1", "y": "2"})
    assert (options.entrypoint, options.priority, options.dry_run) == ("main", 3, True)
    owner = {"apiVersion": "v1", "kind": "Job", "name": "x", "uid": "u"}
    assert submit_options({"submitOptions": {"ownerReference": owner}}).owner_reference == owner
    with pytest.raises(UsageError, match="NAME=VALUE"):
        submit_options({"submitOptions": {"parameters": ["a"]}})


def test_a_dry_run_is_asked_for_in_two_ways() -> None:
    assert is_dry_run({"serverDryRun": True})
    assert is_dry_run({"createOptions": {"dryRun": ["All"]}})
    assert not is_dry_run({"createOptions": {}})


def test_outputs_are_json_text() -> None:
    assert outputs_in({"outputParameters": '{"a": "x", "b": 1}'}) == {"a": "x", "b": "1"}
    assert outputs_in({}) == {}
    for wrong in ("{", "[]"):
        with pytest.raises(UsageError, match="outputParameters"):
            outputs_in({"outputParameters": wrong})


def test_limits_stand_in_the_database_or_in_a_config_map() -> None:
    assert (config_map_of("CONFIG_MAP", "cm"), config_map_of("database", "")) == ("cm", "")
    for kind, name in (("DATABASE", "cm"), ("CONFIGMAP", ""), ("other", "")):
        with pytest.raises(UsageError):
            config_map_of(kind, name)
    assert limit_in({"limit": 0}) == 0
    for wrong in (-1, True, "2", None):
        with pytest.raises(UsageError, match="'limit'"):
            limit_in({"limit": wrong})
