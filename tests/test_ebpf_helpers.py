"""Helpers of the host in the eBPF example: what they are declared to take is checked, and they get nothing else."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

import pytest
from ebpf_support import EXIT, agree, call, copy, insn, load, mov, native_or_skip, wide

from examples.ebpf import Buffer, EbpfError, Fault, HostHelper, Instruction, MapSpec, Number, Program
from examples.ebpf import instruction as bpf
from examples.ebpf.helpers import C_HELPER, Argument
from examples.ebpf.maps import ARRAY
from examples.ebpf.memory import MAXIMUM_CONTEXT

Code = list[Instruction]
MAPS = [MapSpec("w", ARRAY, 4, 16, 1), MapSpec("r", ARRAY, 4, 16, 1, bytes(16), writable=False)]
MEMCPY = C_HELPER(ctypes.cast(ctypes.CDLL(None).memcpy, ctypes.c_void_p).value or 0)
COPY = HostHelper(MEMCPY, (Buffer(counted_by=3, written=True), Buffer(counted_by=3), Number()))


def add(register: int, imm: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.ADD | bpf.K, register, imm=imm)


def frame(register: int, offset: int) -> Code:
    return [copy(register, 10), add(register, offset)]


def zero(*_: int) -> int:
    return 0


def test_a_host_address_is_no_buffer() -> None:
    """A guest names an address outside of its memory for C's memcpy to read, or to write."""
    native_or_skip()
    secret = ctypes.create_string_buffer(b"secret!!")
    for to, source in ((1, 2), (2, 1)):
        code = [load(source, 1, 0)] if source == 2 else [load(1, 1, 0)]
        program = Program([*code, *frame(to, -8), mov(3, 8), call(9), load(0, 10, -8), EXIT], helpers={9: COPY})
        found = agree(program, struct.pack("<Q", ctypes.addressof(secret)))
        assert isinstance(found, tuple)
        assert f"r{source} has to point at 8 bytes" in found[2]
        assert found[2].endswith(f"but is address {ctypes.addressof(secret):#x}, which is in no region")
    assert secret.value == b"secret!!"


WHERE = {
    "the context": ([copy(1, 6)], 24),
    "the context, moved": ([copy(1, 6), insn(bpf.ALU64 | bpf.ADD | bpf.X, 1, 8)], 24),
    "the stack": (frame(1, -16), 16),
    "a map": (wide(1, 0, bpf.MAP_VALUE), 16),
    "anywhere": ([insn(bpf.STX | bpf.MEM | bpf.DW, 10, 6, -24), load(1, 10, -24)], 24),
}


@pytest.mark.parametrize("where", WHERE)
def test_counted_buffers_at_their_edges(where: str) -> None:
    """The size comes from the context. Both ways of running stop at the same sizes, with the same words."""
    native_or_skip()
    pointer, room = WHERE[where]
    seen: list[tuple[int, ...]] = []
    helper = HostHelper(lambda *given: seen.append(given) or 5, (Buffer(counted_by=2, written=True), Number()))
    start = [copy(6, 1), load(7, 1, 0), load(8, 1, 8), mov(0, 0), *pointer, copy(2, 7)]
    program = Program([*start, call(9), EXIT], maps=MAPS, helpers={9: helper})
    for size in (0, 1, room - 1, room, room + 1, 1 << 31, 1 << 63, (1 << 64) - 1):
        seen.clear()
        found = agree(program, struct.pack("<QQQ", size, 0, 0))
        if size <= room:
            assert found == 5
            assert [each[1:] for each in seen] == [(size, 0, 0, 0)] * 2
        else:
            assert isinstance(found, tuple) and not seen
            assert f"r1 has to point at {size} bytes that can be written, but is " in found[2]
    if where == "the context, moved":
        assert agree(program, struct.pack("<QQQ", 8, 16, 0)) == 5
        for size, moved in ((9, 16), (0, 25), (1, (1 << 64) - 1)):
            assert isinstance(agree(program, struct.pack("<QQQ", size, moved, 0)), tuple)


def test_buffers_of_constant_size_at_their_edges() -> None:
    native_or_skip()
    helper = HostHelper(zero, (Buffer(8),))
    program = Program([load(7, 1, 0), copy(1, 10), insn(bpf.ALU64 | bpf.SUB | bpf.X, 1, 7), call(9), EXIT],
                      helpers={9: helper})  # fmt: skip
    for below, good in ((8, True), (7, False), (4096, True), (4097, False)):
        assert (agree(program, struct.pack("<Q", below)) == 0) is good
    program = Program([call(9), EXIT], helpers={9: helper})
    assert agree(program, bytes(8)) == 0
    assert isinstance(agree(program, bytes(7)), tuple)


REFUSED: list[tuple[Code, Sequence[Argument], str]] = [
    ([call(9), EXIT], [Number()] * 3, "r3 may be read before it is written; write it on every path first"),
    ([*frame(1, -7), call(9), EXIT], [Buffer(8)],
     "r1 points at offset -7 of the frame (from r10); -512 to -8 is accepted"),
    ([*frame(1, -8), call(9), EXIT], [Buffer(600)],
     "r1 points at offset -8 of the frame (from r10); 600 bytes do not fit there, nothing is accepted"),
    ([*wide(1, 1, bpf.MAP_VALUE), call(9), EXIT], [Buffer(8, written=True)], "writes map 1, which is read-only"),
    ([*wide(1, 0, bpf.MAP), call(9), EXIT], [Buffer(8)], "r1 is a map; a pointer is accepted: look a value up"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "arguments", "message"), REFUSED)
def test_calls_that_are_refused(code: Code, arguments: Sequence[Argument], message: str) -> None:
    with pytest.raises(EbpfError) as error:
        Program(code, maps=MAPS, helpers={9: HostHelper(zero, arguments)})
    assert str(error.value) == f"instruction {len(code) - 2}, `call helper 9`: {message}"
    assert not isinstance(error.value, Fault)


def test_undeclared_registers_are_not_passed() -> None:
    native_or_skip()
    seen: list[tuple[int, ...]] = []
    for count in (0, 1):
        helper = HostHelper(lambda *given: seen.append(given) or 0, [Number()] * count)
        code = [mov(each, each) for each in (1, 3)]
        assert agree(Program([*code, call(9), EXIT], helpers={9: helper})) == 0
    assert seen == [(0, 0, 0, 0, 0)] * 2 + [(1, 0, 0, 0, 0)] * 2


@pytest.mark.parametrize(
    ("helper", "message"),
    [
        (zero, "HostHelper(function, arguments) is accepted, which says what it takes"),
        (HostHelper(zero, [Number()] * 6), "helper 9: 6 arguments; at most 5 are accepted"),
        (HostHelper(zero, [Buffer()]), "either `size` or `counted_by` is accepted"),
        (HostHelper(zero, [Buffer(0)]), "helper 9: argument 1 has size 0; 1 to 268435456 is accepted"),
        (HostHelper(zero, [Buffer(counted_by=1), Number()]), "helper 9: argument 1 is counted by 1; "),
        (HostHelper(zero, [8]), "helper 9: argument 1 is 8; Number() and Buffer(...) are accepted"),  # type: ignore
    ],
)
def test_what_no_helper_can_be(helper: HostHelper, message: str) -> None:
    with pytest.raises(EbpfError) as error:
        Program([mov(0, 0), EXIT], helpers={9: helper})
    assert message in str(error.value)


class Long(bytes):
    def __len__(self) -> int:
        return MAXIMUM_CONTEXT + 1


def test_contexts_are_not_too_long() -> None:
    native_or_skip()
    program = Program([copy(0, 2), EXIT])
    for run in (program.run, program.interpret):
        with pytest.raises(EbpfError, match=r"^a context of 1099511627777 bytes; 0 to 1099511627776 are accepted$"):
            run(Long())
    assert program.compiled(0, MAXIMUM_CONTEXT) == MAXIMUM_CONTEXT
    for length in (MAXIMUM_CONTEXT + 1, -1):
        with pytest.raises(EbpfError, match=rf"^a context of {length} bytes; 0 to 1099511627776 are accepted$"):
            program.compiled(0, length)
