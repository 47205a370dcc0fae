"""Where the objects of a `resource` template are: our own kinds are kept here, all others in a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tiphys.errors import SpecError, UsageError
from tiphys.integrations.local.agents.kinds import NAMES, own_kind
from tiphys.ports.object_keeper import Kind, ObjectKeeper
from tiphys.spec.template import Template

#: Annotation in a template's metadata: "true" sends objects to the cluster whose kind is kept here, too.
ON_CLUSTER = "tiphys.dev/cluster"


class Keepers:
    """Finds who keeps the objects of a kind.

    Args:
        own: Keeps those of our own kinds.
        cluster: Connects to the cluster, when it is first needed; raises `UsageError` if there is none.
    """

    def __init__(self, own: ObjectKeeper, cluster: Callable[[], ObjectKeeper]) -> None:
        self._own = own
        self._connect = cluster
        self._cluster: ObjectKeeper | None = None
        self._lock = threading.Lock()

    def of(self, kind: Kind, template: Template) -> ObjectKeeper:
        """Who keeps the objects of a kind that a template is about.

        Raises:
            SpecError: a cluster does, and there is none.
        """
        annotations = (template.metadata and template.metadata.annotations) or {}
        if annotations.get(ON_CLUSTER) != "true" and own_kind(kind) is not None:
            return self._own
        try:
            with self._lock:
                if self._cluster is None:
                    self._cluster = self._connect()
                return self._cluster
        except UsageError as error:
            raise SpecError(
                f"The template '{template.name}' is about an object of the kind {kind}, for which a cluster is needed: "
                f"{error.message}",
                hint=f"{error.hint}\n  Without a cluster there are: {', '.join(NAMES)}.",
            ) from error
