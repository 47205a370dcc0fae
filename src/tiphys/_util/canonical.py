"""Canonical JSON and digests: equal values give equal bytes, so equal bytes can be compared and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

# Made once: json.dumps with other than its default options makes an encoder at each call.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no escapes beyond the needed ones (NaN and infinities are refused)."""
    return _encode(value)


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def tree_digest(files: Iterable[tuple[str, str]]) -> str:
    """Digest of a set of files given as (relative path, SHA-256 of the content): independent of their order."""
    return digest_of(sorted([path, digest] for path, digest in files))
