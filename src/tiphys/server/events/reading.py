"""Events as requests bring them: any JSON, or CloudEvents 1.0 in either mode of their HTTP binding.

`cloudevents` is not used to read them: it passes a body on as text where it is no JSON, and knows no bounds.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from tiphys.errors import UsageError
from tiphys.ports.events import NewEvent
from tiphys.services.events.signatures import PROOFS
from tiphys.spec.yaml import check_depth

_STRUCTURED, _BATCH = "application/cloudevents+json", "application/cloudevents-batch"
_JSON_TYPE = re.compile(r"[^/;]+/([^;]*\+)?json", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"[a-z0-9]+")
_REQUIRED = ("id", "source", "specversion", "type")
#: Headers by which senders name a delivery, the most explicit first.
_DELIVERY_HEADERS = ("idempotency-key", "x-github-delivery", "x-request-uuid")
#: Longest name of a delivery that is kept as it is.
_LONGEST_NAME = 200


def read_event(discriminator: str, headers: Iterable[tuple[str, str]], body: bytes) -> NewEvent:
    """The event that a request brings.

    Args:
        discriminator: From its path.
        headers: Lower-case names and values; a name may come several times.
        body: As it came.

    Raises:
        UsageError: it is no JSON, or no CloudEvent though it says so.
    """
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(name, []).append(value)
    metadata = {name: values for name, values in given.items() if name.startswith("x-") and name not in PROOFS}
    content_type = _first(given, "content-type").partition(";")[0].strip().lower()
    if content_type.startswith(_BATCH):
        raise UsageError("CloudEvents are taken one at a time, not in batches.")
    if content_type == _STRUCTURED:
        attributes, payload = _structured(body)
    elif "ce-specversion" in given:
        attributes, payload = _binary(given, body, content_type)
    else:
        attributes, payload = {}, read_json(body)
    metadata |= {f"ce-{name}": [value] for name, value in attributes.items()}
    delivery = _delivery(given, attributes)
    return NewEvent(discriminator=discriminator, payload=payload, metadata=metadata, delivery=delivery)


def read_json(body: bytes) -> Any:
    """A JSON value as RFC 8259 has it, without numbers that no double can hold; None for an empty text.

    Raises:
        UsageError: it is none, or is nested too deeply.
    """
    if not body.strip():
        return None
    try:
        value = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The body is not JSON: {error}.") from error
    check_depth(value)
    return value


def _structured(body: bytes) -> tuple[dict[str, str], Any]:
    given = read_json(body)
    if not isinstance(given, dict):
        raise UsageError("A CloudEvent is a JSON object.")
    given = dict(given)
    payload, encoded = given.pop("data", None), given.pop("data_base64", None)
    attributes = _checked(given)
    if encoded is None:
        return attributes, payload
    if payload is not None or not isinstance(encoded, str):
        raise UsageError("A CloudEvent has either 'data' or 'data_base64', which is a text.")
    try:
        content = b64decode(encoded, validate=True)
    except ValueError as error:
        raise UsageError("The CloudEvent's 'data_base64' is not base64.") from error
    return attributes, _data(content, attributes.get("datacontenttype", "application/json"))


def _binary(given: Mapping[str, list[str]], body: bytes, content_type: str) -> tuple[dict[str, str], Any]:
    attributes = _checked(
        {name[3:]: unquote(",".join(values)) for name, values in given.items() if name.startswith("ce-")}
    )
    if content_type:
        attributes["datacontenttype"] = _first(given, "content-type")
    return attributes, _data(body, content_type or "application/json")


def _checked(given: Mapping[str, Any]) -> dict[str, str]:
    """Attributes as texts.

    Raises:
        UsageError: one that must be there is missing, or one has a name or value that cannot be.
    """
    found = {}
    for name, value in given.items():
        text = json.dumps(value) if isinstance(value, (bool, int)) else value
        if value is None:
            continue
        if not _ATTRIBUTE.fullmatch(name):
            raise UsageError(f"{name[:50]!r} cannot be the name of a CloudEvent's attribute.")
        if not isinstance(text, str) or not text or any(ord(one) < 32 or ord(one) == 127 for one in text):
            raise UsageError(f"The CloudEvent's attribute '{name}' must be a text of one line.")
        found[name] = text
    missing = [name for name in _REQUIRED if name not in found]
    if missing:
        raise UsageError(f"The CloudEvent has no attribute '{missing[0]}'.")
    if found["specversion"] != "1.0":
        raise UsageError(f"CloudEvents of version 1.0 are taken, not of {found['specversion'][:20]!r}.")
    return found


def _data(content: bytes, media_type: str) -> Any:
    """The data of a CloudEvent: JSON where it is, else text."""
    if _JSON_TYPE.match(media_type):
        return read_json(content)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"The CloudEvent's data ({media_type[:50]!r}) is neither JSON nor text in UTF-8.") from error


def _delivery(given: Mapping[str, list[str]], attributes: Mapping[str, str]) -> str:
    """What the sender calls the delivery; empty if it does not."""
    for header in _DELIVERY_HEADERS:
        if value := _first(given, header):
            return _bounded(f"{header}:{value}")
    if attributes:
        return _bounded(f"cloudevent:{json.dumps([attributes['source'], attributes['id']])}")
    return ""


def _bounded(name: str) -> str:
    if len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable():
        return name
    return f"sha256:{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()}"


def _first(given: Mapping[str, list[str]], name: str) -> str:
    return given.get(name, [""])[0]


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:30]} is too large a number")
    return value
