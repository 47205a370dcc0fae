"""A bucket of a server that speaks S3: its objects by obstore; credentials and the making of buckets by boto3.

Credentials are found as by `GetCredentials` in Argo's `workflow/artifacts/s3/s3.go`: given keys, else a role to assume,
else what AWS's own tools would use (environment, profile, web identity, the machine's role).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships no types
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tiphys.errors import ArtifactError

#: What the calls of both libraries raise.
FAILURES: tuple[type[Exception], ...] = (BaseError, BotoCoreError, ClientError)
#: Most that a request may take in all, and between two readings: objects may be large, a server may not be silent.
_TIMEOUTS = {"timeout": "24h", "read_timeout": "5m"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials that do not change."""

    access: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Which bucket, and how to reach it."""

    name: str
    #: Host and perhaps port, without the bucket.
    host: str
    secure: bool
    region: str
    #: Whether the bucket's name is the first part of the host's name, instead of the path's.
    virtual_hosted: bool
    keys: Keys | None = None
    #: A role to assume, where there are no keys.
    role: str | None = None
    #: Certificate authorities to trust beside the system's, as PEM text.
    authorities: str | None = None
    #: How objects are encrypted, as settings of obstore.
    encryption: Mapping[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return f"{'https' if self.secure else 'http'}://{self.host}"


def open_bucket(bucket: Bucket) -> S3Store:
    """The bucket's objects; settings in the environment are overridden.

    Raises:
        ArtifactError: there are no credentials.
    """
    scheme = "https" if bucket.secure else "http"
    endpoint = f"{scheme}://{bucket.name}.{bucket.host}" if bucket.virtual_hosted else bucket.endpoint
    config: dict[str, Any] = {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "region": bucket.region,
        "virtual_hosted_style_request": bucket.virtual_hosted,
        "skip_signature": False,
        # Not all servers can delete many objects by one request.
        "disable_bulk_delete": True,
        **bucket.encryption,
    }
    options: dict[str, Any] = {**_TIMEOUTS, "allow_http": not bucket.secure}
    if bucket.authorities:
        options["root_certificate"] = bucket.authorities
    return S3Store(
        bucket.name,
        config=config,  # type: ignore[arg-type]  # its keys are those of the settings
        client_options=options,  # type: ignore[arg-type]  # likewise
        credential_provider=_credentials(bucket),
    )


def region_of(bucket: Bucket) -> str:
    """The region that a bucket is in; the bucket's own if the server does not tell (or there is no such bucket)."""
    with _client(bucket) as client:
        try:
            found = client.get_bucket_location(Bucket=bucket.name)["LocationConstraint"]
        except ClientError:
            return bucket.region
    return {None: "us-east-1", "EU": "eu-west-1"}.get(found) or str(found)


def make_bucket(bucket: Bucket, *, object_locking: bool = False) -> None:
    """Make the bucket, with the encryption of its objects as its default, unless it is there.

    Raises:
        FAILURES: the server refuses.
    """
    with _client(bucket) as client:
        options: dict[str, Any] = {"ObjectLockEnabledForBucket": True} if object_locking else {}
        if bucket.region != "us-east-1":  # which S3 does not take by its name
            options["CreateBucketConfiguration"] = {"LocationConstraint": bucket.region}
        try:
            client.create_bucket(Bucket=bucket.name, **options)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                raise
            return
        algorithm = bucket.encryption.get("server_side_encryption")
        if algorithm in {"AES256", "aws:kms"}:
            rule = {"SSEAlgorithm": algorithm}
            if "sse_kms_key_id" in bucket.encryption:
                rule["KMSMasterKeyID"] = bucket.encryption["sse_kms_key_id"]
            client.put_bucket_encryption(
                Bucket=bucket.name,
                ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
            )


def _credentials(bucket: Bucket) -> Callable[[], Any]:
    if bucket.keys is not None:
        found = {
            "access_key_id": bucket.keys.access,
            "secret_access_key": bucket.keys.secret,
            "token": bucket.keys.token,
            "expires_at": None,
        }
        return lambda: found
    session = boto3.Session(region_name=bucket.region)
    if bucket.role is not None:
        return lambda: _assume(session, bucket.role)
    if session.get_credentials() is None:
        raise ArtifactError(
            f"There are no credentials for the bucket '{bucket.name}' at {bucket.endpoint}: the artifact names no "
            "Secret, and this machine has none for AWS.",
            hint="Give accessKeySecret and secretKeySecret, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    return Boto3CredentialProvider(session)


def _assume(session: Any, role: str | None) -> dict[str, Any]:
    """Credentials of a role for about an hour; obstore asks anew before they expire."""
    client = session.client("sts")
    try:
        found = client.assume_role(RoleArn=role, RoleSessionName="tiphys")["Credentials"]
    finally:
        client.close()
    return {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "token": found["SessionToken"],
        "expires_at": found["Expiration"].astimezone(UTC),
    }


@contextlib.contextmanager
def _client(bucket: Bucket) -> Iterator[Any]:
    found = _credentials(bucket)()
    with contextlib.ExitStack() as stack:
        verify = None
        if bucket.authorities:
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))
            file.write(bucket.authorities)
            file.flush()
            verify = file.name
        client = boto3.client(
            "s3",
            endpoint_url=bucket.endpoint,
            region_name=bucket.region,
            aws_access_key_id=found["access_key_id"],
            aws_secret_access_key=found["secret_access_key"],
            aws_session_token=found["token"],
            verify=verify,
            config=Config(s3={"addressing_style": "virtual" if bucket.virtual_hosted else "path"}),
        )
        stack.callback(client.close)
        yield client
