"""Artifact repositories: where a controller stores artifacts that say nothing of a place."""

from __future__ import annotations

from tiphys.spec.artifacts import CreateS3BucketOptions, OSSLifecycleRule, S3EncryptionOptions
from tiphys.spec.base import Spec
from tiphys.spec.kubernetes import ConfigMapKeySelector, SecretKeySelector


class S3ArtifactRepository(Spec):
    """A repository in S3."""

    access_key_secret: SecretKeySelector | None = None
    addressing_style: str | None = None
    bucket: str | None = None
    ca_secret: SecretKeySelector | None = None
    create_bucket_if_not_present: CreateS3BucketOptions | None = None
    encryption_options: S3EncryptionOptions | None = None
    endpoint: str | None = None
    insecure: bool | None = None
    key_format: str | None = None
    key_prefix: str | None = None
    region: str | None = None
    role_arn: str | None = None
    secret_key_secret: SecretKeySelector | None = None
    session_token_secret: SecretKeySelector | None = None
    use_sdk_creds: bool | None = None


class ArtifactoryArtifactRepository(Spec):
    """A repository in Artifactory."""

    key_format: str | None = None
    password_secret: SecretKeySelector | None = None
    repo_url: str | None = None
    username_secret: SecretKeySelector | None = None


class AzureArtifactRepository(Spec):
    """A repository in Azure."""

    account_key_secret: SecretKeySelector | None = None
    blob_name_format: str | None = None
    container: str | None = None
    endpoint: str | None = None
    use_sdk_creds: bool | None = None


class GCSArtifactRepository(Spec):
    """A repository in Google Cloud Storage."""

    bucket: str | None = None
    key_format: str | None = None
    service_account_key_secret: SecretKeySelector | None = None


class HDFSArtifactRepository(Spec):
    """A repository in HDFS."""

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
    path_format: str | None = None


class OSSArtifactRepository(Spec):
    """A repository in Alibaba OSS."""

    access_key_secret: SecretKeySelector | None = None
    bucket: str | None = None
    create_bucket_if_not_present: bool | None = None
    endpoint: str | None = None
    key_format: str | None = None
    lifecycle_rule: OSSLifecycleRule | None = None
    secret_key_secret: SecretKeySelector | None = None
    security_token: str | None = None
    use_sdk_creds: bool | None = None


class PluginArtifactRepository(Spec):
    """A repository in a driver outside of Argo."""

    configuration: str | None = None
    key_format: str | None = None
    name: str | None = None


class ArtifactRepository(Spec):
    """A repository; exactly one of the systems is set."""

    archive_logs: bool | None = None
    artifactory: ArtifactoryArtifactRepository | None = None
    azure: AzureArtifactRepository | None = None
    gcs: GCSArtifactRepository | None = None
    hdfs: HDFSArtifactRepository | None = None
    oss: OSSArtifactRepository | None = None
    plugin: PluginArtifactRepository | None = None
    s3: S3ArtifactRepository | None = None
