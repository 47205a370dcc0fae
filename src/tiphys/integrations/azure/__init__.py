"""Azure Blob Storage: artifacts as blobs."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="azure", requires=("obstore",))
