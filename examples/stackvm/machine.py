"""The interpreter."""

from __future__ import annotations

from collections.abc import Sequence

from .check import check
from .code import INSTRUCTION, Function, GuestError, Op


class Machine:
    """Runs functions. Numbers are integers of any size. What ITEM does, function 0 does once that is redefined.

    GuestError for functions that `check` refuses.
    """

    def __init__(self, functions: Sequence[Function], items: Sequence[int] = ()) -> None:
        self.functions = list(functions)
        self.arities = [each.arity for each in functions]
        for each in functions:
            check(each, self.arities)
        self.items = items
        self.item_is_ours = True

    def call(self, number: int, arguments: list[int]) -> int:
        """What a function returns."""
        function = self.functions[number]
        return self.interpret(function, 0, arguments + [0] * (function.locals - function.arity), [])

    def loop(self, function: Function, at: int, local: list[int], stack: list[int]) -> int | None:
        """A jump back: what the function returns, if that is known without going on here."""
        return None

    def define(self, number: int, function: Function) -> None:
        """Replace a function by one of as many parameters. Calls that have begun go on in the former one."""
        if function.arity != self.arities[number]:
            raise GuestError(
                f"{function.name}: {function.arity} parameters; accepted: {self.arities[number]}, as before"
            )
        check(function, self.arities)
        self.replace(number, function)

    def replace(self, number: int, function: Function) -> None:
        """What `define` does once it has looked at the function."""
        self.functions[number] = function
        self.item_is_ours = self.item_is_ours and number != 0
        for each in [] if self.item_is_ours else self.functions[1:]:
            for at in range(0, len(each.code), INSTRUCTION.size):
                if each.code[at] == Op.ITEM:
                    INSTRUCTION.pack_into(each.code, at, Op.CALL, 0, 1)

    def interpret(self, function: Function, at: int, local: list[int], stack: list[int]) -> int:
        """Go on in a function, at an offset: what it returns. GuestError for an item that there is not."""
        code, push, pop = function.code, stack.append, stack.pop
        while True:
            op, a, b = INSTRUCTION.unpack_from(code, at)
            at += INSTRUCTION.size
            if op == Op.PUSH:
                push(b)
            elif op == Op.GET:
                push(local[a])
            elif op == Op.SET:
                local[a] = pop()
            elif op == Op.ADD:
                push(pop() + pop())
            elif op == Op.MUL:
                push(pop() * pop())
            elif op == Op.ITEM:
                index = pop()
                if not 0 <= index < len(self.items):
                    raise GuestError(f"{function.name}, offset {at - INSTRUCTION.size}: there is no item {index}")
                push(self.items[index])
            elif op == Op.UNLESS_LESS:
                if pop() <= pop():
                    at = b * INSTRUCTION.size
            elif op == Op.JUMP:
                at = b * INSTRUCTION.size
            elif op == Op.LOOP:
                at = b * INSTRUCTION.size
                result = self.loop(function, at, local, stack)
                if result is not None:
                    return result
            elif op == Op.CALL:
                first = len(stack) - b
                stack[first:] = [self.call(a, stack[first:])]
            else:
                return pop()
