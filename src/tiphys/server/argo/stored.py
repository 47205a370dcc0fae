"""Argo's API over stored objects: templates of both kinds, and schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiphys._util.times import utc_now
from tiphys.errors import UsageError
from tiphys.ports.workflows import Manifest
from tiphys.records.objects import ObjectKind
from tiphys.server.argo.bodies import is_dry_run, manifest_in
from tiphys.server.argo.queries import mask_of, version_of
from tiphys.server.argo.workflows import expect_valid
from tiphys.server.call import Call


@dataclass(frozen=True, slots=True)
class Stored:
    """The handlers of one kind."""

    kind: ObjectKind
    #: Where the object stands in a request's body.
    field: str

    def create(self, call: Call) -> Manifest:
        """POST, of a new one."""
        return call.objects.create(self._given(call), dry_run=is_dry_run(call.body))

    def update(self, call: Call) -> Manifest:
        """PUT, of one that there is."""
        return call.objects.update(self._given(call, call.path["name"]))

    def lint(self, call: Call) -> Manifest:
        """POST /lint."""
        manifest = self._given(call)
        expect_valid(call, manifest)
        return manifest

    def get(self, call: Call) -> Manifest:
        """GET, of one."""
        return call.objects.get(self.kind, call.path["name"])

    def find(self, call: Call) -> dict[str, Any]:
        """GET, of a list: all, or so many from where the page before ended."""
        version = version_of(utc_now())
        found = call.objects.find(
            self.kind,
            labels=call.query.text("listOptions.labelSelector"),
            fields=call.query.text("listOptions.fieldSelector"),
            all_namespaces=not call.namespace,
        )
        pattern = call.query.text("namePattern")
        visible = None if call.namespace or self.kind.is_cluster_scoped else call.visible
        found = [
            one
            for one in found
            if pattern in one["metadata"]["name"] and (visible is None or one["metadata"]["namespace"] in visible)
        ]
        start, limit = _offset(call.query.text("listOptions.continue")), call.query.number("listOptions.limit") or 0
        metadata: dict[str, Any] = {"resourceVersion": version}
        if limit and start + limit < len(found):
            metadata["continue"] = str(start + limit)
            metadata["remainingItemCount"] = len(found) - start - limit
        items = found[start : start + limit] if limit else found[start:]
        answer = {"metadata": metadata, "items": items}
        shown: dict[str, Any] = mask_of(call.query.text("fields"))(answer)
        return shown

    def delete(self, call: Call) -> dict[str, Any]:
        """DELETE, of one."""
        if call.query.text("deleteOptions.dryRun"):
            call.objects.get(self.kind, call.path["name"])
        else:
            call.objects.delete(self.kind, call.path["name"])
        return {}

    def suspend(self, call: Call) -> Manifest:
        """PUT /suspend."""
        return call.objects.suspend_schedule(call.path["name"], suspended=True)

    def resume(self, call: Call) -> Manifest:
        """PUT /resume."""
        return call.objects.suspend_schedule(call.path["name"], suspended=False)

    def _given(self, call: Call, name: str = "") -> Manifest:
        namespace = "" if self.kind.is_cluster_scoped else call.namespace
        return manifest_in(call.body, self.field, self.kind.value, namespace=namespace, name=name)


def _offset(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise UsageError(f"'{text}' is not where a list can go on.")
    return int(text or 0)
