"""What of a template a runner of pods cannot carry out: found before anything runs, named by its field.

Ignored without a word, as nothing of a node's result depends on them here, are: nodeSelector, affinity, tolerations,
resources, securityContext, liveness and startup probes, lifecycle, imagePullPolicy and the pod's other placement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tiphys.integrations.local.pods.plan import Flavour
from tiphys.sdk.pods.checks import problems_of
from tiphys.sdk.pods.containers import containers_of, main_of


def check(template: Mapping[str, Any], flavour: Flavour) -> list[str]:
    """What the flavour cannot give, each a sentence that names the field; a template may still have its tags."""
    found = list(problems_of(template))
    if flavour == "process":
        found += [f"{problem} Use the runner 'sandbox'." for problem in _shared(template)]
    return found


def _shared(template: Mapping[str, Any]) -> Iterator[str]:
    """What would be shared with other nodes, because host processes see this machine's own files."""
    where = f"templates.{template.get('name')}"
    for _, container in containers_of(template):
        here = f"{where}.{container.get('name')}"
        if container.get("volumeMounts"):
            yield f"{here}.volumeMounts: a host process cannot have volumes."
        if str(container.get("workingDir") or "").startswith("/"):
            yield f"{here}.workingDir: a host process works in a folder of its own."
    main = main_of(template)
    for side in ("inputs", "outputs"):
        values = template.get(side) or {}
        paths = [(each, each.get("path")) for each in values.get("artifacts") or ()]
        paths += [(each, (each.get("valueFrom") or {}).get("path")) for each in values.get("parameters") or ()]
        for each, path in paths:
            if str(path or "").startswith("/"):
                yield (
                    f"{where}.{side}.{each.get('name')}: '{path}' would be one file for all nodes that write it, "
                    f"as host processes of '{main}' see this machine's own files; a relative one is not."
                )
