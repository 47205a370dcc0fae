"""Artifacts and the places they may lie in."""

from __future__ import annotations

from tiphys.spec.base import Spec
from tiphys.spec.kubernetes import ConfigMapKeySelector, SecretKeySelector


class TarStrategy(Spec):
    """Pack as a tar file, compressed with gzip."""

    compression_level: int | None = None


class NoneStrategy(Spec):
    """Store the file or folder as it is."""


class ZipStrategy(Spec):
    """Pack as a zip file."""


class ArchiveStrategy(Spec):
    """How an artifact is packed; exactly one field is set, tar without any."""

    none: NoneStrategy | None = None
    tar: TarStrategy | None = None
    zip: ZipStrategy | None = None


class CreateS3BucketOptions(Spec):
    """Make the bucket if it is not there."""

    object_locking: bool | None = None


class S3EncryptionOptions(Spec):
    """Encryption of an object in S3."""

    enable_encryption: bool | None = None
    kms_encryption_context: str | None = None
    kms_key_id: str | None = None
    server_side_customer_key_secret: SecretKeySelector | None = None


class S3Artifact(Spec):
    """An object or a prefix in S3."""

    access_key_secret: SecretKeySelector | None = None
    addressing_style: str | None = None
    bucket: str | None = None
    ca_secret: SecretKeySelector | None = None
    create_bucket_if_not_present: CreateS3BucketOptions | None = None
    encryption_options: S3EncryptionOptions | None = None
    endpoint: str | None = None
    insecure: bool | None = None
    key: str | None = None
    region: str | None = None
    role_arn: str | None = None
    secret_key_secret: SecretKeySelector | None = None
    session_token_secret: SecretKeySelector | None = None
    use_sdk_creds: bool | None = None


class BasicAuth(Spec):
    """User name and password."""

    password_secret: SecretKeySelector | None = None
    username_secret: SecretKeySelector | None = None


class ClientCertAuth(Spec):
    """A TLS client certificate."""

    client_cert_secret: SecretKeySelector | None = None
    client_key_secret: SecretKeySelector | None = None


class OAuth2EndpointParam(Spec):
    """A parameter of an OAuth 2 token request."""

    key: str | None = None
    value: str | None = None


class OAuth2Auth(Spec):
    """Client credentials of OAuth 2."""

    client_id_secret: SecretKeySelector | None = None
    client_secret_secret: SecretKeySelector | None = None
    endpoint_params: list[OAuth2EndpointParam] | None = None
    scopes: list[str] | None = None
    token_url_secret: SecretKeySelector | None = None


class HTTPAuth(Spec):
    """How to authenticate to an HTTP server."""

    basic_auth: BasicAuth | None = None
    client_cert: ClientCertAuth | None = None
    oauth2: OAuth2Auth | None = None


class Header(Spec):
    """A header of a request for an artifact."""

    name: str | None = None
    value: str | None = None


class HTTPArtifact(Spec):
    """A file that HTTP serves."""

    auth: HTTPAuth | None = None
    headers: list[Header] | None = None
    save_stream_via_file: bool | None = None
    url: str | None = None


class GitArtifact(Spec):
    """A working copy of a git repository."""

    branch: str | None = None
    depth: int | None = None
    disable_submodules: bool | None = None
    fetch: list[str] | None = None
    insecure_ignore_host_key: bool | None = None
    insecure_skip_tls: bool | None = None
    password_secret: SecretKeySelector | None = None
    repo: str | None = None
    revision: str | None = None
    single_branch: bool | None = None
    ssh_private_key_secret: SecretKeySelector | None = None
    username_secret: SecretKeySelector | None = None


class ArtifactoryArtifact(Spec):
    """A file in Artifactory."""

    password_secret: SecretKeySelector | None = None
    url: str | None = None
    username_secret: SecretKeySelector | None = None


class AzureArtifact(Spec):
    """A blob in Azure."""

    account_key_secret: SecretKeySelector | None = None
    blob: str | None = None
    container: str | None = None
    endpoint: str | None = None
    use_sdk_creds: bool | None = None


class GCSArtifact(Spec):
    """An object or a prefix in Google Cloud Storage."""

    bucket: str | None = None
    key: str | None = None
    service_account_key_secret: SecretKeySelector | None = None


class HDFSArtifact(Spec):
    """A file in HDFS."""

    addresses: list[str] | None = None
    data_transfer_protection: str | None = None
    force: bool | None = None
    hdfs_user: str | None = None
    krb_c_cache_secret: SecretKeySelector | None = None
    krb_config_config_map: ConfigMapKeySelector | None = None
    krb_keytab_secret: SecretKeySelector | None = None
    krb_realm: str | None = None
    krb_service_principal_name: str | None = None
    krb_username: str | None = None
    path: str | None = None


class OSSLifecycleRule(Spec):
    """When an object in OSS may be deleted."""

    mark_deletion_after_days: int | None = None
    mark_infrequent_access_after_days: int | None = None


class OSSArtifact(Spec):
    """An object or a prefix in Alibaba OSS."""

    access_key_secret: SecretKeySelector | None = None
    bucket: str | None = None
    create_bucket_if_not_present: bool | None = None
    endpoint: str | None = None
    key: str | None = None
    lifecycle_rule: OSSLifecycleRule | None = None
    secret_key_secret: SecretKeySelector | None = None
    security_token: str | None = None
    use_sdk_creds: bool | None = None


class RawArtifact(Spec):
    """An artifact whose content stands in the manifest."""

    data: str | None = None


class PluginArtifact(Spec):
    """An artifact that a driver outside of Argo stores."""

    name: str | None = None
    configuration: str | None = None
    connection_timeout_seconds: int | None = None
    key: str | None = None


class Metadata(Spec):
    """Labels and annotations of pods."""

    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class ArtifactGC(Spec):
    """When an artifact is deleted."""

    pod_metadata: Metadata | None = None
    service_account_name: str | None = None
    strategy: str | None = None


class ArtifactLocation(Spec):
    """A place for artifacts."""

    archive_logs: bool | None = None
    artifactory: ArtifactoryArtifact | None = None
    azure: AzureArtifact | None = None
    gcs: GCSArtifact | None = None
    git: GitArtifact | None = None
    hdfs: HDFSArtifact | None = None
    http: HTTPArtifact | None = None
    oss: OSSArtifact | None = None
    plugin: PluginArtifact | None = None
    raw: RawArtifact | None = None
    s3: S3Artifact | None = None


class Artifact(Spec):
    """An input or output of files: at most one location, or `from_` another node's artifact."""

    name: str | None = None
    archive: ArchiveStrategy | None = None
    archive_logs: bool | None = None
    artifact_gc: ArtifactGC | None = None
    artifactory: ArtifactoryArtifact | None = None
    azure: AzureArtifact | None = None
    deleted: bool | None = None
    from_: str | None = None
    from_expression: str | None = None
    gcs: GCSArtifact | None = None
    git: GitArtifact | None = None
    global_name: str | None = None
    hdfs: HDFSArtifact | None = None
    http: HTTPArtifact | None = None
    mode: int | None = None
    optional: bool | None = None
    oss: OSSArtifact | None = None
    path: str | None = None
    plugin: PluginArtifact | None = None
    raw: RawArtifact | None = None
    recurse_mode: bool | None = None
    s3: S3Artifact | None = None
    sub_path: str | None = None


class ArtifactPaths(Spec):
    """An artifact whose files are listed, not read."""

    name: str | None = None
    archive: ArchiveStrategy | None = None
    archive_logs: bool | None = None
    artifact_gc: ArtifactGC | None = None
    artifactory: ArtifactoryArtifact | None = None
    azure: AzureArtifact | None = None
    deleted: bool | None = None
    from_: str | None = None
    from_expression: str | None = None
    gcs: GCSArtifact | None = None
    git: GitArtifact | None = None
    global_name: str | None = None
    hdfs: HDFSArtifact | None = None
    http: HTTPArtifact | None = None
    mode: int | None = None
    optional: bool | None = None
    oss: OSSArtifact | None = None
    path: str | None = None
    plugin: PluginArtifact | None = None
    raw: RawArtifact | None = None
    recurse_mode: bool | None = None
    s3: S3Artifact | None = None
    sub_path: str | None = None


class ArtifactRepositoryRef(Spec):
    """Which artifact repository a workflow uses."""

    config_map: str | None = None
    key: str | None = None
