"""Argo's objects as pydantic models, and their YAML."""
