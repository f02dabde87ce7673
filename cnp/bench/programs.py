"""Functions of a wanted size and shape, the same in every run."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from cnp import Function, Label, Register, f64, i64, ptr
from cnp.ir.optable import Code
from cnp.runtime.default import default_library

_METHODS = {
    int(Code.PLACE): "place", int(Code.JUMP): "jump", int(Code.RET): "ret",
    int(Code.CONST64): "i64_const", int(Code.CONSTF64): "f64_const",
}  # fmt: skip


def face() -> Function:
    """The loop of the README: sum of i * i % 7."""
    f = Function("sum_of_squares_mod_7", params=[i64], result=i64)
    (n,) = f.params
    i, total, term = f.reg(i64), f.reg(i64), f.reg(i64)
    head, done = f.label(), f.label()
    f.i64_const(i, 0)
    f.i64_const(total, 0)
    f.place(head)
    f.branch_i64_ge_s(i, n, done)
    f.i64_mul(term, i, i)
    f.i64_rem_s(term, term, 7)
    f.i64_add(total, total, term)
    f.i64_add(i, i, 1)
    f.jump(head)
    f.place(done)
    f.ret(total)
    return f


def straight(size: int, registers: int = 6, chained: bool = False) -> Function:
    """Sums and products of i64 registers and constants, one after the other.

    If chained, each takes the result before it and the parameters stay: then no op is superfluous, and the result of
    any number of them depends on the parameters.
    """
    f = Function(f"straight_{registers}", params=[i64, i64], result=i64)
    pool = [*f.params, *(f.reg(i64) for _ in range(registers - 2))]
    for number, each in enumerate(pool[2:]):
        f.i64_add(each, pool[number & 1], number)
    choose, last = random.Random(1), pool[-1]
    for number in range(size - registers + 1):
        d, a, b = choose.choices(pool, k=3)
        if chained:
            d, a = choose.choice(pool[2:]), last
            last = d
        if number % 4 == 0:
            f.i64_mul(d, a, b)
        elif number % 4 == 2:
            f.i64_add(d, a, number % 100 + 3)
        else:
            f.i64_add(d, a, b)
    f.ret(last if chained else pool[-1])
    return f


def many_registers(size: int) -> Function:
    """`straight` with more values alive than the machine has registers."""
    return straight(size, 40)


def mix(size: int) -> Function:
    """Loads, stores, integer and float arithmetic, and branches forward."""
    f = Function("mix", params=[ptr, i64], result=f64)
    base, n = f.params
    a, b, x, y, total = f.reg(i64), f.reg(i64), f.reg(f64), f.reg(f64), f.reg(f64)
    f.f64_const(total, 0.5)
    while len(f.ops) < size - 1:
        offset = len(f.ops) % 64 * 8
        skip = f.label()
        f.i64_load(a, base, offset)
        f.i64_add(b, a, n)
        f.i64_and(b, b, 1023)
        f.branch_i64_gt_s(b, 512, skip)
        f.f64_load(x, base, offset)
        f.f64_convert_i64_s(y, b)
        f.f64_mul(x, x, y)
        f.f64_add(total, total, x)
        f.i64_store(b, base, offset + 8)
        f.place(skip)
        f.i64_sub(n, n, 3)
    f.ret(total)
    return f


def loops(size: int) -> Function:
    """Counted loops one after the other, each with a branch inside."""
    f = Function("loops", params=[i64], result=i64)
    (n,) = f.params
    i, total = f.reg(i64), f.reg(i64)
    f.i64_const(total, 1)
    while len(f.ops) < size - 1:
        head, odd, done = f.label(), f.label(), f.label()
        f.i64_const(i, 0)
        f.place(head)
        f.branch_i64_ge_s(i, n, done)
        f.branch_i64_lt_s(total, i, odd)
        f.i64_add(total, total, i)
        f.place(odd)
        f.i64_xor(total, total, 5)
        f.i64_add(i, i, 1)
        f.jump(head)
        f.place(done)
    f.ret(total)
    return f


def memory(size: int) -> Function:
    """Loads and stores of several widths around a little arithmetic."""
    f = Function("memory", params=[ptr], result=i64)
    (base,) = f.params
    a, b, c = f.reg(i64), f.reg(i64), f.reg(i64)
    f.i64_const(c, 1)
    while len(f.ops) < size - 1:
        offset = len(f.ops) % 128 * 8
        f.i64_load(a, base, offset)
        f.i64_load32_u(b, base, offset + 4)
        f.i64_add(c, c, a)
        f.i64_store8(b, base, offset + 1)
        f.i64_store(c, base, offset + 8)
    f.ret(c)
    return f


def _leaf() -> Function:
    f = Function("leaf", params=[i64, i64], result=i64)
    d = f.reg(i64)
    f.i64_add(d, *f.params)
    f.ret(d)
    return f


def calls(size: int) -> Function:
    """A call of a small function after every few sums."""
    leaf = _leaf().compile()
    f = Function("calls", params=[i64, i64], result=i64)
    a, b = f.params
    total = f.reg(i64)
    f.i64_const(total, 1)
    while len(f.ops) < size - 1:
        f.i64_add(a, a, b)
        f.i64_xor(b, b, 9)
        f.call(a, leaf, total, b)
        f.i64_add(total, total, a)
    f.ret(total)
    return f


def tiny(factor: int = 7) -> Function:
    """Three ops."""
    f = Function("tiny", params=[i64, i64], result=i64)
    a, b = f.params
    d = f.reg(i64)
    f.i64_mul(d, a, factor)
    f.i64_add(d, d, b)
    f.ret(d)
    return f


SHAPES: dict[str, Callable[[int], Function]] = {
    "straight": straight,
    "many_registers": many_registers,
    "mix": mix,
    "loops": loops,
    "memory": memory,
    "calls": calls,
}
"""Makers of a function of about so many ops, by name."""


def unrolled(function: Function) -> Callable[[], Function]:
    """Python code that builds the same function, a statement an op: what building costs without deciding what to build.

    For functions without calls.
    """
    parameters = ", ".join(each.name for each in function.parameter_types)
    lines = [f"f = Function({function.name!r}, params=[{parameters}], result=result)"]
    types = function.register_types
    lines += [f"r{number} = f.params[{number}]" for number in range(len(function.params))]
    lines += [f"r{number} = f.reg({types[number]})" for number in range(len(function.params), len(types))]
    rows = {row.code: row.method for row in default_library().ops}
    labels = 0
    for code, *operands in function.ops:
        method = rows.get(code) or _METHODS[code]
        written = []
        for each in operands:
            index = getattr(each, "code", 0) & 0xFFFFFFFF
            if isinstance(each, Label):
                written.append(f"l{index}")
                lines += [f"l{number} = f.label()" for number in range(labels, index + 1)]
                labels = max(labels, index + 1)
            else:
                written.append(f"r{index}" if isinstance(each, Register) else repr(each))
        lines.append(f"f.{method}({', '.join(written)})")
    source = "def build():\n" + "".join(f"    {line}\n" for line in [*lines, "return f"])
    names: dict[str, Any] = {"Function": Function, "i64": i64, "f64": f64, "ptr": ptr, "result": function.result}
    exec(source, names)
    made: Callable[[], Function] = names["build"]
    return made
