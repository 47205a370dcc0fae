"""Tokens to a tree: expr-lang v1.17's grammar (parser/parser.go), by precedence climbing.

From loosest: `;`, `let`/`if`/`? :`, `|`, `or`, `and`, comparisons and `in matches contains startsWith endsWith`, `..`,
`+ -`, `not`, `* / %`, prefix `- +`, `**`, `??`, then member access, calls and indices. All but `**` associate to the
left.
`a < b < c` means `a < b and b < c`. Depth and number of nodes are bounded.
"""

from __future__ import annotations

import math
import re

from tiphys.lang.expr.builtins import BUILTINS
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.lexer import Token, is_name, tokenize
from tiphys.lang.expr.loops import LOOPS
from tiphys.lang.expr.nodes import (
    Array,
    Binary,
    Builtin,
    Call,
    Chain,
    Conditional,
    Identifier,
    Let,
    Literal,
    Map,
    Member,
    Nil,
    Node,
    Pointer,
    Predicate,
    Sequence,
    Slice,
    Unary,
    children,
)

#: As expr-lang's conf.DefaultMaxNodes.
MAX_NODES = 10_000
#: How deep expressions may be nested in each other while they are read.
MAX_DEPTH = 90
#: How high the tree may be; chains of operators do not count.
MAX_HEIGHT = 200

_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_BINARY = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20, "in": 20,
    "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20, "..": 25, "+": 30, "-": 30, "*": 60, "/": 60,
    "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_SAME = {"||": "or", "&&": "and", "^": "**", "!": "not"}
_CONSTANTS = {"nil": None, "true": True, "false": False}
_NEGATABLE = frozenset({"in", "matches", "contains", "startsWith", "endsWith"})
_COMPARISONS = frozenset({"<", ">", "<=", ">="})
_FLOAT = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+")


def parse(source: str) -> Node:
    """The tree of an expression.

    Raises:
        FaultError: the text is not an expression, or is nested too deeply, or has too many nodes.
    """
    parser = _Parser(tokenize(source))
    root = parser.sequence()
    parser.expect("end")
    _check_size(root)
    return root


def _check_size(root: Node) -> None:
    count = 0
    waiting = [(root, 1)]
    while waiting:
        node, height = waiting.pop()
        count += 1
        if count > MAX_NODES:
            raise FaultError(f"the expression has more than {MAX_NODES} parts", node.position)
        if height > MAX_HEIGHT:
            raise FaultError("the expression is nested too deeply", node.position, hint="Split it with let.")
        left = node.left if isinstance(node, Binary) else None
        waiting.extend((child, height if child is left else height + 1) for child in children(node))


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        #: How many predicates enclose what is read now.
        self._predicates = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _at(self, kind: str, *values: str) -> bool:
        token = self._tokens[self._next]
        return token.kind == kind and (not values or token.value in values)

    def _unexpected(self, token: Token | None = None) -> FaultError:
        token = token or self._token
        if token.kind == "end":
            return FaultError("unexpected end of expression", token.start)
        return FaultError(f"unexpected token {token}", token.start)

    def expect(self, kind: str, *values: str) -> Token:
        """Take the token that must come next."""
        if not self._at(kind, *values):
            raise self._unexpected()
        return self._advance()

    def sequence(self) -> Node:
        """`a; b; c`; one `;` may stand at the end of the source."""
        parts = [self._expression(0)]
        while self._at("operator", ";"):
            self._advance()
            if self._at("end"):
                break
            parts.append(self._expression(0))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts), position=parts[0].position)

    def _expression(self, loosest: int) -> Node:
        """All that follows and binds at least as tightly as `loosest`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FaultError("the expression is nested too deeply", self._token.start, hint="Split it with let.")
        if loosest == 0 and self._at("operator", "let"):
            node = self._let()
        elif loosest == 0 and self._at("operator", "if"):
            node = self._if()
        else:
            node = self._operators(loosest)
            if loosest == 0:
                node = self._ternary(node)
        self._depth -= 1
        return node

    def _let(self) -> Node:
        self._advance()
        name = self.expect("identifier")
        self.expect("operator", "=")
        value = self._expression(0)
        self.expect("operator", ";")
        return Let(name.value, value, self.sequence(), position=name.start)

    def _if(self) -> Node:
        start = self._advance().start
        test = self._expression(0)
        yes = self._braced()
        self.expect("operator", "else")
        no = self._expression(0) if self._at("operator", "if") else self._braced()
        return Conditional(test, yes, no, ternary=False, position=start)

    def _braced(self) -> Node:
        self.expect("bracket", "{")
        node = self.sequence()
        self.expect("bracket", "}")
        return node

    def _ternary(self, node: Node) -> Node:
        while self._at("operator", "?"):
            start = self._advance().start
            yes = node if self._at("operator", ":") else self._expression(0)
            self.expect("operator", ":")
            node = Conditional(node, yes, self._expression(0), position=start)
        return node

    def _operators(self, loosest: int) -> Node:
        node = self._operand()
        previous = ""
        while self._at("operator"):
            token = self._token
            negated = token.value == "not"
            if negated:
                token = self._tokens[self._next + 1]
                if token.kind != "operator" or token.value not in _NEGATABLE:
                    raise self._unexpected(token)
            if _BINARY.get(token.value, -1) < loosest:
                break
            self._next += 2 if negated else 1
            if previous == "??" and token.value not in ("??", "|"):
                raise FaultError(
                    f"operator '{token.value}' and '??' cannot be mixed",
                    token.start,
                    hint="Put one of them into parentheses.",
                )
            node = self._operation(node, token)
            if negated:
                node = Unary("not", node, position=token.start)
            previous = token.value
        return node

    def _operation(self, left: Node, token: Token) -> Node:
        """The operator that was just taken, applied to `left` and to what follows."""
        if token.value == "|":
            return self._call(self.expect("identifier"), (left,))
        if token.value in _COMPARISONS:
            return self._comparison(left, token)
        level = _BINARY[token.value]
        operator = _SAME.get(token.value, token.value)
        right = self._expression(level if operator == "**" else level + 1)
        return Binary(operator, left, right, position=token.start)

    def _comparison(self, left: Node, token: Token) -> Node:
        found: Node | None = None
        while True:
            right = self._expression(_BINARY[token.value] + 1)
            step = Binary(token.value, left, right, position=token.start)
            found = step if found is None else Binary("and", found, step, position=token.start)
            if not self._at("operator", *_COMPARISONS):
                return found
            left, token = right, self._advance()

    def _operand(self) -> Node:
        token = self._token
        if token.kind == "operator":
            if token.value in _UNARY:
                self._advance()
                operand = self._expression(_UNARY[token.value])
                return Unary(_SAME.get(token.value, token.value), operand, position=token.start)
            if self._predicates and token.value in ("#", "."):
                return self._postfix(self._pointer())
            if token.value == "::":
                self._advance()
                return self._postfix(self._call(self.expect("identifier"), ()))
        if self._at("bracket", "("):
            self._advance()
            node = self.sequence()
            self.expect("bracket", ")")
            return self._postfix(node)
        return self._value(token)

    def _pointer(self) -> Node:
        start, name = self._token.start, ""
        if self._at("operator", "#"):
            self._advance()
            # A name belongs to the '#' only if it touches it.
            if self._at("identifier") and self._token.start == start + 1:
                name = self._advance().value
        return Pointer(name, position=start)

    def _value(self, token: Token) -> Node:
        start = token.start
        if token.kind == "number":
            self._advance()
            return Literal(_number(token), position=start)
        if token.kind == "identifier":
            self._advance()
            if token.value in _CONSTANTS:
                constant = _CONSTANTS[token.value]
                return Nil(position=start) if constant is None else Literal(constant, position=start)
            if self._at("bracket", "("):
                return self._postfix(self._call(token, ()))
            return self._postfix(Identifier(token.value, position=start))
        if token.kind in ("string", "bytes"):
            self._advance()
            value = token.value if token.kind == "string" else token.value.encode("latin-1")
            return self._postfix(Literal(value, position=start))
        if self._at("bracket", "["):
            return self._postfix(self._array())
        if self._at("bracket", "{"):
            return self._postfix(self._map())
        raise self._unexpected()

    def _call(self, name: Token, given: tuple[Node, ...]) -> Node:
        """A call of `name`; `given` is what a pipe puts before the arguments."""
        if name.value in LOOPS:
            arguments = given + self._loop_arguments(name, len(given))
            return Builtin(name.value, arguments, position=name.start)
        if name.value in _CONSTANTS:
            raise FaultError(f"'{name.value}' cannot be called", name.start)
        arguments = given + self._arguments()
        if name.value in BUILTINS:
            return Builtin(name.value, arguments, position=name.start)
        return Call(Identifier(name.value, position=name.start), arguments, position=name.start)

    def _loop_arguments(self, name: Token, given: int) -> tuple[Node, ...]:
        loop = LOOPS[name.value]
        self.expect("bracket", "(")
        arguments: list[Node] = []
        for place in range(given, loop.most):
            if self._at("bracket", ")"):
                if place < loop.least:
                    raise FaultError(
                        f"expected at least {loop.least} arguments to call {name.value}", self._token.start
                    )
                break
            if arguments:
                self.expect("operator", ",")
                if self._at("bracket", ")") and place >= loop.least:
                    break
            arguments.append(self._predicate() if place == 1 else self._expression(0))
        if self._at("operator", ","):
            self._advance()
        self.expect("bracket", ")")
        return tuple(arguments)

    def _predicate(self) -> Node:
        start = self._token.start
        self._predicates += 1
        if self._at("bracket", "{"):
            body = self._braced()
        else:
            body = self._expression(0)
            if self._at("operator", ";"):
                raise FaultError("a predicate of several parts stands in braces: { … }", self._token.start)
        self._predicates -= 1
        return Predicate(body, position=start)

    def _arguments(self) -> tuple[Node, ...]:
        self.expect("bracket", "(")
        return self._list(")")

    def _list(self, close: str) -> tuple[Node, ...]:
        """Expressions between commas, up to the bracket that closes them; one comma may stand before it."""
        found: list[Node] = []
        while not self._at("bracket", close):
            if found:
                self.expect("operator", ",")
                if self._at("bracket", close):
                    break
            found.append(self._expression(0))
        self._advance()
        return tuple(found)

    def _array(self) -> Node:
        start = self._advance().start
        return Array(self._list("]"), position=start)

    def _map(self) -> Node:
        start = self._advance().start
        pairs: list[tuple[Node, Node]] = []
        while not self._at("bracket", "}"):
            if pairs:
                self.expect("operator", ",")
                if self._at("bracket", "}"):
                    break
            key = self._map_key()
            self.expect("operator", ":")
            pairs.append((key, self._expression(0)))
        self._advance()
        return Map(tuple(pairs), position=start)

    def _map_key(self) -> Node:
        token = self._token
        if token.kind in ("number", "string", "identifier"):
            self._advance()
            return Literal(token.value, position=token.start)
        if self._at("bracket", "("):
            return self._expression(0)
        raise FaultError(
            "a map key must be a quoted string, a number, a name, or an expression in parentheses "
            f"(unexpected token {token})",
            token.start,
        )

    def _postfix(self, node: Node) -> Node:
        """Member accesses, method calls, indices and slices after `node`."""
        while True:
            if self._at("operator", ".", "?."):
                optional = self._advance().value == "?."
                if optional and self._at("bracket", "["):
                    node = self._index(node, optional=True)
                else:
                    node = self._member(node, optional=optional)
            elif self._at("bracket", "["):
                node = self._index(node, optional=False)
            else:
                return node

    def _member(self, node: Node, *, optional: bool) -> Node:
        name = self._advance()
        if name.kind not in ("identifier", "operator") or not is_name(name.value):
            raise FaultError("expected a name", name.start)
        chained = isinstance(node, Chain)
        target = node.body if isinstance(node, Chain) else node
        node = Member(target, Literal(name.value, position=name.start), optional, position=name.start)
        if self._at("bracket", "("):
            node = Call(node, self._arguments(), position=name.start)
        return Chain(node, position=name.start) if chained or optional else node

    def _index(self, node: Node, *, optional: bool) -> Node:
        start = self._advance().start
        first = None if self._at("operator", ":") else self._expression(0)
        if self._at("operator", ":"):
            self._advance()
            stop = None if self._at("bracket", "]") else self._expression(0)
            self.expect("bracket", "]")
            return Slice(node, first, stop, position=start)
        self.expect("bracket", "]")
        if first is None:
            raise self._unexpected()
        node = Member(node, first, optional, position=start)
        return Chain(node, position=start) if optional else node


def _number(token: Token) -> int | float:
    text = token.value.replace("_", "")
    if _INTEGER.fullmatch(text):
        if len(text) > 100:
            raise FaultError("integer literal is too large", token.start)
        value = int(text, 0) if text[1:2] in tuple("xXoObB") else int(text)
        if value >= 2**63:
            raise FaultError(f"integer literal {token.value} is too large", token.start)
        return value
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise FaultError(f"float literal {token.value} is too large", token.start)
        return number
    raise FaultError(f"invalid number literal '{token.value}'", token.start)
