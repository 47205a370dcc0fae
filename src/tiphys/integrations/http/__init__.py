"""What is reached over HTTP: artifacts of any server, of Artifactory, and of HDFS by its WebHDFS interface."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="http", requires=("httpx2", "stamina"))
