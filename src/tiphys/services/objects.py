"""Stored objects: templates, schedules, event bindings, ConfigMaps, Secrets, volume claims.

A volume claim is a folder of the home. Secrets stand in the database as Kubernetes keeps them, in base64 and not
encrypted, so the database's files are made unreadable for others once there is one.
"""

from __future__ import annotations

import base64
import binascii
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tiphys._util.ids import new_id
from tiphys._util.times import rfc3339, utc_now
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, SpecError, UsageError
from tiphys.lang.selectors import parse_field_selector, parse_selector
from tiphys.ports.store import Reader, Store
from tiphys.ports.workflows import Manifest, Objects
from tiphys.records.base import DEFAULT_WORKSPACE
from tiphys.records.objects import CLUSTER, ObjectKind, StoredObject, objects_of
from tiphys.services.claim_places import claim_place
from tiphys.services.stored_templates import StoredTemplates
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document
from tiphys.spec.validate.lint import validate
from tiphys.spec.validate.names import is_object_name

#: Fields that the store gives, and that a request does not change.
_GIVEN = ("uid", "creationTimestamp", "resourceVersion", "selfLink", "managedFields")


class ObjectService(Objects):
    """Objects in a store.

    Args:
        store: The database.
        home: Folder under which volume claims have theirs.
        namespace: Where names are looked up.
    """

    def __init__(self, store: Store, *, home: Path, namespace: str = DEFAULT_WORKSPACE) -> None:
        self._store = store
        self._home = home
        self._namespace = namespace

    def in_namespace(self, namespace: str) -> ObjectService:
        """The same for another namespace."""
        return ObjectService(self._store, home=self._home, namespace=namespace)

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Store a new object."""
        return self._write(manifest, _must_be_new, dry_run=dry_run)

    def update(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Replace an object."""
        return self._write(manifest, _must_be_there, dry_run=dry_run)

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Create or replace an object."""
        return self._write(manifest, _may_be_there, dry_run=dry_run)

    def get(self, kind: ObjectKind, name: str) -> Manifest:
        """An object."""
        with self._store.reader() as reader:
            return shown(found_object(reader, kind, self._place(kind), name))

    def find(
        self, kind: ObjectKind, *, labels: str = "", fields: str = "", all_namespaces: bool = False
    ) -> list[Manifest]:
        """Objects of a kind that the selectors mean, by namespace and name."""
        by_labels, by_fields = parse_selector(labels), parse_field_selector(fields)
        with self._store.reader() as reader:
            found = reader.find(objects_of(kind, namespace=None if all_namespaces else self._place(kind)))
        found.sort(key=lambda one: (one.namespace, one.name))
        return [
            shown(one)
            for one in found
            if by_labels.matches(one.labels)
            and by_fields.matches({"metadata.name": one.name, "metadata.namespace": one.namespace})
        ]

    def suspend_schedule(self, name: str, *, suspended: bool) -> Manifest:
        """Have a CronWorkflow start nothing, or go on."""
        found = self.get(ObjectKind.CRON_WORKFLOW, name)
        found["spec"] = {**(found.get("spec") or {}), "suspend": suspended}
        return self.update(found)

    def delete(self, kind: ObjectKind, name: str) -> None:
        """Remove an object; a volume claim's folder goes with it."""
        with self._store.transaction() as transaction:
            found = found_object(transaction, kind, self._place(kind), name)
            transaction.delete(StoredObject, [found.id])
        if kind is ObjectKind.PERSISTENT_VOLUME_CLAIM:
            shutil.rmtree(self._folder(found.namespace, found.name), ignore_errors=True)

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        """Where a volume claim's data is."""
        with self._store.reader() as reader:
            claim = look_up(reader, ObjectKind.PERSISTENT_VOLUME_CLAIM, namespace, name)
        return None if claim is None else self._folder(namespace, name)

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Values of a ConfigMap by key."""
        with self._store.reader() as reader:
            found = look_up(reader, ObjectKind.CONFIG_MAP, namespace, name)
        return None if found is None else config_map_values(found.manifest)

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Values of a Secret by key."""
        with self._store.reader() as reader:
            found = look_up(reader, ObjectKind.SECRET, namespace, name)
        if found is None:
            return None
        return {key: base64.b64decode(value) for key, value in (found.manifest.get("data") or {}).items()}

    def _write(
        self, manifest: Mapping[str, Any], check: Callable[[StoredObject, StoredObject | None], None], *, dry_run: bool
    ) -> Manifest:
        kind = _kind_of(manifest)
        fresh = self._fresh(kind, manifest, utc_now())
        with self._store.transaction() as transaction:
            _validate(transaction, fresh)
            present = look_up(transaction, kind, fresh.namespace, fresh.name)
            check(fresh, present)
            if present is not None:
                _may_replace(present, manifest)
                fresh = replace(
                    fresh,
                    id=present.id,
                    resource_version=present.resource_version + 1,
                    created_at=present.created_at,
                    # Whoever replaces a schedule does not mean to forget when it last ran.
                    manifest={"status": present.manifest["status"], **fresh.manifest}
                    if "status" in present.manifest
                    else fresh.manifest,
                )
            if not dry_run:
                transaction.put(fresh, "kind", "namespace", "name")
        if not dry_run:
            self._prepare_place(fresh)
        return shown(fresh)

    def _fresh(self, kind: ObjectKind, manifest: Mapping[str, Any], now: datetime) -> StoredObject:
        """The object as it is stored if there was none.

        Raises:
            SpecError: it has no good name, or values that cannot be.
        """
        metadata = {key: value for key, value in (manifest.get("metadata") or {}).items() if key not in _GIVEN}
        name = str(metadata.get("name") or "")
        if not name and metadata.get("generateName"):
            name = metadata["name"] = f"{metadata['generateName']}{new_id()[-5:]}"
        if not is_object_name(name) or len(name) > 253:
            raise SpecError(
                f"metadata.name: '{name}' is not a name of a {kind}: lower case letters, digits, '-' and '.' can be."
            )
        namespace = CLUSTER if kind.is_cluster_scoped else str(metadata.get("namespace") or self._namespace)
        metadata.pop("namespace", None)
        body = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
        if kind is ObjectKind.SECRET:
            body = _encoded(name, body)
        return StoredObject(
            id=new_id(),
            kind=kind,
            namespace=namespace,
            name=name,
            labels=dict(metadata.get("labels") or {}),
            manifest={"apiVersion": manifest.get("apiVersion") or _version(kind), "metadata": metadata, **body},
            created_at=now,
            updated_at=now,
        )

    def _prepare_place(self, stored: StoredObject) -> None:
        """Make what an object needs on disk."""
        if stored.kind is ObjectKind.PERSISTENT_VOLUME_CLAIM:
            self._folder(stored.namespace, stored.name).mkdir(parents=True, exist_ok=True)
        elif stored.kind is ObjectKind.SECRET:
            for file in self._home.glob("tiphys.db*"):
                file.chmod(0o600)

    def _place(self, kind: ObjectKind) -> str:
        return CLUSTER if kind.is_cluster_scoped else self._namespace

    def _folder(self, namespace: str, name: str) -> Path:
        return claim_place(self._home, namespace, name)


def look_up(reader: Reader, kind: ObjectKind, namespace: str, name: str) -> StoredObject | None:
    """An object, if there is one."""
    found = reader.find(objects_of(kind, namespace=namespace, name=name))
    return found[0] if found else None


def found_object(reader: Reader, kind: ObjectKind, namespace: str, name: str) -> StoredObject:
    """An object.

    Raises:
        NotFoundError: there is none of that kind and name.
    """
    found = look_up(reader, kind, namespace, name)
    if found is None:
        place = f" in the namespace {namespace}" if namespace else ""
        raise NotFoundError(f"There is no {kind} '{name}'{place}.")
    return found


def shown(stored: StoredObject) -> Manifest:
    """An object as Kubernetes' API shows it."""
    body = dict(stored.manifest)
    metadata = {
        **body.pop("metadata"),
        "name": stored.name,
        "uid": stored.id,
        "resourceVersion": str(stored.resource_version),
        "creationTimestamp": rfc3339(stored.created_at),
    }
    if stored.namespace:
        metadata["namespace"] = stored.namespace
    return {"apiVersion": body.pop("apiVersion"), "kind": stored.kind.value, "metadata": metadata, **body}


def config_map_values(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Values of a ConfigMap by key."""
    values = {key: str(value).encode() for key, value in (manifest.get("data") or {}).items()}
    return values | {key: base64.b64decode(value) for key, value in (manifest.get("binaryData") or {}).items()}


def _kind_of(manifest: Mapping[str, Any]) -> ObjectKind:
    kind = str(manifest.get("kind") or "")
    try:
        return ObjectKind(kind)
    except ValueError:
        raise UsageError(
            f"Objects of the kind '{kind}' are not stored.",
            hint=f"Stored are: {', '.join(ObjectKind)}; workflows are submitted.",
        ) from None


def _version(kind: ObjectKind) -> str:
    core = (ObjectKind.CONFIG_MAP, ObjectKind.SECRET, ObjectKind.PERSISTENT_VOLUME_CLAIM)
    return "v1" if kind in core else "argoproj.io/v1alpha1"


def _validate(reader: Reader, stored: StoredObject) -> None:
    """Refuse what lint calls an error (unknown fields are the caller's concern)."""
    problems = validate(
        read_document(shown(stored)), library=StoredTemplates(reader, stored.namespace), strict=False, submit=False
    )
    errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        raise SpecError(f"The {stored.kind} '{stored.name}' is not valid: {'; '.join(errors)}")


def _encoded(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret's body with all values in base64.

    Raises:
        SpecError: a value under `data` is not base64 already.
    """
    data = dict(body.get("data") or {})
    for key, value in data.items():
        try:
            base64.b64decode(str(value), validate=True)
        except binascii.Error:
            raise SpecError(
                f"data.{key} of the Secret '{name}' is not base64.", hint="Write plain values under stringData."
            ) from None
    plain = {
        key: base64.b64encode(str(value).encode()).decode() for key, value in (body.get("stringData") or {}).items()
    }
    rest = {key: value for key, value in body.items() if key not in ("data", "stringData")}
    return {"type": "Opaque", **rest, "data": data | plain}


def _must_be_new(fresh: StoredObject, present: StoredObject | None) -> None:
    if present is not None:
        raise AlreadyExistsError(f"There is a {fresh.kind} '{fresh.name}' already.", hint="Update it.")


def _must_be_there(fresh: StoredObject, present: StoredObject | None) -> None:
    if present is None:
        raise NotFoundError(f"There is no {fresh.kind} '{fresh.name}' to update.", hint="Create it.")


def _may_be_there(fresh: StoredObject, present: StoredObject | None) -> None:
    """Both are fine."""


def _may_replace(present: StoredObject, manifest: Mapping[str, Any]) -> None:
    """Kubernetes' rules for changes: the version that was read, and what is said to be immutable."""
    version = (manifest.get("metadata") or {}).get("resourceVersion")
    if version and str(version) != str(present.resource_version):
        raise ConflictError(
            f"The {present.kind} '{present.name}' has been changed meanwhile.", hint="Read it again, and change that."
        )
    if present.manifest.get("immutable"):
        raise ConflictError(
            f"The {present.kind} '{present.name}' is immutable.",
            hint="Delete it, and create it anew.",
        )
