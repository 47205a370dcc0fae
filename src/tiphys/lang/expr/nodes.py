"""The syntax tree: frozen data, each node with the index into the source where it stands.

Positions do not count in comparisons: trees are equal if they mean the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression."""

    #: Index of the first character of the token that made the node.
    position: int = field(default=0, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Nil(Node):
    """`nil`."""


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A bool, a number, a string or bytes."""

    value: bool | int | float | str | bytes

    def __eq__(self, other: object) -> bool:
        """True and 1, 1 and 1.0 are different literals."""
        return isinstance(other, Literal) and type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """A variable of the environment, a `let` variable, or `$env`."""

    name: str


@dataclass(frozen=True, slots=True)
class Pointer(Node):
    """`#`, `#acc` or `#index` inside a predicate; the name is without `#`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x`, `+x`, `not x` (also written `!x`)."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """An operator between two operands; `&&`, `||` and `^` stand as `and`, `or` and `**`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`target.name`, `target[index]`; optional with `?.`."""

    target: Node
    key: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """The extent of a `?.`: where nil is met inside, the whole is nil."""

    body: Node


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`target[start:stop]`."""

    target: Node
    start: Node | None
    stop: Node | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of a function of the environment, or of a method."""

    function: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Predicate(Node):
    """`{ … }` as an argument: evaluated once for each element."""

    body: Node


@dataclass(frozen=True, slots=True)
class Builtin(Node):
    """A call of a function of the language."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`test ? yes : no`, or `if test { yes } else { no }`."""

    test: Node
    yes: Node
    no: Node
    ternary: bool = True


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """`a; b; c`: the value of the last."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Array(Node):
    """`[a, b]`."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Map(Node):
    """`{key: value}`; keys are string literals or expressions."""

    pairs: tuple[tuple[Node, Node], ...]


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below, in the order of the text."""
    match node:
        case Unary(operand=child) | Chain(body=child) | Predicate(body=child):
            yield child
        case Binary(left=first, right=second) | Member(target=first, key=second) | Let(value=first, body=second):
            yield first
            yield second
        case Slice():
            yield from (part for part in (node.target, node.start, node.stop) if part is not None)
        case Call():
            yield node.function
            yield from node.arguments
        case Builtin(arguments=parts) | Sequence(parts=parts) | Array(elements=parts):
            yield from parts
        case Conditional():
            yield from (node.test, node.yes, node.no)
        case Map():
            for pair in node.pairs:
                yield from pair


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, without recursion."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(children(current))


def spine(node: Binary) -> tuple[Node, list[Binary]]:
    """A chain of operators that leans to the left: its first operand, and its operators from the innermost.

    Long sums and conditions are such chains; taken in a loop, they need no recursion.
    """
    operators: list[Binary] = []
    current: Node = node
    while isinstance(current, Binary):
        operators.append(current)
        current = current.left
    operators.reverse()
    return current, operators
