"""Executor plugins: what each must have (argo-workflows, pkg/plugins/spec/plugin_types.go)."""

from __future__ import annotations

from tiphys.errors import SpecError
from tiphys.spec.executor_plugins import container_of, is_plugin, plugin_of
from tiphys.spec.kubernetes import ConfigMap
from tiphys.spec.validate.fields import check_fields
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.workflow import ExecutorPlugin


def check_executor_plugin(plugin: ExecutorPlugin, at: Place, findings: Findings) -> None:
    """A plugin, wherever it stands."""
    if not (plugin.metadata and plugin.metadata.name):
        findings.error(at, "executor plugin metadata name is mandatory")
    container = container_of(plugin)
    resources = (container and container.resources) or {}
    needed = {
        "at least one port is mandatory": container and container.ports,
        "resources requests are mandatory": resources.get("requests") is not None,
        "resources limits are mandatory": resources.get("limits") is not None,
        "security context is mandatory": container and container.security_context is not None,
    }
    for message, given in needed.items():
        if not given:
            findings.error(at, message)
    if container is not None and container.ports and not isinstance(container.ports[0].get("containerPort"), int):
        findings.error(at, "the first port needs a containerPort, which is a whole number")


def check_config_map(config_map: ConfigMap, findings: Findings, *, strict: bool) -> None:
    """A ConfigMap, which is free to hold what it wants unless it installs a plugin."""
    if not is_plugin(config_map):
        return
    at = Place(("data", "sidecar.container"), "data.sidecar.container")
    try:
        plugin = plugin_of(config_map)
    except SpecError as error:
        findings.error(at, str(error))
        return
    container = container_of(plugin)
    if strict and container is not None:
        check_fields(container, at, findings)
    check_executor_plugin(plugin, at, findings)
