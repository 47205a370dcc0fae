"""What can be said about steps and pipelines beside their code: retries, caching, artifacts, tags.

Plain data, no pydantic, because importing it would cost more than all of the authoring layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tiphys.errors import DefinitionError

if TYPE_CHECKING:
    from uuid import UUID

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_seconds(value: float | timedelta | str, what: str) -> float:
    """Seconds of a duration given as seconds, a timedelta, or text such as "90s", "10m" or "1h30m".

    Args:
        value: The duration.
        what: What it is, for the message of an error.
    """
    seconds: float | None = None
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        text = value.strip()
        found = _DURATION.findall(text)
        if found and "".join(number + unit for number, unit in found) == text:
            seconds = sum(float(number) * _UNITS[unit] for number, unit in found)
        elif re.fullmatch(r"\d+(\.\d+)?", text):
            seconds = float(text)
    if seconds is None or not 0 < seconds < float("inf"):
        raise DefinitionError(
            f"{what} is {value!r}, which is no duration above zero.",
            hint='Give seconds, a timedelta, or text such as "90s", "10m" or "1h30m".',
        )
    return seconds


def duration_text(seconds: float) -> str:
    """Seconds as a manifest has them: "90s", "0.5s"."""
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds:.9f}".rstrip("0") + "s"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint for a wrong name: the nearest known one, and all of them if they are few."""
    from difflib import get_close_matches  # only errors need it

    close = get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known are: {', '.join(known)}." if known else "There is none."


class ExecutionMode(StrEnum):
    """What a run does when one of its steps fails."""

    #: Stop the steps that run, start nothing.
    FAIL_FAST = "fail_fast"
    #: Let the steps that run finish, start nothing.
    STOP_ON_FAILURE = "stop_on_failure"
    #: Go on with every step that does not depend on the failed one.
    CONTINUE_ON_FAILURE = "continue_on_failure"


@dataclass(frozen=True, slots=True)
class StepRetryConfig:
    """How often, when and after which errors a failed step is tried again.

    Attributes:
        max_retries: Attempts beyond the first.
        delay: Seconds before the first retry.
        backoff: What each further delay is multiplied with; 1 keeps it as it is.
        max_delay: Upper limit of a delay, in seconds.
        jitter: Share of a delay (0 to 1) that is left to chance, so that steps which failed together come back apart.
        only: Exceptions (classes, or their "module:name") to retry after; all if empty. Subclasses count.
        never: Exceptions not to retry after; this beats `only`. An interruption (Ctrl-C) is never retried.
    """

    max_retries: int = 1
    delay: float = 0
    backoff: float = 2
    max_delay: float | None = None
    jitter: float = 0
    only: Sequence[type[BaseException] | str] = ()
    never: Sequence[type[BaseException] | str] = ()

    def __post_init__(self) -> None:
        wrong = None
        if type(self.max_retries) is not int or self.max_retries < 0:
            wrong = f"max_retries={self.max_retries!r}: give a whole number of 0 or more"
        elif not self.delay >= 0:
            wrong = f"delay={self.delay!r}: give seconds, 0 or more"
        elif not self.backoff >= 1:
            wrong = f"backoff={self.backoff!r}: give 1 (the same delay each time) or more"
        elif self.max_delay is not None and not self.max_delay > 0:
            wrong = f"max_delay={self.max_delay!r}: give seconds above 0"
        elif not 0 <= self.jitter <= 1:
            wrong = f"jitter={self.jitter!r}: give a share between 0 and 1"
        if wrong is not None:
            raise DefinitionError(f"StepRetryConfig has {wrong}.")


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """What a step's cached result depends on.

    Attributes:
        include_step_code: The step's code and the project's own code that it calls.
        include_step_parameters: Values of its parameters.
        include_artifact_values: Content of its input artifacts.
        include_artifact_ids: Identity of input artifacts, where their content does not count.
        ignored_inputs: Names of parameters and input artifacts that do not count.
        file_dependencies: Files (or folders) whose content counts, relative to the working directory.
        source_dependencies: Functions, classes or modules ("module" or "module:name") whose code counts.
        cache_func: Function without arguments whose text counts.
        expires_after: Seconds after which a result is no longer used.
    """

    include_step_code: bool = True
    include_step_parameters: bool = True
    include_artifact_values: bool = True
    include_artifact_ids: bool = True
    ignored_inputs: Sequence[str] = ()
    file_dependencies: Sequence[str] = ()
    source_dependencies: Sequence[Any] = ()
    cache_func: Callable[[], str] | str | None = None
    expires_after: float | None = None

    def __post_init__(self) -> None:
        for name in ("ignored_inputs", "file_dependencies", "source_dependencies"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset, type(None))):
                raise DefinitionError(f"CachePolicy has {name}={value!r}: give a list.")
        if self.expires_after is not None and not self.expires_after > 0:
            raise DefinitionError(f"CachePolicy has expires_after={self.expires_after!r}: give seconds above 0.")

    @staticmethod
    def of(value: CachePolicy | Mapping[str, Any] | str, where: str) -> CachePolicy | None:
        """A policy, its fields as a dictionary (of a configuration file), "default", or "no_cache" (None)."""
        if isinstance(value, CachePolicy):
            return value
        if value == "default":
            return CachePolicy()
        if value == "no_cache":
            return None
        if isinstance(value, Mapping):
            policy: CachePolicy = from_fields(CachePolicy, value, f"cache_policy of {where}")
            return policy
        raise DefinitionError(
            f"cache_policy of {where} is {value!r}.", hint='Give a CachePolicy, "default" or "no_cache".'
        )


@dataclass(frozen=True, slots=True)
class ArtifactConfig:
    """Name and properties of an output's artifact, as in `Annotated[T, ArtifactConfig(...)]`.

    Attributes:
        name: Name of the artifact; may hold {date}, {time} and the pipeline's or step's own substitutions.
        version: Explicit version; the next number if None.
        tags: Tags of each version.
        run_metadata: Metadata of each version.
        artifact_type: "DataArtifact", "ModelArtifact", … where the materializer's own choice does not fit.
        format: How the value is written, where its type has a choice: "skops" for scikit-learn's estimators.
    """

    name: str | None = None
    version: str | int | None = None
    tags: Sequence[str] | None = None
    run_metadata: Mapping[str, Any] | None = None
    artifact_type: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ExternalArtifact:
    """An input from outside of the pipeline: a value that is stored as an artifact, or an artifact that there is.

    Attributes:
        value: The value.
        materializer: Class (or "module:Class") that stores it; found by its type if None.
        store_artifact_metadata: Whether facts about it are recorded.
        store_artifact_visualizations: Whether pictures of it are made.
        id: Id of an artifact version, instead of a value.
    """

    value: Any = None
    materializer: Any = None
    store_artifact_metadata: bool = True
    store_artifact_visualizations: bool = True
    id: UUID | str | None = None

    def __post_init__(self) -> None:
        if self.id is not None and self.value is not None:
            raise DefinitionError("An ExternalArtifact has both a value and an id.", hint="Give one of them.")


@dataclass(frozen=True, slots=True)
class UnmaterializedArtifact:
    """Annotate a step's input with it to get the artifact version's description instead of its value.

    Attributes:
        id: Id of the artifact version.
        name: Name of the artifact.
        version: Its version.
        type: Kind of artifact.
        uri: Folder or address of its files.
        digest: SHA-256 over them.
        materializer: "module:Class" that reads them.
        data_type: "module.qualname" of the value.
    """

    id: str
    name: str
    version: str
    type: str
    uri: str
    digest: str
    materializer: str
    data_type: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag with properties; a plain text does where they do not matter.

    Attributes:
        name: What it is called.
        color: How it is shown.
        exclusive: At most one run of a pipeline (or version of an artifact) has it: the newest.
        cascade: A run's tag is put on the run's outputs too.
    """

    name: str
    color: str | None = None
    exclusive: bool | None = None
    cascade: bool | None = None


def from_fields(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """A dataclass made of named values, as a configuration file has them.

    Raises:
        DefinitionError: a name is unknown, or a needed one is missing.
    """
    known = [field.name for field in fields(kind)]
    for name in values:
        if name not in known:
            raise DefinitionError(f"{where} has an unknown field '{name}'.", hint=did_you_mean(str(name), known))
    try:
        return kind(**values)
    except TypeError as error:
        raise DefinitionError(f"{where} is not complete: {error}.") from error


for _public in (ExecutionMode, StepRetryConfig, CachePolicy, ArtifactConfig, ExternalArtifact, Tag):
    _public.__module__ = "tiphys"
