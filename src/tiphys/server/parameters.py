"""Query strings, read as grpc-gateway reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from tiphys.errors import UsageError

#: As Go's ParseBool takes them, in any case: Hera sends `True`.
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False, "": False}
#: How Go prints large floats.
_GO_FLOAT = re.compile(r"[0-9](\.[0-9]+)?e\+[0-9]{2}")


class Parameters:
    """The query string of a request."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """A text; empty if it is not given."""
        return self._values.get(name, "")

    def truth(self, name: str) -> bool:
        """A boolean; false if it is not given.

        Raises:
            UsageError: it is none.
        """
        found = _BOOLEANS.get(self.text(name).lower())
        if found is None:
            raise UsageError(f"'{self.text(name)}' is not a boolean for {name}.")
        return found

    def number(self, name: str) -> int | None:
        """A number that is not negative; None if it is not given.

        Raises:
            UsageError: it is none.
        """
        text = self.text(name)
        if not text:
            return None
        if text.isascii() and text.isdigit():
            return int(text)
        # Argo's own client writes numbers from a million on as 1e+06.
        if _GO_FLOAT.fullmatch(text):
            return int(Decimal(text))
        raise UsageError(f"'{text}' is not a number for {name}.")

    def moment(self, name: str) -> datetime | None:
        """A time; None if it is not given.

        Raises:
            UsageError: it is none.
        """
        text = self.text(name)
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise UsageError(f"'{text}' is not a time such as 2026-01-31T12:00:00Z for {name}.") from None
        return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
