"""Artifacts: where they lie, and where they appear in a container.

(Semantics: Argo, workflow/validate `validateArtifactLocation`, v1alpha1 `HasLocationOrKey` and `CleanPath`.)
"""

from __future__ import annotations

import posixpath

from tiphys.spec.artifacts import Artifact, ArtifactLocation, ArtifactPaths, HDFSArtifact
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.values import check_word

#: JSON names of the places an artifact may lie in.
LOCATIONS = ("s3", "git", "http", "artifactory", "hdfs", "raw", "oss", "gcs", "azure", "plugin")
_GC_STRATEGIES = ("Never", "OnWorkflowCompletion", "OnWorkflowDeletion")


def has_place(artifact: Artifact | ArtifactPaths | ArtifactLocation) -> bool:
    """Whether it says where it lies, at least by a key in the default repository."""
    keyed = (artifact.s3, artifact.gcs, artifact.oss, artifact.plugin)
    if any(place is not None and place.key for place in keyed) or artifact.raw is not None:
        return True
    named = (
        artifact.azure and artifact.azure.blob,
        artifact.git and artifact.git.repo,
        artifact.http and artifact.http.url,
        artifact.artifactory and artifact.artifactory.url,
        artifact.hdfs and (artifact.hdfs.path or artifact.hdfs.addresses),
    )
    return any(named)


def check_location(artifact: Artifact | ArtifactPaths | ArtifactLocation, place: Place, findings: Findings) -> None:
    """At most one place, and that one complete."""
    given = [name for name in LOCATIONS if getattr(artifact, name) is not None]
    if len(given) > 1:
        findings.error(place, f"at most one artifact location can be specified, not {', '.join(given)}")
    if artifact.git is not None and not artifact.git.repo:
        findings.error(place.field("git", "repo"), "is required")
    if artifact.hdfs is not None:
        _check_hdfs(artifact.hdfs, place.field("hdfs"), findings)
    if artifact.s3 is not None:
        check_word(
            artifact.s3.addressing_style, ("path", "virtual-hosted"), place.field("s3", "addressingStyle"), findings
        )
    if not isinstance(artifact, ArtifactLocation):
        if artifact.artifact_gc is not None:
            check_word(artifact.artifact_gc.strategy, _GC_STRATEGIES, place.field("artifactGC", "strategy"), findings)
        if artifact.mode is not None and not 0 <= artifact.mode <= 0o777:
            findings.error(place.field("mode"), "must be between 0 and 511 (0777)")
        _check_archive(artifact, place, findings)


def _check_archive(artifact: Artifact | ArtifactPaths, place: Place, findings: Findings) -> None:
    if artifact.archive is not None:
        given = [name for name in ("none", "tar", "zip") if getattr(artifact.archive, name) is not None]
        if len(given) > 1:
            findings.error(
                place.field("archive"), f"only one of none, tar, zip can be specified, not {', '.join(given)}"
            )


def _check_hdfs(hdfs: HDFSArtifact, place: Place, findings: Findings) -> None:
    if not hdfs.addresses:
        findings.error(place.field("addresses"), "is required")
    if not hdfs.path:
        findings.error(place.field("path"), "is required")
    elif not hdfs.path.startswith(("/", "{{")):
        findings.error(place.field("path"), "must be an absolute file path")
    if not hdfs.hdfs_user and hdfs.krb_c_cache_secret is None and hdfs.krb_keytab_secret is None:
        findings.error(place, "one of hdfsUser, krbCCacheSecret or krbKeytabSecret is required")
    if hdfs.krb_keytab_secret is not None:
        needed = (hdfs.krb_service_principal_name, hdfs.krb_config_config_map, hdfs.krb_username, hdfs.krb_realm)
        if not all(needed):
            findings.error(
                place,
                "krbServicePrincipalName, krbConfigConfigMap, krbUsername and krbRealm are required"
                " with krbKeytabSecret",
            )
    if hdfs.krb_c_cache_secret is not None and not (hdfs.krb_service_principal_name and hdfs.krb_config_config_map):
        findings.error(place, "krbServicePrincipalName and krbConfigConfigMap are required with krbCCacheSecret")


def check_path(artifact: Artifact, place: Place, findings: Findings) -> None:
    """The path in the container: given, and not climbing out of the directory it begins with."""
    if not artifact.path:
        findings.error(place, f"Artifact '{artifact.name}' did not specify a path")
    elif escapes(artifact.path):
        findings.error(
            place.field("path"),
            f"Artifact '{artifact.name}' attempted to use a path containing '..'. Directory traversal is not permitted",
        )


def escapes(path: str) -> bool:
    """Whether `..` leads out of what stands before it."""
    before, found, _ = path.partition("/../")
    if not found:
        if not path.endswith("/.."):
            return False
        before = path[:-3]
    return bool(before) and not posixpath.normpath(path).startswith(before + "/")
