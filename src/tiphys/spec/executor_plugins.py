"""Executor plugins as they are installed: ConfigMaps with a label (Argo, workflow/util/plugin/configmap.go)."""

from __future__ import annotations

from tiphys.errors import SpecError
from tiphys.spec.kubernetes import ConfigMap, Container, ObjectMeta
from tiphys.spec.workflow import ExecutorPlugin, ExecutorPluginSidecar, ExecutorPluginSpec
from tiphys.spec.yaml import dump, load

#: Label of a ConfigMap that holds a plugin, and its value.
TYPE_LABEL, PLUGIN_TYPE = "workflows.argoproj.io/configmap-type", "ExecutorPlugin"
#: What follows a plugin's name in its ConfigMap's.
_SUFFIX = "-executor-plugin"
_CONTAINER, _AUTOMOUNT = "sidecar.container", "sidecar.automountServiceAccountToken"


def container_of(plugin: ExecutorPlugin) -> Container | None:
    """The container of a plugin, if it says one."""
    sidecar = plugin.spec.sidecar if plugin.spec else None
    return sidecar.container if sidecar else None


def is_plugin(config_map: ConfigMap) -> bool:
    """Whether a ConfigMap holds a plugin."""
    return ((config_map.metadata and config_map.metadata.labels) or {}).get(TYPE_LABEL) == PLUGIN_TYPE


def config_map_of(plugin: ExecutorPlugin) -> ConfigMap:
    """The ConfigMap that installs a plugin."""
    metadata, container = plugin.metadata or ObjectMeta(), container_of(plugin) or Container()
    sidecar = plugin.spec.sidecar if plugin.spec else None
    automount = bool(sidecar and sidecar.automount_service_account_token)
    return ConfigMap(
        metadata=ObjectMeta(
            name=f"{metadata.name}{_SUFFIX}",
            namespace=metadata.namespace,
            annotations=metadata.annotations,
            labels={**(metadata.labels or {}), TYPE_LABEL: PLUGIN_TYPE},
        ),
        data={_AUTOMOUNT: "true" if automount else "false", _CONTAINER: dump(container.to_json())},
    )


def plugin_of(config_map: ConfigMap) -> ExecutorPlugin:
    """The plugin that a ConfigMap installs.

    Raises:
        SpecError: its container is not YAML, or not a container.
    """
    data, metadata = config_map.data or {}, config_map.metadata or ObjectMeta()
    described = load(data[_CONTAINER], source=_CONTAINER, strict=True) if data.get(_CONTAINER) else {}
    if not isinstance(described, dict):
        raise SpecError(f"{_CONTAINER}: a container is an object, not {type(described).__name__}.")
    sidecar = ExecutorPluginSidecar(
        automount_service_account_token=data.get(_AUTOMOUNT) == "true", container=Container.from_json(described)
    )
    name = (metadata.name or "").removesuffix(_SUFFIX)
    return ExecutorPlugin(metadata=ObjectMeta(name=name), spec=ExecutorPluginSpec(sidecar=sidecar))
