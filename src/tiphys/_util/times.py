"""Times: aware datetimes for people and records, seconds since the epoch (float) in the engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The present time, aware, in UTC."""
    return datetime.now(UTC)


def from_epoch(seconds: float) -> datetime:
    """Seconds since the epoch as an aware datetime in UTC."""
    return _EPOCH + timedelta(seconds=seconds)


def to_epoch(moment: datetime) -> float:
    """An aware datetime as seconds since the epoch."""
    return (moment - _EPOCH).total_seconds()


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times: whole seconds, UTC, with a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
