"""`tiphys argo template`, `tiphys argo cluster-template` and `tiphys argo event-binding`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys.cli.argo.files import documents_of, manifests_of
from tiphys.cli.argo.humanize import timestamp
from tiphys.cli.argo.lint import lint_files
from tiphys.cli.argo.printing import OUTPUTS, print_object
from tiphys.cli.argo.session import ArgoGroup, objects
from tiphys.cli.output import aligned
from tiphys.errors import SpecError, UsageError
from tiphys.records.objects import ObjectKind
from tiphys.spec.problems import Severity
from tiphys.spec.reading import Document
from tiphys.spec.validate.lint import validate

if TYPE_CHECKING:
    from tiphys.ports.workflows import Manifest

_COMMANDS = {
    ObjectKind.WORKFLOW_TEMPLATE: "template",
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE: "cluster-template",
    ObjectKind.WORKFLOW_EVENT_BINDING: "event-binding",
}
_HELP = {
    ObjectKind.WORKFLOW_EVENT_BINDING: "Stored WorkflowEventBindings, which submit templates when an event comes.",
}


def group(kind_name: str) -> click.Group:
    """The commands for one kind of object."""
    kind = ObjectKind(kind_name)
    said = _HELP.get(kind, f"Stored {kind}s, which workflows refer to or are submitted from.")
    made = ArgoGroup(_COMMANDS[kind], help=said)
    for add in (_add_writers, _add_get, _add_list, _add_delete, _add_lint):
        add(made, kind)
    return made


def read_objects(files: tuple[str, ...], kind: ObjectKind, *, strict: bool) -> list[Manifest]:
    """The objects of a kind that some files hold.

    Raises:
        UsageError: there is none.
        SpecError: one has fields that do not exist, and `strict` forbids them.
    """
    documents = [one for one in documents_of(files, strict=strict) if one.kind == kind]
    if not documents:
        raise UsageError(f"No {kind} was found in the given files.")
    if strict:
        for document in documents:
            _expect_known_fields(document)
    return manifests_of(documents, kind)


def _expect_known_fields(document: Document) -> None:
    errors = [str(one) for one in validate(document, strict=True) if one.severity is Severity.ERROR]
    if errors:
        raise SpecError(f"The {document.kind} '{document.name}' is not valid: {'; '.join(errors)}")


def print_stored(found: Manifest, output: str | None) -> None:
    """Print a stored object as `argo template get` does."""
    if print_object(found, output or ""):
        return
    metadata = found["metadata"]
    facts = [("Name:", metadata["name"]), ("Namespace:", metadata.get("namespace", ""))]
    for key, value in (*facts, ("Created:", timestamp(metadata["creationTimestamp"]))):
        click.echo(f"{key:<20} {value}")


def _add_writers(made: ArgoGroup, kind: ObjectKind) -> None:
    for verb in ("create", "update"):

        @made.command(
            verb,
            help=f"{verb.capitalize()} {kind}s from FILES, addresses or standard input (`-`).",
            examples=[f"tiphys argo {_COMMANDS[kind]} {verb} templates.yaml"],
        )
        @click.argument("files", nargs=-1, required=True)
        @click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
        @click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
        def write(files: tuple[str, ...], strict: bool, output: str | None, verb: str = verb) -> None:
            service = objects()
            for manifest in read_objects(files, kind, strict=strict):
                print_stored(service.create(manifest) if verb == "create" else service.update(manifest), output)


def _add_get(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("get", examples=[f"tiphys argo {_COMMANDS[kind]} get nightly -o yaml"])
    @click.argument("names", metavar="NAME...", nargs=-1, required=True)
    @click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
    def get(names: tuple[str, ...], output: str | None) -> None:
        """Display details about stored objects."""
        for name in names:
            print_stored(objects().get(kind, name), output)


def _add_list(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("list", examples=[f"tiphys argo {_COMMANDS[kind]} list -l app=nightly"])
    @click.option("-A", "--all-namespaces", is_flag=True, help="Those of all namespaces.")
    @click.option("-l", "--selector", default="", help="Label selector.")
    @click.option("-o", "--output", type=click.Choice(("wide", "name")), default=None, help="Output format.")
    def list_command(all_namespaces: bool, selector: str, output: str | None) -> None:
        """List stored objects."""
        found = [one["metadata"] for one in objects().find(kind, labels=selector, all_namespaces=all_namespaces)]
        namespaces = all_namespaces and not kind.is_cluster_scoped
        rows = [[*([one["namespace"]] if namespaces else []), one["name"]] for one in found]
        if output == "name":
            click.echo("".join(f"{row[-1]}\n" for row in rows), nl=False)
        else:
            click.echo(aligned([["NAMESPACE"] * namespaces + ["NAME"], *rows]))


def _add_delete(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("delete", examples=[f"tiphys argo {_COMMANDS[kind]} delete nightly"])
    @click.argument("names", metavar="[NAME...]", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="Delete all of them.")
    def delete(names: tuple[str, ...], everything: bool) -> None:
        """Delete stored objects."""
        if not names and not everything:
            raise UsageError("Which of them are to be deleted?", hint="Name them, or use --all.")
        service = objects()
        for name in [one["metadata"]["name"] for one in service.find(kind)] if everything else names:
            service.delete(kind, name)
            click.echo(f"{kind} '{name}' deleted")


def _add_lint(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("lint", examples=[f"tiphys argo {_COMMANDS[kind]} lint ./manifests"])
    @click.argument("files", nargs=-1, required=True)
    @click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
    @click.option("-o", "--output", type=click.Choice(("pretty", "simple")), default="pretty", help="Output format.")
    def lint(files: tuple[str, ...], strict: bool, output: str) -> None:
        """Validate files or directories of manifests."""
        lint_files(files, {kind.value}, output=output, strict=strict, offline=False)
