"""Addresses of Argo's API."""

from __future__ import annotations

from tiphys.client.place import segment


def path_of(*parts: str) -> str:
    """The path of something of Argo's API; an empty last part leaves a slash at the path's end."""
    return f"/api/v1/{joined(*parts)}"


def joined(*parts: str) -> str:
    """Names as parts of a path."""
    return "/".join(map(segment, parts))
