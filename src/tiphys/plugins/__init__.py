"""Finds and loads, by name and only when needed, what the layers below may not know."""
