"""What can go wrong: in the text of a program, or while it runs."""

from __future__ import annotations


class JotError(Exception):
    """Carries the line, 1 and up, that `str()` starts with."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class SyntaxFault(JotError):
    """The text is no program."""


class RuntimeFault(JotError):
    """The program did what it must not."""


class OutOfBudget(JotError):
    """The program was stopped after `budget` steps, at the next. What it printed and stored until then is done."""

    def __init__(self, line: int, budget: int) -> None:
        super().__init__(line, f"the budget of {budget} steps is spent")
        self.budget = budget
