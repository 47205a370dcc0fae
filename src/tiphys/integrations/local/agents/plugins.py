"""Which executor plugins a workflow has, and the order in which they are asked.

As argo-workflows v4.1, workflow/controller/agent.go: those that the workflow itself brings, or else those that are
installed in its namespace and in the default one (Argo's own namespace); of two with one name its namespace's counts.
Argo asks them in no certain order; here the one that is named like the template's key comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tiphys.errors import SpecError
from tiphys.integrations.local.agents.outside import ObjectActions
from tiphys.records.base import DEFAULT_WORKSPACE
from tiphys.spec.executor_plugins import PLUGIN_TYPE, TYPE_LABEL, container_of, plugin_of
from tiphys.spec.kubernetes import ConfigMap
from tiphys.spec.workflow import ExecutorPlugin


@dataclass(frozen=True, slots=True)
class Plugin:
    """An executor plugin."""

    name: str
    #: Where the Secrets and ConfigMaps of its container are: the workflow's.
    namespace: str
    #: As JSON.
    container: Mapping[str, Any]
    #: Where it listens.
    port: int


def find_plugins(key: str, namespace: str, own: Iterable[Mapping[str, Any]], objects: ObjectActions) -> list[Plugin]:
    """The plugins that are asked about a template, the first first.

    Args:
        key: The one key of the template's `plugin`.
        namespace: The workflow's.
        own: The workflow's `executorPlugins`.
        objects: Where ConfigMaps are.

    Raises:
        SpecError: one is not as it must be, or two listen on one port.
    """
    brought = [_plugin(ExecutorPlugin.from_json(each), namespace) for each in own]
    found = {each.name: each for each in brought or _installed(namespace, objects)}
    plugins = sorted(found.values(), key=lambda plugin: (plugin.name != key, plugin.name))
    ports: dict[int, Plugin] = {}
    for plugin in plugins:
        other = ports.setdefault(plugin.port, plugin)
        if other is not plugin:
            raise SpecError(
                f"The executor plugins '{other.name}' and '{plugin.name}' both listen on port {plugin.port}, and all "
                "share the network of this machine.",
                hint="Give one of them another port, in its server and as containerPort, and store it again.",
            )
    return plugins


def _installed(namespace: str, objects: ObjectActions) -> Iterable[Plugin]:
    for place in dict.fromkeys((DEFAULT_WORKSPACE, namespace)):
        for manifest in objects.find("ConfigMap", place, f"{TYPE_LABEL}={PLUGIN_TYPE}"):
            yield _plugin(plugin_of(ConfigMap.from_json(manifest)), namespace)


def _plugin(described: ExecutorPlugin, namespace: str) -> Plugin:
    container = container_of(described)
    name = (described.metadata and described.metadata.name) or ""
    port = container.ports[0].get("containerPort") if container is not None and container.ports else None
    if container is None or not isinstance(port, int):
        raise SpecError(
            f"The executor plugin '{name}' is invalid: at least one port is mandatory.",
            hint="Set sidecar.container.ports to [{containerPort: N}].",
        )
    return Plugin(name, namespace, container.to_json(), port)
