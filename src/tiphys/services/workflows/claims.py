"""The volume claims that a workflow makes for itself (`volumeClaimTemplates`): named `<workflow>-<template>`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys._util.ids import new_id
from tiphys.ports.store import Transaction
from tiphys.records.objects import ObjectKind, StoredObject
from tiphys.records.workflows import WorkflowRow
from tiphys.services.claim_places import claim_place


def claimed_volumes(workflow: str, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The volumes of a workflow's own claims, as its status shows them and its pods mount them."""
    volumes = []
    for template in spec.get("volumeClaimTemplates") or ():
        name = (template.get("metadata") or {}).get("name")
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": f"{workflow}-{name}"}})
    return volumes


def make_claims(transaction: Transaction, home: Path, row: WorkflowRow, spec: Mapping[str, Any]) -> None:
    """Store the claims of a workflow that is submitted, and make their folders."""
    volumes = claimed_volumes(row.name, spec)
    for template, volume in zip(spec.get("volumeClaimTemplates") or (), volumes, strict=True):
        name = volume["persistentVolumeClaim"]["claimName"]
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": row.name, "uid": row.id}
        metadata = {**(template.get("metadata") or {}), "name": name, "ownerReferences": [owner]}
        manifest = {
            "apiVersion": "v1",
            "kind": ObjectKind.PERSISTENT_VOLUME_CLAIM.value,
            "metadata": metadata,
            "spec": template.get("spec") or {},
        }
        transaction.add(
            StoredObject(
                id=new_id(),
                kind=ObjectKind.PERSISTENT_VOLUME_CLAIM,
                namespace=row.workspace,
                name=name,
                labels=metadata.get("labels") or {},
                manifest=manifest,
                created_at=row.created_at,
                updated_at=row.created_at,
            )
        )
        claim_place(home, row.workspace, name).mkdir(parents=True, exist_ok=True)
