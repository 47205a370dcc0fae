"""What goes wrong inside an expression, before it is told with line, column and snippet."""

from __future__ import annotations

from tiphys.errors import ExpressionError


class FaultError(Exception):
    """A failure on its way to becoming an `ExpressionError`.

    Args:
        message: What is wrong, without the place.
        position: Index into the source; None until the node that failed is known.
        hint: What to do next.
    """

    def __init__(self, message: str, position: int | None = None, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint

    def place(self, position: int) -> None:
        """Say where it happened; a place that is known already stays."""
        if self.position is None:
            self.position = position


def located(fault: FaultError, source: str) -> ExpressionError:
    """The error that users see: the message, `(line:column)`, the line and a mark below it."""
    position = min(fault.position or 0, len(source))
    start = source.rfind("\n", 0, position) + 1
    end = source.find("\n", start)
    line = source[start : len(source) if end < 0 else end].replace("\t", " ")
    row, column = source.count("\n", 0, start) + 1, position - start
    if len(line) > 200:  # a long line is shown around its mark
        cut = max(0, column - 100)
        line, shown = line[cut : cut + 200], column - cut
    else:
        shown = column
    text = f"{fault.message} ({row}:{column + 1})\n | {line}\n | {'.' * shown}^"
    return ExpressionError(text, hint=fault.hint)
