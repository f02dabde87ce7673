"""Runs bytecode: one loop whose state is in Python's local variables, calls of the guest's on a list of its own.

Operators mean what Python's do, so that an addition costs one. What is wrong is found out when Python refuses it, and
said by faults.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import OutOfBudget
from .faults import explain
from .values import Array, Builtin, Cell, Closure

if TYPE_CHECKING:
    from .machine import Machine

DEPTH = 4000
"""Calls within one another that a program may make."""
NOT_RUN, RESUMED = object(), object()
"""What a site's run gives besides a result: it cannot run; it has left the frame for the interpreter to go on with."""

_REFUSALS = (TypeError, AttributeError, LookupError, ArithmeticError, ValueError, RecursionError, MemoryError)


def interpret(machine: Machine, closure: Closure, regs: list[Any], pc: int, depth: int) -> Any:
    """Go on with one call, `depth` calls within the program's first, until it returns: its result.

    RuntimeFault for what a program must not do; OutOfBudget. The numbers of ops are those of bytecode.py."""
    code, cells = closure.prototype.code, closure.cells
    frames: list[tuple[Any, ...]] = []
    room = DEPTH - depth
    try:
        while True:
            op, a, b, c = code[pc]
            pc += 1
            if op < 14:
                if op < 6:
                    if op == 0:  # add
                        regs[a] = regs[b] + regs[c]
                    elif op == 4:  # for
                        at = regs[a] + 1
                        if at < regs[a + 1]:
                            regs[a] = regs[a + 2] = at
                            pc = b
                    elif op == 3:  # index
                        array = regs[b]
                        if type(array) is Array:
                            regs[a] = array.items[regs[c]]
                        elif type(array) is str:
                            regs[a] = array[regs[c]]
                        else:
                            raise TypeError
                    elif op == 2:  # mul
                        regs[a] = regs[b] * regs[c]
                    elif op == 1:  # sub
                        regs[a] = regs[b] - regs[c]
                    else:  # move
                        regs[a] = regs[b]
                elif op < 10:
                    if op == 7:  # jump_not_lt
                        if not regs[b] < regs[c]:
                            pc = a
                    elif op == 6:  # jump_lt
                        if regs[b] < regs[c]:
                            pc = a
                    elif op == 8:  # jump_le
                        if regs[b] <= regs[c]:
                            pc = a
                    elif not regs[b] <= regs[c]:  # jump_not_le
                        pc = a
                elif op == 12:  # call
                    callee = regs[b]
                    if type(callee) is Closure:
                        prototype = callee.prototype
                        if c != prototype.arity:
                            raise TypeError
                        frames.append((closure, code, cells, regs, pc, a))
                        if len(frames) > room:
                            raise RecursionError
                        regs = [*regs[b + 1 : b + 1 + c], *prototype.rest]
                        closure, code, cells, pc = callee, prototype.code, callee.cells, prototype.start
                    elif type(callee) is Builtin and callee.arity in (c, None):
                        regs[a] = callee.call(*regs[b + 1 : b + 1 + c])
                    else:
                        raise TypeError
                elif op == 13:  # return
                    value = regs[a]
                    if not frames:
                        return value
                    closure, code, cells, regs, pc, a = frames.pop()
                    regs[a] = value
                elif op == 10:  # jump_eq
                    if regs[b] == regs[c]:
                        pc = a
                elif regs[b] != regs[c]:  # jump_ne
                    pc = a
            elif op < 26:
                if op < 21:
                    if op == 14:  # hot
                        a.left -= 1
                        if not a.left:
                            machine.heated(a, closure, regs)
                    elif op == 15:  # get_up
                        regs[a] = cells[b].value
                    elif op == 17:  # store
                        items = regs[a].items
                        if type(items) is list:
                            items[regs[b]] = regs[c]
                        else:
                            regs[a].store(regs[b], regs[c])
                    elif op == 18:  # mod
                        left = regs[b]
                        if type(left) is str:
                            raise TypeError
                        regs[a] = left % regs[c]
                    elif op == 16:  # set_up
                        cells[a].value = regs[b]
                    elif op == 19:  # floor_div
                        regs[a] = regs[b] // regs[c]
                    else:  # div
                        regs[a] = regs[b] / regs[c]
                elif op == 21:  # jump
                    pc = a
                elif op == 23:  # jump_if_not
                    if not regs[b]:
                        pc = a
                elif op == 22:  # jump_if
                    if regs[b]:
                        pc = a
                elif op == 24:  # get_cell
                    regs[a] = regs[b].value
                else:  # set_cell
                    regs[a].value = regs[b]
            elif op < 37:
                if op < 31:
                    if op == 26:  # and
                        regs[a] = regs[b] & regs[c]
                    elif op == 27:  # or
                        regs[a] = regs[b] | regs[c]
                    elif op == 28:  # xor
                        regs[a] = regs[b] ^ regs[c]
                    elif op == 29:  # shl
                        regs[a] = regs[b] << regs[c]
                    else:  # shr
                        regs[a] = regs[b] >> regs[c]
                elif op == 31:  # lt
                    regs[a] = regs[b] < regs[c]
                elif op == 32:  # le
                    regs[a] = regs[b] <= regs[c]
                elif op == 33:  # eq
                    regs[a] = regs[b] == regs[c]
                elif op == 34:  # ne
                    regs[a] = regs[b] != regs[c]
                elif op == 35:  # neg
                    regs[a] = -regs[b]
                else:  # not
                    regs[a] = not regs[b]
            elif op == 37:  # for_prepare
                if type(regs[a]) is not int or type(regs[a + 1]) is not int:
                    raise TypeError
                if regs[a] < regs[a + 1]:
                    regs[a + 2] = regs[a]
                else:
                    pc = b
            elif op == 38:  # array
                regs[a] = Array(regs[b : b + c])
            elif op == 39:  # closure
                prototype = closure.prototype.inner[b]
                captured = [regs[each] if own else cells[each] for own, each in prototype.captures]
                regs[a] = Closure(prototype, captured)
            elif op == 40:  # new_cell
                regs[a] = Cell(regs[b], c)
            elif op == 42:  # enter
                rounds = regs[b + 1] - regs[b]
                a.left -= rounds
                if a.left <= 0:
                    a.warm(code, rounds)
            elif op == 44:  # step
                if not a[0]:
                    raise OutOfBudget(closure.prototype.lines[pc - 1], a[1])
                a[0] -= 1
            else:  # run, left
                value = a.run(closure, regs, depth + len(frames))
                if value is RESUMED:
                    regs, pc = machine.resumed
                elif value is not NOT_RUN:
                    if not frames:
                        return value
                    closure, code, cells, regs, pc, a = frames.pop()
                    regs[a] = value
    except _REFUSALS as error:
        if len(frames) > room:  # the call that is one too many is in its caller's line
            closure, code, cells, regs, pc, a = frames.pop()
        raise explain(error, closure.prototype, regs, pc - 1) from None
