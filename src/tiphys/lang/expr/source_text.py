"""A tree written as text again, which reads as the same tree.

Parentheses stand around every operand that is no single word, except down a chain of one operator.
"""

from __future__ import annotations

import json

from tiphys.lang.expr.lexer import is_name
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
    spine,
)

#: Operators of which `a op b op c` means `(a op b) op c` and nothing else.
_CHAINED = frozenset({"+", "-", "*", "/", "%", "and", "or"})


def source_text(node: Node) -> str:
    """The text of a tree."""
    match node:
        case Literal(value=value):
            return _literal(value)
        case Identifier(name=name):
            return name
        case Pointer(name=name):
            return f"#{name}"
        case Unary(operator=operator, operand=operand):
            return f"{operator}{' ' if operator == 'not' else ''}{_operand(operand)}"
        case Binary():
            return _binary(node)
        case Member():
            return _member(node)
        case Chain(body=body):
            return source_text(body)
        case Slice():
            start, stop = (_argument(part) if part is not None else "" for part in (node.start, node.stop))
            return f"{_target(node.target)}[{start}:{stop}]"
        case Call():
            return f"{source_text(node.function)}{_arguments(node.arguments)}"
        case Builtin():
            return f"{node.name}{_arguments(node.arguments)}"
        case Predicate(body=body):
            return f"{{ {source_text(body)} }}"
        case Conditional():
            return _conditional(node)
        case Let():
            return f"let {node.name} = {_argument(node.value)}; {source_text(node.body)}"
        case Sequence(parts=parts):
            return "; ".join(map(_argument, parts))
        case Array(elements=parts):
            return f"[{', '.join(map(_argument, parts))}]"
        case Map():
            return f"{{{', '.join(f'{_key(key)}: {_argument(value)}' for key, value in node.pairs)}}}"
        case _:
            return "nil"


def _literal(value: bool | float | str | bytes) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are among those of the language.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
    return repr(value)


def _operand(node: Node) -> str:
    text = source_text(node)
    return f"({text})" if isinstance(node, (Unary, Binary, Conditional, Let, Sequence)) else text


def _target(node: Node) -> str:
    """What a dot or a bracket follows; nil, bools and numbers cannot have one."""
    bare = isinstance(node, Nil) or (isinstance(node, Literal) and not isinstance(node.value, (str, bytes)))
    return f"({source_text(node)})" if bare else _operand(node)


def _argument(node: Node) -> str:
    text = source_text(node)
    return f"({text})" if isinstance(node, (Conditional, Let, Sequence)) else text


def _arguments(nodes: tuple[Node, ...]) -> str:
    return f"({', '.join(map(_argument, nodes))})"


def _binary(node: Binary) -> str:
    first, operators = spine(node)
    text, previous = _operand(first), ""
    for step in operators:
        if previous and (previous != step.operator or previous not in _CHAINED):
            text = f"({text})"
        text = f"{text} {step.operator} {_operand(step.right)}"
        previous = step.operator
    return text


def _member(node: Member) -> str:
    target = _target(node.target)
    key = node.key.value if isinstance(node.key, Literal) else None
    # After a finished chain a dot would continue the chain; a bracket does not.
    if isinstance(key, str) and is_name(key) and not isinstance(node.target, Chain):
        return f"{target}{'?.' if node.optional else '.'}{key}"
    return f"{target}{'?.' if node.optional else ''}[{_argument(node.key)}]"


def _conditional(node: Conditional) -> str:
    if node.ternary:
        return f"{_argument(node.test)} ? {_argument(node.yes)} : {_argument(node.no)}"
    return f"if {_argument(node.test)} {{ {source_text(node.yes)} }} else {{ {source_text(node.no)} }}"


def _key(key: Node) -> str:
    return source_text(key) if isinstance(key, Literal) and isinstance(key.value, str) else f"({source_text(key)})"
