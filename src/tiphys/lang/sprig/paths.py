"""Slash-separated paths, as Go's package path; file paths are the same."""

from __future__ import annotations

from tiphys.lang.sprig.signature import Table


def clean(path: str) -> str:
    """The shortest equal path: without "//", "." and inner ".."; never empty."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts and parts[-1] != "..":
            parts.pop()
        elif not rooted:
            parts.append(part)
    return ("/" if rooted else "") + "/".join(parts) or "."


def _base(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _dir(path: str) -> str:
    before, slash, _ = path.rpartition("/")
    return clean(before + slash)


def _ext(path: str) -> str:
    _, dot, extension = path.rpartition("/")[2].rpartition(".")
    return dot + extension if dot else ""


def _is_abs(path: str) -> bool:
    return path.startswith("/")


FUNCTIONS: Table = {
    "base": ("s", _base),
    "dir": ("s", _dir),
    "clean": ("s", clean),
    "ext": ("s", _ext),
    "isAbs": ("s", _is_abs),
    "osBase": ("s", _base),
    "osDir": ("s", _dir),
    "osClean": ("s", clean),
    "osExt": ("s", _ext),
    "osIsAbs": ("s", _is_abs),
}
