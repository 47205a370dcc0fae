"""Artifacts in S3, AWS's own or a server that speaks like it (MinIO, Ceph, …).

Fields mean what they mean in Argo's `workflow/artifacts/s3/s3.go`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tiphys.integrations.s3.bucket import FAILURES, Bucket, Keys, make_bucket, open_bucket, region_of
from tiphys.integrations.s3.customer_key import CustomerKeyObjects
from tiphys.ports.artifact_driver import Located
from tiphys.ports.object_driver import ObjectDriver, Objects, Place
from tiphys.spec.artifacts import S3Artifact

_AWS = "s3.amazonaws.com"
#: Hosts whose buckets are parts of the host's name, unless an artifact says otherwise (as minio-go decides).
_VIRTUAL_HOSTED = (".amazonaws.com", ".amazonaws.com.cn", ".aliyuncs.com", "storage.googleapis.com")


class S3Driver(ObjectDriver):
    """Reads, saves, lists and deletes what an artifact's `s3` names."""

    location: ClassVar[str] = "s3"
    failures: ClassVar[tuple[type[Exception], ...]] = FAILURES

    def place(self, artifact: Located) -> Place:
        """As the base class says."""
        bucket = self._bucket(artifact)
        if not self.at(artifact, S3Artifact).region and bucket.host == _AWS:
            # All of AWS's servers take the bucket's name, but only with a signature for its region.
            bucket = replace(bucket, region=region_of(bucket))
        key = self.at(artifact, S3Artifact).key or ""
        secret = self._customer_secret(artifact)
        objects: Objects = open_bucket(bucket) if secret is None else CustomerKeyObjects(bucket, secret)
        return Place(objects, key, f"s3://{bucket.name}/{key} ({bucket.endpoint})")

    def save(self, path: Path, artifact: Located) -> None:
        """As the port says; the bucket is made before, if the artifact asks for that."""
        options = self.at(artifact, S3Artifact).create_bucket_if_not_present
        if options is not None:
            place = self._keyed(artifact)
            with self._telling(artifact, "make the bucket for", place):
                make_bucket(self._bucket(artifact), object_locking=bool(options.object_locking))
        super().save(path, artifact)

    def _bucket(self, artifact: Located) -> Bucket:
        s3 = self.at(artifact, S3Artifact)
        secure = not s3.insecure
        host = s3.endpoint or _AWS
        if "/" in host:
            raise self.error(
                artifact, "endpoint", f"('{host}') is not a host", hint="Write it without https:// or path."
            )
        if host == _AWS and s3.region:
            host = f"s3.{s3.region}.amazonaws.com"
        return Bucket(
            name=self.required(artifact, "bucket", s3.bucket),
            host=host,
            secure=secure,
            region=s3.region or "us-east-1",
            virtual_hosted=self._is_virtual_hosted(artifact, s3, host),
            keys=self._keys(artifact, s3),
            role=s3.role_arn or None,
            authorities=self.secret(artifact, "caSecret", s3.ca_secret) if secure else None,
            encryption=self._encryption(artifact, s3),
        )

    def _is_virtual_hosted(self, artifact: Located, s3: S3Artifact, host: str) -> bool:
        match s3.addressing_style or "":
            case "path":
                return False
            case "virtual-hosted":
                return True
            case "":
                plain = "." not in (s3.bucket or "")  # a certificate for *.host is not for a.b.host
                return plain and f".{host.partition(':')[0]}".endswith(_VIRTUAL_HOSTED)
            case other:
                raise self.error(artifact, "addressingStyle", f"is '{other}', not 'path' or 'virtual-hosted'")

    def _keys(self, artifact: Located, s3: S3Artifact) -> Keys | None:
        access = self.secret(artifact, "accessKeySecret", s3.access_key_secret)
        if access is None:
            return None
        secret = self.required_secret(artifact, "secretKeySecret", s3.secret_key_secret)
        token = self.secret(artifact, "sessionTokenSecret", s3.session_token_secret)
        return Keys(access.strip(), secret.strip(), token and token.strip())

    def _customer_secret(self, artifact: Located) -> str | None:
        s3 = self.at(artifact, S3Artifact)
        options = s3.encryption_options
        if options is None or not options.enable_encryption or options.server_side_customer_key_secret is None:
            return None
        field = "encryptionOptions.serverSideCustomerKeySecret"
        if options.kms_key_id:
            raise self.error(artifact, field, "cannot be together with kmsKeyId")
        if s3.insecure:
            raise self.error(artifact, field, "would send the key unprotected, because of 'insecure'")
        return self.required_secret(artifact, field, options.server_side_customer_key_secret)

    def _encryption(self, artifact: Located, s3: S3Artifact) -> dict[str, str]:
        options = s3.encryption_options
        if options is None or not options.enable_encryption:
            return {}
        if options.server_side_customer_key_secret is not None:
            return {}  # each object has its own
        if options.kms_encryption_context:
            raise self.error(artifact, "encryptionOptions.kmsEncryptionContext", "is not supported")
        if options.kms_key_id:
            return {"server_side_encryption": "aws:kms", "sse_kms_key_id": options.kms_key_id}
        return {"server_side_encryption": "AES256"}
