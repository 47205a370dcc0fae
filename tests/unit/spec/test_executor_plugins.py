"""Executor plugins and the ConfigMaps that install them. Facts: Argo v4.1, workflow/util/plugin/configmap_test.go."""

from __future__ import annotations

from tiphys.spec.executor_plugins import config_map_of, plugin_of
from tiphys.spec.kubernetes import ConfigMap
from tiphys.spec.workflow import ExecutorPluginManifest
from tiphys.spec.yaml import load

CONTAINER = {
    "name": "c",
    "args": ["import json\n\nprint(1)\n"],
    "ports": [{"containerPort": 1234}],
    "resources": {"limits": {}, "requests": {}},
    "securityContext": {},
}


def test_there_and_back() -> None:
    plugin = ExecutorPluginManifest.from_json(
        {
            "kind": "ExecutorPlugin",
            "metadata": {"name": "my-plug", "annotations": {"a": "1"}, "labels": {"l": "2"}},
            "spec": {"sidecar": {"automountServiceAccountToken": True, "container": CONTAINER}},
        }
    )
    config_map = config_map_of(plugin).to_json()
    assert config_map["metadata"] == {
        "name": "my-plug-executor-plugin",
        "annotations": {"a": "1"},
        "labels": {"l": "2", "workflows.argoproj.io/configmap-type": "ExecutorPlugin"},
    }
    assert config_map["data"]["sidecar.automountServiceAccountToken"] == "true"
    assert load(config_map["data"]["sidecar.container"]) == CONTAINER
    assert plugin_of(ConfigMap.from_json(config_map)).to_json() == {
        "metadata": {"name": "my-plug"},
        "spec": {"sidecar": {"automountServiceAccountToken": True, "container": CONTAINER}},
    }


def test_a_config_map_that_argo_made() -> None:
    data = {
        "sidecar.automountServiceAccountToken": "false",
        "sidecar.container": "{'name': 'my-name', 'ports': [{}], 'resources': {'requests': {}}, 'securityContext': {}}",
    }
    plugin = plugin_of(ConfigMap.from_json({"metadata": {"name": "my-plug-executor-plugin"}, "data": data}))
    assert plugin.to_json() == {
        "metadata": {"name": "my-plug"},
        "spec": {
            "sidecar": {
                "automountServiceAccountToken": False,
                "container": {
                    "name": "my-name",
                    "ports": [{}],
                    "resources": {"requests": {}},
                    "securityContext": {},
                },
            }
        },
    }
