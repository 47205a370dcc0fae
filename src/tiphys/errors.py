"""The one tree of errors: what happened, where, and what to do next.

Every error that Tiphys raises on purpose derives from `TiphysError`. A class fixes three things that its
callers act on: `code` (a stable word for scripts), `http_status` (what a server answers) and `exit_code`
(what the command line ends with: 1 = a run failed, 2 = the request was wrong).
"""

from __future__ import annotations


class TiphysError(Exception):
    """Root of all errors raised on purpose.

    Args:
        message: What happened and where, one sentence or a short paragraph.
        hint: What to do next; printed on a line of its own.
    """

    code = "internal"
    http_status = 500
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(TiphysError, ValueError):
    """The request itself is wrong; nothing was run or changed."""

    code = "invalid"
    http_status = 400
    exit_code = 2


class DefinitionError(UsageError):
    """A step or a pipeline is defined or called wrongly (found before anything runs)."""

    code = "invalid_definition"


class SpecError(UsageError):
    """A workflow object does not obey the specification."""

    code = "invalid_spec"


class ExpressionError(UsageError):
    """An expression or a template tag cannot be parsed or evaluated."""

    code = "invalid_expression"


class StackError(UsageError):
    """The active stack lacks a component, or a component lacks an ability that was asked for."""

    code = "invalid_stack"


class MissingExtraError(UsageError):
    """An integration's libraries are not installed.

    Args:
        integration: Name of the integration, which is also the name of the extra.
        module: The import that failed.
    """

    code = "missing_extra"

    def __init__(self, integration: str, module: str) -> None:
        super().__init__(
            f"The integration '{integration}' needs '{module}', which is not installed.",
            hint=f"pip install 'tiphys[{integration}]'",
        )


class NotFoundError(TiphysError, KeyError):
    """No object of that name or id."""

    code = "not_found"
    http_status = 404
    exit_code = 2

    def __str__(self) -> str:  # KeyError would show the repr
        return TiphysError.__str__(self)


class AlreadyExistsError(TiphysError):
    """An object of that name or version exists."""

    code = "already_exists"
    http_status = 409
    exit_code = 2


class ConflictError(TiphysError):
    """The object's state forbids the operation."""

    code = "conflict"
    http_status = 409
    exit_code = 2


class ArtifactError(TiphysError):
    """An artifact could not be saved or loaded."""

    code = "artifact"


class DigestMismatchError(ArtifactError):
    """Stored data is not what was recorded; it was not loaded."""

    code = "digest_mismatch"


class ArtifactMissingError(ArtifactError):
    """The data of an artifact version is no longer in its store."""

    code = "artifact_missing"
    http_status = 404


class UnauthenticatedError(TiphysError):
    """Nobody is known by what the request brought, or it brought nothing and has to."""

    code = "unauthenticated"
    http_status = 401
    exit_code = 2


class ForbiddenError(TiphysError):
    """It is known who asks, and they may not."""

    code = "forbidden"
    http_status = 403
    exit_code = 2


class TooManyAttemptsError(TiphysError):
    """So many logins failed that for a while none is tried."""

    code = "too_many_attempts"
    http_status = 429
    exit_code = 2


class UnimplementedError(TiphysError):
    """What was asked for is known, and not there yet."""

    code = "unimplemented"
    http_status = 501
    exit_code = 2


class UpgradeError(TiphysError):
    """Client and server are of versions that do not understand each other; the hint says which one to upgrade."""

    code = "upgrade_required"
    http_status = 426
    exit_code = 2


class StoreError(TiphysError):
    """The metadata database refused or lost an operation."""

    code = "store"
    http_status = 503


class DiskFullError(StoreError):
    """There is no room for what was to be written; nothing of it was."""

    code = "disk_full"
    http_status = 507


class HeldElsewhereError(StoreError):
    """Another server on the same database carries the run out, and has to be asked.

    Args:
        message: Which run.
        url: Where that server is reached; empty if it did not say.
        certificate: The one that it shows (PEM); empty for plain HTTP.
    """

    def __init__(self, message: str, *, url: str = "", certificate: str = "") -> None:
        super().__init__(message, hint="Ask that one, or wait for the run's end.")
        self.url = url
        self.certificate = certificate


class RunFailedError(TiphysError):
    """A pipeline run did not complete.

    Args:
        message: The run, the step and the cause.
        run_id: Id of the run.
        step: The step that failed first, if a step did.
        hint: The command that shows more.
    """

    code = "run_failed"

    def __init__(self, message: str, *, run_id: str, step: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.run_id = run_id
        self.step = step


class StepTimeoutError(TiphysError, TimeoutError):
    """A step passed its deadline."""

    code = "timeout"


class StepCancelledError(TiphysError):
    """A step was stopped from outside."""

    code = "cancelled"


class ServiceError(TiphysError):
    """A service (a model server, say) or an outside server does not do what was asked of it."""

    code = "service"
    http_status = 502


class InvariantError(TiphysError):
    """The engine's state contradicts itself: a defect of Tiphys."""

    code = "invariant"
