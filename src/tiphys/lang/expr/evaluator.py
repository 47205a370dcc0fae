"""A tree turned into nested functions that compute its value. Semantics: expr-lang v1.17, compiler and vm.

Each node becomes one function of the run; chains of operators become a loop over their steps, so that long sums need no
recursion. `let` variables have numbered places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.errors import TiphysError
from tiphys.lang.expr.access import cut, fetch
from tiphys.lang.expr.builtins import BUILTINS
from tiphys.lang.expr.context import Run, Scope
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.loops import LOOPS, Body
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
    Node,
    Pointer,
    Predicate,
    Sequence,
    Slice,
    Unary,
    spine,
    walk,
)
from tiphys.lang.expr.operators import BINARY, matches, negate
from tiphys.lang.expr.source_text import source_text
from tiphys.lang.expr.values import elements, kind_of, map_key, to_bool
from tiphys.lang.goregex.regex import compile_regex

Evaluate = Callable[[Run], Any]
_Step = Callable[[Run, Any], Any]

#: What an optional access inside a chain gives where there is nil: the chain ends.
_ENDED = object()
#: What values of foreign functions may raise when they are given what they do not expect.
_FOREIGN = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


#: Steps that a call counts for: of a function of the language, of the environment.
_BUILTIN, _CALL = 5, 10


def build(root: Node) -> tuple[Evaluate, int]:
    """The function that evaluates a tree, and how many variables its run needs."""
    builder = _Builder()
    return builder.build(root), builder.slots


class _Builder:
    def __init__(self) -> None:
        self.slots = 0
        #: Places of the variables that are visible now.
        self._visible: dict[str, int] = {}

    def build(self, node: Node) -> Evaluate:
        """The function for one node."""
        match node:
            case Literal(value=value):
                return lambda _: value
            case Identifier():
                return self._identifier(node)
            case Pointer(name=name):
                return _POINTERS.get(name, _POINTERS[""])
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Member():
                return self._member(node)
            case Chain(body=body):
                return self._chain(self.build(body))
            case Slice():
                return self._slice(node)
            case Call():
                return self._call(node)
            case Builtin():
                return self._loop(node) if node.name in LOOPS else self._builtin(node)
            case Predicate(body=body):
                return self.build(body)
            case Conditional():
                return self._conditional(node)
            case Let():
                return self._let(node)
            case Sequence(parts=parts):
                return self._sequence(parts)
            case Array(elements=parts):
                return self._array(node, parts)
            case Map():
                return self._map(node)
            case _:
                return lambda _: None

    def _identifier(self, node: Identifier) -> Evaluate:
        name, position = node.name, node.position
        if name in self._visible:
            slot = self._visible[name]
            return lambda run: run.variables[slot]
        if name == "$env":
            return lambda run: run.environment

        def variable(run: Run) -> Any:
            try:
                return run.environment[name]
            except KeyError:
                raise FaultError(f"unknown name {name}", position) from None

        return variable

    def _unary(self, node: Unary) -> Evaluate:
        operand, position = self.build(node.operand), node.position
        if node.operator == "not":
            return _placed(position, lambda run: not to_bool(operand(run), "operand of 'not'"))
        if node.operator == "-":
            return _placed(position, lambda run: negate(operand(run)))
        return operand

    def _binary(self, node: Binary) -> Evaluate:
        first, operators = spine(node)
        start = self.build(first)
        steps = [self._step(operator) for operator in operators]
        if len(steps) == 1:
            (only,) = steps
            return lambda run: only(run, start(run))

        def chain(run: Run) -> Any:
            value = start(run)
            for step in steps:
                value = step(run, value)
            return value

        return chain

    def _step(self, node: Binary) -> _Step:
        """The function of the left operand's value for one operator of a chain."""
        right, position, operator = self.build(node.right), node.position, node.operator
        if operator == "and":
            return _placed_step(position, lambda run, left: right(run) if to_bool(left, "operand of 'and'") else False)
        if operator == "or":
            return _placed_step(position, lambda run, left: True if to_bool(left, "operand of 'or'") else right(run))
        if operator == "??":
            return lambda run, left: right(run) if left is None else left
        if operator == "matches" and isinstance(node.right, Literal) and isinstance(node.right.value, str):
            pattern = compile_regex(node.right.value)
            return _placed_step(position, lambda run, left: matches(run, left, pattern))
        function = BINARY[operator]
        return _placed_step(position, lambda run, left: function(run, left, right(run)))

    def _member(self, node: Member) -> Evaluate:
        target, key, position = self.build(node.target), self.build(node.key), node.position
        if isinstance(node.target, Identifier) and node.target.name == "$env" and not node.optional:
            return _placed(position, lambda run: _variable(run, key(run)))

        def member(run: Run) -> Any:
            value = target(run)
            if value is _ENDED or (value is None and node.optional):
                return _ENDED
            wanted = key(run)
            try:
                if value is None:
                    raise _fetch_from_nil(node, wanted)
                return fetch(run, value, wanted)
            except FaultError as fault:
                fault.place(position)
                raise

        return member

    def _chain(self, body: Evaluate) -> Evaluate:
        def chain(run: Run) -> Any:
            value = body(run)
            return None if value is _ENDED else value

        return chain

    def _slice(self, node: Slice) -> Evaluate:
        target = self.build(node.target)
        start = self.build(node.start) if node.start is not None else _nothing
        stop = self.build(node.stop) if node.stop is not None else _nothing
        return _placed(node.position, lambda run: cut(run, target(run), start(run), stop(run)))

    def _call(self, node: Call) -> Evaluate:
        function, position = self.build(node.function), node.position
        arguments = [self.build(argument) for argument in node.arguments]
        name = source_text(node.function)

        def call(run: Run) -> Any:
            callee = function(run)
            if callee is _ENDED:
                return _ENDED
            return _foreign(run, callee, [argument(run) for argument in arguments], name, position)

        return call

    def _builtin(self, node: Builtin) -> Evaluate:
        function, name, position = BUILTINS[node.name], node.name, node.position
        arguments = [self.build(argument) for argument in node.arguments]

        def call(run: Run) -> Any:
            values = [argument(run) for argument in arguments]
            try:
                run.step(_BUILTIN)
                problem = function.problem(name, [kind_of(value) for value in values])
                if problem:
                    raise FaultError(problem[0])
                return function.call(run, *values)
            except FaultError as fault:
                fault.place(position)
                raise
            except TiphysError as error:
                raise _told(name, error, position) from error

        return call

    def _loop(self, node: Builtin) -> Evaluate:
        loop, name, position = LOOPS[node.name], node.name, node.position
        array = self.build(node.arguments[0])
        predicate = self.build(node.arguments[1]) if len(node.arguments) > 1 else None
        size = 1 + sum(1 for argument in node.arguments[1:2] for _ in walk(argument))
        others = [self.build(argument) for argument in node.arguments[2:]]

        def looped(run: Run) -> Any:
            outer = run.scope
            try:
                values = elements(array(run), f"builtin {name}")
                given = [other(run) for other in others]
                run.scope = Scope()
                return loop.call(Body(run, predicate, size), values, *given)
            except FaultError as fault:
                fault.place(position)
                raise
            finally:
                run.scope = outer

        return looped

    def _conditional(self, node: Conditional) -> Evaluate:
        test, yes, no = self.build(node.test), self.build(node.yes), self.build(node.no)
        truth = _placed(node.test.position, lambda run: to_bool(test(run), "condition"))
        return lambda run: yes(run) if truth(run) else no(run)

    def _let(self, node: Let) -> Evaluate:
        value = self.build(node.value)
        slot = self.slots
        self.slots += 1
        outer = self._visible
        self._visible = {**outer, node.name: slot}
        body = self.build(node.body)
        self._visible = outer

        def let(run: Run) -> Any:
            run.variables[slot] = value(run)
            return body(run)

        return let

    def _sequence(self, parts: tuple[Node, ...]) -> Evaluate:
        *before, last = [self.build(part) for part in parts]

        def sequence(run: Run) -> Any:
            for part in before:
                part(run)
            return last(run)

        return sequence

    def _array(self, node: Node, parts: tuple[Node, ...]) -> Evaluate:
        built = [self.build(part) for part in parts]

        def array(run: Run) -> list[Any]:
            run.grow(len(built))
            return [part(run) for part in built]

        return _placed(node.position, array)

    def _map(self, node: Map) -> Evaluate:
        pairs = [(self.build(key), self.build(value), key.position) for key, value in node.pairs]

        def made(run: Run) -> dict[str, Any]:
            run.grow(len(pairs))
            found: dict[str, Any] = {}
            for key, value, position in pairs:
                name = key(run)
                if not isinstance(name, str):
                    raise FaultError(f"a map key must be a string (got {kind_of(name)})", position)
                found.setdefault(name, value(run))  # of equal keys the first one counts
            return found

        return _placed(node.position, made)


_POINTERS: dict[str, Evaluate] = {
    "": lambda run: run.scope.item,
    "index": lambda run: run.scope.index,
    "acc": lambda run: run.scope.accumulator,
}


def _nothing(run: Run) -> None:
    """A bound of a slice that is not written."""


def _placed(position: int, evaluate: Evaluate) -> Evaluate:
    """The same function; its faults are told to be here."""

    def placed(run: Run) -> Any:
        try:
            return evaluate(run)
        except FaultError as fault:
            fault.place(position)
            raise

    return placed


def _placed_step(position: int, step: _Step) -> _Step:
    def placed(run: Run, left: Any) -> Any:
        try:
            return step(run, left)
        except FaultError as fault:
            fault.place(position)
            raise
        except TiphysError as error:
            raise FaultError(error.message, position, hint=error.hint) from error

    return placed


def _variable(run: Run, name: Any) -> Any:
    if map_key(run.environment, name) not in run.environment:
        raise FaultError(f"unknown name {name}")
    return run.environment[name]


def _fetch_from_nil(node: Member, key: Any) -> FaultError:
    shown = key if isinstance(key, str) else repr(key)
    owner = source_text(node.target)
    return FaultError(
        f"cannot fetch {shown[:60]} from nil: {owner[:100]} has no value",
        hint="Use ?. where a value may be missing, and ?? for another one in its place.",
    )


def _told(name: str, error: TiphysError, position: int) -> FaultError:
    message = error.message if error.message.startswith(name) else f"{name}: {error.message}"
    return FaultError(message, position, hint=error.hint)


def _foreign(run: Run, callee: Any, arguments: list[Any], name: str, position: int) -> Any:
    """Call a function of the environment, or a method."""
    if not callable(callee):
        raise FaultError(f"{name} is not callable: it is {kind_of(callee)}", position)
    try:
        run.step(_CALL)
        run.scan(sum(len(argument) for argument in arguments if isinstance(argument, str)))
        result = callee(*arguments)
        if isinstance(result, str):
            run.write(len(result))
        return result
    except FaultError as fault:
        fault.place(position)
        raise
    except TiphysError as error:
        raise _told(name, error, position) from error
    except _FOREIGN as error:
        raise FaultError(f"{name}: {error}", position) from error
