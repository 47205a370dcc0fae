"""Manifests from where the command line says: files, folders, addresses, standard input."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tiphys.errors import SpecError, UsageError
from tiphys.services.workflows.options import pairs_of
from tiphys.spec.problems import Severity
from tiphys.spec.reading import Document, read_documents
from tiphys.spec.yaml import load

_SUFFIXES = (".yaml", ".yml", ".json")
#: Seconds that an address has to answer.
_TIMEOUT = 30.0


def read_text(place: str) -> bytes:
    """The content of a file, an address, or with `-` of standard input.

    Raises:
        UsageError: it cannot be read.
    """
    if place == "-":
        return sys.stdin.buffer.read()
    try:
        if place.startswith(("http://", "https://")):
            with urllib.request.urlopen(place, timeout=_TIMEOUT) as answer:  # noqa: S310  # the user's own address
                content: bytes = answer.read()
                return content
        return Path(place).read_bytes()
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise UsageError(f"'{place}' cannot be read: {reason}.") from error


def documents_of(places: Sequence[str], *, strict: bool) -> list[Document]:
    """All documents of some places, in order.

    Raises:
        UsageError: a place cannot be read.
        SpecError: one is not YAML.
    """
    return [document for place in places for document in read_documents(read_text(place), source=place, strict=strict)]


def manifests_of(documents: Iterable[Document], *kinds: str) -> list[dict[str, Any]]:
    """The objects of some kinds as JSON; the others are passed over.

    Raises:
        SpecError: a field has the wrong type.
    """
    found = []
    for document in documents:
        if document.kind not in kinds:
            continue
        if document.object is None:
            wrong = [
                f"line {one.line}: {one}" if one.line else str(one)
                for one in document.problems
                if one.severity is Severity.ERROR
            ]
            raise SpecError(f"The {document.kind} '{document.name}' is not valid: {'; '.join(wrong)}")
        found.append(document.object.to_json())
    return found


def walk(places: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of files; those of folders are the manifests anywhere beneath them."""
    for place in places:
        if place != "-" and Path(place).is_dir():
            for path in sorted(Path(place).rglob("*")):
                if path.suffix in _SUFFIXES and path.is_file():
                    yield str(path), path.read_bytes()
        else:
            yield "stdin" if place == "-" else place, read_text(place)


def parameters_of(texts: Iterable[str], file: str | None = None) -> dict[str, str]:
    """Parameters as `NAME=VALUE`, over those of a file of names and values.

    Raises:
        UsageError: a text has another form.
    """
    values: dict[str, str] = {}
    if file:
        found = load(read_text(file), source=file)
        if not isinstance(found, dict):
            raise UsageError(f"The parameter file '{file}' must hold names and values.")
        values = {name: _as_text(value) for name, value in found.items()}
    return values | pairs_of(texts, "parameter")


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
