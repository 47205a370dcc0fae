"""Tree → program, and the machine that runs it: all threads of a program go through the text side by side.

The time is at most the size of the program times the length of the text (a Pike machine), whatever the pattern. Which
match is found, and how empty loops end, is as in Go's regexp/syntax/compile.go and regexp/exec.go: of all matches the
leftmost, and of these the one that a backtracking search would find first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goregex.tree import Assertion, Char, Choice, Group, Node, Repeat, Sequence

#: Instructions of one program. RE2 has a limit too, a higher one; here a step takes longer.
MAX_SIZE = 20_000

Spans = tuple[int, ...]


class Op(IntEnum):
    """What an instruction does."""

    #: Takes one character of the set `args[i]`.
    CHAR = 0
    MATCH = 1
    #: Goes on at `args[i]`.
    JUMP = 2
    #: Goes on at both places of `args[i]`; the first is preferred.
    SPLIT = 3
    #: Notes the position in the slot `args[i]`.
    SAVE = 4
    #: Goes on if the place is of the kind `args[i]`.
    ASSERT = 5


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions: what to do, and with what."""

    ops: list[Op]
    args: list[Any]
    #: Two for each group, the whole included.
    slots: int
    #: Text that every match begins with.
    prefix: str
    #: Every match begins where the text does.
    anchored: bool


def assemble(tree: Node, groups: int) -> Program:
    """The program of a tree.

    Args:
        tree: What to match.
        groups: How many groups report their place, the whole included.

    Raises:
        ExpressionError: the program would be too large.
    """
    assembler = _Assembler()
    assembler.emit(tree)
    assembler.add(Op.MATCH)
    prefix, anchored = _beginning(tree)
    return Program(assembler.ops, assembler.args, 2 * groups, prefix, anchored)


def _beginning(tree: Node) -> tuple[str, bool]:
    parts = tree.parts if isinstance(tree, Sequence) else (tree,)
    if parts and parts[0] == Assertion("\\A"):
        return "", True
    prefix = ""
    for part in parts:
        if not isinstance(part, Char) or part.chars.only is None:
            break
        prefix += part.chars.only
    return prefix, False


class _Assembler:
    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.args: list[Any] = []

    def add(self, op: Op, arg: Any = None) -> int:
        if len(self.ops) >= MAX_SIZE:
            raise ExpressionError("error parsing regexp: expression too large")
        self.ops.append(op)
        self.args.append(arg)
        return len(self.ops) - 1

    def emit(self, node: Node) -> None:
        if isinstance(node, Char):
            self.add(Op.CHAR, node.chars)
        elif isinstance(node, Assertion):
            self.add(Op.ASSERT, node.kind)
        elif isinstance(node, Sequence):
            for part in node.parts:
                self.emit(part)
        elif isinstance(node, Group):
            self.add(Op.SAVE, 2 * node.number)
            self.emit(node.part)
            self.add(Op.SAVE, 2 * node.number + 1)
        elif isinstance(node, Choice):
            self._choice(node)
        else:
            self._repeat(node)

    def _choice(self, node: Choice) -> None:
        jumps: list[int] = []
        for part in node.parts[:-1]:
            split = self.add(Op.SPLIT)
            self.emit(part)
            jumps.append(self.add(Op.JUMP))
            self.args[split] = (split + 1, len(self.ops))
        self.emit(node.parts[-1])
        for jump in jumps:
            self.args[jump] = len(self.ops)

    def _repeat(self, node: Repeat) -> None:
        if node.high is None:
            for _ in range(node.low - 1):
                self.emit(node.part)
            self._loop(node, at_least_once=node.low > 0)
            return
        for _ in range(node.low):
            self.emit(node.part)
        splits: list[int] = []
        for _ in range(node.high - node.low):
            splits.append(self.add(Op.SPLIT))
            self.emit(node.part)
        for split in splits:
            self._aim(split, split + 1, len(self.ops), greedy=node.greedy)

    def _loop(self, node: Repeat, *, at_least_once: bool) -> None:
        if at_least_once or _may_be_empty(node.part):
            skip = None if at_least_once else self.add(Op.SPLIT)
            start = len(self.ops)
            self.emit(node.part)
            split = self.add(Op.SPLIT)
            self._aim(split, start, split + 1, greedy=node.greedy)
            if skip is not None:
                self._aim(skip, start, len(self.ops), greedy=node.greedy)
            return
        split = self.add(Op.SPLIT)
        self.emit(node.part)
        self.add(Op.JUMP, split)
        self._aim(split, split + 1, len(self.ops), greedy=node.greedy)

    def _aim(self, split: int, again: int, onwards: int, *, greedy: bool) -> None:
        self.args[split] = (again, onwards) if greedy else (onwards, again)


def _may_be_empty(node: Node) -> bool:
    if isinstance(node, Char):
        return False
    if isinstance(node, Assertion):
        return True
    if isinstance(node, Sequence):
        return all(_may_be_empty(part) for part in node.parts)
    if isinstance(node, Choice):
        return any(_may_be_empty(part) for part in node.parts)
    return (isinstance(node, Repeat) and node.low == 0) or _may_be_empty(node.part)


_WORD = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


def _holds(kind: str, text: str, position: int) -> bool:
    if kind == "\\A":
        return position == 0
    if kind == "\\z":
        return position == len(text)
    if kind == "^":
        return position == 0 or text[position - 1] == "\n"
    if kind == "$":
        return position == len(text) or text[position] == "\n"
    before = position > 0 and text[position - 1] in _WORD
    after = position < len(text) and text[position] in _WORD
    return (before != after) is (kind == "\\b")


@dataclass(slots=True)
class _Threads:
    """The threads that wait at one position, the preferred first."""

    program: Program
    text: str
    position: int
    #: Each a place in the program and the slots filled on the way there.
    waiting: list[tuple[int, Spans]]
    seen: set[int]

    def add(self, place: int, slots: Spans) -> None:
        """Follows a thread up to where it takes a character, or ends; a place is reached once."""
        ops, args, seen = self.program.ops, self.program.args, self.seen
        stack = [(place, slots)]
        while stack:
            place, slots = stack.pop()
            while place not in seen:
                seen.add(place)
                op = ops[place]
                if op <= Op.MATCH:
                    self.waiting.append((place, slots))
                    break
                if op == Op.JUMP:
                    place = args[place]
                elif op == Op.SPLIT:
                    place, other = args[place]
                    stack.append((other, slots))
                elif op == Op.SAVE:
                    slot = args[place]
                    slots = (*slots[:slot], self.position, *slots[slot + 1 :])
                    place += 1
                elif _holds(args[place], self.text, self.position):
                    place += 1
                else:
                    break


def run(program: Program, text: str, start: int) -> Spans | None:
    """Where the first match at or after `start` lies: begin and end of each group, -1 where it took no part."""
    found: Spans | None = None
    nothing = (-1,) * program.slots
    threads = _Threads(program, text, start, [], set())
    position, end = start, len(text)
    while position <= end:
        if not threads.waiting:
            if found is not None or (program.anchored and position > 0):
                break
            if program.prefix:
                position = text.find(program.prefix, position)
                if position < 0:
                    break
                threads = _Threads(program, text, position, [], set())
        if found is None:
            threads.add(0, (position, *nothing[1:]))
        char = text[position] if position < end else None
        following = _Threads(program, text, position + 1, [], set())
        for place, slots in threads.waiting:
            if program.ops[place] == Op.MATCH:
                found = (slots[0], position, *slots[2:])
                break
            if char is not None and program.args[place][char]:
                following.add(place + 1, slots)
        threads = following
        position += 1
    return found
