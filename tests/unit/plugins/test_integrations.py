"""How integrations are found: Tiphys's own by name, others by entry points."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tiphys.errors import NotFoundError
from tiphys.plugins.integrations import (
    all_integrations,
    built_in_names,
    find_flavor,
    flavors,
    integration,
    materializer_for_type_name,
)
from tiphys.plugins.loading import load
from tiphys.ports.component import StackComponent
from tiphys.ports.materializer import BaseMaterializer
from tiphys.records.stacks import ComponentType


def test_all_of_tiphys_are_found() -> None:
    names = {each.name for each in all_integrations()}
    assert names >= built_in_names() >= {"local", "numpy", "pandas", "polars", "scipy", "sklearn", "PIL", "plotly"}
    assert all(integration(name).name == name for name in built_in_names())


def test_an_unknown_one_is_named() -> None:
    with pytest.raises(NotFoundError, match="nothing-like-it"):
        integration("nothing-like-it")


def test_flavors() -> None:
    local = find_flavor(ComponentType.ARTIFACT_STORE, "local")
    assert local in flavors(ComponentType.ARTIFACT_STORE)
    assert find_flavor(ComponentType.ORCHESTRATOR, "local").type == ComponentType.ORCHESTRATOR
    with pytest.raises(NotFoundError, match=r"flavor 'local' of alerter"):
        find_flavor(ComponentType.ALERTER, "local")
    with pytest.raises(NotFoundError, match=r"There are: .*local"):
        find_flavor(ComponentType.ARTIFACT_STORE, "nothing-like-it")


def test_a_flavor_makes_a_component(tmp_path: Path) -> None:
    for kind, settings in (("ARTIFACT_STORE", {"path": str(tmp_path)}), ("ORCHESTRATOR", {"runner": "process"})):
        flavor = find_flavor(ComponentType[kind], "local")
        component = load(flavor.implementation)(name="mine", config=load(flavor.config)(**settings))
        assert isinstance(component, StackComponent)
        assert component.name == "mine"


@pytest.mark.parametrize("name", sorted(built_in_names()))
def test_what_an_integration_names_exists(name: str) -> None:
    found = integration(name)
    if not all(map(find_spec, found.requires)):
        pytest.skip("its libraries are not installed")
    for path in found.materializers.values():
        assert issubclass(load(path), BaseMaterializer)
    for flavor in found.flavors:
        assert issubclass(load(flavor.implementation), StackComponent)
        assert load(flavor.config).model_fields is not None


@pytest.mark.parametrize("name", sorted(built_in_names()))
def test_asking_imports_nothing_of_the_system(name: str) -> None:
    script = (
        "import sys\n"
        "from tiphys.plugins.integrations import integration\n"
        f"found = integration({name!r})\n"
        "print([module for module in (*found.requires, 'pydantic') if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_materializers_go_by_the_name_of_a_type() -> None:
    assert materializer_for_type_name("numpy.ndarray") == "tiphys.integrations.numpy.materializers:ArrayMaterializer"
    assert materializer_for_type_name("numpy.other") is None
    assert materializer_for_type_name("unheard_of.Type") is None


def run_with_plugins(folder: Path, plugins: dict[str, tuple[str, str]], script: str) -> tuple[Any, str]:
    """Runs a script where the plugins {name: (entry point's value, source)} are installed; it prints JSON."""
    info = folder / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    lines = ["[tiphys.integrations]", *(f"{name} = {value}" for name, (value, _) in plugins.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for value, source in plugins.values():
        (folder / f"{value.partition(':')[0]}.py").write_text(source)
    code = f"import json, sys; sys.path.insert(0, {str(folder)!r})\n" + script
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), done.stderr


PLUGIN = """
from tiphys.ports.component import Flavor, Integration
from tiphys.ports.materializer import BytesMaterializer
from tiphys.records.stacks import ComponentType

class Thing:
    pass

class ThingMaterializer(BytesMaterializer):
    FILE = "thing"
    def to_bytes(self, data): return b"thing"
    def from_bytes(self, content, data_type): return Thing()

INTEGRATION = Integration(
    name="things",
    flavors=(Flavor(name="things", type=ComponentType.ALERTER, config="x:C", implementation="x:I"),),
    materializers={"things_plugin.Thing": "things_plugin:ThingMaterializer"},
)
"""


@pytest.mark.parametrize("value", ["things_plugin", "things_plugin:INTEGRATION"])
def test_a_plugin(tmp_path: Path, value: str) -> None:
    script = """
from things_plugin import Thing
from tiphys.plugins.integrations import all_integrations, find_flavor, integration
from tiphys.records.stacks import ComponentType
from tiphys.sdk.materializing import find_materializer
class More(Thing): pass
print(json.dumps([
    integration("things").name, "things" in [each.name for each in all_integrations()],
    find_flavor(ComponentType.ALERTER, "things").implementation, find_materializer(More).__name__,
]))
"""
    found, _ = run_with_plugins(tmp_path, {"things": (value, PLUGIN)}, script)
    assert found == ["things", True, "x:I", "ThingMaterializer"]


def test_a_broken_plugin_harms_no_other(tmp_path: Path) -> None:
    script = """
from things_plugin import Thing
from tiphys.errors import TiphysError
from tiphys.plugins.integrations import all_integrations, integration
from tiphys.sdk.materializing import find_materializer
try:
    integration("broken")
except TiphysError as error:
    message = str(error)
names = [each.name for each in all_integrations()]
print(json.dumps([find_materializer(Thing).__name__, names.count("things"), message]))
"""
    plugins = {
        "broken": ("broken_plugin", "import nothing_like_it"),
        "wrong": ("wrong_plugin", "INTEGRATION = 5"),
        "things": ("things_plugin", PLUGIN),
        "numpy": ("my_numpy", PLUGIN.replace('"things"', '"numpy"')),
    }
    (name, count, message), log = run_with_plugins(tmp_path, plugins, script)
    assert (name, count) == ("ThingMaterializer", 1)
    assert "broken_plugin" in message
    assert "wrong" in log
