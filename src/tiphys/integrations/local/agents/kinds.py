"""Kinds of objects that are kept here, by the names that manifests and kubectl have for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys.errors import SpecError

_ARGO = "argoproj.io"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects."""

    #: As manifests have it.
    name: str
    #: The API group; "" for Kubernetes' own.
    group: str
    #: As kubectl takes it, in lower case, beside the name itself.
    words: tuple[str, ...]


KINDS = (
    Kind("Workflow", _ARGO, ("workflows", "wf")),
    Kind("WorkflowTemplate", _ARGO, ("workflowtemplates", "wftmpl")),
    Kind("ClusterWorkflowTemplate", _ARGO, ("clusterworkflowtemplates", "clusterwftmpl", "cwft")),
    Kind("CronWorkflow", _ARGO, ("cronworkflows", "cwf", "cronwf")),
    Kind("WorkflowEventBinding", _ARGO, ("workfloweventbindings", "wfeb")),
    Kind("ConfigMap", "", ("configmaps", "cm")),
    Kind("Secret", "", ("secrets",)),
    Kind("PersistentVolumeClaim", "", ("persistentvolumeclaims", "pvc")),
)


def kind_of_manifest(manifest: Mapping[str, Any]) -> Kind:
    """The kind of an object.

    Raises:
        SpecError: it says none, or one whose objects are not kept here.
    """
    name, version = str(manifest.get("kind") or ""), str(manifest.get("apiVersion") or "")
    if not name:
        raise SpecError("resource.manifest has no kind.", hint="Write kind and apiVersion, as kubectl wants them.")
    group = version.rpartition("/")[0]
    for kind in KINDS:
        if kind.name == name and (kind.group == group or not version):
            return kind
    raise _not_here(f"'{name}'" + (f" of {version}" if version else ""))


def kind_of_word(word: str) -> Kind:
    """The kind that kubectl would take a word for: `wf`, `workflows.argoproj.io`, `ConfigMap`.

    Raises:
        SpecError: it names none whose objects are kept here.
    """
    name, _, rest = word.lower().partition(".")
    for kind in KINDS:
        # After the name a version and the group may stand, or the group alone.
        group = rest.partition(".")[2] if rest.startswith("v1") else rest
        if name in (kind.name.lower(), *kind.words) and group in ("", kind.group):
            return kind
    raise _not_here(f"'{word}'")


def _not_here(what: str) -> SpecError:
    return SpecError(
        f"The resource template is about an object of the kind {what}: a cluster is needed for it.",
        hint=f"Kept without a cluster are: {', '.join(kind.name for kind in KINDS)}.",
    )
