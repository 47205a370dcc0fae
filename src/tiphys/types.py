"""Strings that say how they are to be shown: a step that returns one gets it displayed with its artifact."""

from __future__ import annotations


class HTMLString(str):
    """HTML, shown as a page."""

    __slots__ = ()


class MarkdownString(str):
    """Markdown, shown formatted."""

    __slots__ = ()


class CSVString(str):
    """Comma-separated values with a header line, shown as a table."""

    __slots__ = ()


class JSONString(str):
    """JSON, shown as a tree."""

    __slots__ = ()
