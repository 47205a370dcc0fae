"""Which cluster, by the environment; nothing is imported or asked for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiphys.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """How to reach a cluster, and as whom."""

    #: Path of a kubeconfig, or several with what separates paths between them; None in a pod of the cluster itself.
    kubeconfig: str | None
    #: One of its contexts; None for the present one.
    context: str | None = None


def settings_from(environment: Mapping[str, str]) -> ClusterSettings:
    """Settings as users give them: `TIPHYS_KUBECONFIG`, else `KUBECONFIG`, else what is at kubectl's usual place.

    Where there is no kubeconfig and this is a pod, its service account is meant. `TIPHYS_KUBE_CONTEXT` names a context.

    Raises:
        UsageError: there is none of all these.
    """
    usual = Path("~/.kube/config").expanduser()
    kubeconfig = environment.get("TIPHYS_KUBECONFIG") or environment.get("KUBECONFIG")
    if not kubeconfig and usual.is_file():
        kubeconfig = str(usual)
    if not kubeconfig and not environment.get("KUBERNETES_SERVICE_HOST"):
        raise UsageError(
            "there is no kubeconfig.",
            hint=f"Set KUBECONFIG (or TIPHYS_KUBECONFIG) or make {usual}, and: pip install 'tiphys[kubernetes]'",
        )
    return ClusterSettings(kubeconfig=kubeconfig or None, context=environment.get("TIPHYS_KUBE_CONTEXT") or None)
