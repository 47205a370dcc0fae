"""`tiphys argo export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tiphys.cli.argo.session import argo_command, namespace


@argo_command(
    examples=[
        "tiphys argo export train.py --image registry/train:1 > train.yaml",
        "tiphys argo export train.py:churn -p epochs=3 --git https://example.com/team/churn.git --revision v1",
        "tiphys argo export train.py | tiphys argo lint --offline -",
    ]
)
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="KEY=VALUE", help="JSON, else text.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML configuration.")
@click.option("--image", default="python:3.12", show_default=True, help="Image of every step; it holds Tiphys.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="Variable of every container.")
@click.option("--git", default="", metavar="URL", help="Repository with the steps' code, instead of the image.")
@click.option("--revision", default="", help="Branch, tag or commit of the repository.")
@click.option("--workdir", help="Folder to import the code from (default: /src, or the file's folder below it).")
@click.option("-o", "--output", type=click.Choice(("yaml", "json")), default="yaml", help="Output format.")
def export(
    target: str,
    parameters: tuple[str, ...],
    config: Path | None,
    environment: tuple[str, ...],
    workdir: str | None,
    output: str,
    **given: str,
) -> None:
    """Write a Python pipeline as a workflow for any Argo.

    Each step becomes a container that calls `tiphys step run`. The image needs Python and Tiphys, and the code of the
    steps in /src, unless --git says where that is to be fetched from. What Argo has no place for (caching, models, …)
    is told on standard error.
    """
    from tiphys.cli.programs import choose, import_file, parse_parameters, pipelines_of, split_target
    from tiphys.sdk.compiler.export import ExportOptions, export_pipeline
    from tiphys.spec.yaml import dump

    path, wanted = split_target(target)
    pipeline = choose(pipelines_of(import_file(path)), wanted, path)
    if config is not None:
        pipeline = pipeline.with_options(config_path=config)
    options = ExportOptions(
        environment=dict(_variable(each) for each in environment),
        working_directory=workdir or _folder_of_code(path, in_git=bool(given["git"])),
        **given,
    )
    exported = export_pipeline(pipeline, pipeline.bind((), parse_parameters(parameters, pipeline)), options)
    manifest = exported.workflow.to_json()
    if namespace():
        manifest["metadata"]["namespace"] = namespace()
    text = dump(manifest)
    _lint(text, pipeline.name)
    for warning in exported.warnings:
        click.echo(f"{click.style('Warning:', fg='yellow', bold=True)} {warning}", err=True)
    click.echo(text if output == "yaml" else json.dumps(manifest, ensure_ascii=False, indent=2), nl=output == "json")


def _variable(text: str) -> tuple[str, str]:
    from tiphys.errors import UsageError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"A variable is given as NAME=VALUE, not '{text}'.")
    return name, value


def _folder_of_code(path: Path, *, in_git: bool) -> str:
    """Folder of the container from which the file's module is imported."""
    from tiphys.cli.programs import module_name
    from tiphys.sdk.compiler.export import CODE

    _, root = module_name(path)
    top = next((each for each in (root, *root.parents) if (each / ".git").exists()), root) if in_git else root
    return Path(CODE, root.relative_to(top)).as_posix()


def _lint(text: str, pipeline: str) -> None:
    from tiphys.errors import SpecError
    from tiphys.spec.problems import Severity
    from tiphys.spec.reading import read_documents
    from tiphys.spec.validate.lint import validate

    problems: list[Any] = []
    for document in read_documents(text, source=pipeline):
        problems += [each for each in validate(document, submit=True) if each.severity is Severity.ERROR]
    if problems:
        raise SpecError(
            f"Pipeline '{pipeline}' makes no valid workflow: {'; '.join(str(each) for each in problems)}",
            hint="Rename what the message speaks of.",
        )
