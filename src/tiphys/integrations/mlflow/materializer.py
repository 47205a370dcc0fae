"""Keeps a handle of a deployed model: the service's record as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

from tiphys.integrations.mlflow.service import MLflowService
from tiphys.ports.materializer import BytesMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.records.stacks import Service


class MLflowServiceMaterializer(BytesMaterializer):
    """For `MLflowService`."""

    ASSOCIATED_TYPES = (MLflowService,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.SERVICE
    FILE = "service.json"

    def to_bytes(self, data: MLflowService) -> bytes:
        """The record."""
        record = asdict(data.record)
        return json.dumps({**record, "created_at": record["created_at"].isoformat()}, indent=1).encode()

    def from_bytes(self, content: bytes, data_type: type[Any]) -> MLflowService:
        """The handle again."""
        record = json.loads(content)
        return MLflowService(Service(**{**record, "created_at": datetime.fromisoformat(record["created_at"])}))

    def extract_metadata(self, data: MLflowService) -> dict[str, Any]:
        """Where it is asked."""
        return {"prediction_url": data.prediction_url, "model_name": data.model_name, "service_id": data.id}
