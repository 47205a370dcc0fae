"""`tiphys argo lint`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from tiphys.cli.argo.files import walk
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.errors import SpecError, UsageError
from tiphys.spec.problems import Problem, Severity
from tiphys.spec.reading import Document, read_documents
from tiphys.spec.validate.lint import validate
from tiphys.spec.validate.report import pretty, simple
from tiphys.spec.validate.stored import GivenTemplates

_KINDS = {
    "workflows": "Workflow",
    "workflowtemplates": "WorkflowTemplate",
    "cronworkflows": "CronWorkflow",
    "clusterworkflowtemplates": "ClusterWorkflowTemplate",
}
_SHORT = {"wf": "workflows", "wftmpl": "workflowtemplates", "cwf": "cronworkflows", "cwft": "clusterworkflowtemplates"}


@argo_command(
    examples=[
        "tiphys argo lint ./manifests                                 all manifests of a folder",
        "tiphys argo lint --offline hello.yaml templates.yaml         templates are looked up in these files alone",
        "cat all.yaml | tiphys argo lint --kinds=workflows -",
    ]
)
@click.argument("files", nargs=-1, required=True)
@click.option("--kinds", default="all", show_default=True, help=f"Which kinds are linted: {'|'.join(_KINDS)}.")
@click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
@click.option("--offline", is_flag=True, help="Look references up in the given files alone.")
@click.option("-o", "--output", type=click.Choice(("pretty", "simple")), default="pretty", help="Output format.")
@click.option("--no-color", is_flag=True, help="No colours.")
def lint(files: tuple[str, ...], kinds: str, strict: bool, offline: bool, output: str, no_color: bool) -> None:
    """Validate files or directories of manifests; the exit code is 1 if any has an error."""
    if no_color:
        click.get_current_context().color = False
    lint_files(files, _kinds(kinds), output=output, strict=strict, offline=offline)


def _kinds(text: str) -> set[str]:
    names = [_SHORT.get(name, name) for name in text.split(",")]
    if "all" in names:
        return set(_KINDS.values())
    for name in names:
        if name not in _KINDS:
            raise UsageError(f"Unknown kind: {name}.", hint=f"The kinds are: {', '.join(_KINDS)}.")
    return {_KINDS[name] for name in names}


def lint_files(files: Sequence[str], kinds: Collection[str], *, output: str, strict: bool, offline: bool) -> None:
    """Print what is wrong with the objects of some kinds, and exit with 1 if anything is."""
    read = [(name, _documents(name, content, strict=strict)) for name, content in walk(files)]
    given = [one.object for _, found in read if isinstance(found, list) for one in found]
    service = None if offline else workflows()
    errors, linted = 0, False
    for name, found in read:
        problems: list[Problem] = []
        if isinstance(found, Problem):
            linted, problems = True, [found]
        else:
            for document in found:
                if document.kind not in kinds:
                    continue
                linted = True
                if service is None:
                    problems += validate(document, library=GivenTemplates(given), strict=strict)
                else:
                    problems += service.lint(document, given=given, strict=strict)
        errors += sum(problem.severity is Severity.ERROR for problem in problems)
        text = pretty(name, problems, color=True) if output == "pretty" else simple(name, problems)
        click.echo(text, nl=False)
    _summarize(errors, linted=linted, decorated=output == "pretty")


def _documents(name: str, content: bytes, *, strict: bool) -> list[Document] | Problem:
    try:
        return read_documents(content, source=name, strict=strict)
    except SpecError as error:
        return Problem("", error.message)


def _summarize(errors: int, *, linted: bool, decorated: bool) -> None:
    context = click.get_current_context()
    if not linted:
        text = "found nothing to lint in the specified paths, failing..."
        click.echo(click.style(f"✖ {text}", fg="red") if decorated else text)
        context.exit(1)
    if errors:
        if decorated:
            click.echo(click.style(f"✖ {errors} linting errors found!", fg="red"))
        context.exit(1)
    click.echo(f"{click.style('✔', fg='green')} no linting errors found!" if decorated else "no linting errors found!")
