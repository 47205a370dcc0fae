"""What can be seen wrong before evaluation: kinds that do not go together, unknown names and pointers, wrong arguments.

Semantics: expr-lang v1.17, checker/checker.go. Top-level variables have the kind of their values, what lies inside them
may be anything. Without the variables only what no variable can make right is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tiphys.errors import TiphysError
from tiphys.lang.expr.builtins import BUILTINS
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.loops import LOOPS, Loop
from tiphys.lang.expr.methods import METHODS
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
from tiphys.lang.expr.values import kind_of
from tiphys.lang.goregex.regex import compile_regex


@dataclass(frozen=True, slots=True)
class Nature:
    """What is known of a value before it is there."""

    #: As `values.kind_of` names it; "any" if it is not known, "method" for a method of a time, a duration or a zone.
    kind: str
    #: Of the elements of an array, or of the result of a method.
    element: Nature | None = None

    @property
    def is_any(self) -> bool:
        """Whether nothing is known."""
        return self.kind == "any"

    @property
    def is_array(self) -> bool:
        """Whether it has elements in a row."""
        return self.kind in ("array", "bytes")


ANY = Nature("any")
_BOOL, _INT, _FLOAT = Nature("bool"), Nature("int"), Nature("float")
_NUMBERS = frozenset({"int", "float"})
#: Kinds that both sides must have alike, for operators whose result is a bool; numbers are alike.
_ORDERED = frozenset({"int", "float", "string", "time", "duration"})


def check(root: Node, variables: Mapping[str, Nature] | None = None) -> Nature:
    """What the expression gives.

    Args:
        root: The tree.
        variables: What is known of the variables; None if it is not known which there are.

    Raises:
        FaultError: it cannot be evaluated whatever the values are.
    """
    return _Checker(variables).visit(root)


class _Checker:
    def __init__(self, variables: Mapping[str, Nature] | None) -> None:
        self._variables = variables
        self._local: dict[str, Nature] = {}
        #: For each predicate around: the nature of the element, and the pointers there are.
        self._scopes: list[tuple[Nature, frozenset[str]]] = []

    def visit(self, node: Node) -> Nature:
        match node:
            case Literal(value=value):
                return Nature(kind_of(value))
            case Nil():
                return Nature("nil")
            case Identifier(name=name):
                return self._name(node, name)
            case Pointer():
                return self._pointer(node)
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Chain(body=body) | Predicate(body=body):
                return self.visit(body)
            case Member():
                return self._member(node)
            case Slice():
                return self._slice(node)
            case Call():
                return self._call(node)
            case Builtin():
                loop = LOOPS.get(node.name)
                return self._loop(node, loop) if loop else self._builtin(node)
            case Conditional():
                return self._conditional(node)
            case Let():
                return self._let(node)
            case Sequence(parts=parts):
                return [self.visit(part) for part in parts][-1]
            case Array(elements=parts):
                natures = [self.visit(part) for part in parts]
                alike = len({nature.kind for nature in natures}) == 1
                return Nature("array", natures[-1] if alike else ANY)
            case Map(pairs=pairs):
                for pair in pairs:
                    for part in pair:
                        self.visit(part)
                return Nature("map")
            case _:
                return ANY

    def _name(self, node: Node, name: str) -> Nature:
        if name in self._local:
            return self._local[name]
        if name == "$env" or self._variables is None:
            return ANY
        if name not in self._variables:
            hint = f"{name} is a function: call it." if name in BUILTINS or name in LOOPS else None
            raise FaultError(f"unknown name {name}", node.position, hint=hint)
        return self._variables[name]

    def _pointer(self, node: Pointer) -> Nature:
        if not self._scopes:
            raise FaultError("cannot use a pointer outside a predicate", node.position)
        element, pointers = self._scopes[-1]
        if not node.name:
            return element
        if node.name not in pointers:
            raise FaultError(f"unknown pointer #{node.name}", node.position)
        return _INT if node.name == "index" else ANY

    def _unary(self, node: Unary) -> Nature:
        nature = self.visit(node.operand)
        wanted = ("bool",) if node.operator == "not" else ("int", "float")
        if nature.is_any:
            return _BOOL if node.operator == "not" else ANY
        if nature.kind not in wanted:
            raise FaultError(f"invalid operation: {node.operator} (mismatched type {nature.kind})", node.position)
        return nature

    def _binary(self, node: Binary) -> Nature:
        first, operators = spine(node)
        nature = self.visit(first)
        for step in operators:
            right = self.visit(step.right)
            if step.operator == "matches":
                _check_pattern(step.right)
            result = _combine(step.operator, nature, right)
            if result is None:
                raise FaultError(
                    f"invalid operation: {step.operator} (mismatched types {nature.kind} and {right.kind})",
                    step.position,
                    hint=_conversion(nature, right),
                )
            nature = result
        return nature

    def _member(self, node: Member) -> Nature:
        name = node.key.value if isinstance(node.key, Literal) and isinstance(node.key.value, str) else None
        if isinstance(node.target, Identifier) and node.target.name == "$env" and "$env" not in self._local:
            if name is None:
                self.visit(node.key)
                return ANY
            known = self._variables is None or name in self._variables
            return ANY if node.optional and not known else self._name(node, name)
        target, key = self.visit(node.target), self.visit(node.key)
        if target.is_any:
            return ANY
        if target.kind == "map":
            if key.kind not in ("string", "any"):
                raise FaultError(f"cannot use {key.kind} to get an element from a map", node.key.position)
            return ANY
        if target.is_array:
            if key.kind not in ("int", "any"):
                raise FaultError(
                    f"array elements can only be selected using an integer (got {key.kind})", node.key.position
                )
            return target.element or ANY
        if name is not None and name in METHODS.get(target.kind, ()):
            return Nature("method", Nature(METHODS[target.kind][name].signatures[0].result))
        what = f"no field {name}" if name is not None else f"no elements to be selected by {key.kind}"
        raise FaultError(f"type {target.kind} has {what}", node.position)

    def _slice(self, node: Slice) -> Nature:
        nature = self.visit(node.target)
        if not (nature.is_any or nature.is_array or nature.kind == "string"):
            raise FaultError(f"cannot slice {nature.kind}", node.position)
        for bound in (node.start, node.stop):
            if bound is not None and (kind := self.visit(bound).kind) not in ("int", "any") and not nature.is_any:
                raise FaultError(f"non-integer slice index {kind}", bound.position)
        return nature

    def _call(self, node: Call) -> Nature:
        if isinstance(node.function, Identifier) and node.function.name == "$env":
            raise FaultError("$env is not callable", node.position)
        function = self.visit(node.function)
        if function.kind not in ("any", "function", "method"):
            raise FaultError(f"{function.kind} is not callable", node.position)
        for argument in node.arguments:
            self.visit(argument)
        return function.element or ANY

    def _builtin(self, node: Builtin) -> Nature:
        function = BUILTINS[node.name]
        kinds = [self.visit(argument).kind for argument in node.arguments]
        problem = function.problem(node.name, kinds)
        if problem:
            message, wrong = problem
            raise FaultError(message, node.position if wrong is None else node.arguments[wrong].position)
        if node.name == "get" and kinds[0] not in ("any", "nil", "array", "bytes", "map"):
            raise FaultError(f"type {kinds[0]} does not support indexing", node.arguments[0].position)
        if node.name == "get" and kinds[0] == "array" and kinds[1] not in ("int", "any"):
            raise FaultError(f"non-integer index {kinds[1]}", node.arguments[1].position)
        return Nature(function.result(kinds))

    def _loop(self, node: Builtin, loop: Loop) -> Nature:
        array = self.visit(node.arguments[0])
        if not (array.is_any or array.is_array):
            raise FaultError(f"builtin {node.name} takes only an array (got {array.kind})", node.arguments[0].position)
        for other in node.arguments[2:]:
            self.visit(other)
        result = array.element or ANY
        if len(node.arguments) > 1:
            self._scopes.append((result, loop.pointers))
            result = self.visit(node.arguments[1])
            self._scopes.pop()
            if loop.tests and result.kind not in ("bool", "any"):
                raise FaultError(f"predicate should return boolean (got {result.kind})", node.arguments[1].position)
        if loop.result == "array":
            return Nature("array", result)
        if loop.result == "same":
            return array if array.kind == "array" else Nature("array", array.element or ANY)
        return Nature(loop.result)

    def _conditional(self, node: Conditional) -> Nature:
        test = self.visit(node.test)
        if test.kind not in ("bool", "any"):
            raise FaultError(f"non-bool expression (type {test.kind}) used as condition", node.test.position)
        yes, no = self.visit(node.yes), self.visit(node.no)
        if yes.kind == "nil":
            return no
        if no.kind == "nil" or yes == no:
            return yes
        return Nature(yes.kind) if yes.kind == no.kind else ANY

    def _let(self, node: Let) -> Nature:
        if node.name in BUILTINS or node.name in LOOPS:
            raise FaultError(f"cannot redeclare builtin {node.name}", node.position)
        if node.name in self._local or node.name in (self._variables or ()):
            raise FaultError(f"cannot redeclare variable {node.name}", node.position)
        value = self.visit(node.value)
        outer = self._local
        self._local = {**outer, node.name: value}
        result = self.visit(node.body)
        self._local = outer
        return result


def _check_pattern(node: Node) -> None:
    if isinstance(node, Literal) and isinstance(node.value, str):
        try:
            compile_regex(node.value)
        except TiphysError as error:
            raise FaultError(error.message, node.position, hint=error.hint) from error


def _conversion(left: Nature, right: Nature) -> str | None:
    kinds = {left.kind, right.kind}
    if "string" in kinds and kinds & _NUMBERS:
        return "Turn text into a number with int(…) or float(…), a number into text with string(…)."
    return None


def _combine(operator: str, left: Nature, right: Nature) -> Nature | None:
    """What a binary operator gives; None if the two do not go together."""
    if operator in ("==", "!="):
        return _BOOL if _comparable(left, right) else None
    if operator == "in":
        return _BOOL if _may_hold(left, right) else None
    if operator == "??":
        if left.kind == "nil":
            return right
        return left if right.kind in ("nil", left.kind) else ANY
    wanted, results = _OPERATORS[operator]
    if left.is_any or right.is_any:
        known = left if right.is_any else right
        return results.get("any", ANY) if known.is_any or known.kind in wanted else None
    return results.get(f"{left.kind} {right.kind}")


def _comparable(left: Nature, right: Nature) -> bool:
    kinds = {left.kind, right.kind}
    return bool(kinds & {"any", "nil"}) or len(kinds) == 1 or kinds <= _NUMBERS or (left.is_array and right.is_array)


def _may_hold(left: Nature, right: Nature) -> bool:
    if right.is_any:
        return True
    if right.kind == "map":
        return left.kind in ("string", "any")
    if right.is_array:
        return _comparable(left, right.element or ANY)
    return left.is_any and right.kind == "string"


def _numeric(result: Nature | None = None) -> dict[str, Nature]:
    """Results of an operator of two numbers: as said, or an int for two ints."""
    pairs = [(left, right) for left in ("int", "float") for right in ("int", "float")]
    return {f"{one} {other}": result or (_INT if one == other == "int" else _FLOAT) for one, other in pairs}


def _booleans(*kinds: str) -> dict[str, Nature]:
    return {"any": _BOOL, **{f"{kind} {kind}": _BOOL for kind in kinds}}


_TIME, _DURATION, _STRING = Nature("time"), Nature("duration"), Nature("string")
_ORDER = (_ORDERED, {**_booleans("string", "time", "duration"), **_numeric(_BOOL)})
_TEXT = (frozenset({"string"}), _booleans("string"))
_LOGIC = (frozenset({"bool"}), _booleans("bool"))
_POWER = (_NUMBERS, {"any": _FLOAT, **_numeric(_FLOAT)})
#: For each operator: kinds that go with something unknown, and results by the kinds of both sides.
_OPERATORS: dict[str, tuple[frozenset[str], dict[str, Nature]]] = {
    **dict.fromkeys(("<", ">", "<=", ">="), _ORDER),
    **dict.fromkeys(("and", "or"), _LOGIC),
    **dict.fromkeys(("contains", "startsWith", "endsWith"), _TEXT),
    **dict.fromkeys(("/", "**"), _POWER),
    "matches": (frozenset({"string", "bytes"}), {**_booleans("string"), "bytes string": _BOOL}),
    "%": (frozenset({"int"}), {"any": _INT, "int int": _INT}),
    "..": (frozenset({"int"}), dict.fromkeys(("any", "int int"), Nature("array", _INT))),
    "+": (
        _ORDERED,
        {
            **_numeric(),
            "string string": _STRING,
            "time duration": _TIME,
            "duration time": _TIME,
            "duration duration": _DURATION,
        },
    ),
    "-": (
        _ORDERED - {"string"},
        {**_numeric(), "time time": _DURATION, "time duration": _TIME, "duration duration": _DURATION},
    ),
    "*": (
        _ORDERED - {"string", "time"},
        {
            **_numeric(),
            **dict.fromkeys(("int duration", "duration int", "duration duration"), _DURATION),
            **dict.fromkeys(("float duration", "duration float"), ANY),
        },
    ),
}
