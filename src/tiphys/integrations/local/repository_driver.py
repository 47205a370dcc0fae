"""The default artifact repository: a folder. Artifacts that name a key and no bucket are kept there, by their keys.

Argo takes what a key-only location lacks from a repository that the cluster configures; here it needs no configuration.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from tiphys.errors import ArtifactError, ArtifactMissingError, SpecError
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving, files_of, is_plain, named

#: Locations that may leave their bucket to the repository: field of an artifact → (key, bucket).
KEYED = {"s3": ("key", "bucket"), "gcs": ("key", "bucket"), "oss": ("key", "bucket"), "azure": ("blob", "container")}


def key_only(artifact: Located) -> str | None:
    """The key of an artifact whose location names nothing else; None of other artifacts."""
    for location, (key, bucket) in KEYED.items():
        found = getattr(artifact, location)
        if found is not None and getattr(found, key) and not getattr(found, bucket):
            return str(getattr(found, key))
    return None


class RepositoryDriver(ArtifactDriver):
    """Files in a folder, by their keys.

    Args:
        folder: Where they are.
    """

    location: ClassVar[str] = "key"

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda _: None)  # it needs no credentials
        self._folder = folder

    def load(self, artifact: Located, into: Path) -> None:
        """Copy the file or folder."""
        source = self._path(artifact)
        with arriving(into) as staged:
            if not source.exists() or (self._key(artifact).endswith("/") and not source.is_dir()):
                raise self._missing(artifact)
            if source.is_dir():
                shutil.copytree(source, staged)
            else:
                shutil.copyfile(source, staged)

    def save(self, path: Path, artifact: Located) -> None:
        """Copy a file, or the files of a folder over what is there."""
        target = self._path(artifact)
        if not path.exists():
            raise ArtifactError(f"{named(artifact)} cannot be stored: there is no '{path}'.")
        for name in files_of(path) if path.is_dir() else [""]:
            place = target / name if name else target
            with arriving(place) as staged:
                shutil.copyfile(path / name if name else path, staged)

    def delete(self, artifact: Located) -> None:
        """Remove the file or folder."""
        target = self._path(artifact)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def list_keys(self, artifact: Located) -> list[str]:
        """Keys of the files at and beneath a key."""
        target = self._path(artifact)
        if target.is_file():
            return [target.relative_to(self._folder).as_posix()]
        if not target.is_dir():
            raise self._missing(artifact)
        return [(target / name).relative_to(self._folder).as_posix() for name in files_of(target)]

    def is_folder(self, artifact: Located) -> bool:
        """Whether there are files beneath the key."""
        return self._path(artifact).is_dir()

    def _key(self, artifact: Located) -> str:
        return key_only(artifact) or ""

    def _path(self, artifact: Located) -> Path:
        key = self._key(artifact).strip("/")
        if not key or not is_plain(key):
            raise SpecError(f"{named(artifact)}: the key '{key}' has a part that is empty, '.' or '..'.")
        return self._folder / key

    def _missing(self, artifact: Located) -> ArtifactMissingError:
        return ArtifactMissingError(
            f"{named(artifact)}: there is nothing in the repository under '{self._key(artifact)}'."
        )
