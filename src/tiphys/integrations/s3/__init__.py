"""S3 and what speaks like it, Alibaba's OSS among them: artifacts as objects."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="s3", requires=("obstore", "boto3"))
