"""Register fields of compiled code: each instruction is what clang's assembler makes of the registers asked for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import LIBRARY
from test_patch_oracle import assemble, text_of

from cnp.ir import Function
from cnp.stencil.sources import library_path
from cnp.target import TARGETS
from cnp.types import Type

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

INSTRUCTIONS = {
    ("aarch64", "i64_sub"): "sub {d}, {a}, {b}",
    ("aarch64", "f64_sub"): "fsub {d}, {a}, {b}",
    ("riscv64", "i64_sub"): "sub {d}, {a}, {b}",
    ("riscv64", "f64_sub"): "fsub.d {d}, {a}, {b}",
    ("riscv64", "move"): ".option rvc\nc.mv {d}, {a}",
    ("loongarch64", "i64_sub"): "sub.d ${d}, ${a}, ${b}",
    ("loongarch64", "f64_sub"): "fsub.d {d}, {a}, {b}",
}
"""Of ops that do not commute, on registers that differ. Those of loongarch64's floats begin with a dollar already."""


def choices(count: int) -> list[tuple[int, int, int]]:
    """Registers of d, a and b: all at each position, beside two neighbours; and many at random."""
    r = random.Random(count)
    turned = [tuple((first + step * k) % count for k in range(3)) for first in range(count) for step in (1, count - 1)]
    chosen = [tuple(r.sample(range(count), 3)) for _ in range(150)]
    return [(d, a, b) for d, a, b in dict.fromkeys(turned + chosen)]


@pytest.mark.parametrize(("target", "op"), INSTRUCTIONS)
def test_registers_are_where_the_assembler_puts_them(target: str, op: str, tmp_path: Path) -> None:
    if not library_path(target).exists():
        pytest.skip(f"NOT TESTED: no library for {target} is built")
    type, record = Type.f64 if op.startswith("f") else Type.i64, TARGETS[target]
    names = record.float_registers if type.is_float else record.integer_registers
    rows = choices(len(names))
    lines = [INSTRUCTIONS[target, op].format(d=names[d], a=names[a], b=names[b]) for d, a, b in rows]
    wanted = text_of(assemble(target, "\n".join(lines), tmp_path))
    size = len(wanted) // len(rows)
    f = Function("it", params=[type, type], result=type)
    a, b = f.params
    d = f.reg(type)
    getattr(f, op)(d, a, *[b] * (op != "move"))
    f.ret(d)
    for number, (row, line) in enumerate(zip(rows, lines)):
        code = f.compile(target=target, pins=bytes([row[1], row[2], row[0]])).code
        found = {code[at : at + size] for at in range(0, len(code), 2)}
        assert wanted[number * size : (number + 1) * size] in found, (line, code.hex(" ", 4))
