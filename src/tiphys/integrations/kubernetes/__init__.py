"""Kubernetes: the objects of a cluster, for `resource` templates."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="kubernetes", requires=("kubernetes",))
