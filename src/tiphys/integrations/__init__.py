"""Integrations with outside systems, one folder each."""
