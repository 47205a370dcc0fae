"""Artifacts in Alibaba Cloud's OSS, by the part of its interface that is S3's.

Fields mean what they mean in Argo's `workflow/artifacts/oss/oss.go`, which speaks OSS's own interface. What only
that has is refused by name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from tiphys.integrations.s3.bucket import FAILURES, Bucket, Keys, make_bucket, open_bucket
from tiphys.ports.artifact_driver import Located
from tiphys.ports.object_driver import ObjectDriver, Place
from tiphys.spec.artifacts import OSSArtifact

#: OSS's own host names, with the region; those of its S3 interface have `s3.` before.
_OWN_HOST = re.compile(r"oss-(?P<region>[a-z0-9-]+?)(-internal)?\.aliyuncs\.com")


class OSSDriver(ObjectDriver):
    """Reads, saves, lists and deletes what an artifact's `oss` names."""

    location: ClassVar[str] = "oss"
    failures: ClassVar[tuple[type[Exception], ...]] = FAILURES

    def place(self, artifact: Located) -> Place:
        """As the base class says."""
        bucket = self._bucket(artifact)
        key = self.at(artifact, OSSArtifact).key or ""
        return Place(open_bucket(bucket), key, f"oss://{bucket.name}/{key} ({bucket.endpoint})")

    def save(self, path: Path, artifact: Located) -> None:
        """As the port says; the bucket is made before, if the artifact asks for that."""
        if self.at(artifact, OSSArtifact).create_bucket_if_not_present:
            place = self._keyed(artifact)
            with self._telling(artifact, "make the bucket for", place):
                make_bucket(self._bucket(artifact))
        super().save(path, artifact)

    def _bucket(self, artifact: Located) -> Bucket:
        oss = self.at(artifact, OSSArtifact)
        if oss.lifecycle_rule is not None:
            hint = "Set the rule on the bucket itself."
            raise self.error(artifact, "lifecycleRule", "is not supported", hint=hint)
        if oss.use_sdk_creds:
            hint = "Name the keys by accessKeySecret and secretKeySecret."
            raise self.error(artifact, "useSDKCreds", "is not supported", hint=hint)
        endpoint = self.required(artifact, "endpoint", oss.endpoint)
        # As Alibaba's library: without a scheme it is http.
        parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        own = _OWN_HOST.fullmatch(parts.netloc)
        return Bucket(
            name=self.required(artifact, "bucket", oss.bucket),
            host=f"s3.{parts.netloc}" if own else parts.netloc,
            secure=parts.scheme == "https",
            region=own["region"] if own else "us-east-1",
            virtual_hosted=parts.netloc.endswith(".aliyuncs.com"),
            keys=Keys(
                self.required_secret(artifact, "accessKeySecret", oss.access_key_secret).strip(),
                self.required_secret(artifact, "secretKeySecret", oss.secret_key_secret).strip(),
                oss.security_token or None,
            ),
        )
