"""Folders that stand for volumes."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tiphys.errors import SpecError
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.volumes import Volume, resolve, write_files

CONTEXT = PodContext(namespace="ns", pod_name="p", labels={"a": "b"})


class Objects:
    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return {"c": {"a": b"A", "b": b"B"}}.get(name)

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return {"s": {"k": b"S"}, "evil": {"../x": b""}}.get(name)

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return {"data": Path("/claims/data")}.get(name)


def made(**volume: Any) -> Volume:
    return resolve({"name": "v", **volume}, "/task", CONTEXT, Objects())


def contents(volume: Volume) -> dict[str, tuple[bytes, int]]:
    assert volume.own
    return dict(volume.files)


def test_an_empty_folder() -> None:
    assert made(emptyDir={"medium": "Memory"}) == Volume(source="/task/volumes/v", own=True)


def test_config_maps() -> None:
    assert contents(made(configMap={"name": "c"})) == {"a": (b"A", 0o644), "b": (b"B", 0o644)}
    items = [{"key": "a", "path": "deep/x", "mode": 0o400}]
    assert contents(made(configMap={"name": "c", "items": items})) == {"deep/x": (b"A", 0o400)}
    assert made(configMap={"name": "c"}).read_only


def test_secrets() -> None:
    assert contents(made(secret={"secretName": "s", "defaultMode": 0o600})) == {"k": (b"S", 0o600)}


def test_several_sources() -> None:
    sources = [
        {"configMap": {"name": "c", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    found = contents(made(projected={"sources": sources, "defaultMode": 0o440}))
    assert found == {"a": (b"A", 0o440), "k": (b"S", 0o440), "labels": (b'a="b"', 0o440)}


def test_claims() -> None:
    assert made(persistentVolumeClaim={"claimName": "data"}) == Volume(source="/claims/data")


def test_folders_of_this_machine(tmp_path: Path) -> None:
    assert made(hostPath={"path": str(tmp_path)}) == Volume(source=str(tmp_path))
    made(hostPath={"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"})
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize(
    ("volume", "word"),
    [
        ({"nfs": {"server": "x"}}, "nfs"),
        ({}, "nothing"),
        ({"configMap": {"name": "none"}}, "ConfigMap 'none'"),
        ({"configMap": {"name": "c", "items": [{"key": "z", "path": "z"}]}}, "no key 'z'"),
        ({"configMap": {"name": "c", "items": [{"key": "a", "path": "../z"}]}}, "'../z'"),
        ({"secret": {"secretName": "none"}}, "Secret 'none'"),
        ({"secret": {"secretName": "evil"}}, "'../x'"),
        ({"persistentVolumeClaim": {"claimName": "none"}}, "claim 'none'"),
        ({"hostPath": {"path": "/no/such/folder"}}, "does not exist"),
        ({"hostPath": {"path": "relative"}}, "absolute"),
    ],
)
def test_what_cannot_be_had_is_named(volume: dict[str, Any], word: str) -> None:
    with pytest.raises(SpecError, match=word):
        made(**volume)


def test_what_is_missing_may_be_optional() -> None:
    assert contents(made(configMap={"name": "none", "optional": True})) == {}


def test_files_are_written_with_their_modes(tmp_path: Path) -> None:
    write_files(Volume(source=str(tmp_path / "v"), own=True, files={"deep/x": (b"1", 0o400), "y": (b"2", 0o644)}))
    assert (tmp_path / "v" / "deep" / "x").read_bytes() == b"1"
    assert stat.S_IMODE((tmp_path / "v" / "deep" / "x").stat().st_mode) == 0o400
