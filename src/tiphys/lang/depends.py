"""The `depends` language of DAG tasks: `a && (b.Succeeded || !c.Failed)`.

Parsed once into a postfix program, so that evaluation is one loop whatever the nesting, and linear in the terms.
Semantics: Argo, workflow/common/ancestry.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tiphys.errors import ExpressionError

#: What may stand after the dot.
RESULTS = frozenset({"Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed"})
#: What a bare name accepts.
BARE = frozenset({"Succeeded", "Skipped", "Daemoned"})

#: Each result by itself: a wide DAG has as many terms as tasks.
_ONLY = {result: frozenset({result}) for result in RESULTS}
_TOKEN = re.compile(r"\s*(?:(&&|\|\||!|\(|\))|([a-zA-Z0-9][-_a-zA-Z0-9]*)(?:\.([a-zA-Z]+))?)")
_PRECEDENCE = {"||": 1, "&&": 2, "!": 3}


@dataclass(frozen=True, slots=True)
class Term:
    """Holds if the task ended in any of the results."""

    task: str
    results: frozenset[str]


@dataclass(frozen=True, slots=True)
class Depends:
    """A parsed condition."""

    #: Terms and the operators "&&", "||", "!" in postfix order; empty means always true.
    program: tuple[Term | str, ...]
    #: Tasks it waits for, each once, in the order of first mention.
    names: tuple[str, ...]

    @property
    def negates(self) -> bool:
        """Whether any part is negated."""
        return "!" in self.program

    def terms(self) -> Iterable[Term]:
        """All terms, in order."""
        return (step for step in self.program if isinstance(step, Term))

    def holds(self, test: Callable[[Term], bool]) -> bool:
        """Whether the condition is true, given which terms are."""
        if not self.program:
            return True
        stack: list[bool] = []
        for step in self.program:
            if isinstance(step, Term):
                stack.append(test(step))
            elif step == "!":
                stack[-1] = not stack[-1]
            else:
                right = stack.pop()
                stack[-1] = (stack[-1] and right) if step == "&&" else (stack[-1] or right)
        return stack[0]


def all_of(names: Iterable[str], *, bare: Callable[[str], frozenset[str]] = lambda _: BARE) -> Depends:
    """The condition that `dependencies: [a, b]` stands for."""
    unique = tuple(dict.fromkeys(names))
    program: list[Term | str] = []
    for name in unique:
        program.append(Term(name, bare(name)))
        if len(program) > 1:
            program.append("&&")
    return Depends(tuple(program), unique)


def parse(text: str, *, bare: Callable[[str], frozenset[str]] = lambda _: BARE) -> Depends:
    """Parse a condition.

    Args:
        text: The condition.
        bare: Results that a name without a result accepts (more than `BARE` for a task with continueOn).

    Raises:
        ExpressionError: the text does not obey the grammar, or names an unknown result.
    """
    program: list[Term | str] = []
    operators: list[str] = []
    operand_next = True
    position, end = 0, len(text.rstrip())

    def wrong(what: str) -> ExpressionError:
        return ExpressionError(f"depends: {what} at position {position + 1} of '{text[:200]}'.")

    while position < end:
        match = _TOKEN.match(text, position)
        if not match:
            raise wrong("unexpected character")
        symbol, name, result = match.groups()
        if name or symbol in ("!", "("):
            if not operand_next:
                raise wrong("an operator was expected")
            if name:
                if result and result not in RESULTS:
                    raise ExpressionError(
                        f"depends: '{result}' is not a result of task '{name}'.",
                        hint="One of " + ", ".join(sorted(RESULTS)),
                    )
                program.append(Term(name, _ONLY[result] if result else bare(name)))
                operand_next = False
            else:
                operators.append(symbol)
        else:
            if operand_next:
                raise wrong("a task name was expected")
            if symbol == ")":
                while operators and operators[-1] != "(":
                    program.append(operators.pop())
                if not operators:
                    raise wrong("unbalanced ')'")
                operators.pop()
            else:
                while operators and _PRECEDENCE.get(operators[-1], 0) >= _PRECEDENCE[symbol]:
                    program.append(operators.pop())
                operators.append(symbol)
                operand_next = True
        position = match.end()
    if operand_next:
        raise wrong("a task name was expected")
    if "(" in operators:
        raise wrong("unbalanced '('")
    program.extend(reversed(operators))
    return Depends(tuple(program), tuple(dict.fromkeys(step.task for step in program if isinstance(step, Term))))
