"""What `resource` templates do to objects, how long they wait, and what they give."""

from __future__ import annotations

import json

import pytest
from tests.unit.integrations.local_agents.agency import CONFIG, WORKFLOW, Agency

from tiphys.engine.model import Phase
from tiphys.errors import ConflictError, ExpressionError, SpecError, StoreError
from tiphys.integrations.local.agents.resource_changes import CREATED_BY
from tiphys.integrations.local.agents.stored import LAST_APPLIED

SUCCEEDED, FAILED = Phase.SUCCEEDED, Phase.FAILED
UNTIL = {
    "successCondition": "status.phase == Succeeded",
    "failureCondition": "status.phase in (Failed, Error)",
}


def config(**changes):
    return {**CONFIG, **changes}


# Actions


def test_create_gives_a_name_and_notes_who_made_it(agency: Agency) -> None:
    answer, waits = agency.resource(
        "create", WORKFLOW, id="uid/n/0", outputs={"name": {"jsonPath": "{.metadata.name}"}}
    )
    made = agency.cluster.only("Workflow")
    assert (answer.phase, answer.parameters, waits) == (SUCCEEDED, {"name": made["metadata"]["name"]}, [])
    assert made["metadata"]["name"].startswith("child-")
    assert len(made["metadata"]["name"]) == len("child-") + 5
    assert made["metadata"]["annotations"] == {CREATED_BY: "uid/n/0"}


@pytest.mark.parametrize("manifest", [WORKFLOW, CONFIG])
def test_a_task_that_is_launched_again_takes_up_what_it_made(agency: Agency, manifest) -> None:
    for _ in range(2):
        answer, _ = agency.resource("create", manifest, id="uid/n/0")
        assert answer.phase is SUCCEEDED
    assert len(agency.cluster.objects) == 1


def test_another_task_makes_another_object_or_is_refused(agency: Agency) -> None:
    for number in range(2):
        agency.resource("create", WORKFLOW, id=f"uid/n/{number}")
    assert len(agency.cluster.objects) == 2
    agency.resource("create", CONFIG, id="uid/n/0")
    answer, _ = agency.resource("create", CONFIG, id="uid/n/1")
    assert (answer.phase, answer.message) == (FAILED, "There is a ConfigMap 'settings' already.")


def test_what_failed_is_not_taken_up_again(agency: Agency) -> None:
    agency.resource("create", WORKFLOW, id="uid/n/0")
    first = agency.cluster.only("Workflow")
    first["status"] = {"phase": "Failed"}
    agency.cluster.at_get = lambda found: found.setdefault("status", {"phase": "Succeeded"})
    answer, _ = agency.resource("create", WORKFLOW, id="uid/n/0", **UNTIL)
    assert answer.phase is SUCCEEDED
    assert len(agency.cluster.objects) == 2


def test_apply_creates_changes_removes_and_keeps_what_others_set(agency: Agency) -> None:
    def apply(**data):
        answer, _ = agency.resource("apply", config(data=data))
        assert answer.phase is SUCCEEDED
        return agency.cluster.only("ConfigMap")

    first = apply(a="1", b="2")
    assert json.loads(first["metadata"]["annotations"][LAST_APPLIED]) == config(data={"a": "1", "b": "2"})
    first["data"]["other"] = "x"
    assert apply(a="3")["data"] == {"a": "3", "other": "x"}
    before = len(agency.cluster.asked)
    apply(a="3")
    assert [call[0] for call in agency.cluster.asked[before:]] == ["get"]


@pytest.mark.parametrize(
    ("strategy", "flags", "manifest", "expected"),
    [
        ("merge", [], config(data={"a": None, "b": "2"}), {"b": "2"}),
        (None, [], config(data={"b": "2"}), {"a": "1", "b": "2"}),
        ("merge", ["configmap", "settings"], {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        ("json", ["cm/settings"], [{"op": "add", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}),
    ],
)
def test_patch(agency: Agency, strategy, flags, manifest, expected) -> None:
    agency.cluster.put(CONFIG)
    more = {"mergeStrategy": strategy} if strategy else {}
    answer, _ = agency.resource("patch", manifest, flags=flags, **more)
    assert answer.phase is SUCCEEDED
    assert agency.cluster.only("ConfigMap")["data"] == expected


def test_a_custom_kind_knows_no_strategic_patch(agency: Agency) -> None:
    agency.cluster.put({**WORKFLOW, "metadata": {"name": "w"}})
    answer, _ = agency.resource("patch", {"spec": {"shutdown": "Stop"}}, flags=["wf", "w"])
    assert answer.phase is FAILED
    assert "knows no strategic patch" in answer.message


def test_a_change_is_tried_again_where_somebody_was_quicker(agency: Agency) -> None:
    stored = agency.cluster.put(CONFIG)
    rivals = iter([{"x": "1"}, {"x": "1"}])

    def interfere(found):
        change = next(rivals, None)
        if change:
            stored["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)
            found["data"] = {**found["data"], **change}
            found["metadata"]["resourceVersion"] = "0"

    get = agency.cluster.get

    def racing(*place):
        found = get(*place)
        interfere(found)
        return found

    agency.cluster.get = racing  # type: ignore[method-assign]
    answer, _ = agency.resource("patch", config(data={"b": "2"}), mergeStrategy="merge")
    assert answer.phase is SUCCEEDED
    assert agency.cluster.only("ConfigMap")["data"] == {"a": "1", "b": "2"}


def test_a_change_that_never_fits_is_given_up(agency: Agency) -> None:
    agency.cluster.put(CONFIG)

    def refuse(namespace, manifest):
        raise ConflictError("It is immutable.")

    agency.cluster.update = refuse  # type: ignore[method-assign,assignment]
    answer, _ = agency.resource("patch", config(data={"b": "2"}), mergeStrategy="merge")
    assert (answer.phase, answer.message) == (FAILED, "It is immutable.")


def test_replace_needs_the_object(agency: Agency) -> None:
    answer, _ = agency.resource("replace", CONFIG)
    assert (answer.phase, answer.message) == (FAILED, "There is no ConfigMap 'settings'.")
    agency.cluster.put(config(data={"old": "1"}))
    assert agency.resource("replace", CONFIG)[0].phase is SUCCEEDED
    assert agency.cluster.only("ConfigMap")["data"] == {"a": "1"}


def test_delete_by_manifest_by_flags_and_by_selector(agency: Agency) -> None:
    def put():
        for name, labels in (("a", {"cleanup": "true"}), ("b", {"cleanup": "true"}), ("settings", {})):
            agency.cluster.put({**CONFIG, "metadata": {"name": name, "labels": labels}})

    def left(manifest=None, flags=()):
        put()
        answer, _ = agency.resource("delete", manifest, flags=list(flags))
        assert answer.phase is SUCCEEDED
        names = sorted(name for _, _, name in agency.cluster.objects)
        agency.cluster.objects.clear()
        return names

    assert left(CONFIG) == ["a", "b"]
    assert left(flags=["cm", "a"]) == ["b", "settings"]
    assert left(flags=["configmap", "--selector", "cleanup=true"]) == ["settings"]
    assert left(flags=["configmaps", "-l=cleanup=true"]) == ["settings"]
    assert left(flags=["cm", "--all"]) == []
    assert left(flags=["cm", "nobody"]) == ["a", "b", "settings"]


def test_get_of_what_is_not_there(agency: Agency) -> None:
    outputs = {"x": {"jsonPath": "{.data.a}", "default": "none"}, "y": {"jsonPath": "{.data.a}"}}
    answer, _ = agency.resource("get", CONFIG, outputs=outputs)
    assert (answer.phase, answer.message) == (FAILED, "There is no ConfigMap 'settings'.")
    answer, _ = agency.resource("get", CONFIG, outputs=outputs, flags=["--ignore-not-found"])
    assert (answer.phase, answer.parameters) == (SUCCEEDED, {"x": "none", "y": ""})


def test_an_owner_is_added(agency: Agency) -> None:
    other = {"kind": "Other", "name": "o"}
    manifest = {**CONFIG, "metadata": {"name": "settings", "ownerReferences": [other]}}
    agency.resource("create", manifest, setOwnerReference=True)
    assert agency.cluster.only("ConfigMap")["metadata"]["ownerReferences"] == [
        other,
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "name": "parent",
            "uid": "uid",
            "controller": True,
            "blockOwnerDeletion": True,
        },
    ]


def test_namespaces(agency: Agency) -> None:
    agency.resource("create", CONFIG)
    agency.resource("create", {**CONFIG, "metadata": {"name": "b", "namespace": "written"}})
    agency.resource("create", CONFIG, flags=["-n", "flagged"])
    assert sorted(agency.cluster.objects) == [
        ("ConfigMap", "argo", "settings"),
        ("ConfigMap", "flagged", "settings"),
        ("ConfigMap", "written", "b"),
    ]


def test_a_refused_manifest_is_a_failure(agency: Agency) -> None:
    answer, _ = agency.resource("create", {**CONFIG, "refuse": True})
    assert (answer.phase, answer.message) == (FAILED, "The manifest is not valid.")


# Conditions


def phases(agency: Agency, *following: str) -> None:
    """Each look at a workflow finds the next phase."""
    coming = list(following)
    agency.cluster.at_get = lambda found: found.update(status={"phase": coming.pop(0)} if coming else found["status"])


def test_waits_until_the_success_condition_holds(agency: Agency) -> None:
    phases(agency, "Pending", "Running", "Succeeded")
    answer, waits = agency.resource("create", WORKFLOW, outputs={"p": {"jsonPath": "{.status.phase}"}}, **UNTIL)
    assert (answer.phase, answer.parameters) == (SUCCEEDED, {"p": "Succeeded"})
    name = agency.cluster.only("Workflow")["metadata"]["name"]
    assert waits == [
        f"'status.phase=Succeeded' of Workflow '{name}', which is {phase}" for phase in ("Pending", "Running")
    ]


def test_fails_as_soon_as_the_failure_condition_holds(agency: Agency) -> None:
    phases(agency, "Running", "Error")
    answer, waits = agency.resource("create", WORKFLOW, **UNTIL)
    name = agency.cluster.only("Workflow")["metadata"]["name"]
    assert (answer.phase, len(waits)) == (FAILED, 1)
    assert answer.message == f"failure condition 'status.phase in (Error,Failed)' of Workflow '{name}' evaluated true"


def test_a_failure_condition_alone_is_looked_at_once(agency: Agency) -> None:
    phases(agency, "Running")
    answer, waits = agency.resource("create", WORKFLOW, failureCondition="status.phase == Failed")
    assert (answer.phase, waits) == (SUCCEEDED, [])


def test_an_object_that_disappears_is_a_failure(agency: Agency) -> None:
    agency.cluster.at_get = lambda found: agency.cluster.objects.clear()
    answer, waits = agency.resource("create", WORKFLOW, **UNTIL)
    assert (answer.phase, len(waits)) == (FAILED, 1)
    assert "has been deleted while its status was still being checked" in answer.message


def test_a_store_that_fails_for_a_while_is_asked_again(agency: Agency) -> None:
    agency.cluster.put({**CONFIG, "status": {"phase": "Succeeded"}})
    get, failing = agency.cluster.get, [False, True, True]

    def flaky(*place):
        if failing and failing.pop(0):
            raise StoreError("The database is locked.")
        return get(*place)

    agency.cluster.get = flaky  # type: ignore[method-assign]
    answer, waits = agency.resource("get", CONFIG, **UNTIL)
    assert answer.phase is SUCCEEDED
    assert waits == ["the store of ConfigMap 'settings': The database is locked."] * 2


def test_a_store_that_fails_at_the_action_is_an_error(agency: Agency) -> None:
    agency.cluster.errors = [StoreError("The database is locked.")]
    with pytest.raises(StoreError):
        agency.resource("create", CONFIG)


@pytest.mark.parametrize("more", [UNTIL, {"outputs": {"x": {"jsonPath": "{.a}"}}}])
def test_delete_takes_no_conditions_and_outputs(agency: Agency, more) -> None:
    with pytest.raises(SpecError, match="not supported for the action 'delete'"):
        agency.resource("delete", CONFIG, **more)
    assert agency.cluster.asked == []


def test_conditions_are_read_before_anything_is_done(agency: Agency) -> None:
    with pytest.raises(ExpressionError):
        agency.resource("create", CONFIG, successCondition="status.phase is fine")
    assert agency.cluster.asked == []


# Where the manifest comes from


@pytest.mark.parametrize("place", ["store", "raw", "s3"])
def test_a_manifest_from_an_artifact(agency: Agency, place) -> None:
    text = json.dumps(CONFIG)
    agency.sources.files["m.yaml"] = text.encode()
    artifact = {
        "store": agency.stored_file(text),
        "raw": {"name": "m", "raw": {"data": text}},
        "s3": {"name": "m", "s3": {"key": "m.yaml"}},
    }[place]
    body = {
        "resource": {"action": "create", "manifestFrom": {"artifact": {"name": "m"}}},
        "inputs": {"artifacts": [{"name": "m", "path": "/tmp/m.yaml"}]},
    }
    assert agency.run(body, m=artifact).phase is SUCCEEDED
    assert agency.cluster.only("ConfigMap")["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ([], "there is no input artifact 'm'"),
        ([{"name": "m"}], "is not a text"),
        ([{"name": "m", "subPath": "x"}], "has a subPath"),
    ],
)
def test_manifests_that_cannot_be_had(agency: Agency, declared, message) -> None:
    agency.sources.files["m"] = b"\xff"
    body = {
        "resource": {"action": "create", "manifestFrom": {"artifact": {"name": "m"}}},
        "inputs": {"artifacts": [{**each, "s3": {"key": "m"}} for each in declared]},
    }
    finished = agency.run(body)
    assert finished.phase is Phase.ERROR
    assert message in finished.message


def test_a_manifest_must_be_one_file(agency: Agency) -> None:
    with agency.store.staging() as folder:
        for name in ("a", "b"):
            (folder / name).write_text("kind: ConfigMap")
        artifact = {"name": "m", "digest": agency.store.commit(folder).digest, "form": "folder"}
    body = {
        "resource": {"action": "create", "manifestFrom": {"artifact": {"name": "m"}}},
        "inputs": {"artifacts": [{"name": "m", "path": "/m"}]},
    }
    finished = agency.run(body, m=artifact)
    assert (finished.phase, "is not a single file" in finished.message) == (Phase.ERROR, True)


def test_where_workspaces_are_kept_apart_a_workflow_reaches_its_own_alone(agency: Agency) -> None:
    elsewhere = {**CONFIG, "metadata": {**CONFIG["metadata"], "namespace": "other"}}
    shared = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterWorkflowTemplate", "metadata": {"name": "s"}}
    for action in ("get", "create", "apply", "patch", "delete"):
        with pytest.raises(SpecError, match="workspace 'argo' may not .* of 'other'"):
            agency.resource(action, elsewhere, confined=True)
    for action in ("create", "apply", "delete"):
        with pytest.raises(SpecError, match="for all workspaces"):
            agency.resource(action, shared, confined=True)
    with pytest.raises(SpecError, match="for all workspaces"):
        agency.resource("delete", flags=["cwft", "s"], confined=True)
    assert agency.cluster.objects == {}
    assert agency.resource("create", CONFIG, confined=True)[0].phase is SUCCEEDED
    assert agency.resource("create", elsewhere)[0].phase is SUCCEEDED
