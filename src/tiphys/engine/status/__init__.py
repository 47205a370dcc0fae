"""Argo's status objects, derived from the nodes of the engine."""

from tiphys.engine.status.workflow import node_status, workflow_status

__all__ = ["node_status", "workflow_status"]
