"""Kinds of objects that are kept here, by the names that manifests and kubectl have for them."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.ports.object_keeper import Kind

_ARGO = "argoproj.io/v1alpha1"


@dataclass(frozen=True, slots=True)
class _OwnKind:
    kind: Kind
    #: The API group; "" for Kubernetes' own.
    group: str
    #: As kubectl takes it, in lower case, beside the name itself.
    words: tuple[str, ...]


def _own(name: str, version: str, *words: str) -> _OwnKind:
    return _OwnKind(Kind(name, version), _group(version), words)


def _group(version: str) -> str:
    return version.rpartition("/")[0]


_KINDS = (
    _own("Workflow", _ARGO, "workflows", "wf"),
    _own("WorkflowTemplate", _ARGO, "workflowtemplates", "wftmpl"),
    _own("ClusterWorkflowTemplate", _ARGO, "clusterworkflowtemplates", "clusterwftmpl", "cwft"),
    _own("CronWorkflow", _ARGO, "cronworkflows", "cwf", "cronwf"),
    _own("WorkflowEventBinding", _ARGO, "workfloweventbindings", "wfeb"),
    _own("ConfigMap", "v1", "configmaps", "cm"),
    _own("Secret", "v1", "secrets"),
    _own("PersistentVolumeClaim", "v1", "persistentvolumeclaims", "pvc"),
)
#: Their names.
NAMES = tuple(own.kind.name for own in _KINDS)


def own_kind(named: Kind) -> Kind | None:
    """The kind that is meant by `Workflow` of a manifest, or by `wf`, `workflows.argoproj.io`, `ConfigMap`.

    None if its objects are not kept here.
    """
    means = _is_manifests if named.version is not None else _is_word
    return next((own.kind for own in _KINDS if means(named, own)), None)


def _is_manifests(named: Kind, own: _OwnKind) -> bool:
    return named.name == own.kind.name and (not named.version or _group(named.version) == own.group)


def _is_word(named: Kind, own: _OwnKind) -> bool:
    name, _, rest = named.name.lower().partition(".")
    # After the name a version and the group may stand, or the group alone.
    group = rest.partition(".")[2] if rest.startswith("v1") else rest
    return name in (own.kind.name.lower(), *own.words) and group in ("", own.group)
