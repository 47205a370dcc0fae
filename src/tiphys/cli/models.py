"""`tiphys model`: models, their versions and stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.lookups import by_id
from tiphys.cli.options import confirm, dry_run_option, limit_option, output_option, yes_option
from tiphys.cli.output import Column, ago, describe, emit, heading, mapping, plain, show_list, table, when
from tiphys.cli.session import backend
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.models import ModelLink, ModelStage, ModelVersion, RegisteredModel
from tiphys.records.runs import Run

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend

_STAGES = [stage.value for stage in ModelStage if stage is not ModelStage.LATEST]
_COLOURS = {ModelStage.PRODUCTION: "green", ModelStage.STAGING: "yellow", ModelStage.ARCHIVED: "bright_black"}


@click.group(cls=HintingGroup)
def model() -> None:
    """Models, their versions and stages.

    VERSION is a number, a version's name, a stage, or `latest`.
    """


@model.command("list", examples=["tiphys model list"])
@limit_option(50)
@output_option
def list_models(limit: int, output: str) -> None:
    """List models."""
    session = backend()
    found = session.find(Query.of(RegisteredModel, order="name", limit=limit or None))
    columns: list[Column[RegisteredModel]] = [
        Column("NAME", lambda item: item.name),
        Column("VERSIONS", lambda item: str(session.count(Query.of(ModelVersion, model_id=item.id)))),
        Column("PRODUCTION", lambda item: _in_stage(session, item, ModelStage.PRODUCTION)),
        Column("STAGING", lambda item: _in_stage(session, item, ModelStage.STAGING)),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(found, columns, output=output, limit=limit, empty="No models.", name=lambda item: item.name)


def _in_stage(session: Backend, item: RegisteredModel, stage: ModelStage) -> str:
    found = session.find(Query.of(ModelVersion, model_id=item.id, stage=stage.value, limit=1))
    return found[0].name if found else ""


@model.command(examples=["tiphys model show churn", "tiphys model show churn production"])
@click.argument("name")
@click.argument("version", required=False)
@output_option
def show(name: str, version: str | None, output: str) -> None:
    """Show a model, or one of its versions with what is linked to it."""
    session = backend()
    if version is not None:
        _show_version(session, session.models.get_version(name, version), output)
        return
    found = session.models.get(name)
    versions = session.find(Query.of(ModelVersion, model_id=found.id))
    tags = session.labels.tags_of(EntityType.MODEL, [found.id]).get(found.id, [])
    if output in ("json", "yaml"):
        emit({**plain(found), "tags": tags, "versions": versions}, output)
        return
    if output == "name":
        click.echo(found.name)
        return
    pairs = [("Name", found.name), ("Id", found.id), ("Made", when(found.created_at)), ("Tags", ", ".join(tags))]
    describe(pairs + [(key.replace("_", " ").capitalize(), str(text)) for key, text in found.card.items() if text])
    if versions:
        heading("Versions")
        table(_version_columns(wide=output == "wide"), versions, indent=2)


def _show_version(session: Backend, found: ModelVersion, output: str) -> None:
    if output == "name":
        click.echo(f"{found.model_name}:{found.name}")
        return
    links = session.find(Query.of(ModelLink, model_version_id=found.id, order="id"))
    targets: dict[str, list[str]] = {}
    for link in links:
        targets.setdefault(link.target_type, []).append(link.target_id)
    artifacts = by_id(session, ArtifactVersion, targets.get(EntityType.ARTIFACT_VERSION, ())).values()
    runs = by_id(session, Run, targets.get(EntityType.RUN, ())).values()
    metadata = session.labels.metadata_of(EntityType.MODEL_VERSION, [found.id]).get(found.id, {})
    tags = session.labels.tags_of(EntityType.MODEL_VERSION, [found.id]).get(found.id, [])
    if output in ("json", "yaml"):
        emit({**plain(found), "tags": tags, "metadata": metadata, "artifacts": [*artifacts], "runs": [*runs]}, output)
        return
    describe(
        [
            ("Model", found.model_name),
            ("Version", found.name),
            ("Number", str(found.number) if str(found.number) != found.name else ""),
            ("Stage", click.style(found.stage.value, fg=_COLOURS.get(found.stage))),
            ("Id", found.id),
            ("Description", found.description),
            ("Made", when(found.created_at)),
            ("Runs", ", ".join(run.name for run in runs)),
            ("Tags", ", ".join(tags)),
        ]
    )
    mapping("Metadata", metadata)
    if artifacts:
        heading("Artifacts")
        columns: list[Column[ArtifactVersion]] = [
            Column("NAME", lambda item: item.name),
            Column("VERSION", lambda item: item.version),
            Column("TYPE", lambda item: item.type.value.removesuffix("Artifact")),
            Column("DATA", lambda item: item.data_type.rpartition(".")[2]),
        ]
        table(columns, list(artifacts), indent=2)


def _version_columns(*, wide: bool) -> list[Column[ModelVersion]]:
    columns: list[Column[ModelVersion]] = [
        Column("VERSION", lambda item: item.name),
        Column("STAGE", lambda item: item.stage.value, colour=lambda item: _COLOURS.get(item.stage)),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("DESCRIPTION", lambda item: item.description.partition("\n")[0]),
        Column("ID", lambda item: item.id, wide=True),
    ]
    return [column for column in columns if wide or not column.wide]


@model.command(examples=["tiphys model versions churn", "tiphys model versions churn --stage archived -o json"])
@click.argument("name")
@click.option("--stage", type=click.Choice(_STAGES), help="Only those in this stage.")
@limit_option(50)
@output_option
def versions(name: str, stage: str | None, limit: int, output: str) -> None:
    """List the versions of a model, the newest first."""
    session = backend()
    equal = {"model_id": session.models.get(name).id, **({"stage": stage} if stage else {})}
    found = session.find(Query.of(ModelVersion, limit=limit or None, **equal))
    columns = _version_columns(wide=True)
    show_list(
        found,
        columns,
        output=output,
        limit=limit,
        empty="No such versions.",
        name=lambda item: f"{item.model_name}:{item.name}",
    )


@model.command(
    examples=["tiphys model promote churn 3 production", "tiphys model promote churn latest production --force"]
)
@click.argument("name")
@click.argument("version")
@click.argument("stage", type=click.Choice(_STAGES))
@click.option("--force", is_flag=True, help="Archive the version that is there now.")
def promote(name: str, version: str, stage: str, force: bool) -> None:
    """Move a version to a stage."""
    session = backend()
    found = session.models.get_version(name, version)
    moved = session.models.set_stage(found.id, ModelStage(stage), force=force)
    click.echo(f"Model {moved.model_name}: version {moved.name} is now in stage {moved.stage.value}.")


@model.command(examples=["tiphys model delete churn --dry-run", "tiphys model delete churn 3 --yes"])
@click.argument("name")
@click.argument("version", required=False)
@dry_run_option
@yes_option
def delete(name: str, version: str | None, dry_run: bool, yes: bool) -> None:
    """Delete a model with its versions, or one version; artifacts and runs stay."""
    session = backend()
    found = session.models.get(name)
    one = None if version is None else session.models.get_version(name, version)
    if one is None:
        count = session.count(Query.of(ModelVersion, model_id=found.id))
        what = f"model {found.name} and its {count} version{'' if count == 1 else 's'}"
    else:
        what = f"version {one.name} of model {found.name}"
    if dry_run:
        click.echo(f"Would delete {what}.")
        return
    confirm(f"Delete {what}?", yes=yes)
    if one is None:
        session.models.delete(found.id)
    else:
        session.models.delete_version(one.id)
    click.echo(f"Deleted {what}.")
