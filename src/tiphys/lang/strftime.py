"""The parts of a time that `workflow.creationTimestamp.<character>` names.

Semantics: argo-workflows v4.1, util/strftime, which knows sixteen characters of strftime; names are English whatever
the locale.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tiphys.errors import ExpressionError

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _offset(moment: datetime) -> str:
    offset = moment.strftime("%z") or "+0000"
    return offset[:5]


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "A": lambda moment: _DAYS[moment.weekday()],
    "B": lambda moment: _MONTHS[moment.month - 1],
    "H": lambda moment: f"{moment.hour:02}",
    "I": lambda moment: f"{moment.hour % 12 or 12:02}",
    "L": lambda moment: f".{moment.microsecond // 1000:03}",
    "M": lambda moment: f"{moment.minute:02}",
    "S": lambda moment: f"{moment.second:02}",
    "Y": lambda moment: f"{moment.year:04}",
    "Z": lambda moment: moment.tzname() or "UTC",
    "a": lambda moment: _DAYS[moment.weekday()][:3],
    "b": lambda moment: _MONTHS[moment.month - 1][:3],
    "d": lambda moment: f"{moment.day:02}",
    "m": lambda moment: f"{moment.month:02}",
    "p": lambda moment: "AM" if moment.hour < 12 else "PM",
    "y": lambda moment: f"{moment.year % 100:02}",
    "z": _offset,
}

#: The characters that there are.
CHARACTERS = frozenset(_FORMATS)


def format_strftime(character: str, moment: datetime) -> str:
    """One part of a time.

    Args:
        character: One of `CHARACTERS`.
        moment: One without a time zone is taken to be UTC.

    Raises:
        ExpressionError: there is no such character.
    """
    if character not in _FORMATS:
        raise ExpressionError(
            f"'{character}' is not a part of a time.", hint=f"Use one of {', '.join(sorted(CHARACTERS))}."
        )
    return _FORMATS[character](moment)
