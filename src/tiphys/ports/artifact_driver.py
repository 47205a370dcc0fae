"""Port: carrying an artifact's bytes between a local path and one of Argo's locations (`s3`, `git`, `http`, …).

What a location says and how a driver behaves follows Argo's `workflow/artifacts/common/common.go` and the drivers
beside it. Packing, modes and `subPath` are not a driver's: it moves files and folders as they are.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

from tiphys._util.ids import new_id
from tiphys.errors import NotFoundError, SpecError
from tiphys.spec.artifacts import Artifact, ArtifactPaths
from tiphys.spec.base import Spec
from tiphys.spec.kubernetes import SecretKeySelector

#: What names a location: an artifact, or (its files are listed, not read) the source of a `data` template.
Located = Artifact | ArtifactPaths

#: Gives the value of a key of a Secret; None if there is none.
Secrets = Callable[[SecretKeySelector], str | None]

L = TypeVar("L", bound=Spec)


class ArtifactDriver(ABC):
    """Reads and, where the location can be written, saves the files of artifacts.

    Transient failures of the other side are tried again before an error is raised. A driver has no state of its own:
    it may be used from several threads.

    Args:
        secrets: Where the credentials that an artifact names come from.
    """

    #: The field of an artifact that it is for, as in JSON.
    location: ClassVar[str]

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    @abstractmethod
    def load(self, artifact: Located, into: Path) -> None:
        """Bring the file or folder to `into`, which is not there before; after an error it is not there either.

        Raises:
            ArtifactMissingError: there is nothing at the location.
            ArtifactError: it cannot be had; the message says what the other side answered.
            SpecError: the location lacks a field, or has one that cannot be honoured.
            NotFoundError: a Secret or its key is missing.
        """

    def save(self, path: Path, artifact: Located) -> None:
        """Put the file or folder at `path` to the location; what was there under the same names is replaced.

        Raises:
            ArtifactError: it cannot be stored.
            SpecError, NotFoundError: as for `load`; or the location cannot be written.
        """
        raise self._refuse(artifact, "cannot be saved to, only read")

    def delete(self, artifact: Located) -> None:
        """Remove the file, or the folder with all that is in it; ignored if it is not there. Raises as `save`."""
        raise self._refuse(artifact, "cannot be deleted from")

    def list_keys(self, artifact: Located) -> list[str]:
        """Keys of all files at and beneath the location, whole (as the location spells them) and in order.

        Raises:
            ArtifactMissingError: there is nothing at the location.
            ArtifactError, SpecError, NotFoundError: as for `load`; or the location cannot be listed.
        """
        raise self._refuse(artifact, "cannot be listed")

    def is_folder(self, artifact: Located) -> bool:
        """Whether the location holds a folder: there is at least one file beneath it. Raises as `list_keys`."""
        raise self._refuse(artifact, "cannot be asked whether it holds a folder")

    def at(self, artifact: Located, kind: type[L]) -> L:
        """What the artifact says of its location.

        Raises:
            SpecError: its location is of another type.
        """
        found = getattr(artifact, self.location)
        if not isinstance(found, kind):
            raise SpecError(f"{named(artifact)} has no location of type '{self.location}'.")
        return found

    def error(self, artifact: Located, field: str, problem: str, *, hint: str | None = None) -> SpecError:
        """An error about a field of the location: `field` and `problem` read as one sentence."""
        return SpecError(f"{named(artifact)}: {self.location}.{field} {problem}.", hint=hint)

    def required(self, artifact: Located, field: str, value: str | None) -> str:
        """A field's value.

        Raises:
            SpecError: it is absent or empty.
        """
        if not value:
            raise self.error(artifact, field, "is missing")
        return value

    def secret(self, artifact: Located, field: str, selector: SecretKeySelector | None) -> str | None:
        """The value that a field of the location selects; None if the field is absent, or optional and not to be had.

        Raises:
            NotFoundError: there is no such Secret, or it has no such key.
        """
        if selector is None or not selector.name:
            return None
        value = self._secrets(selector)
        if value is None and not selector.optional:
            raise NotFoundError(
                f"{named(artifact)}: {self.location}.{field} names the key '{selector.key}' of the Secret "
                f"'{selector.name}', and there is no such key or Secret.",
                hint=f"Create the Secret '{selector.name}' with a key '{selector.key}', or correct the field.",
            )
        return value

    def required_secret(self, artifact: Located, field: str, selector: SecretKeySelector | None) -> str:
        """As `secret`, of a field that must be there and have a value."""
        return self.required(artifact, field, self.secret(artifact, field, selector))

    def _refuse(self, artifact: Located, problem: str) -> SpecError:
        return SpecError(f"{named(artifact)}: a location of type '{self.location}' {problem}.")


@contextmanager
def arriving(into: Path) -> Iterator[Path]:
    """Gives a path beside `into` to write a file or folder to, which takes its place at the end; or nothing does."""
    into.parent.mkdir(parents=True, exist_ok=True)
    staged = into.with_name(f".{new_id()}.part")
    try:
        yield staged
        staged.rename(into)
    finally:
        if staged.is_dir():
            shutil.rmtree(staged, ignore_errors=True)
        else:
            staged.unlink(missing_ok=True)


def files_of(folder: Path) -> list[str]:
    """All files of a folder as relative names with `/`, in order. Links are left out, as Argo leaves them."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )


def is_plain(name: str) -> bool:
    """Whether no part of a key or relative name leads elsewhere: none is empty, `.` or `..`."""
    return all(part not in {"", ".", ".."} for part in name.split("/"))


def named(artifact: Located, *, within: bool = False) -> str:
    """What a message calls an artifact, at its beginning or within it."""
    article = "the" if within else "The"
    return f"{article} artifact '{artifact.name}'" if artifact.name else f"{article} artifact"
