"""Chooses the driver of an artifact's location, and imports it when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.errors import SpecError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_driver import ArtifactDriver, Located, Secrets, named
from tiphys.spec.artifacts import Artifact, ArtifactPaths

_HERE = "tiphys.integrations"

#: Field of an artifact → `module:Class` of its driver.
DRIVERS = {
    "artifactory": f"{_HERE}.http.artifactory_driver:ArtifactoryDriver",
    "azure": f"{_HERE}.azure.driver:AzureDriver",
    "gcs": f"{_HERE}.gcs.driver:GCSDriver",
    "git": f"{_HERE}.git.driver:GitDriver",
    "hdfs": f"{_HERE}.http.hdfs_driver:HDFSDriver",
    "http": f"{_HERE}.http.driver:HTTPDriver",
    "oss": f"{_HERE}.s3.oss_driver:OSSDriver",
    "raw": f"{_HERE}.local.raw_driver:RawDriver",
    "s3": f"{_HERE}.s3.driver:S3Driver",
}


def driver_of(artifact: Located, secrets: Secrets) -> ArtifactDriver:
    """A driver for the location that an artifact names.

    Raises:
        SpecError: it names none, several, or one that has no driver here.
        MissingExtraError: the driver's libraries are not installed.
    """
    given = [name for name in (*DRIVERS, "plugin") if getattr(artifact, name) is not None]
    if len(given) != 1:
        told = f"several locations ({', '.join(given)})" if given else "no location"
        raise SpecError(f"{named(artifact)} names {told}.", hint=f"Give one of {', '.join(DRIVERS)}.")
    if given == ["plugin"]:
        raise SpecError(f"{named(artifact)} has a location of type 'plugin', for which there is no driver here.")
    found: ArtifactDriver = load(DRIVERS[given[0]])(secrets)
    return found


class ArtifactDrivers:
    """Carries artifacts that are given as JSON objects, each by the driver of its location.

    Args:
        secrets: Where the credentials that an artifact names come from.
        repository: Folder of the default repository, for artifacts that name a key and no bucket.
    """

    def __init__(self, secrets: Secrets, repository: Path) -> None:
        self._secrets = secrets
        self._repository = repository

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        """As `ArtifactDriver.load`; raises as that and `driver_of` do."""
        read = Artifact.from_json(artifact)
        self._driver(read).load(read, into)

    def save(self, path: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `ArtifactDriver.save`; raises as that and `driver_of` do. Returns the artifact, whose location stays."""
        read = Artifact.from_json(artifact)
        self._driver(read).save(path, read)
        return artifact

    def list_keys(self, artifact: Mapping[str, Any]) -> list[str]:
        """As `ArtifactDriver.list_keys`; raises as that and `driver_of` do."""
        read = ArtifactPaths.from_json(artifact)
        return self._driver(read).list_keys(read)

    def delete(self, artifact: Mapping[str, Any]) -> None:
        """As `ArtifactDriver.delete`; raises as that and `driver_of` do."""
        read = Artifact.from_json(artifact)
        self._driver(read).delete(read)

    def _driver(self, artifact: Located) -> ArtifactDriver:
        here = f"{_HERE}.local.repository_driver"
        if load(f"{here}:key_only")(artifact) is None:
            return driver_of(artifact, self._secrets)
        found: ArtifactDriver = load(f"{here}:RepositoryDriver")(self._repository)
        return found
