"""The environment of a process that stands for a container: nothing of this machine's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.environment import environment_of
from tiphys.sdk.pods.objects import Objects

#: The programs that a container finds, after the shims.
SEARCH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/games")


def whole_environment_of(
    container: Mapping[str, Any],
    *,
    context: PodContext,
    objects: Objects,
    template: str,
    shims: str,
    progress: str,
) -> dict[str, str]:
    """The whole environment of a container.

    Args:
        container: As in the template.
        context: Of its pod.
        objects: Where ConfigMaps and Secrets are.
        template: The template as JSON, or `offloaded`.
        shims: Folder that is first on PATH, as the container sees it.
        progress: File for its progress, as the container sees it.

    Raises:
        SpecError: a ConfigMap, Secret, key or field that is referred to does not exist.
    """
    image = {"HOME": "/root", "PATH": ":".join(SEARCH)}
    found = environment_of(
        container, context=context, objects=objects, template=template, progress=progress, image=image
    )
    found["PATH"] = f"{shims}:{found['PATH']}"
    return found
