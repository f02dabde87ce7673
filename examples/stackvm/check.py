"""What is wrong with bytecode, said before it runs: the interpreter and compiled code rely on it."""

from __future__ import annotations

from collections.abc import Sequence

from .code import INSTRUCTION, MOST_PARAMETERS, Function, GuestError, Op

EFFECTS: dict[int, tuple[int, int]] = {  # values that an instruction takes from the stack, and puts there
    Op.PUSH: (0, 1),
    Op.GET: (0, 1),
    Op.SET: (1, 0),
    Op.ADD: (2, 1),
    Op.MUL: (2, 1),
    Op.ITEM: (1, 1),
    Op.UNLESS_LESS: (2, 0),
    Op.JUMP: (0, 0),
    Op.LOOP: (0, 0),
    Op.CALL: (0, 1),  # besides its arguments
    Op.RETURN: (1, 0),
}
JUMPS = (Op.UNLESS_LESS, Op.JUMP, Op.LOOP)
LAST = (Op.JUMP, Op.LOOP, Op.RETURN)  # what is behind them is reached by jumps alone


def check(function: Function, arities: Sequence[int]) -> None:
    """GuestError, with function and offset, unless there are only instructions whose operands are in range, and the
    stack is equally deep on all ways to one, and deep enough. `arities`: of the functions that it may call.
    """
    name, code = function.name, function.code
    if not 0 <= function.arity <= min(function.locals, MOST_PARAMETERS):
        raise GuestError(
            f"{name}: {function.arity} parameters, {function.locals} locals; "
            f"accepted: up to {MOST_PARAMETERS}, which are locals"
        )
    if len(code) % INSTRUCTION.size or not code:
        at = len(code) - len(code) % INSTRUCTION.size
        raise GuestError(f"{name}, offset {at}: {len(code) - at} bytes; accepted: instructions of {INSTRUCTION.size}")
    rows = list(INSTRUCTION.iter_unpack(code))
    for at, (op, a, b) in enumerate(rows):
        wrong = _operand(op, a, b, at, function.locals, arities, len(rows))
        if wrong:
            raise _wrong(function, at, wrong)
    _follow(function, rows)


def _operand(op: int, a: int, b: int, at: int, locals: int, arities: Sequence[int], count: int) -> str:
    """What is wrong with an instruction by itself, or nothing."""
    if op not in EFFECTS:
        return f"there is no instruction {op}"
    if op in (Op.GET, Op.SET) and a >= locals:
        return f"local {a}; accepted: one of {locals}"
    if op == Op.ITEM and (a or arities[0] != 1):  # it may become a call of function 0
        return f"operand {a}, and function 0 has {arities[0]} parameters; accepted: 0, and 1"
    if op in (Op.UNLESS_LESS, Op.JUMP) and not at < b < count:
        return f"jump to instruction {b}; accepted: {at + 1} to {count - 1}"
    if op == Op.LOOP and not 0 <= b <= at:
        return f"jump to instruction {b}; accepted: 0 to {at}"
    if op == Op.CALL and a >= len(arities):
        return f"function {a}; accepted: one of {len(arities)}"
    if op == Op.CALL and b != arities[a]:
        return f"{b} arguments; accepted: {arities[a]}"
    return ""


def _follow(function: Function, rows: Sequence[tuple[int, int, int]]) -> None:
    """How deep the stack is in front of each instruction that there is a way to."""
    depths: dict[int, int] = {}
    ways = [(0, 0, 0)]  # an instruction, how deep the stack is in front of it, and the instruction before
    while ways:
        at, depth, before = ways.pop()
        if at == len(rows):
            raise _wrong(function, before, "it goes on past the last; accepted there: a jump, or return")
        if depths.setdefault(at, depth) != depth:
            raise _wrong(
                function, before, f"it leaves {depth} values on the stack; accepted: {depths[at]}, as others do"
            )
        op, _, b = rows[at]
        takes, gives = EFFECTS[op]
        takes += b if op == Op.CALL else 0
        if takes > depth:
            raise _wrong(function, at, f"it takes {takes} values from the stack; accepted: up to {depth}")
        depth += gives - takes
        following = [b] if op in JUMPS else []
        following += [] if op in LAST else [at + 1]
        ways += [(each, depth, at) for each in following if depths.get(each) != depth]


def _wrong(function: Function, at: int, what: str) -> GuestError:
    return GuestError(f"{function.name}, offset {at * INSTRUCTION.size}: {what}")
