"""The eBPF example: hostile bytecode and object files are refused, with a message that says where and why."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from examples.ebpf import EbpfError, Fault, HostHelper, Instruction, MapSpec, OutOfBudget, Program, elf, toolchain
from examples.ebpf import instruction as bpf
from examples.ebpf.maps import ARRAY, HASH

EXIT = Instruction(bpf.JMP | bpf.EXIT)
ZERO = Instruction(bpf.ALU64 | bpf.MOV | bpf.K)
LDDW = Instruction(bpf.LD | bpf.DW)
REST = Instruction(0)
JA, JEQ, CALL = bpf.JMP | bpf.JA, bpf.JMP | bpf.JEQ, bpf.JMP | bpf.CALL
LDX, STX, ST = bpf.LDX | bpf.MEM, bpf.STX | bpf.MEM, bpf.ST | bpf.MEM
MAPS = [MapSpec("h", HASH, 4, 8, 3), MapSpec("r", ARRAY, 4, 8, 1, b"readonly", writable=False)]


def insn(code: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> Instruction:
    return Instruction(code, dst, src, offset, imm)


LOOKUP = [insn(ST | bpf.W, 10, 0, -4), insn(bpf.LD | bpf.DW, 1, bpf.MAP), REST]
LOOKUP += [insn(bpf.ALU64 | bpf.MOV | bpf.X, 2, 10), insn(bpf.ALU64 | bpf.ADD | bpf.K, 2, imm=-4), insn(CALL, imm=1)]

REFUSED: list[tuple[list[Instruction], str]] = [
    ([], "the program has no instructions; at least one, an exit, is needed"),
    ([ZERO],
     "instruction 0, `r0 = 0`: is the last instruction of its function; the last one must be an "
     "exit or a goto"),
    ([insn(0x86)],
     "instruction 0: opcode 0x86 is not known; accepted are those of RFC 9669 but for the "
     "legacy packet loads"),
    ([insn(0x30)],
     "instruction 0: opcode 0x30 is not known; accepted are those of RFC 9669 but for the "
     "legacy packet loads"),
    ([insn(300)], "instruction 0: code is 300; 0 to 255 is accepted"),
    ([insn(0xB7, 0, 0, 0, 1 << 31)], "instruction 0: imm is 2147483648; -2147483648 to 2147483647 is accepted"),
    ([insn(0xB7, 11), EXIT], "instruction 0: dst is 11; registers 0 to 10 are accepted"),
    ([insn(0xBF, 0, 12), EXIT], "instruction 0: src is 12; registers 0 to 10 are accepted"),
    ([insn(0xB7, 10), EXIT], "instruction 0, `r10 = 0`: writes r10, the frame pointer; r0 to r9 are accepted"),
    ([insn(STX & 7 | bpf.ATOMIC | bpf.DW, 1, 10, 0, 1), EXIT],
     "instruction 0, `r10 = fetch_add(*(u64 *)(r1 + 0), r10)`: writes r10, the frame pointer; r0 to r9 are accepted"),
    ([insn(0xB7, 0, 3), EXIT], "instruction 0, `r0 = 0`: src is 3; 0 is accepted"),
    ([insn(0xBF, 0, 1, 0, 5), EXIT], "instruction 0, `r0 = r1`: imm is 5; 0 is accepted"),
    ([insn(0x07, 0, 0, 1), EXIT], "instruction 0, `r0 += 0`: offset is 1; 0 is accepted"),
    ([insn(0x37, 0, 0, 2), EXIT], "instruction 0, `r0 s/= 0`: offset is 2; 0 or 1 is accepted"),
    ([insn(0xBC, 0, 1, 32), EXIT], "instruction 0, `w0 = (s32)w1`: offset is 32; 0 or 8 or 16 is accepted"),
    ([insn(0xBF, 0, 1, 7), EXIT], "instruction 0, `r0 = (s7)r1`: offset is 7; 0, 8, 16, 32 is accepted"),
    ([insn(0xD4, 0, imm=8), EXIT], "instruction 0, `r0 = le8 r0`: imm is 8; 16 or 32 or 64 is accepted"),
    ([insn(JA, imm=1), EXIT], "instruction 0, `goto 1`: imm is 1; 0 is accepted"),
    ([insn(bpf.JMP32 | bpf.JA, offset=1), EXIT], "instruction 0, `goto 1`: offset is 1; 0 is accepted"),
    ([ZERO, insn(0x95, 1)], "instruction 1, `exit`: dst is 1; 0 is accepted"),
    ([insn(CALL, src=2), EXIT], "instruction 0, `call helper 0`: src is 2; 0 or 1 is accepted"),
    ([insn(CALL, imm=9), EXIT], "instruction 0, `call helper 9`: there is no helper 9; accepted: 1, 2, 3"),
    ([insn(0xDB, 1, 0, 0, 2), EXIT],
     "instruction 0, `lock *(u64 *)(r1 + 0) unknown atomic 0x2 r0`: imm is 2; "
     "0, 64, 0x50, 0xa0, 1, 0x41, 0x51, 0xa1, 0xe1, 0xf1 is accepted"),
    ([LDDW], "instruction 0, `r0 = 0x0 ll`: its second slot is missing: the program ends here"),
    ([LDDW, EXIT], "instruction 0: code of its second slot is 149; 0 is accepted"),
    ([LDDW, insn(0, 1), EXIT], "instruction 0: dst of its second slot is 1; 0 is accepted"),
    ([LDDW._replace(src=3), REST, EXIT], "instruction 0, `r0 = 0x0 ll`: src is 3; 0, 1, 2, 5, 6 is accepted"),
    ([LDDW._replace(src=1, imm=2), REST, EXIT], "instruction 0, `r0 = map 2`: there is no map 2; 0 to 1 are accepted"),
    ([LDDW._replace(src=2, imm=1), insn(0, imm=9), EXIT],
     "instruction 0, `r0 = map value 1 + 9`: offset 9 of map 1; 0 to 8 is accepted"),
    ([ZERO, insn(JA, offset=1), EXIT], "instruction 1, `goto 3`: goes to 3, outside its function; 0 to 2 is accepted"),
    ([ZERO, insn(JA, offset=-3), EXIT],
     "instruction 1, `goto -1`: goes to -1, outside its function; 0 to 2 is "
     "accepted"),
    ([insn(JA, offset=1), LDDW, REST, EXIT], "instruction 0, `goto 2`: goes to 2, the second slot of `r0 = 0x0 ll`"),
    ([insn(JEQ, 1, offset=1), LDDW, REST, EXIT],
     "instruction 0, `if r1 == 0 goto 2`: goes to 2, the second slot of `r0 = 0x0 ll`"),
    ([insn(CALL, src=1, imm=1), LDDW, REST, EXIT],
     "instruction 0, `call 2`: goes to 2, the second slot of `r0 = 0x0 "
     "ll`"),
    ([insn(CALL, src=1, imm=7), EXIT], "instruction 0, `call 8`: goes to 8, outside the program; 0 to 1 is accepted"),
    ([insn(CALL, src=1, imm=1), EXIT, insn(JA, offset=-2), EXIT],
     "instruction 2, `goto 1`: goes to 1, outside its function; 2 to 3 is accepted"),
    ([each for n in range(9) for each in (insn(CALL, src=1, imm=1), EXIT)] + [ZERO, EXIT],
     "function at 0: its calls need 10 stack frames; at most 8 are accepted"),
    ([EXIT], "instruction 0, `exit`: r0 may be read before it is written; write it on every path first"),
    ([insn(0xBF, 0, 3), EXIT],
     "instruction 0, `r0 = r3`: r3 may be read before it is written; write it on every path "
     "first"),
    ([insn(JEQ, 2, offset=1), ZERO, EXIT],
     "instruction 2, `exit`: r0 may be read before it is written; write it on every path first"),
    ([*LOOKUP, insn(0xBF, 0, 1), EXIT],
     "instruction 6, `r0 = r1`: r1 may be read before it is written; write it on every path first"),
    ([insn(LDX | bpf.B, 0, 1, -1), EXIT],
     "instruction 0, `r0 = *(u8 *)(r1 - 1)`: r1 points at offset -1 of the context; 0 or more is accepted"),
    ([insn(LDX | bpf.W, 0, 10, -3), EXIT],
     "instruction 0, `r0 = *(u32 *)(r10 - 3)`: r10 points at offset -3 of the frame (from r10); "
     "-512 to -4 is accepted"),
    ([insn(ST | bpf.B, 10, 0, -513), ZERO, EXIT],
     "instruction 0, `*(u8 *)(r10 - 513) = 0`: r10 points at offset -513 of the frame (from "
     "r10); -512 to -1 is accepted"),
    ([*LOOKUP, insn(JEQ, 0, offset=1), insn(LDX | bpf.DW, 0, 0, 4), EXIT],
     "instruction 7, `r0 = *(u64 *)(r0 + 4)`: r0 points at offset 4 of the map's value; 0 to 0 is accepted"),
    ([*LOOKUP[1:3], insn(LDX | bpf.DW, 0, 1), EXIT],
     "instruction 2, `r0 = *(u64 *)(r1 + 0)`: r1 is a map; a pointer is accepted: look a value up"),
    ([insn(0xBF, 2, 1), insn(CALL, imm=1), EXIT],
     "instruction 1, `call helper 1`: r1 is a pointer; one map, the same on every path, is accepted"),
    ([insn(bpf.LD | bpf.DW, 1, bpf.MAP_VALUE, 0, 1), REST, insn(ST | bpf.B, 1), ZERO, EXIT],
     "instruction 2, `*(u8 *)(r1 + 0) = 0`: writes map 1, which is read-only"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "message"), REFUSED, ids=range(len(REFUSED)))
def test_hostile_bytecode_is_refused(program: list[Instruction], message: str) -> None:
    with pytest.raises(EbpfError) as error:
        Program(program, maps=MAPS)
    assert str(error.value) == message
    assert not isinstance(error.value, Fault)


def test_truncated_bytes_and_options() -> None:
    with pytest.raises(EbpfError, match=r"^7 bytes are not eBPF code; a multiple of 8 was expected$"):
        bpf.decode(bytes(7))
    with pytest.raises(EbpfError, match="has 65537 slots; at most 65536 are accepted"):
        Program([EXIT] * 65537)
    with pytest.raises(EbpfError, match="cannot start at slot 1; the first slot of an instruction is needed"):
        Program([LDDW, REST, EXIT], entry=1)
    with pytest.raises(EbpfError, match="helper 2 is one of maps"):
        Program([ZERO, EXIT], helpers={2: HostHelper(lambda *arguments: 0)})
    with pytest.raises(EbpfError, match="0 stack frames; 1 to 1024 are accepted"):
        Program([ZERO, EXIT], frames=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (MapSpec("m", 9, 4, 4, 1), "map 'm': type 9; accepted are 1 (hash) and 2 (array)"),
        (MapSpec("m", ARRAY, 8, 4, 1), "map 'm': key_size 8; an array's is 4"),
        (MapSpec("m", HASH, 0, 4, 1), "map 'm': key_size 0; 1 to 512 is accepted"),
        (MapSpec("m", HASH, 4, 1 << 20, 1 << 20),
     "map 'm': more than 268435456 bytes; fewer or smaller entries are "
     "accepted"),
    ],
)  # fmt: skip
def test_maps_that_cannot_be(spec: MapSpec, message: str) -> None:
    with pytest.raises(EbpfError) as error:
        Program([ZERO, EXIT], maps=[spec])
    assert str(error.value) == message


def test_bytes_round_trip() -> None:
    rng = random.Random(5)
    for _ in range(200):
        data = rng.randbytes(8 * rng.randrange(9))
        assert bpf.encode(bpf.decode(data)) == data
        bpf.format_program(bpf.decode(data))  # every bytecode has a text


def test_damaged_programs_are_refused_or_run_like_the_interpreter() -> None:
    rng = random.Random(9669)
    whole = [*LOOKUP, insn(JEQ, 0, offset=2), insn(LDX | bpf.DW, 3, 0), insn(STX | bpf.DW, 10, 3, -16)]
    whole += [insn(bpf.ALU64 | bpf.MOV | bpf.K, 0, imm=7), insn(bpf.JMP | bpf.JGT, 0, offset=1), ZERO, EXIT]
    seen: Counter[str] = Counter()
    for _ in range(1500):
        data = bytearray(bpf.encode(whole))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        try:
            program = Program(bpf.decode(bytes(data)), maps=MAPS)
        except EbpfError:
            seen["refused"] += 1
            continue
        context = bytearray(16)
        try:
            expected: object = program.interpret(context, budget=200)
        except OutOfBudget:
            continue
        except Fault as fault:
            expected = str(fault)
        program.reset()
        context[:] = bytes(16)
        try:
            found: object = program.run(context)
        except Fault as fault:
            found = str(fault)
        assert found == expected, bpf.format_program(program.verified.program)
        seen["run"] += 1
    assert seen["refused"] > 500
    assert seen["run"] > 100


# Object files.


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    try:
        toolchain.find_clang()
    except toolchain.NoCompiler as error:
        pytest.skip(f"NOT TESTED: object files: {error}")
    output = tmp_path_factory.mktemp("ebpf") / "flows.o"
    return toolchain.compile_object(toolchain.PROGRAMS / "flows.c", output).read_bytes()


def test_an_object_has_functions_and_maps(flows: bytes) -> None:
    found = elf.parse(flows)
    assert found.functions == {"flows": 0}
    assert found.maps == [MapSpec("counts", HASH, 4, 8, 1024)]


@pytest.mark.parametrize("data", [b"", b"hello, world", b"\x7fELF" + bytes(60)])
def test_what_is_no_object_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.o"
    path.write_bytes(data)
    with pytest.raises(EbpfError, match=r"hostile\.o: not a (well-formed ELF|little-endian eBPF) object"):
        Program.read(path)


def test_damaged_objects_are_refused_or_verified(flows: bytes) -> None:
    rng = random.Random(3)
    seen: Counter[str] = Counter()
    for _ in range(1500):
        data = bytearray(flows[: rng.choice((len(flows), len(flows), rng.randrange(len(flows))))])
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        try:
            found = elf.parse(bytes(data))
            if sum(each.max_entries * each.value_size for each in found.maps) < 1 << 16:
                Program(found.program, maps=found.maps)
            seen["read"] += 1
        except EbpfError:
            seen["refused"] += 1
    assert min(seen["read"], seen["refused"]) > 100
