"""Materializers of Python's own types; those of libraries are in the integrations named after them."""
