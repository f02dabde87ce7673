"""The eBPF example: programs that would never end are stopped by a budget, and what they did until then is done."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from ebpf_support import EXIT, Code, call, clang_or_skip, copy, insn, load, local, mov, native_or_skip, wide

import cnp
from examples.ebpf import EbpfError, HostHelper, MapSpec, Number, OutOfBudget, Program, demo, toolchain
from examples.ebpf import instruction as bpf
from examples.ebpf.maps import ARRAY, HASH, UPDATE

ADD = insn(bpf.ALU64 | bpf.ADD | bpf.K, 6, imm=1)
BACK = bpf.JMP | bpf.JA
DATA = MapSpec("data", ARRAY, 4, 16, 1, writable=True)
TABLE = MapSpec("table", HASH, 8, 8, 4)


def both(program: Program) -> list[Callable[..., int]]:
    native_or_skip()
    return [program.run, program.interpret]


def rounds(program: Program) -> int:
    """How many a program has counted, in both words of its data, which differ within a round alone."""
    first, second = struct.unpack("<QQ", program.map("data")[bytes(4)])
    assert first - second in (0, 1)
    return int(first)


COUNTING: Code = [
    *wide(7, 0, bpf.MAP_VALUE),
    load(6, 7, 0),
    ADD,
    insn(bpf.STX | bpf.MEM | bpf.DW, 7, 6, 0),
    insn(bpf.STX | bpf.MEM | bpf.DW, 7, 6, 8),
]


def test_a_loop_is_stopped() -> None:
    """Where it is, and the next run goes on from what is in the map."""
    program = Program([*COUNTING, insn(BACK, offset=-4)], maps=[DATA])
    for run in both(program):
        before = rounds(program)
        for budget in (1, 2, 1000):
            with pytest.raises(OutOfBudget) as stopped:
                run(b"", budget=budget)
            assert str(stopped.value) == f"the run was stopped: its budget of {budget} turns is spent"
            assert stopped.value.budget == budget
            before, made = rounds(program), rounds(program) - before
            assert budget <= made <= 2 * budget + 2
        program.reset()


def test_what_ends_in_time_is_not_stopped() -> None:
    loop = [mov(6, 0), ADD, insn(bpf.JMP | bpf.JNE, 6, offset=-2, imm=500), copy(0, 6), EXIT]
    for run in both(Program(loop)):
        assert run(b"", budget=500) == run(b"", budget=(1 << 62) - 1) == run(b"") == 500
        with pytest.raises(OutOfBudget):
            run(b"", budget=200)
    for run in both(Program([mov(0, 7), EXIT])):
        assert run(b"", budget=0) == 7


def test_calls_count() -> None:
    """Fewer than 100 jumps back, but each of them calls, and so do those."""
    main = [mov(6, 0), local(1, 5), ADD, insn(bpf.JMP | bpf.JNE, 6, offset=-3, imm=90), EXIT]
    callee = [mov(6, 0), local(6, 10), ADD, insn(bpf.JMP | bpf.JNE, 6, offset=-3, imm=3), EXIT]
    program = Program([*main, *callee, mov(0, 3), EXIT])
    for run in both(program):
        assert run(b"", budget=10_000) == 3
        with pytest.raises(OutOfBudget):
            run(b"", budget=150)


def test_a_hash_map_stays_whole() -> None:
    """A key of the round's number modulo 4 has the round's number, which an update writes as one."""
    program = Program(
        [
            *COUNTING,
            copy(3, 6),
            insn(bpf.ALU64 | bpf.AND | bpf.K, 3, imm=3),
            insn(bpf.STX | bpf.MEM | bpf.DW, 10, 3, -8),
            insn(bpf.STX | bpf.MEM | bpf.DW, 10, 6, -16),
            *wide(1, 1, bpf.MAP),
            copy(2, 10),
            insn(bpf.ALU64 | bpf.ADD | bpf.K, 2, imm=-8),
            copy(3, 10),
            insn(bpf.ALU64 | bpf.ADD | bpf.K, 3, imm=-16),
            mov(4, 0),
            call(UPDATE),
            insn(BACK, offset=-16),
        ],
        maps=[DATA, TABLE],
    )
    for run in both(program):
        for budget in (1, 3, 50, 51, 52, 53, 1000):
            program.reset()
            with pytest.raises(OutOfBudget):
                run(b"", budget=budget)
            made, table = rounds(program), program.map("table")
            expected = {struct.pack("<Q", n % 4): struct.pack("<Q", n) for n in range(max(1, made - 3), made + 1)}
            missing = {struct.pack("<Q", n % 4): struct.pack("<Q", n) for n in range(max(1, made - 4), made)}
            assert {key: table[key] for key in table} in (expected, missing)


def test_a_budget_lasts_for_its_run_alone() -> None:
    """Neither the caller's fuel nor a later run is taken for it; a helper's exception is itself."""
    program = Program([*COUNTING, insn(BACK, offset=-4)], maps=[DATA])
    native_or_skip()
    with cnp.fuel(100), pytest.raises(cnp.Trap) as trap:
        program.run(b"", budget=1000)
    assert trap.value.kind == cnp.TrapKind.OUT_OF_FUEL
    with cnp.fuel(10_000) as fuel:
        with pytest.raises(OutOfBudget):
            program.run(b"", budget=1000)
        assert fuel.used == 1000

    def fails(*_: int) -> int:
        raise RuntimeError("no")

    helped = Program([mov(1, 0), call(9), EXIT], helpers={9: HostHelper(fails, [Number()])})
    for run in both(helped):
        with pytest.raises(RuntimeError, match="no"):
            run(b"", budget=5)


@pytest.mark.parametrize("budget", [-1, 1 << 62])
def test_what_is_no_budget(budget: int) -> None:
    for run in both(Program([mov(0, 1), EXIT])):
        with pytest.raises(EbpfError, match=rf"^a budget of {budget} turns; 0 to 4611686018427387903 are accepted$"):
            run(b"", budget=budget)
    with pytest.raises(EbpfError, match="back end 'reference' takes no budget"):
        Program([mov(0, 1), EXIT], backend="reference").run(b"", budget=1)


ENDLESS = 'unsigned long long endless(void) { for (;;) __asm__ volatile(""); }'


def test_the_option_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clang_or_skip()
    source = tmp_path / "endless.c"
    source.write_text(ENDLESS)
    made = toolchain.compile_object(source, tmp_path / "endless.o")
    assert demo.main([str(made), "--budget", "100000"]) == 2
    assert capsys.readouterr().err == "error: the run was stopped: its budget of 100000 turns is spent\n"
