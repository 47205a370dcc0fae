"""Everything on this machine: an orchestrator, its runners, and an artifact store in a folder."""

from __future__ import annotations

from tiphys.ports.component import Flavor, Integration
from tiphys.records.stacks import ComponentType

_HERE = "tiphys.integrations.local"

INTEGRATION = Integration(
    name="local",
    flavors=(
        Flavor(
            name="local",
            type=ComponentType.ORCHESTRATOR,
            config=f"{_HERE}.config:LocalOrchestratorConfig",
            implementation=f"{_HERE}.orchestrator:LocalOrchestrator",
            description="Steps in threads of this process, or each in a process of its own.",
        ),
        Flavor(
            name="local",
            type=ComponentType.ARTIFACT_STORE,
            config=f"{_HERE}.config:LocalArtifactStoreConfig",
            implementation=f"{_HERE}.artifact_store:LocalArtifactStore",
            description="Folders on a local or mounted disk, named by the digest of their content.",
        ),
    ),
)
