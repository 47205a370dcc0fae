"""`tiphys argo executor-plugin` (argo-workflows, cmd/argo/commands/executorplugin)."""

from __future__ import annotations

from pathlib import Path

import click

from tiphys.cli.argo.files import read_text
from tiphys.cli.argo.session import ArgoGroup
from tiphys.errors import SpecError, UsageError
from tiphys.spec.executor_plugins import config_map_of, container_of
from tiphys.spec.problems import Severity
from tiphys.spec.validate.executor_plugins import check_executor_plugin
from tiphys.spec.validate.fields import check_fields
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.workflow import ExecutorPluginManifest
from tiphys.spec.yaml import dump, parse_all

_README_HEADER = "<!-- This is an auto-generated file. DO NOT EDIT -->"
_YAML_HEADER = "# This is an auto-generated file. DO NOT EDIT"
_ANNOTATION = "workflows.argoproj.io/"


@click.group("executor-plugin", cls=ArgoGroup)
def group() -> None:
    """Executor plugins: servers that carry templates of the type `plugin` out."""


@group.command(
    examples=[
        "tiphys argo executor-plugin build hello/",
        "tiphys configmap create -f hello/hello-executor-plugin-configmap.yaml",
    ]
)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
def build(folder: Path) -> None:
    """Make the ConfigMap that installs the plugin of DIR/plugin.yaml.

    A file DIR/server.* becomes the argument of the plugin's command.
    """
    plugin = _read(folder)
    config_map = config_map_of(plugin)
    name = config_map.metadata.name if config_map.metadata else ""
    manifest = folder / f"{name}-configmap.yaml"
    manifest.write_text(f"{_YAML_HEADER}\n{dump(config_map.to_json())}", "utf-8")
    click.echo(f"{manifest} created")
    readme = folder / "README.md"
    if readme.exists() and not readme.read_text("utf-8", "replace").startswith(_README_HEADER):
        click.echo(f"{readme} left as it is: it was not made by this command")
        return
    readme.write_text(_readme(plugin, manifest.name, name or ""), "utf-8")
    click.echo(f"{readme} created")


def _read(folder: Path) -> ExecutorPluginManifest:
    """The plugin of a folder, with its server.

    Raises:
        UsageError: a file is missing, or there are several servers.
        SpecError: the plugin is not valid.
    """
    place = folder / "plugin.yaml"
    trees = parse_all(read_text(str(place)), source=str(place), strict=True)
    if len(trees) != 1:
        raise SpecError(f"One YAML document was expected in {place}, {len(trees)} were found.")
    plugin = ExecutorPluginManifest.from_json(trees[0].value)
    servers = sorted(folder.glob("server.*"))
    if len(servers) > 1:
        raise UsageError(f"There is more than one server.* file: {', '.join(each.name for each in servers)}.")
    container = container_of(plugin)
    if servers and container is not None:
        container.args = [read_text(str(servers[0])).decode()]
    findings = Findings(trees[0].line)
    check_fields(plugin, Place((), ""), findings)
    check_executor_plugin(plugin, Place(("spec", "sidecar"), "spec.sidecar"), findings)
    errors = [problem for problem in findings.problems if problem.severity is Severity.ERROR]
    if errors:
        told = [f"line {each.line}: {each}" if each.line else str(each) for each in errors]
        raise SpecError(f"The plugin in {place} is not valid: {'; '.join(told)}")
    return plugin


def _readme(plugin: ExecutorPluginManifest, manifest: str, config_map: str) -> str:
    annotations = (plugin.metadata and plugin.metadata.annotations) or {}
    container = container_of(plugin)
    return "\n".join(
        [
            _README_HEADER,
            f"# {plugin.metadata.name if plugin.metadata else ''}",
            "",
            f"* Needs: {annotations.get(f'{_ANNOTATION}version', '')}",
            f"* Image: {(container and container.image) or ''}",
            "",
            annotations.get(f"{_ANNOTATION}description", ""),
            "",
            "Install:",
            "",
            f"    tiphys configmap create -f {manifest}",
            "",
            "Uninstall:",
            "",
            f"    tiphys configmap delete {config_map}",
            "",
        ]
    )
