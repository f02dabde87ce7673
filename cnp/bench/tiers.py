"""Bench: what a JIT tier does besides compiling functions: it enters loops, leaves by side exits, rewrites cells."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path

import cnp
from cnp import Function, Label, i64
from cnp.bench import c_builder, callgrind
from cnp.bench.figure import Recorder
from cnp.bench.measure import Ratio, interleaved
from cnp.bench.registry import Bench
from cnp.errors import InternalError
from cnp.ir.optable import Code
from cnp.ir.packed import register_of

SIZE = 1000  # guest instructions of the loop that is entered
COMPILED = ("function.compile", "function.entered_at", "bytecode.compile", "bytecode.entered_at")
"""Compiling the whole function, and making the one that enters its loop, which is compiled besides: an op."""
DONE = ("call", "enter", "leave", "set_cell", "set_data_cell")
_NOTES = {
    "call": "of 8 arguments, which passes a guard",
    "enter": "8 values packed, loaded, and one round",
    "leave": "from the guard to the result of a handler that gets 8 values and does nothing; the call is subtracted",
    "set_cell": "the callee of an inline cache; from Python, what it was before is retired, too",
}
_REGISTERS = 16  # of the loop, all of them with values that it is entered with
_VALUES = (1, 2, 3, 4, 5, 6, 7, 8)
_CALLS = 500
_MARKER = "cnp_mark"


def run(recorder: Recorder) -> None:
    """us an op and ns a time, from Python and from C, and the instructions of the latter."""
    loop = _by_ops()
    _from_python(recorder, loop)
    names = [f"c_us_per_op.{each}" for each in COMPILED] + [f"c_ns.{each}" for each in DONE]
    counted = [f"c_instructions_per_op.{each}" for each in COMPILED] + [f"c_instructions.{each}" for each in DONE]
    with recorder.part(*names, *counted), tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        program = _compiled(Path(directory), loop, recorder.quick)
        _times(recorder, program, len(loop.ops))
        _counts(recorder, program, len(loop.ops))


# -- the functions


def _loop() -> bytes:
    """All of it is a loop, up to the first argument."""
    from cnp.bench.guests import words  # late: tables open the library, and which one that is can be said

    body = words(SIZE).replace(b"\x0f", b"\x0e")[: -3 * 4]  # without register 15, which counts
    return body + struct.pack("<BBhBBh", 3, 15, 1, 4, 15, 1 - SIZE) + b"\x05\x01\0\0"


def _by_ops() -> Function:
    from cnp.bench.guests import python_words

    return python_words(_loop())


def _head(function: Function) -> Label:
    head: Label = next(op[1] for op in function.ops if op[0] == Code.PLACE)
    return head


def _small() -> tuple[Function, Label]:
    """A function that leaves with all its parameters if the first is negative, as it does in front of a loop down from
    that; and the loop's label."""
    f = Function("leaving", [i64] * len(_VALUES), i64)
    loop, n = f.label(), f.params[0]
    f.branch_i64_lt_s(n, 0, f.exit(lambda point, values: -1, None, f.params))
    f.place(loop)
    f.i64_sub(n, n, 1)
    f.branch_i64_gt_s(n, 0, loop)
    f.ret(n)
    return f, loop


# -- from Python


def _from_python(recorder: Recorder, by_ops: Function) -> None:
    from cnp.bench.guests import WORDS

    by_table = WORDS.function("loop", [i64], i64, _loop())
    works: dict[str, Callable[[], object]] = {}
    for name, function, head in ("function", by_ops, _head(by_ops)), ("bytecode", by_table, by_table.label_at(0)):
        enter = partial(function.entered_at, head, [register_of(function, k) for k in range(_REGISTERS)])
        entry = enter()
        if entry.compile()(entry.pack([5, *[0] * (_REGISTERS - 1)])) != function.compile()(5):
            raise InternalError(f"tiers: the loop of the {name} does something else when it is entered")
        works |= {f"{name}.compile": function.compile, f"{name}.entered_at": enter}
    samples = interleaved(works, recorder.rounds(101))
    for name in COMPILED:
        recorder.sampled(f"python_us_per_op.{name}", [each / len(by_ops.ops) * 1e6 for each in samples[name]], "us")
    for name, limit in (("function", None), ("bytecode", 1.0)):
        ratio = Ratio(samples[f"{name}.entered_at"], samples[f"{name}.compile"])
        recorder.ratio(f"entry_per_compile.{name}", ratio, at_most=limit, note="from Python; compiled besides")
    taken = interleaved(_done_by_python(), recorder.rounds(101))
    for name in DONE:
        net = _above(taken[name], taken["call" if name == "leave" else "nothing"])
        recorder.sampled(f"python_ns.{name}", [each / _CALLS * 1e9 for each in net], "ns", note=_NOTES.get(name, ""))


def _above(samples: Sequence[float], base: Sequence[float]) -> list[float]:
    """What each round took longer for one work than for another."""
    return [max(taken - less, 0) for taken, less in zip(samples, base)]


def _done_by_python() -> dict[str, Callable[[], object]]:
    f, loop = _small()
    entry = f.entered_at(loop, f.params)
    code, again, enter, pack = f.compile(), f.compile(), entry.compile(), entry.pack
    others, cell, data_cell = _VALUES[1:], cnp.Cell("cell", [i64] * len(_VALUES), i64, code), cnp.DataCell()
    if not (code(*_VALUES) == enter(pack(_VALUES)) == 0 and code(-1, *others) == -1):
        raise InternalError("tiers: the small function does not do what it should")

    def call(first: int) -> None:
        a, b, c, d, e, f, g = others
        for _ in repeat(None, _CALLS):
            code(first, a, b, c, d, e, f, g)

    def run_entry() -> None:
        for _ in repeat(None, _CALLS):
            enter(pack(_VALUES))

    def set_cell() -> None:
        for _ in repeat(None, _CALLS // 2):
            cell.set(again)
            cell.set(code)

    def set_data_cell() -> None:
        for _ in repeat(None, _CALLS):
            data_cell.value = 5

    def nothing() -> None:
        for _ in repeat(None, _CALLS):
            pass

    return {
        "nothing": nothing,
        "call": lambda: call(1),
        "leave": lambda: call(-1),
        "enter": run_entry,
        "set_cell": set_cell,
        "set_data_cell": set_data_cell,
    }


# -- from C


def _compiled(directory: Path, by_ops: Function, quick: bool) -> Path:
    from cnp.bench.guests import WORDS

    programs = c_builder.source({"function": by_ops}, {"bytecode": ("words", _loop())})
    programs += f"#define HEAD {_head(by_ops).code & 0xFFFFFFFF}\n"
    return c_builder.compiled("c_tiers.c", directory, programs, {"words": WORDS}, quick)


def _times(recorder: Recorder, program: Path, ops: int) -> None:
    command = [str(program), str(recorder.rounds(51))]
    samples: dict[str, list[float]] = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        name, nanoseconds = line.split()
        samples.setdefault(name, []).append(float(nanoseconds))
    for name in COMPILED:
        recorder.sampled(f"c_us_per_op.{name}", [each / ops / 1e3 for each in samples[name]], "us")
    for name in DONE:
        net = _above(samples[name], samples["call"]) if name == "leave" else samples[name]
        recorder.sampled(f"c_ns.{name}", net, "ns", note=_NOTES.get(name, ""))


def _counts(recorder: Recorder, program: Path, ops: int) -> None:
    printed, totals = callgrind.marked([str(program), "count"], _MARKER)
    found = {name: (totals[2 * k + 1] - totals[2 * k]) / 2 for k, name in enumerate(printed.splitlines())}
    for name in COMPILED:
        recorder.value(f"c_instructions_per_op.{name}", found[name] / ops)
    for name in DONE:
        recorder.value(f"c_instructions.{name}", found[name] - (found["call"] if name == "leave" else 0))


BENCH = Bench("tiers", "what a JIT tier does: entering loops, leaving by exits, rewriting cells", run)
