"""Google Cloud Storage: artifacts as objects."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="gcs", requires=("obstore",))
