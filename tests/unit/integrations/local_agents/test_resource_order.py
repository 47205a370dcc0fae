"""What manifests and flags ask for."""

from __future__ import annotations

import json

import pytest
from tests.unit.integrations.local_agents.agency import CONFIG, WORKFLOW

from tiphys.errors import SpecError
from tiphys.integrations.local.agents.resource_order import read_order
from tiphys.ports.object_keeper import Deletion, Kind
from tiphys.spec.template import ResourceTemplate


def order(action, manifest=None, **rest):
    text = manifest if isinstance(manifest, str) else "" if manifest is None else json.dumps(manifest)
    return read_order(ResourceTemplate.from_json({"action": action, **rest}), text, namespace="argo")


@pytest.mark.parametrize(
    ("flags", "word", "name"),
    [
        (["wf", "w"], "wf", "w"),
        (["workflows.argoproj.io/w"], "workflows.argoproj.io", "w"),
        (["pvc", "w", "--validate=false"], "pvc", "w"),
        (["--namespace", "argo", "po", "w"], "po", "w"),
    ],
)
def test_flags_name_an_object(flags, word, name) -> None:
    found = order("get", flags=flags)
    assert (found.kind, found.namespace, found.name) == (Kind(word), "argo", name)


def test_a_manifest_names_an_object() -> None:
    found = order("get", {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "n"}})
    assert (found.kind, found.namespace, found.name) == (Kind("Job", "batch/v1"), "n", "j")


def test_how_an_object_is_deleted() -> None:
    assert order("delete", CONFIG).deletion == Deletion()
    found = order("delete", CONFIG, flags=["--cascade=orphan", "--grace-period", "5", "--wait=false"])
    assert (found.deletion, found.wait) == (Deletion(cascade="orphan", grace=5), False)
    assert order("delete", CONFIG, flags=["--grace-period=-1", "--cascade"]).deletion == Deletion()


@pytest.mark.parametrize(
    ("flags", "force"), [([], True), (["--server-side"], False), (["--server-side", "--force-conflicts"], True)]
)
def test_whose_fields_are_taken_over(flags, force) -> None:
    assert order("apply", CONFIG, flags=flags).force is force


@pytest.mark.parametrize(
    ("action", "manifest", "rest", "message"),
    [
        ("destroy", CONFIG, {}, "'destroy' is not one of get, create"),
        ("create", "", {}, "neither a manifest nor are there flags"),
        ("create", "kind: ConfigMap\n---\nkind: Secret", {}, "holds 2 objects"),
        ("create", "[1]", {}, "is not an object"),
        ("create", {"metadata": {}}, {}, "has no kind"),
        ("create", {**CONFIG, "metadata": {}}, {}, "needs the name of one object of the kind ConfigMap"),
        ("apply", WORKFLOW, {}, "needs the name of one object"),
        ("get", None, {"flags": ["wf"]}, "needs the name of one object"),
        ("get", None, {"flags": ["wf", "a", "b"]}, "several objects: a b"),
        ("get", None, {"flags": ["wf", "-l", "a=b"]}, "needs the name of one object"),
        ("get", CONFIG, {"flags": ["cm", "other"]}, "names an object, and so do the flags"),
        ("delete", CONFIG, {"flags": ["--all"]}, "is named, and the flags select"),
        ("get", None, {"flags": ["wf", "a", "--chunk-size=5"]}, "'--chunk-size' is not known"),
        ("get", None, {"flags": ["wf", "a", "-n"]}, "'-n' needs a value"),
        ("delete", CONFIG, {"flags": ["--cascade=true"]}, "--cascade is true"),
        ("delete", CONFIG, {"flags": ["--grace-period=soon"]}, "--grace-period is soon"),
        ("patch", "- op: add", {"mergeStrategy": "json"}, "a json patch needs flags"),
        ("patch", None, {"flags": ["wf", "w"]}, "needs a manifest"),
        ("patch", {"data": {}}, {}, "has no kind"),
        ("create", None, {"flags": ["wf", "w"]}, "'create' needs a manifest"),
        (
            "create",
            {**CONFIG, "metadata": {"name": "a", "namespace": "x"}},
            {"flags": ["-n", "y"]},
            "namespace is x, and that of the flags y",
        ),
    ],
)
def test_what_cannot_be_made_out(action, manifest, rest, message) -> None:
    with pytest.raises(SpecError, match=message):
        order(action, manifest, **rest)
