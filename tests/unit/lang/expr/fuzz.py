"""Random expressions, for as long as one likes: `python -m tests.unit.lang.expr.fuzz --seconds 60`.

Token soup and mutated valid expressions are read, written out, read again and run with small bounds. Whatever they are,
only an `ExpressionError` may come out, the text written out must read as the same tree, results must lie within the
bounds, and nothing may take longer than two seconds.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.unit.lang.expr.test_errors import FAILING, MISTYPED, UNKNOWN
from tests.unit.lang.expr.test_golden import BUILTINS, EXPRESSIONS, LISTS, OTHERS, VARIABLES
from tests.unit.lang.expr.test_parsing import SHAPES, WRONG
from tests.unit.lang.expr.test_values import COLLECTIONS, EQUAL, NIL, NUMBERS, ORDER, PRINTED, STRINGS, TIMES
from tests.unit.lang.expr.test_values import ENV as VALUES

from tiphys.errors import ExpressionError
from tiphys.lang.expr import builtins, loops
from tiphys.lang.expr.context import Bounds, Context
from tiphys.lang.expr.environment import to_text
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.lexer import Token, tokenize
from tiphys.lang.expr.nodes import Node
from tiphys.lang.expr.parser import parse
from tiphys.lang.expr.program import _compiled
from tiphys.lang.expr.source_text import source_text

BOUNDS = Bounds(steps=20_000, items=5_000, characters=50_000, depth=50)
CONTEXT = Context(datetime(2024, 2, 29, 12, 30, 15, 999_999, tzinfo=UTC), bounds=BOUNDS)
ENV: dict[str, Any] = {
    **VALUES,
    **LISTS,
    **VARIABLES,
    "a": {"b": {"c": 1, "list": [1, 2.5, "x", None, {"k": "v"}]}, "none": None, "text": "äöü <&> \U0001f600"},
    "x": 3,
    "f": lambda *values: values[0] if values else None,
    "ns": {"upper": str.upper, "len": len, "fail": lambda: 1 / 0},
}


def sources(*tables: Any) -> list[str]:
    """The expressions of tables, whose rows are texts or begin with one."""
    return [row if isinstance(row, str) else row[0] for table in tables for row in table]


GOOD = sources(BUILTINS, EXPRESSIONS, OTHERS, NUMBERS, EQUAL, ORDER, STRINGS, NIL, PRINTED, COLLECTIONS, TIMES)
SEEDS = GOOD + sources(SHAPES, WRONG, MISTYPED, UNKNOWN, FAILING)
BINARY = [
    *("+", "-", "*", "/", "%", "**", "^", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or", "&&", "||"),
    *("??", "?.", ".", "..", ",", ";", "|", "matches", "contains", "startsWith", "endsWith", "not matches"),
]
ATOMS = [
    *("nil", "true", "false", "$env", "0", "1", "2", "-1", "0.5", "1e300", "0xFF", "9223372036854775807", "[]", "{}"),
    *(
        "'a'",
        '"ä\\n"',
        "`r`",
        "''",
        "b'\\xff'",
        "'[a-'",
        "'1h'",
        "'2024-01-01'",
        "'UTC'",
        "'desc'",
        "#",
        "#acc",
        "#index",
    ),
    *("y", "a.b", "a.b.c", "a.b.list", "a.none", "a?.nope", "x", "String", "ArrayOfInt", "Time", "Duration", "Foo"),
    *("f(x)", "ns.upper('a')", "ns.fail()", "1..9", "nobody", "now()", "duration('1h')", "{a: 1}", "[1, 'a', nil]"),
]
FUNCTIONS = [*builtins.BUILTINS, *loops.LOOPS]
WORDS = [
    *BINARY,
    *ATOMS,
    *("!", "not", "?", ":", "(", ")", "[", "]", "{", "}", "::", "=", "let", "let y = ", "if", "if x > 2 {", "} else {"),
    *("\n", "/*", "*/", "//", "\x00", "é", "²", "\u2028", "f(", "a["),
    *(f"{name}(" for name in FUNCTIONS),
]


def soup(chance: random.Random) -> str:
    """Words in a row."""
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 14)))


def mutated(chance: random.Random) -> str:
    """A valid expression with words replaced, mostly by words of their kind."""
    source = chance.choice(SEEDS)
    for _ in range(chance.randint(1, 3)):
        try:
            tokens = tokenize(source)
        except FaultError:
            return source
        if len(tokens) == 1:
            return source
        place = chance.randrange(len(tokens) - 1)
        token, following = tokens[place], tokens[place + 1]
        rest = "" if following.kind == "end" else source[following.start :]
        source = f"{source[: token.start]} {substitute(token, chance)} {rest}"
    return source


def substitute(token: Token, chance: random.Random) -> str:
    """A word that may stand in place of the token."""
    if chance.random() < 0.1:
        return chance.choice(WORDS)
    if token.kind == "operator" and token.value in BINARY:
        return chance.choice(BINARY)
    if token.kind == "identifier" and token.value in FUNCTIONS:
        return chance.choice(FUNCTIONS)
    if token.kind in ("identifier", "number", "string", "bytes"):
        return chance.choice(ATOMS) if chance.random() < 0.7 else f"({chance.choice(SEEDS)})"
    return token.value


def grown(chance: random.Random) -> str:
    """A call or an operator over atoms and valid expressions; through `f` their kinds are not known beforehand."""
    parts = []
    for _ in range(3):
        part = chance.choice(ATOMS) if chance.random() < 0.5 else f"({chance.choice(GOOD)})"
        parts.append(f"f({part})" if chance.random() < 0.6 else part)
    shape = chance.random()
    if shape < 0.3:
        return f"{parts[0]} {chance.choice(BINARY)} {parts[1]} {chance.choice(BINARY)} {parts[2]}"
    if shape < 0.5:
        return f"{chance.choice(sorted(loops.LOOPS))}({parts[0]}, {{ # {chance.choice(BINARY)} {parts[1]} }})"
    return f"{chance.choice(FUNCTIONS)}({', '.join(parts[: chance.choice([1, 1, 1, 2, 2, 3])])})"


def nested(chance: random.Random) -> str:
    """The same opening again and again."""
    word = chance.choice(
        ["(", "[", "{a:", "-", "not ", "f(", "map(1..3, ", "a[", "if x > 1 {", "1 + (", "let y = ", "x ? "]
    )
    return word * chance.randint(1, 400) + chance.choice(SEEDS)


def holds(value: Any, depth: int = 0) -> bool:
    """Whether a result lies within the bounds."""
    if isinstance(value, str):
        return len(value) <= max(BOUNDS.characters, 100)
    if isinstance(value, list) and depth < 3:
        return len(value) <= BOUNDS.items and all(holds(element, depth + 1) for element in value)
    return True


def reads_again(text: str, tree: Node) -> bool:
    """Whether the text is read as the tree; parentheses that were added may make it too deep."""
    try:
        return parse(text) == tree
    except FaultError as fault:
        return "nested too deeply" in fault.message


def attempt(source: str, outcomes: Counter[str]) -> None:
    """Read and run one expression."""
    try:
        tree = parse(source)
    except FaultError:
        outcomes["unreadable"] += 1
    else:
        assert reads_again(source_text(tree), tree), source_text(tree)
    try:
        value = _compiled(source).run(ENV, CONTEXT)
    except ExpressionError as error:
        outcomes["failed" if "\n | " in error.message else "failed without a place"] += 1
        return
    outcomes["evaluated"] += 1
    assert holds(value), type(value)
    try:
        to_text(value)
    except ExpressionError:
        outcomes["without text"] += 1


def main() -> None:
    """Run until the time is over; print what was counted."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=None)
    given = arguments.parse_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    longest = (0.0, "")
    end = time.monotonic() + given.seconds
    while time.monotonic() < end:
        source = chance.choices([soup, mutated, grown, nested], [3, 10, 10, 1])[0](chance)
        began = time.perf_counter()
        try:
            attempt(source, outcomes)
        except BaseException:
            print(f"seed {seed}, expression {source!r}")
            raise
        longest = max(longest, (time.perf_counter() - began, source))
        outcomes["expressions"] += 1
        assert longest[0] < 2.0, longest
    print(f"seed {seed}: {dict(outcomes)}; longest {longest[0] * 1000:.0f} ms: {longest[1][:120]!r}")


if __name__ == "__main__":
    main()
