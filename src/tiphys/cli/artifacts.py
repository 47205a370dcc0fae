"""`tiphys artifact`: artifacts, their versions, their pictures, and what can be thrown away."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from tiphys._util import human
from tiphys.cli.kept import kept
from tiphys.cli.lazy import HintingGroup
from tiphys.cli.lookups import find_run, find_version
from tiphys.cli.options import confirm, dry_run_option, limit_option, output_option, since_option, yes_option
from tiphys.cli.output import Column, ago, describe, emit, mapping, plain, short_digest, show_list, when
from tiphys.cli.pictures import visualize
from tiphys.cli.session import backend
from tiphys.records.artifacts import Artifact, ArtifactVersion
from tiphys.records.base import EntityType, Query, Where
from tiphys.records.runs import Run, StepRun

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


@click.group(cls=HintingGroup)
def artifact() -> None:
    """Artifacts and their versions.

    ARTIFACT is a name, `name:version` or a version's id; without a version the newest is meant.
    """


artifact.add_command(visualize)
artifact.add_command(kept)


@artifact.command("list", examples=["tiphys artifact list --custom", "tiphys artifact list --contains model -o name"])
@click.option("--contains", help="Part of the name.")
@click.option("--custom", is_flag=True, help="Only names that were given, no `pipeline::step::output`.")
@limit_option(50)
@output_option
def list_artifacts(contains: str | None, custom: bool, limit: int, output: str) -> None:
    """List artifacts."""
    session = backend()
    where = [Where("name", contains, "contains")] if contains else []
    if custom:
        where.append(Where("has_custom_name", True))
    found = session.find(Query(Artifact, tuple(where), limit=limit or None))
    columns: list[Column[Artifact]] = [
        Column("NAME", lambda item: item.name),
        Column("VERSIONS", lambda item: str(session.count(Query.of(ArtifactVersion, artifact_id=item.id)))),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(found, columns, output=output, limit=limit, empty="No artifacts.", name=lambda item: item.name)


@artifact.command(examples=["tiphys artifact versions churn_model", "tiphys artifact versions --run latest"])
@click.argument("artifact", required=False)
@click.option("--run", help="Made by this run.")
@since_option
@limit_option(50)
@output_option
def versions(artifact: str | None, run: str | None, since: datetime | None, limit: int, output: str) -> None:
    """List versions of an artifact, or of all, the newest first."""
    session = backend()
    where = []
    if artifact:
        where.append(Where("artifact_id", session.artifacts.get_version(artifact).artifact_id))
    if run:
        where.append(Where("run_id", find_run(session, run).id))
    if since:
        where.append(Where("created_at", since, "ge"))
    found = session.find(Query(ArtifactVersion, tuple(where), limit=limit or None))
    columns: list[Column[ArtifactVersion]] = [
        Column("NAME", lambda item: item.name),
        Column("VERSION", lambda item: item.version),
        Column("TYPE", lambda item: item.type.value.removesuffix("Artifact")),
        Column("DATA", lambda item: item.data_type.rpartition(".")[2]),
        Column("SIZE", lambda item: human.size(item.size)),
        Column("DIGEST", lambda item: short_digest(item.digest)),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("MATERIALIZER", lambda item: item.materializer, wide=True),
        Column("URI", lambda item: item.uri, wide=True),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(
        found,
        columns,
        output=output,
        limit=limit,
        empty="No artifact versions.",
        name=lambda item: f"{item.name}:{item.version}",
    )


@artifact.command(examples=["tiphys artifact show churn_model", "tiphys artifact show churn_model:3 -o json"])
@click.argument("artifact")
@output_option
def show(artifact: str, output: str) -> None:
    """Show a version of an artifact: what it is, who made it, its metadata."""
    session = backend()
    version = find_version(session, artifact)
    if output == "name":
        click.echo(f"{version.name}:{version.version}")
        return
    ids = [version.id]
    metadata = session.labels.metadata_of(EntityType.ARTIFACT_VERSION, ids).get(version.id, {})
    tags = session.labels.tags_of(EntityType.ARTIFACT_VERSION, ids).get(version.id, [])
    if output in ("json", "yaml"):
        emit({**plain(version), "tags": tags, "metadata": metadata}, output)
        return
    pictures = [f"{name} ({seen['type']})" for name, seen in version.visualizations.items()]
    describe(
        [
            ("Name", version.name),
            ("Version", version.version),
            ("Id", version.id),
            ("Type", version.type.value),
            ("Data", version.data_type),
            ("Size", human.size(version.size)),
            ("Digest", version.digest),
            ("Where", version.uri),
            ("Store", version.store),
            ("Materializer", version.materializer),
            ("Made by", _producer(session, version)),
            ("Made", when(version.created_at)),
            ("Pictures", ", ".join(pictures)),
            ("Tags", ", ".join(tags)),
        ]
    )
    mapping("Metadata", metadata)


def _producer(session: Backend, version: ArtifactVersion) -> str:
    steps = session.find(Query.of(StepRun, id=version.producer_step_run_id)) if version.producer_step_run_id else []
    runs = session.find(Query.of(Run, id=version.run_id)) if version.run_id else []
    step = f"step {steps[0].name}" if steps else version.save_type.value.replace("_", " ")
    return f"{step} of run {runs[0].name}" if runs else step


@artifact.command(examples=["tiphys artifact gc --dry-run", "tiphys artifact gc --yes"])
@dry_run_option
@yes_option
@output_option
def gc(dry_run: bool, yes: bool, output: str) -> None:
    """Remove from the stores the data that no version points to; what is young is kept."""
    session = backend()
    found = session.artifacts.gc(dry_run=True)
    if found and not dry_run:
        confirm(f"Remove {_trees(found)}?", yes=yes)
        found = session.artifacts.gc(dry_run=False)
    if output != "table" or (dry_run and found):
        columns: list[Column[tuple[str, int]]] = [
            Column("DIGEST", lambda item: item[0]),
            Column("SIZE", lambda item: human.size(item[1])),
        ]
        show_list(
            found,
            columns,
            output=output,
            empty="Nothing to remove.",
            name=lambda item: item[0],
            data=lambda item: {"digest": item[0], "size": item[1]},
        )
    if output == "table":
        done = "Would remove" if dry_run else "Removed"
        click.echo(f"{done} {_trees(found)}." if found else "Nothing to remove.")


def _trees(found: list[tuple[str, int]]) -> str:
    return f"{len(found)} tree{'' if len(found) == 1 else 's'}, {human.size(sum(size for _, size in found))}"


@artifact.command(
    examples=["tiphys artifact delete churn_model:3", "tiphys artifact delete scratch --all-versions --yes"]
)
@click.argument("artifact", nargs=-1, required=True)
@click.option("--all-versions", is_flag=True, help="All versions of the named artifacts.")
@dry_run_option
@yes_option
def delete(artifact: tuple[str, ...], all_versions: bool, dry_run: bool, yes: bool) -> None:
    """Delete versions that no run uses (their data goes with the next `artifact gc`)."""
    session = backend()
    found = [find_version(session, name) for name in artifact]
    if all_versions:
        ids = sorted({version.artifact_id for version in found})
        found = session.find(Query.of(ArtifactVersion, artifact_id=ids))
    names = ", ".join(f"{version.name}:{version.version}" for version in found)
    if dry_run:
        click.echo(f"Would delete, if no run uses them: {names}.")
        return
    confirm(f"Delete {names}?", yes=yes)
    count = session.artifacts.delete_versions([version.id for version in found])
    click.echo(f"Deleted {count} of {len(found)} versions" + ("." if count == len(found) else "; runs use the others."))
