"""Client: everything that was recorded, and the changes that can be made to it, under ZenML's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tiphys.errors import NotFoundError, UsageError
from tiphys.plugins.loading import load
from tiphys.records.artifacts import Artifact, ArtifactVersion
from tiphys.records.base import EntityType, Operator, Query, R, Where
from tiphys.records.models import ModelVersion, RegisteredModel
from tiphys.records.runs import Pipeline, Run, StepRun
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord
from tiphys.records.tags import TagLink, TagRecord
from tiphys.sdk.config import Tag
from tiphys.sdk.model_views import ModelVersionView, ModelView, StackView, stage_named
from tiphys.sdk.session import current_backend
from tiphys.sdk.tags import as_request
from tiphys.sdk.views import ArtifactVersionView, PipelineView, RunView, StepView

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend

#: Records of one page.
PAGE_SIZE = 20
_OPERATORS: dict[str, Operator] = {"contains": "contains", "startswith": "prefix", "equals": "eq"}
#: ZenML's names of fields to sort by.
_SORT_FIELDS = {"created": "id", "started": "started_at", "finished": "finished_at", "version": "id"}


class Page(list[Any]):
    """A page of results; `items` is the list itself.

    Attributes:
        total: How many there are on all pages.
        page: Number of this page, from 1.
        max_size: Most results of a page.
    """

    def __init__(self, items: Iterable[Any], *, total: int, page: int, max_size: int) -> None:
        super().__init__(items)
        self.total = total
        self.page = page
        self.max_size = max_size

    @property
    def items(self) -> list[Any]:
        """The results of this page."""
        return list(self)

    @property
    def total_pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // self.max_size))


class Client:
    """Asks for and changes what is recorded.

    Args:
        backend: Whom to ask; by default the backend of this process.
    """

    def __init__(self, backend: Backend | None = None) -> None:
        self._given = backend

    @property
    def backend(self) -> Backend:
        """Who is asked."""
        return self._given or current_backend()

    # Stacks -----------------------------------------------------------------------------------------------------------

    @property
    def active_stack(self) -> StackView:
        """The stack in use."""
        return StackView(self.backend.stacks.active(), self.backend)

    @property
    def active_stack_model(self) -> StackRecord:
        """The record of the stack in use."""
        return self.backend.stacks.active()

    def get_stack(self, name_id_or_prefix: str | None = None) -> StackView:
        """A stack; the one in use by default."""
        stacks = self.backend.stacks
        return StackView(stacks.active() if name_id_or_prefix is None else stacks.get(name_id_or_prefix), self.backend)

    def list_stacks(self, *, size: int = PAGE_SIZE, page: int = 1) -> Page:
        """Stacks."""
        return self._page(StackRecord, (), "asc:created", size, page, lambda one: StackView(one, self.backend))

    def activate_stack(self, stack_name_id_or_prefix: str) -> None:
        """Use a stack from now on."""
        self.backend.stacks.activate(stack_name_id_or_prefix)

    def list_stack_components(
        self, component_type: ComponentType | str | None = None, *, size: int = PAGE_SIZE, page: int = 1
    ) -> Page:
        """Components; their secrets are hidden by `stack describe`, not here."""
        where = () if component_type is None else (Where("type", ComponentType(component_type)),)
        return self._page(Component, where, "asc:created", size, page, lambda one: one)

    # Pipelines and runs -----------------------------------------------------------------------------------------------

    def get_pipeline(self, name_id_or_prefix: str) -> PipelineView:
        """A pipeline by name, id or beginning of an id."""
        return PipelineView(self._find(Pipeline, name_id_or_prefix, "pipeline"), self.backend)

    def list_pipelines(
        self, name: str | None = None, *, sort_by: str = "desc:created", size: int = PAGE_SIZE, page: int = 1
    ) -> Page:
        """Pipelines."""
        where = _where(name=name)
        return self._page(Pipeline, where, sort_by, size, page, lambda one: PipelineView(one, self.backend))

    def get_pipeline_run(self, name_id_or_prefix: str) -> RunView:
        """A run by name, id or beginning of an id."""
        return RunView(self.backend.runs.get(name_id_or_prefix), self.backend)

    def list_pipeline_runs(
        self,
        *,
        pipeline: str | None = None,
        pipeline_id: str | None = None,
        pipeline_name: str | None = None,
        name: str | None = None,
        status: str | None = None,
        stack: str | None = None,
        model_version_id: str | None = None,
        tag: str | None = None,
        tags: Sequence[str] | None = None,
        sort_by: str = "desc:created",
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Runs, the newest first.

        Args:
            pipeline: Name or id of their pipeline.
            pipeline_id: Id of their pipeline.
            pipeline_name: Name of their pipeline.
            name: Their name; also `contains:…` and `startswith:…`.
            status: How far they are.
            stack: Name of their stack.
            model_version_id: Id of their model version.
            tag: A tag that they have.
            tags: Tags, all of which they have.
            sort_by: `desc:created`, `asc:created`, or the same with `name`, `status`, `started`, `finished`.
            size: How many on a page.
            page: Which page, from 1.
        """
        if pipeline is not None:
            pipeline_id = self._find(Pipeline, pipeline, "pipeline").id
        where = _where(
            name=name,
            status=status,
            stack=stack,
            pipeline_id=pipeline_id,
            pipeline_name=pipeline_name,
            model_version_id=model_version_id,
        )
        where += self._tagged(EntityType.RUN, tag, tags)
        return self._page(Run, where, sort_by, size, page, lambda one: RunView(one, self.backend))

    def delete_pipeline_run(self, name_id_or_prefix: str) -> None:
        """Remove a finished run; artifact versions stay."""
        self.backend.runs.delete(name_id_or_prefix)

    def get_run_step(self, step_run_id: str) -> StepView:
        """A step run by id or beginning of an id."""
        return StepView(self._find(StepRun, step_run_id, "step run", by_name=False), self.backend)

    def list_run_steps(
        self,
        *,
        name: str | None = None,
        pipeline_run_id: str | None = None,
        status: str | None = None,
        cache_key: str | None = None,
        sort_by: str = "desc:created",
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Step runs, the newest first; `pipeline_run_id` may be a run's name too."""
        run_id = None if pipeline_run_id is None else self.backend.runs.get(pipeline_run_id).id
        where = _where(name=name, run_id=run_id, status=status, cache_key=cache_key)
        return self._page(StepRun, where, sort_by, size, page, lambda one: StepView(one, self.backend))

    # Artifacts --------------------------------------------------------------------------------------------------------

    def get_artifact(self, name_id_or_prefix: str) -> Artifact:
        """An artifact by name, id or beginning of an id."""
        return self._find(Artifact, name_id_or_prefix, "artifact")

    def list_artifacts(
        self,
        name: str | None = None,
        *,
        tag: str | None = None,
        has_custom_name: bool | None = None,
        sort_by: str = "desc:created",
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Artifacts."""
        where = _where(name=name, has_custom_name=has_custom_name) + self._tagged(EntityType.ARTIFACT, tag, None)
        return self._page(Artifact, where, sort_by, size, page, lambda one: one)

    def get_artifact_version(self, name_id_or_prefix: str, version: str | int | None = None) -> ArtifactVersionView:
        """An artifact version by id, or by the artifact's name and version (the newest by default)."""
        return ArtifactVersionView(self.backend.artifacts.get_version(name_id_or_prefix, version), self.backend)

    def list_artifact_versions(
        self,
        *,
        artifact: str | None = None,
        name: str | None = None,
        version: str | int | None = None,
        type: str | None = None,
        run_id: str | None = None,
        digest: str | None = None,
        tag: str | None = None,
        tags: Sequence[str] | None = None,
        sort_by: str = "desc:created",
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Artifact versions, the newest first; `artifact` and `name` are the artifact's."""
        artifact_id = None if artifact is None else self.get_artifact(artifact).id
        where = _where(
            artifact_id=artifact_id,
            name=name,
            version=None if version is None else str(version),
            type=type,
            run_id=run_id,
            digest=digest,
        )
        where += self._tagged(EntityType.ARTIFACT_VERSION, tag, tags)
        return self._page(
            ArtifactVersion, where, sort_by, size, page, lambda one: ArtifactVersionView(one, self.backend)
        )

    def delete_artifact_version(self, name_id_or_prefix: str, version: str | int | None = None) -> None:
        """Remove an artifact version that no run uses.

        Raises:
            UsageError: a run uses it.
        """
        found = self.backend.artifacts.get_version(name_id_or_prefix, version)
        if not self.backend.artifacts.delete_versions([found.id]):
            raise UsageError(
                f"The artifact '{found.name}' version {found.version} is used by a run.", hint="Delete the run first."
            )

    # Models -----------------------------------------------------------------------------------------------------------

    def create_model(
        self,
        name: str,
        *,
        license: str | None = None,
        description: str | None = None,
        audience: str | None = None,
        use_cases: str | None = None,
        limitations: str | None = None,
        trade_offs: str | None = None,
        ethics: str | None = None,
        tags: Sequence[str] | None = None,
        save_models_to_registry: bool = True,
    ) -> ModelView:
        """A new model; the fields are those of `Model`.

        Raises:
            UsageError: there is one of that name.
        """
        if self.backend.count(Query.of(RegisteredModel, name=name)):
            raise UsageError(f"There is a model '{name}' already.")
        model = load("tiphys.sdk.model:Model")(
            name=name,
            license=license,
            description=description,
            audience=audience,
            use_cases=use_cases,
            limitations=limitations,
            trade_offs=trade_offs,
            ethics=ethics,
            tags=tags,
            save_models_to_registry=save_models_to_registry,
        )
        return ModelView(self.backend.models.ensure(model.to_request()), self.backend)

    def get_model(self, model_name_or_id: str) -> ModelView:
        """A model."""
        return ModelView(self.backend.models.get(model_name_or_id), self.backend)

    def list_models(
        self,
        *,
        name: str | None = None,
        tag: str | None = None,
        sort_by: str = "desc:created",
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Models."""
        where = _where(name=name) + self._tagged(EntityType.MODEL, tag, None)
        return self._page(RegisteredModel, where, sort_by, size, page, lambda one: ModelView(one, self.backend))

    def delete_model(self, model_name_or_id: str) -> None:
        """Remove a model and its versions; artifacts stay."""
        self.backend.models.delete(model_name_or_id)

    def create_model_version(
        self,
        model_name_or_id: str,
        name: str | None = None,
        *,
        description: str = "",
        tags: Sequence[str] | None = None,
    ) -> ModelVersionView:
        """A new version of a model; numbers and stages are no names for it."""
        version = self.backend.models.create_version(
            model_name_or_id, name, description=description, tags=tuple(tags or ())
        )
        return ModelVersionView(version, self.backend)

    def get_model_version(
        self,
        model_name_or_id: str | None = None,
        model_version_name_or_number_or_id: str | int | None = None,
    ) -> ModelVersionView:
        """A version by number, stage, name or id; the newest by default."""
        wanted = model_version_name_or_number_or_id
        if model_name_or_id is None:
            found = self._find(ModelVersion, str(wanted), "model version", by_name=False)
            return ModelVersionView(found, self.backend)
        return ModelVersionView(self.backend.models.get_version(model_name_or_id, wanted), self.backend)

    def list_model_versions(
        self,
        model_name_or_id: str | None = None,
        *,
        name: str | None = None,
        number: int | None = None,
        stage: str | None = None,
        tag: str | None = None,
        sort_by: str = "desc:created",
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Versions of a model (or of all), the newest first."""
        model_id = None if model_name_or_id is None else self.backend.models.get(model_name_or_id).id
        stage_value = None if stage is None else stage_named(stage).value
        where = _where(model_id=model_id, name=name, number=number, stage=stage_value)
        where += self._tagged(EntityType.MODEL_VERSION, tag, None)
        return self._page(ModelVersion, where, sort_by, size, page, lambda one: ModelVersionView(one, self.backend))

    def delete_model_version(self, model_version_id: str) -> None:
        """Remove a model version; what is linked to it stays."""
        self.backend.models.delete_version(model_version_id)

    # Tags, metadata, services -----------------------------------------------------------------------------------------

    def create_tag(
        self, name: str, *, color: str | None = None, exclusive: bool | None = None, cascade: bool | None = None
    ) -> TagRecord:
        """A tag with its properties."""
        return self.backend.labels.ensure_tag(as_request(Tag(name, color, exclusive, cascade)))

    def get_tag(self, tag_name_or_id: str) -> TagRecord:
        """A tag."""
        return self._find(TagRecord, tag_name_or_id, "tag")

    def list_tags(self, name: str | None = None, *, size: int = PAGE_SIZE, page: int = 1) -> Page:
        """Tags."""
        return self._page(TagRecord, _where(name=name), "asc:name", size, page, lambda one: one)

    def delete_tag(self, tag_name_or_id: str) -> None:
        """Remove a tag and take it off everything."""
        self.backend.labels.delete_tag(self.get_tag(tag_name_or_id).name)

    def create_run_metadata(
        self, metadata: Mapping[str, Any], resource_type: EntityType | str, resource_id: str
    ) -> None:
        """Set metadata of anything that can have it."""
        self.backend.labels.log_metadata(metadata, [(EntityType(resource_type), resource_id)])

    def get_service(self, name_id_or_prefix: str) -> Service:
        """A service that a component started."""
        return self._find(Service, name_id_or_prefix, "service")

    def list_services(
        self,
        *,
        name: str | None = None,
        flavor: str | None = None,
        pipeline_name: str | None = None,
        model_name: str | None = None,
        size: int = PAGE_SIZE,
        page: int = 1,
    ) -> Page:
        """Services, the newest first."""
        where = _where(name=name, flavor=flavor, pipeline_name=pipeline_name, model_name=model_name)
        return self._page(Service, where, "desc:created", size, page, lambda one: one)

    # ------------------------------------------------------------------------------------------------------------------

    def _find(self, kind: type[R], name_or_id: str, what: str, *, by_name: bool = True) -> R:
        """A record by name, id or beginning of an id (8 characters or more)."""
        found: list[R] = []
        if by_name:
            found = self.backend.find(Query(kind, (Where("name", name_or_id),), limit=1))
        found = found or self.backend.find(Query(kind, (Where("id", name_or_id),)))
        if not found and len(name_or_id) >= 8:
            found = self.backend.find(Query(kind, (Where("id", name_or_id, "prefix"),), limit=2))
        if len(found) != 1:
            problem = f"There is no {what}" if not found else f"Several {what}s have an id that begins with"
            raise NotFoundError(f"{problem} '{name_or_id}'.")
        return found[0]

    def _tagged(self, entity: EntityType, tag: str | None, tags: Sequence[str] | None) -> tuple[Where, ...]:
        """The condition that something has all these tags."""
        ids: set[str] | None = None
        for name in dict.fromkeys([*([tag] if tag else []), *(tags or ())]):
            links = self.backend.find(Query.of(TagLink, tag_name=name, entity_type=entity.value))
            having = {link.entity_id for link in links}
            ids = having if ids is None else ids & having
        return () if ids is None else (Where("id", sorted(ids), "in"),)

    def _page(self, kind: type[R], where: tuple[Where, ...], sort_by: str, size: int, page: int, show: Any) -> Page:
        if size < 1 or page < 1:
            raise UsageError(f"size={size} and page={page} must be 1 or more.")
        direction, _, name = sort_by.rpartition(":")
        if direction not in ("", "asc", "desc"):
            raise UsageError(f"sort_by='{sort_by}' is not understood.", hint="Write asc:FIELD or desc:FIELD.")
        order = f"{'-' if direction == 'desc' else ''}{_SORT_FIELDS.get(name, name)}"
        records = self.backend.find(Query(kind, where, order, limit=size * page))
        total = self.backend.count(Query(kind, where))
        return Page(map(show, records[size * (page - 1) :]), total=total, page=page, max_size=size)


def _where(**equal: Any) -> tuple[Where, ...]:
    """Conditions on the fields that are given; texts may say how to compare (`contains:…`, `startswith:…`)."""
    conditions = []
    for field, value in equal.items():
        if value is None:
            continue
        operator, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
        if colon and operator in _OPERATORS:
            conditions.append(Where(field, rest, _OPERATORS[operator]))
        elif colon and operator == "oneof":
            conditions.append(Where(field, [part.strip(" \"'") for part in rest.strip("[]").split(",")], "in"))
        else:
            conditions.append(Where(field, value))
    return tuple(conditions)


Client.__module__ = "tiphys"
