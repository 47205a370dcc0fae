"""All of sprig's functions, by name.

The names are those of sprig v3's GenericFuncMap without `env` and `expandenv`, which Argo leaves out too, and without
`getHostByName`, which asks the network. Where sprig panics, or a strict function returns an error, these raise an
`ExpressionError`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.crypto import FUNCTIONS as CRYPTO
from tiphys.lang.sprig.crypto import crypto_functions
from tiphys.lang.sprig.dates import FUNCTIONS as DATES
from tiphys.lang.sprig.dates import date_functions
from tiphys.lang.sprig.dicts import FUNCTIONS as DICTS
from tiphys.lang.sprig.encoding import FUNCTIONS as ENCODING
from tiphys.lang.sprig.lists import FUNCTIONS as LISTS
from tiphys.lang.sprig.numbers import FUNCTIONS as NUMBERS
from tiphys.lang.sprig.paths import FUNCTIONS as PATHS
from tiphys.lang.sprig.randomness import Stream, random_functions
from tiphys.lang.sprig.reflection import FUNCTIONS as REFLECTION
from tiphys.lang.sprig.regex import FUNCTIONS as REGEX
from tiphys.lang.sprig.signature import checked
from tiphys.lang.sprig.strings import FUNCTIONS as STRINGS
from tiphys.lang.sprig.urls import FUNCTIONS as URLS


def function_map(now: datetime, seed: bytes) -> dict[str, Callable[..., Any]]:
    """The functions, for values of None, bool, int, float, str, list, dict, datetime and timedelta.

    Args:
        now: The present moment, aware; what `now` gives, and what ages are counted from.
        seed: Determines what the random functions give, in the order in which they are called.
    """
    stream = Stream(seed)
    return {
        **_pure_functions(),
        **checked(date_functions(now)),
        **checked(random_functions(stream)),
        **checked(crypto_functions(stream)),
    }


@lru_cache(maxsize=1)
def _pure_functions() -> dict[str, Callable[..., Any]]:
    """The functions whose results depend on their arguments alone."""
    functions = checked({"hello": ("", lambda: "Hello!"), "fail": ("s", _fail)})
    for theme in (CRYPTO, DATES, DICTS, ENCODING, LISTS, NUMBERS, PATHS, REFLECTION, REGEX, STRINGS, URLS):
        functions |= checked(theme)
    return functions


def _fail(message: str) -> NoReturn:
    raise ExpressionError(message)
