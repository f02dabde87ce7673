"""The eBPF example's atomics: what they do, at which addresses, and that nothing comes between on other threads."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence

import pytest
from ebpf_support import EDGES, EXIT, Code, agree, copy, insn, load, mov, native_or_skip, wide

from cnp.extension.library import OpLibrary
from examples.ebpf import EbpfError, Fault, MapSpec, Program, demo
from examples.ebpf import instruction as bpf
from examples.ebpf.atomics import method_of
from examples.ebpf.maps import ARRAY, HASH
from examples.ebpf.memory import Memory

_D = bpf.ALU64
each_size = pytest.mark.parametrize("size", [bpf.W, bpf.DW], ids=["32", "64"])
each_atomic = pytest.mark.parametrize("imm", bpf.ATOMICS, ids=[method_of(each, 8) for each in bpf.ATOMICS])


def atomic(size: int, pointer: int, operand: int, imm: int, offset: int = 0) -> bpf.Instruction:
    return insn(bpf.STX | bpf.ATOMIC | size, pointer, operand, offset, imm)


@each_atomic
@each_size
def test_every_atomic(imm: int, size: int, atomic_ops: OpLibrary) -> None:
    tried = atomic(size, 1, 7, imm, 16)
    program = Program([load(0, 1, 0), load(7, 1, 8), tried, insn(_D | bpf.XOR | bpf.X, 0, 7), EXIT], ops=atomic_ops)
    at_itself = [load(0, 1, 0), copy(3, 1), atomic(size, 3, 3, imm, 16), mov(0, 0), EXIT]
    itself = Program(at_itself, ops=atomic_ops)
    for expected in EDGES:
        for operand in EDGES[::2]:
            for old in (expected, expected ^ 1 << 40):
                agree(program, struct.pack("<QQQ", expected, operand, old))
    agree(itself, bytes(24))
    with pytest.raises(Fault, match=r"writes [48] bytes at offset 16 of the context, which holds 19 bytes"):
        Program([mov(0, 0), mov(7, 1), tried, EXIT], ops=atomic_ops).run(bytes(19))


@each_atomic
@each_size
def test_ops_do_what_they_mean(imm: int, size: int, atomic_ops: OpLibrary) -> None:
    """In all placements, and by the reference, whose meaning is the interpreter's."""
    around = [(-1 << 63 | 5, 3), (7, -1), (0, 1 << 40 | 2)]
    samples = [(struct.pack("<qq", old, 9), *[old] * (imm == bpf.CMPXCHG), operand) for old, operand in around]
    samples += [(struct.pack("<qq", old, 9), old ^ 1 << 33, operand) for old, operand in around if imm == bpf.CMPXCHG]
    assert atomic_ops.check(method_of(imm, bpf.SIZES[size]).replace("_", ".", 1), samples) >= len(samples)


def test_on_the_reference(atomic_ops: OpLibrary) -> None:
    code = [mov(0, 4), mov(3, 5), atomic(bpf.DW, 1, 3, bpf.CMPXCHG), EXIT]
    program = Program(code, ops=atomic_ops, backend="reference")
    native_buffer, buffer = bytearray(struct.pack("<Q", 4)), bytearray(struct.pack("<Q", 4))
    assert program.run(buffer) == Program(code, ops=atomic_ops).run(native_buffer) == 4
    assert buffer == native_buffer == struct.pack("<Q", 5)


POINTERS: dict[str, Code] = {
    "context": [copy(8, 1)],
    "map": wide(8, 0, bpf.MAP_VALUE),
    "stack": [copy(8, 10), insn(_D | bpf.ADD | bpf.K, 8, imm=-16)],
    "anywhere": [insn(bpf.STX | bpf.MEM | bpf.DW, 10, 1, -8), load(8, 10, -8)],
}


@pytest.mark.parametrize("pointer", POINTERS.values(), ids=POINTERS)
@each_size
def test_addresses_are_multiples_of_the_size(pointer: Code, size: int, atomic_ops: OpLibrary) -> None:
    """At others both stop, having done nothing."""
    wants = bpf.SIZES[size]
    for offset in range(9):
        code = [mov(0, 0), mov(7, 5), *pointer, atomic(size, 8, 7, bpf.ADD, offset), EXIT]
        program = Program(code, maps=[MapSpec("m", ARRAY, 4, 32, 1)], ops=atomic_ops)
        found = agree(program, bytes(32))
        if offset % wants == 0:
            assert found == 0
            continue
        assert isinstance(found, tuple)
        number, address, text = found
        expected = f"address {address:#x} (r8 with offset {offset}), which is no multiple of {wants}"
        assert program.verified.program[number] == atomic(size, 8, 7, bpf.ADD, offset)
        assert text.endswith(f"writes {wants} bytes at {expected}")


def test_compiled_code_needs_ops() -> None:
    native_or_skip()
    program = Program([mov(0, 3), atomic(bpf.DW, 1, 0, bpf.ADD), EXIT])
    with pytest.raises(EbpfError) as raised:
        program.run(bytes(8))
    assert str(raised.value) == (
        "instruction 1, `lock *(u64 *)(r1 + 0) += r0`: compiled code needs ops for atomics; accepted: "
        "Program(..., ops=atomics.load(FILE)), of `cnp build examples/ebpf/ops -o FILE`"
    )
    assert program.interpret(bytes(8)) == 3


def test_the_command_with_a_wrong_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["x.o", "--ops", "nowhere.cnpl"]) == 2
    assert "nowhere.cnpl" in capsys.readouterr().err


# Two threads run a body many times on one cell. r6 is the address of the cell, r7 a number of the thread's own.

ROUNDS = 1_000_000
TURNS = 2 * ROUNDS
SHARED = [MapSpec("cell", ARRAY, 4, 8, 1), MapSpec("ready", ARRAY, 4, 8, 2)]


def looping(body: Code) -> Code:
    """The program (number, this thread's flag, the other's) -> r9, which begins when both are running."""
    start = [load(7, 1, 0), load(3, 1, 8), load(4, 1, 16), *wide(6, 1, bpf.MAP_VALUE)]
    start += [insn(_D | bpf.ADD | bpf.X, 3, 6), insn(_D | bpf.ADD | bpf.X, 4, 6)]
    start += [insn(bpf.ST | bpf.MEM | bpf.DW, 3, imm=1), load(2, 4, 0), insn(bpf.JMP | bpf.JEQ | bpf.K, 2, offset=-2)]
    start += [*wide(6, 0, bpf.MAP_VALUE), mov(8, ROUNDS), mov(9, 0)]
    again = [insn(_D | bpf.SUB | bpf.K, 8, imm=1), insn(bpf.JMP | bpf.JNE | bpf.K, 8, offset=-len(body) - 2)]
    return [*start, *body, *again, copy(0, 9), EXIT]


def on_threads(body: Code, numbers: Sequence[int], ops: OpLibrary) -> tuple[list[int], int]:
    """What the program gives on each thread, and what is in the cell, which was 0."""
    first = Program(looping(body), maps=SHARED, ops=ops, nogil=True)
    machines, results = [first, first.for_thread()], [0, 0]

    def run(place: int) -> None:
        results[place] = machines[place].run(
            struct.pack("<3Q", numbers[place], 8 * place, 8 * (1 - place)), budget=10**10
        )

    other = threading.Thread(target=run, args=[1])
    other.start()
    run(0)
    other.join()
    return results, int.from_bytes(first.map("cell")[bytes(4)], "little")


@each_size
def test_threads_add(size: int, atomic_ops: OpLibrary) -> None:
    numbers = [1 << 31, (1 << 63) - 5]
    _, cell = on_threads([atomic(size, 6, 7, bpf.ADD)], numbers, atomic_ops)
    assert cell == ROUNDS * sum(numbers) % (1 << 8 * bpf.SIZES[size])


@each_size
def test_threads_fetch_and_add(size: int, atomic_ops: OpLibrary) -> None:
    """All numbers are seen, each once: their sum is right."""
    body = [mov(2, 1), atomic(size, 6, 2, bpf.ADD | bpf.FETCH), insn(_D | bpf.ADD | bpf.X, 9, 2)]
    results, cell = on_threads(body, [0, 0], atomic_ops)
    assert (sum(results), cell) == (TURNS * (TURNS - 1) // 2, TURNS)


@each_size
def test_threads_compare_and_exchange(size: int, atomic_ops: OpLibrary) -> None:
    """An addition as a loop."""
    body = [
        load(0, 6, 0, size),
        copy(2, 0),
        copy(3, 0),
        insn(_D | bpf.ADD | bpf.K, 3, imm=1),
        atomic(size, 6, 3, bpf.CMPXCHG),
        insn(bpf.JMP | bpf.JNE | bpf.X, 0, 2, offset=-5),
    ]
    assert on_threads(body, [0, 0], atomic_ops)[1] == TURNS


@each_size
def test_threads_exchange(size: int, atomic_ops: OpLibrary) -> None:
    """Numbers go round, and none is lost or doubled."""
    numbers = [3, 5]
    results, cell = on_threads([atomic(size, 6, 7, bpf.XCHG), copy(9, 7)], numbers, atomic_ops)
    assert sorted([*results, cell]) == [0, *numbers]


@pytest.mark.parametrize("fetch", [0, bpf.FETCH], ids=["update", "fetch"])
@each_size
def test_threads_change_bits(size: int, fetch: int, atomic_ops: OpLibrary) -> None:
    """Each has a bit of its own, and counts how often that is not as it has left it, before a fetch or after others."""
    body = [copy(5, 7), insn(_D | bpf.XOR | bpf.K, 5, imm=-1)]
    for imm, operand, after in ((bpf.OR, 7, 1), (bpf.AND, 5, 0), (bpf.XOR, 7, 1), (bpf.XOR, 7, 0)):
        body += [copy(2, operand), atomic(size, 6, 2, imm | fetch)]
        body += [] if fetch else [load(2, 6, 0, size)]
        right = bpf.JNE if after != bool(fetch) else bpf.JEQ
        body += [insn(_D | bpf.AND | bpf.X, 2, 7), insn(bpf.JMP | right | bpf.K, 2, offset=1)]
        body += [insn(_D | bpf.ADD | bpf.K, 9, imm=1)]
    assert on_threads(body, [1, 2], atomic_ops) == ([0, 0], 0)


def test_interpreters_add(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a load and its store the other thread gets its turn."""
    read = Memory.read

    def slow(address: int, size: int) -> int:
        found = read(address, size)
        time.sleep(1e-5)
        return found

    monkeypatch.setattr(Memory, "read", staticmethod(slow))
    code = [*wide(6, 0, bpf.MAP_VALUE), mov(7, 1), *[atomic(bpf.DW, 6, 7, bpf.ADD)] * 50, mov(0, 0), EXIT]
    first = Program(code, maps=SHARED)
    threads = [threading.Thread(target=each.interpret) for each in (first, first.for_thread())]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert first.map("cell")[bytes(4)] == struct.pack("<Q", 100)


def test_another_thread_has_its_own_stack_and_faults(atomic_ops: OpLibrary) -> None:
    """What a machine is stopped by is no other's business; maps and helpers are the same."""
    store = insn(bpf.STX | bpf.MEM | bpf.DW, 10, 1, -8)
    first = Program([store, load(0, 1, 0), EXIT], maps=[MapSpec("cell", ARRAY, 4, 8, 1)], ops=atomic_ops, frames=2)
    second = first.for_thread()
    assert first.run(struct.pack("<Q", 7)) == 7
    with pytest.raises(Fault, match="reads 8 bytes at offset 0 of the context, which holds 3 bytes"):
        second.run(bytes(3))
    assert first.memory.stack.address != second.memory.stack.address
    assert first.memory.stack.length == second.memory.stack.length
    assert first.memory.state_word(0) == 0 != second.memory.state_word(0)
    assert first.maps is second.maps


def test_hash_maps_are_for_one_thread() -> None:
    program = Program([mov(0, 0), EXIT], maps=[MapSpec("table", HASH, 4, 8, 1)])
    with pytest.raises(EbpfError, match="map 'table' is a hash map, for one thread; arrays are accepted"):
        program.for_thread()
