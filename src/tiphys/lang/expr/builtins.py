"""The built-in functions that take no predicate, by name; the others are in `loops`."""

from __future__ import annotations

from tiphys.lang.expr.functions_collection import COLLECTION
from tiphys.lang.expr.functions_number import CONVERSION, NUMBER
from tiphys.lang.expr.functions_text import TEXT
from tiphys.lang.expr.functions_time import TIME
from tiphys.lang.expr.signatures import Function

BUILTINS: dict[str, Function] = {**TEXT, **NUMBER, **CONVERSION, **COLLECTION, **TIME}
