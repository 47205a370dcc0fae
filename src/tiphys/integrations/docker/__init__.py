"""Docker, and Podman, which speaks its API: Argo's containers as OCI containers of their own images."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="docker", requires=("docker",))
