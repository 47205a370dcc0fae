"""`tiphys configmap`, `tiphys secret` and `tiphys pvc`: what workflows read and write beside their artifacts."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.argo.files import documents_of, manifests_of
from tiphys.cli.argo.humanize import short_duration
from tiphys.cli.argo.printing import print_object
from tiphys.cli.argo.session import ArgoGroup, objects
from tiphys.cli.options import confirm, dry_run_option, yes_option
from tiphys.cli.output import aligned
from tiphys.errors import UsageError
from tiphys.records.objects import ObjectKind
from tiphys.services.workflows.options import pairs_of

if TYPE_CHECKING:
    from tiphys.ports.workflows import Manifest

#: Formats in which objects are printed.
_FORMATS = ("name", "json", "yaml")
_COMMANDS = {
    ObjectKind.CONFIG_MAP: "configmap",
    ObjectKind.SECRET: "secret",
    ObjectKind.PERSISTENT_VOLUME_CLAIM: "pvc",
}


def group(kind_name: str) -> click.Group:
    """The commands for one kind of object."""
    kind = ObjectKind(kind_name)
    made = ArgoGroup(_COMMANDS[kind], help=f"{kind}s: create, look, delete.")
    for add in (_add_create, _add_get, _add_list, _add_delete):
        add(made, kind)
    return made


def _add_create(made: ArgoGroup, kind: ObjectKind) -> None:
    has_values = kind is not ObjectKind.PERSISTENT_VOLUME_CLAIM
    command = _COMMANDS[kind]

    def create(name: str, files: tuple[str, ...], dry_run: bool, **given: Any) -> None:
        manifests = manifests_of(documents_of(files, strict=True), kind)
        if files and not manifests:
            raise UsageError(f"No {kind} was found in the given files.")
        if name:
            literals, sources = given.get("literals") or (), given.get("sources") or ()
            manifests.append(_manifest(kind, name, _values(literals, sources)))
        if not manifests:
            raise UsageError("There is nothing to create.", hint=f"tiphys {command} create NAME, or -f FILE")
        for manifest in manifests:
            stored = objects().apply(manifest, dry_run=dry_run)
            click.echo(f"{command}/{stored['metadata']['name']} {'would be stored' if dry_run else 'stored'}")

    create.__doc__ = f"Create {kind}s, or replace those there are: from manifests (-f), or one by NAME."
    decorate: list[Callable[[Any], Any]] = [
        click.argument("name", default=""),
        click.option("-f", "--filename", "files", multiple=True, help="Manifest file, address, or - (repeat it)."),
        dry_run_option,
    ]
    if has_values:
        decorate += [
            click.option("--from-literal", "literals", multiple=True, help="KEY=VALUE."),
            click.option("--from-file", "sources", multiple=True, help="KEY=PATH, or PATH whose name is the key."),
        ]
    function: Any = create
    for one in decorate:
        function = one(function)
    example = (
        f"tiphys {command} create settings --from-literal region=eu" if has_values else f"tiphys {command} create data"
    )
    made.command("create", examples=[example, f"tiphys {command} create -f objects.yaml"])(function)


def _add_get(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("get", examples=[f"tiphys {_COMMANDS[kind]} get NAME -o yaml"])
    @click.argument("names", metavar="NAME...", nargs=-1, required=True)
    @click.option("-o", "--output", type=click.Choice(_FORMATS), default=None, help="Output format.")
    def get(names: tuple[str, ...], output: str | None) -> None:
        """Display objects; a Secret's values are shown by `-o yaml` and `-o json` alone."""
        for name in names:
            found = objects().get(kind, name)
            if not print_object(found, output or ""):
                click.echo("\n".join(f"{key:<20} {value}".rstrip() for key, value in _facts(kind, found)))


def _add_list(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("list", examples=[f"tiphys {_COMMANDS[kind]} list -l app=nightly"])
    @click.option("-l", "--selector", default="", help="Label selector.")
    @click.option("--field-selector", default="", help="Field selector, e.g. metadata.name=settings.")
    @click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
    @click.option("-o", "--output", type=click.Choice(_FORMATS), default=None, help="Output format.")
    def list_command(selector: str, field_selector: str, all_namespaces: bool, output: str | None) -> None:
        """List objects."""
        found = objects().find(kind, labels=selector, fields=field_selector, all_namespaces=all_namespaces)
        if output is not None:
            for one in found:
                print_object(one, output)
        elif found:
            titles = ["NAMESPACE"] * all_namespaces + ["NAME", "KEYS", "AGE"]
            click.echo(aligned([titles, *(_row(one, namespaces=all_namespaces) for one in found)]))
        else:
            click.echo(f"No {kind} found", err=True)


def _add_delete(made: ArgoGroup, kind: ObjectKind) -> None:
    @made.command("delete", examples=[f"tiphys {_COMMANDS[kind]} delete NAME --dry-run"])
    @click.argument("names", metavar="NAME...", nargs=-1, required=True)
    @dry_run_option
    @yes_option
    def delete(names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
        """Delete objects; the data of a volume claim goes with it."""
        service = objects()
        found = [service.get(kind, name) for name in names]
        folders = [folder for one in found if (folder := _folder(one)) is not None]
        if folders and not dry_run:
            confirm(f"Delete {', '.join(map(str, folders))} with all data in it?", yes=yes)
        for one in found:
            name = one["metadata"]["name"]
            if not dry_run:
                service.delete(kind, name)
            folder = _folder(one) if dry_run else None
            more = f", with {folder}" if folder else ""
            click.echo(f"{kind} '{name}' {'would be deleted' if dry_run else 'deleted'}{more}")


def _folder(found: Manifest) -> Path | None:
    if found["kind"] != ObjectKind.PERSISTENT_VOLUME_CLAIM:
        return None
    return objects().claim_folder(found["metadata"]["namespace"], found["metadata"]["name"])


def _values(literals: Sequence[str], sources: Sequence[str]) -> dict[str, bytes]:
    values = {key: text.encode() for key, text in pairs_of(literals, "literal").items()}
    for source in sources:
        key, equals, place = source.partition("=")
        path = Path(place if equals else source)
        try:
            values[key if equals else path.name] = path.read_bytes()
        except OSError as error:
            raise UsageError(f"'{path}' cannot be read: {error.strerror}.") from error
    return values


def _manifest(kind: ObjectKind, name: str, values: dict[str, bytes]) -> dict[str, Any]:
    """An object that holds these values; what is no text stands in base64."""
    manifest: dict[str, Any] = {"kind": kind.value, "metadata": {"name": name}}
    if kind is ObjectKind.SECRET:
        return {**manifest, "data": {key: base64.b64encode(value).decode() for key, value in values.items()}}
    for key, value in values.items():
        try:
            manifest.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            manifest.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    return manifest


def _facts(kind: ObjectKind, found: Manifest) -> list[tuple[str, str]]:
    metadata = found["metadata"]
    facts = [("Name:", metadata["name"]), ("Namespace:", metadata.get("namespace", ""))]
    facts += [("Labels:", ",".join(f"{key}={value}" for key, value in (metadata.get("labels") or {}).items()))]
    facts += [("Created:", metadata["creationTimestamp"])]
    folder = _folder(found)
    if folder is not None:
        facts.append(("Folder:", str(folder)))
    for key, value in (found.get("data") or {}).items():
        shown = f"{len(base64.b64decode(value))} bytes" if kind is ObjectKind.SECRET else value
        facts.append((f"  {key}:", shown))
    facts += [
        (f"  {key}:", f"{len(base64.b64decode(value))} bytes") for key, value in (found.get("binaryData") or {}).items()
    ]
    return facts


def _row(found: Manifest, *, namespaces: bool) -> list[str]:
    metadata = found["metadata"]
    keys = len(found.get("data") or {}) + len(found.get("binaryData") or {})
    row = [metadata["name"], str(keys), short_duration(metadata["creationTimestamp"])]
    return [metadata["namespace"], *row] if namespaces else row
