"""Stored objects: what is taken, how it comes back, and who may read it."""

from __future__ import annotations

import stat

import pytest

from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, SpecError, UsageError
from tiphys.records.objects import ObjectKind

CONFIG = {"kind": "ConfigMap", "metadata": {"name": "settings", "labels": {"app": "a"}}, "data": {"k": "v"}}
TEMPLATE = {
    "entrypoint": "main",
    "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
}


def test_a_created_object_has_what_the_store_gives(backend):
    made = backend.objects.create(CONFIG)
    assert made["metadata"]["uid"]
    assert made["metadata"]["resourceVersion"] == "1"
    assert (made["apiVersion"], made["metadata"]["namespace"]) == ("v1", "default")
    assert backend.objects.get(ObjectKind.CONFIG_MAP, "settings") == made
    with pytest.raises(AlreadyExistsError, match="ConfigMap 'settings'"):
        backend.objects.create(CONFIG)


def test_an_update_keeps_the_uid_and_raises_the_version(backend):
    made = backend.objects.create(CONFIG)
    changed = backend.objects.update({**made, "data": {"k": "w"}})
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert changed["metadata"]["resourceVersion"] == "2"
    assert changed["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert backend.objects.config_map("default", "settings") == {"k": b"w"}
    with pytest.raises(ConflictError, match="changed meanwhile"):
        backend.objects.update({**made, "data": {"k": "x"}})
    with pytest.raises(NotFoundError, match="no ConfigMap 'other'"):
        backend.objects.update({**CONFIG, "metadata": {"name": "other"}})


def test_apply_creates_or_replaces(backend):
    assert backend.objects.apply(CONFIG)["metadata"]["resourceVersion"] == "1"
    assert backend.objects.apply({**CONFIG, "data": {}})["metadata"]["resourceVersion"] == "2"
    assert backend.objects.config_map("default", "settings") == {}


def test_a_dry_run_stores_nothing(backend):
    backend.objects.create(CONFIG, dry_run=True)
    backend.objects.apply({"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}, dry_run=True)
    assert backend.objects.find(ObjectKind.CONFIG_MAP) == []
    assert not (backend.home / "volumes").exists()


def test_what_is_immutable_stays(backend):
    backend.objects.create({**CONFIG, "immutable": True})
    with pytest.raises(ConflictError, match="immutable"):
        backend.objects.apply(CONFIG)


def test_objects_are_chosen_by_selectors_and_namespaces(backend):
    backend.objects.create(CONFIG)
    backend.objects.create({**CONFIG, "metadata": {"name": "other"}})
    backend.objects.in_namespace("team").create(CONFIG)

    def names(service=backend.objects, **given):
        return [one["metadata"]["name"] for one in service.find(ObjectKind.CONFIG_MAP, **given)]

    assert names() == ["other", "settings"]
    assert names(labels="app=a") == ["settings"]
    assert names(labels="!app") == ["other"]
    assert names(fields="metadata.name!=other") == ["settings"]
    assert names(backend.objects.in_namespace("team")) == ["settings"]
    assert names(all_namespaces=True) == ["other", "settings", "settings"]


def test_cluster_templates_belong_to_no_namespace(backend):
    backend.objects.create({"kind": "ClusterWorkflowTemplate", "metadata": {"name": "t"}, "spec": TEMPLATE})
    elsewhere = backend.objects.in_namespace("team").get(ObjectKind.CLUSTER_WORKFLOW_TEMPLATE, "t")
    assert "namespace" not in elsewhere["metadata"]


def test_values_of_secrets_are_kept_in_base64(backend):
    made = backend.objects.create(
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "eA=="}, "stringData": {"b": "ä"}}
    )
    assert (made["type"], made["data"], "stringData" in made) == ("Opaque", {"a": "eA==", "b": "w6Q="}, False)
    assert backend.objects.secret("default", "s") == {"a": b"x", "b": "ä".encode()}
    assert stat.S_IMODE((backend.home / "tiphys.db").stat().st_mode) == 0o600
    with pytest.raises(SpecError, match=r"data\.a of the Secret 't' is not base64"):
        backend.objects.create({"kind": "Secret", "metadata": {"name": "t"}, "data": {"a": "plain!"}})


def test_binary_values_of_config_maps(backend):
    backend.objects.create({**CONFIG, "binaryData": {"b": "AAE="}})
    assert backend.objects.config_map("default", "settings") == {"k": b"v", "b": b"\0\1"}


def test_a_claim_is_a_folder_that_goes_with_it(backend):
    backend.objects.create({"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}})
    folder = backend.objects.claim_folder("default", "data")
    assert folder == backend.home / "volumes" / "default" / "data"
    (folder / "file").write_text("kept")
    backend.objects.apply({"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}})
    assert (folder / "file").read_text() == "kept"
    backend.objects.delete(ObjectKind.PERSISTENT_VOLUME_CLAIM, "data")
    assert not folder.exists()
    assert backend.objects.claim_folder("default", "data") is None


@pytest.mark.parametrize(
    ("manifest", "error", "said"),
    [
        ({"kind": "Pod", "metadata": {"name": "p"}}, UsageError, "kind 'Pod' are not stored"),
        ({**CONFIG, "metadata": {"name": "Not_A_Name"}}, SpecError, "metadata.name: 'Not_A_Name'"),
        ({**CONFIG, "metadata": {}}, SpecError, "metadata.name: ''"),
        (
            {"kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": {**TEMPLATE, "entrypoint": "other"}},
            SpecError,
            "WorkflowTemplate 't' is not valid: .*entrypoint",
        ),
    ],
)
def test_what_is_refused(backend, manifest, error, said):
    with pytest.raises(error, match=said):
        backend.objects.create(manifest)


def test_what_is_not_there(backend):
    with pytest.raises(NotFoundError, match="no Secret 's' in the namespace default"):
        backend.objects.get(ObjectKind.SECRET, "s")
    assert backend.objects.secret("default", "s") is None
    assert backend.objects.config_map("default", "c") is None


def test_generated_names_differ(backend):
    names = {
        backend.objects.create({**CONFIG, "metadata": {"generateName": "c-"}})["metadata"]["name"] for _ in range(5)
    }
    assert len(names) == 5
    assert all(name.startswith("c-") for name in names)


def test_a_schedule_that_is_replaced_remembers_when_it_ran(backend):
    cron = {
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly"},
        "spec": {
            "schedules": ["0 1 * * *"],
            "workflowSpec": {"entrypoint": "a", "templates": [{"name": "a", "suspend": {}}]},
        },
    }
    backend.objects.create({**cron, "status": {"lastScheduledTime": "2026-01-01T01:00:00Z"}})
    backend.objects.update(cron)
    found = backend.objects.get(ObjectKind.CRON_WORKFLOW, "nightly")
    assert found["status"] == {"lastScheduledTime": "2026-01-01T01:00:00Z"}
