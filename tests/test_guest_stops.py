"""The guests of examples/ebpf and examples/lang when they are stopped: Ctrl-C in a compiled loop, a fault in a helper,
an exception of Python's amid compiled code. What the guest has done is there, whole, and it can be run again."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pytest
from lang_support import compile_eagerly
from stops import alone, interrupted

import cnp
from cnp.extension.library import OpLibrary
from examples.ebpf import HostHelper, MapSpec, Number, Program, atomics
from examples.ebpf import instruction as bpf
from examples.ebpf.helpers import C_HELPER
from examples.ebpf.instruction import Instruction
from examples.ebpf.maps import ARRAY, DELETE, HASH, UPDATE
from examples.lang import Machine
from examples.lang.builtins import Builtin

EXIT = Instruction(bpf.JMP | bpf.EXIT)
MOVE, ADD = bpf.ALU64 | bpf.MOV, bpf.ALU64 | bpf.ADD


def insn(code: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> Instruction:
    return Instruction(code, dst, src, offset, imm)


# eBPF.

CALL = (insn(bpf.JMP | bpf.CALL, imm=9),)
MAPS = (MapSpec("counts", ARRAY, 4, 8, 1), MapSpec("kept", HASH, 8, 8, 3))
D, SLOW = bpf.MEM | bpf.DW, 1 << 60


def counting(*middle: Instruction) -> list[Instruction]:
    """As many rounds as word 0 of the context says, of: word 1 of the context, which counts them, the only value of the
    map `counts`, and after `middle` the value of key 0 of `kept`, which is deleted and put in again."""
    loop = [
        insn(bpf.LDX | D, 8, 6, 8), insn(ADD | bpf.K, 8, imm=1), insn(bpf.STX | D, 6, 8, 8),
        insn(MOVE | bpf.K, 0, imm=1), insn(bpf.STX | bpf.ATOMIC | bpf.DW, 7, 0, 0, bpf.ADD),
        *middle,
        insn(bpf.STX | D, 10, 8, -16), insn(bpf.ST | D, 10, 0, -8),
        insn(bpf.LD | bpf.DW, 1, bpf.MAP, imm=1), insn(0), insn(MOVE | bpf.X, 2, 10), insn(ADD | bpf.K, 2, imm=-8),
        insn(bpf.JMP | bpf.CALL, imm=DELETE),
        insn(bpf.LD | bpf.DW, 1, bpf.MAP, imm=1), insn(0), insn(MOVE | bpf.X, 2, 10), insn(ADD | bpf.K, 2, imm=-8),
        insn(MOVE | bpf.X, 3, 10), insn(ADD | bpf.K, 3, imm=-16), insn(MOVE | bpf.K, 4),
        insn(bpf.JMP | bpf.CALL, imm=UPDATE),
    ]  # fmt: skip
    return [
        insn(MOVE | bpf.X, 6, 1), insn(bpf.LDX | D, 9, 6), insn(bpf.LD | bpf.DW, 7, bpf.MAP_VALUE), insn(0),
        *loop, insn(bpf.JMP | bpf.JLT | bpf.X, 8, 9, -len(loop) - 1), insn(MOVE | bpf.K, 0, imm=1), EXIT,
    ]  # fmt: skip


def counts(program: Program, context: bytearray) -> tuple[int, int, int]:
    """How many rounds there have been by word 1, by `counts`, and by `kept`."""
    kept = program.map("kept")
    assert list(kept) == [bytes(8)]
    assert len(kept) == 1
    words = context[8:16], program.map("counts")[bytes(4)], kept[bytes(8)]
    return struct.unpack("<QQQ", b"".join(words))


def native_or_skip() -> None:
    try:
        Program([insn(MOVE | bpf.K, 0), EXIT]).run()
    except cnp.Unsupported as error:
        pytest.skip(f"NOT TESTED: native cannot run here: {error}")


def goes_on(program: Program, context: bytearray) -> None:
    """Run a program on from where it was stopped, from the start, and by the interpreter."""
    before = counts(program, context)
    struct.pack_into("<Q", context, 0, before[0] + 5)
    assert program.run(context) == 1
    assert counts(program, context)[0] == before[0] + 5
    for run in (program.run, program.interpret):
        program.reset()
        struct.pack_into("<QQ", context, 0, 10, 0)
        assert run(context) == 1
        assert counts(program, context) == (10, 10, 10)


def test_interrupt_in_a_compiled_ebpf_loop(atomic_ops: OpLibrary) -> None:
    program = Program(counting(), maps=MAPS, ops=atomic_ops)
    context = bytearray(16)
    for _ in range(3):
        program.reset()
        struct.pack_into("<QQ", context, 0, SLOW, 0)
        with interrupted():
            program.run(context)
        stopped = counts(program, context)
        assert stopped[0] > 1000
        assert stopped == stopped[:1] * 3  # between two rounds
        assert program.memory.context.length == 0  # the machine is no longer in a run
        goes_on(program, context)


class Refused(Exception):
    """What a function of Python's raises in these tests."""


@pytest.mark.parametrize("error", [Refused, KeyboardInterrupt])
def test_exception_in_a_helper_amid_a_compiled_ebpf_loop(error: type[BaseException], atomic_ops: OpLibrary) -> None:
    last = 1000

    def helper(*arguments: int) -> int:
        if arguments[0] == last:
            raise error("no")
        return 0

    helpers = {9: HostHelper(helper, [Number()])}
    program = Program(counting(insn(MOVE | bpf.X, 1, 8), *CALL), maps=MAPS, helpers=helpers, ops=atomic_ops)
    for run in (program.run, program.interpret):
        program.reset()
        context = bytearray(struct.pack("<QQ", SLOW, 0))
        last = 1000
        with pytest.raises(error, match="no"):
            run(context)
        assert counts(program, context) == (1000, 1000, 999)
        last = 0
        goes_on(program, context)


def a_fault_in_a_helper(path: str) -> None:
    """Word 2 of the context is where a helper, C's memcpy, copies from: it is declared to take numbers, so that nothing
    checks them. For a process of its own: handlers stay."""
    cnp.catch_faults()
    copy = C_HELPER(ctypes.cast(ctypes.CDLL(None).memcpy, ctypes.c_void_p).value or 0)
    arguments = [
        insn(MOVE | bpf.X, 1, 10),
        insn(ADD | bpf.K, 1, imm=-24),
        insn(bpf.LDX | D, 2, 6, 16),
        insn(MOVE | bpf.K, 3, imm=8),
    ]
    helpers = {9: HostHelper(copy, [Number()] * 3)}
    program = Program(counting(*arguments, *CALL), maps=MAPS, helpers=helpers, ops=atomics.load(path))
    word = ctypes.c_uint64(7)
    context = bytearray(struct.pack("<QQQ", 1000, 0, ctypes.addressof(word)))
    for _ in range(3):
        program.reset()
        struct.pack_into("<QQQ", context, 0, 1000, 0, ctypes.addressof(word))
        assert program.run(context) == 1
        assert counts(program, context) == (1000, 1000, 1000)
        struct.pack_into("<QQQ", context, 0, SLOW, 1000, 24)
        with pytest.raises(cnp.Trap) as caught:
            program.run(context)
        assert (caught.value.kind, caught.value.detail) == (cnp.TrapKind.MEMORY_FAULT, "SIGSEGV at address 0x18")
        assert counts(program, context) == (1001, 1001, 1000)
        assert program.memory.context.length == 0
        struct.pack_into("<Q", context, 16, ctypes.addressof(word))
        goes_on(program, context)


def test_fault_in_a_helper_amid_a_compiled_ebpf_loop(atomic_ops: OpLibrary) -> None:
    alone(a_fault_in_a_helper, atomic_ops.path)


# Jot.


class Host:
    """A machine whose programs hand over what they compute with by `keep(a, b)`, and get it back by `kept(i)`;
    `check(n)` raises for the `last` n."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.lines: list[str] = []
        self.last: int | None = None
        self.machine = Machine(lambda line: self.lines.append(line.rstrip("\n")))
        calls = {"keep": (2, self._keep), "kept": (1, lambda i: self.values[i]), "check": (1, self._check)}
        self.machine.builtins |= {name: Builtin(name, *call) for name, call in calls.items()}
        self.machine.tier.flow(self.machine.load(""))  # so that everything is imported

    def _keep(self, a: Any, b: Any) -> None:
        self.values = [a, b]

    def _check(self, n: int) -> None:
        if n == self.last:
            raise Refused

    def run(self, text: str) -> list[str]:
        """What a program prints."""
        self.lines.clear()
        self.machine.run(text)
        return self.lines

    def is_at_rest(self) -> None:
        """Nothing is left of a run that was stopped, but that something has been compiled for it."""
        tier = self.machine.tier
        if tier.unavailable:
            pytest.skip("NOT TESTED: native code cannot run here")
        assert (tier.nesting, tier.translation.kept, tier.entered) == (0, [], None)
        assert tier.compiled


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Its machine compiles at once, and keeps entering compiled code however little it does."""
    compile_eagerly(monkeypatch)
    return Host()


FLAT = """
let n = 0
let a = array(4, 0)
let x = array(1, 0.0)
let state = fn() { return n + a[3] }
keep([a, x], state)
while true { n += 1; a[0] = a[0] + 1; a[1] = a[1] + 2; x[0] = x[0] + 0.5; a[2] = a[0] + a[1]; a[3] = 0 - n }
"""
NESTED = """
let n = 0
let a = array(4, 0)
let x = array(1, 0.0)
fn inner(times) { for i in 0..times { n += 1; a[1] = a[1] + 1; x[0] = x[0] + 0.25 } }
fn outer() { while true { a[0] = a[0] + 1; inner(10); a[2] = a[0]; a[3] = a[1] } }
keep([a, x], fn() { return n - a[1] })
outer()
"""
AFTER = """
let state = kept(1)
let a = kept(0)[0]
for i in 0..50 { a[1] = a[1] + 1; a[1] = a[1] - 1 }
print(state(), a[1])
"""


@pytest.mark.parametrize("text", [FLAT, NESTED])
def test_interrupt_in_a_compiled_jot_loop(text: str, host: Host) -> None:
    for _ in range(3):
        with interrupted():
            host.run(text)
        host.is_at_rest()
        a, x = (list(each.items) for each in host.values[0].items)
        assert a[0] > 1000
        if text is FLAT:
            assert (a, x) == ([a[0], 2 * a[0], 3 * a[0], -a[0]], [a[0] / 2])
        else:  # between two rounds of a loop
            assert 10 * (a[0] - 1) <= a[1] <= 10 * a[0]
            assert x == [a[1] / 4]
            assert (a[2], a[3]) in ((a[0] - 1, 10 * (a[0] - 1)), (a[0], a[1]))
        assert host.run(AFTER) == [f"0 {a[1]}"]
        host.is_at_rest()


CHECKED = """
let n = 0
let a = array(4, 0)
fn inner(i) { n += 1; a[1] = a[1] + 1; if n % 3 == 0 { check(n) }; a[2] = a[2] + 1; return i }
fn outer() { let sum = 0; for i in 0..100000 { a[0] = a[0] + 1; sum += inner(i); a[3] = a[3] + 1 } }
keep([a, a], fn() { return n })
outer()
"""


def test_exception_of_pythons_amid_a_compiled_jot_loop(host: Host) -> None:
    for last in (30, 777, 2001):
        host.last = last
        with pytest.raises(Refused):
            host.run(CHECKED)
        host.is_at_rest()
        assert list(host.values[0].items[0].items) == [last, last, last - 1, last - 1]
        host.last = None
        assert host.run(AFTER) == [f"{last} {last}"]
