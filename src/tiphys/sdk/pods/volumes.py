"""Volumes of a pod: the folders that stand for them, and the files that are put there before it starts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tiphys.errors import SpecError
from tiphys.sdk.pods.containers import containers_of
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.environment import expand, field_of
from tiphys.sdk.pods.objects import Objects

#: Kinds that a folder of this machine can stand for.
KINDS = (
    "emptyDir",
    "ephemeral",
    "configMap",
    "secret",
    "downwardAPI",
    "projected",
    "persistentVolumeClaim",
    "hostPath",
)
_DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A folder, or of a hostPath perhaps a file."""

    #: Absolute path on this machine.
    source: str
    #: Whether it is a folder of the task, to be made with these files (name → content and mode).
    own: bool = False
    files: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)
    read_only: bool = False


class Bind(NamedTuple):
    """A file or folder of this machine that appears in a container."""

    source: str
    #: Absolute and normal.
    target: str
    read_only: bool = False


def kind_of(volume: Mapping[str, Any]) -> str | None:
    """What a volume is, if it is something that works here."""
    return next((kind for kind in KINDS if volume.get(kind) is not None), None)


def resolve(
    volume: Mapping[str, Any], base: str, context: PodContext, objects: Objects, *, contents: bool = True
) -> Volume:
    """The folder that stands for a volume.

    Args:
        volume: As in a template or workflow.
        base: The task's folder.
        context: Of the pod.
        objects: Where ConfigMaps, Secrets and claims are.
        contents: Whether the files of a ConfigMap or the like are of interest, and not only where they are.

    Raises:
        SpecError: it is of a kind that does not work here, or what it refers to does not exist.
    """
    name, kind = volume.get("name") or "", kind_of(volume)
    where = f"The volume '{name}'"
    own = f"{base}/volumes/{name}"
    if kind is None:
        given = ", ".join(key for key in volume if key != "name") or "nothing"
        raise SpecError(f"{where} is of a kind that cannot be had on this machine ({given}).", hint=_HINT)
    source = volume[kind] or {}
    if kind in ("emptyDir", "ephemeral"):
        return Volume(source=own, own=True)
    if kind in ("configMap", "secret", "downwardAPI", "projected") and not contents:
        return Volume(source=own, own=True, read_only=True)
    if kind == "persistentVolumeClaim":
        claim = source.get("claimName") or ""
        folder = objects.claim_folder(context.namespace, claim)
        if folder is None:
            raise SpecError(f"{where}: there is no claim '{claim}' in the namespace '{context.namespace}'.")
        return Volume(source=str(folder), read_only=bool(source.get("readOnly")))
    if kind == "hostPath":
        return Volume(source=_host_path(source, where))
    if kind == "projected":
        files: dict[str, tuple[bytes, int]] = {}
        mode = source.get("defaultMode")
        for part in source.get("sources") or ():
            for part_kind in ("configMap", "secret", "downwardAPI"):
                if part.get(part_kind) is not None:
                    files |= _files(part_kind, {"defaultMode": mode, **part[part_kind]}, where, context, objects)
        return Volume(source=own, own=True, files=files, read_only=True)
    return Volume(source=own, own=True, files=_files(kind, source, where, context, objects), read_only=True)


_HINT = f"These work: {', '.join(KINDS)}."


def mounted_volumes(
    template: Mapping[str, Any], base: str, context: PodContext, objects: Objects, *, contents: bool
) -> dict[str, Volume]:
    """The volumes that a template's containers mount, by name; arguments as of `resolve`.

    Raises:
        SpecError: there is none of a name, or it cannot be had here.
    """
    mounted = {mount.get("name") for _, each in containers_of(template) for mount in each.get("volumeMounts") or ()}
    if not mounted:
        return {}
    given = {each.get("name"): each for each in (*context.volumes, *(template.get("volumes") or ()))}
    for name in sorted(mounted - set(given), key=str):
        raise SpecError(
            f"The template '{template.get('name')}' mounts the volume '{name}', which neither it nor the workflow has."
        )
    return {str(name): resolve(given[name], base, context, objects, contents=contents) for name in mounted}


def binds_of(container: Mapping[str, Any], volumes: Mapping[str, Volume]) -> Iterator[Bind]:
    """Where volumes appear in a container.

    Raises:
        SpecError: a subPath leads out of its volume.
    """
    for mount in container.get("volumeMounts") or ():
        volume = volumes[mount["name"]]
        target = posixpath.normpath(posixpath.join("/", mount.get("mountPath") or ""))
        source = posixpath.normpath(posixpath.join(volume.source, _sub_path(mount, container)))
        yield Bind(source, target, volume.read_only or bool(mount.get("readOnly")))


def _sub_path(mount: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    below: str = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        plain = {each["name"]: str(each.get("value") or "") for each in container.get("env") or () if each.get("name")}
        below = expand(mount["subPathExpr"], plain)
    if below.startswith("/") or ".." in below.split("/"):
        raise SpecError(
            f"subPath '{below}' of the volume '{mount.get('name')}' in the container '{container['name']}' leads out "
            "of the volume."
        )
    return below


def write_files(volume: Volume) -> None:
    """Make a volume of the task with its files."""
    Path(volume.source).mkdir(parents=True)
    for name, (content, mode) in volume.files.items():
        path = Path(volume.source, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)


def _files(
    kind: str, source: Mapping[str, Any], where: str, context: PodContext, objects: Objects
) -> dict[str, tuple[bytes, int]]:
    mode = source.get("defaultMode") or _DEFAULT_MODE
    if kind == "downwardAPI":
        return {
            _safe(item.get("path") or "", where): (
                field_of((item.get("fieldRef") or {}).get("fieldPath") or "", context, where).encode(),
                item.get("mode") or mode,
            )
            for item in source.get("items") or ()
        }
    lookup, title = (objects.config_map, "ConfigMap") if kind == "configMap" else (objects.secret, "Secret")
    name = source.get("name") or source.get("secretName") or ""
    data = lookup(context.namespace, name)
    if data is None:
        if source.get("optional"):
            return {}
        raise SpecError(f"{where}: there is no {title} '{name}' in the namespace '{context.namespace}'.")
    items = source.get("items")
    if not items:
        return {_safe(key, where): (value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        value = data.get(item.get("key"))
        if value is not None:
            files[_safe(item.get("path") or "", where)] = (value, item.get("mode") or mode)
        elif not source.get("optional"):
            raise SpecError(f"{where}: the {title} '{name}' has no key '{item.get('key')}'.")
    return files


def _safe(name: str, where: str) -> str:
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise SpecError(f"{where}: '{name}' is not a path within a volume.")
    return name


def _host_path(source: Mapping[str, Any], where: str) -> str:
    path, kind = source.get("path") or "", source.get("type") or ""
    if not path.startswith("/") or ".." in path.split("/"):
        raise SpecError(f"{where}: hostPath.path must be an absolute path, not '{path}'.")
    if kind == "DirectoryOrCreate":
        Path(path).mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        Path(path).touch(mode=0o644)
    if not Path(path).exists():
        raise SpecError(f"{where}: '{path}' does not exist on this machine.")
    return path
