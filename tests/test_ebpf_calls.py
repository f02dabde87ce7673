"""The eBPF example: calls of local functions, and of Python."""

from __future__ import annotations

import struct

import pytest
from ebpf_support import EXIT, agree, call, copy, insn, load, local, mov, native_or_skip

from examples.ebpf import Fault, HostHelper, Instruction, Number, Program
from examples.ebpf import instruction as bpf

FIBONACCI = [
    load(1, 1, 0),
    local(1, 3),
    EXIT,
    copy(0, 1),
    insn(bpf.JMP | bpf.JLT, 1, offset=9, imm=2),
    insn(bpf.STX | bpf.MEM | bpf.DW, 10, 1, -8),
    insn(bpf.ALU64 | bpf.ADD | bpf.K, 1, imm=-1),
    local(7, 3),
    copy(6, 0),
    load(1, 10, -8),
    insn(bpf.ALU64 | bpf.ADD | bpf.K, 1, imm=-2),
    local(11, 3),
    insn(bpf.ALU64 | bpf.ADD | bpf.X, 0, 6),
    EXIT,
    EXIT,
]


def test_recursion_with_frames_of_its_own() -> None:
    native_or_skip()
    program = Program(FIBONACCI, frames=20)
    assert [agree(program, struct.pack("<Q", n)) for n in range(12)] == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    for run in (Program(FIBONACCI).run, Program(FIBONACCI).interpret):
        assert run(struct.pack("<Q", 7)) == 13
        with pytest.raises(Fault, match=r"^instruction 7, `call 3`: at most 8 functions may be active at once$"):
            run(struct.pack("<Q", 8))


def test_a_callee_may_use_its_callers_stack_and_context() -> None:
    native_or_skip()
    main = [copy(6, 1), insn(bpf.ST | bpf.MEM | bpf.DW, 10, 0, -8, 5), copy(2, 10), copy(1, 6)]
    main += [insn(bpf.ALU64 | bpf.ADD | bpf.K, 2, imm=-8), local(5, 8), load(0, 10, -8), EXIT]
    callee = [load(3, 2, 0), load(4, 1, 8), insn(bpf.ALU64 | bpf.ADD | bpf.X, 3, 4)]
    callee += [insn(bpf.STX | bpf.MEM | bpf.DW, 2, 3, 0), insn(bpf.ST | bpf.MEM | bpf.DW, 10, 0, -8, 77)]
    program = Program([*main, *callee, mov(0, 1), EXIT])
    assert agree(program, struct.pack("<QQ", 0, 30)) == 35
    assert isinstance(agree(program, bytes(15)), tuple)


def test_helpers_are_python_functions() -> None:
    native_or_skip()
    seen: list[tuple[int, ...]] = []

    def helper(*arguments: int) -> int:
        seen.append(arguments)
        return -1

    arguments = [mov(each, each - 3) for each in range(1, 6)]
    program = Program([*arguments, call(70), EXIT], helpers={70: HostHelper(helper, [Number()] * 5)})
    assert agree(program) == 2**64 - 1
    assert seen == [(2**64 - 2, 2**64 - 1, 0, 1, 2)] * 2

    def fails(*arguments: int) -> int:
        raise RuntimeError("no")

    for run in ("run", "interpret"):
        with pytest.raises(RuntimeError, match="no"):
            getattr(Program([*arguments, call(9), EXIT], helpers={9: HostHelper(fails)}), run)()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_helper_that_raises_ends_the_run_where_it_stands(error: type[BaseException]) -> None:
    """Nothing behind the call is done; what was done before it is there, and the program can be run again."""
    native_or_skip()
    fails = True

    def helper(*_: int) -> int:
        if fails:
            raise error("no")
        return 7

    def store(imm: int, offset: int) -> Instruction:
        return insn(bpf.ST | bpf.MEM | bpf.B, 6, 0, offset, imm)

    program = Program([copy(6, 1), store(1, 0), call(9), store(2, 1), EXIT], helpers={9: HostHelper(helper)})
    for run in (program.run, program.interpret):
        context = bytearray(2)
        fails = True
        with pytest.raises(error, match="no"):
            run(context)
        assert context == b"\x01\x00"
        fails = False
        assert run(context) == 7 and context == b"\x01\x02"
