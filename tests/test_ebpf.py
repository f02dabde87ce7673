"""The eBPF example: the interpreter, compiled code and, for C programs, native code give the same results."""

from __future__ import annotations

import ctypes
import random
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnp
from examples.ebpf import (
    EbpfError,
    Fault,
    HostHelper,
    Instruction,
    Map,
    MapSpec,
    Number,
    Program,
    demo,
    toolchain,
    workload,
)
from examples.ebpf import instruction as bpf
from examples.ebpf.analysis import Check
from examples.ebpf.map_code import MapCode
from examples.ebpf.maps import ARRAY, HASH, LOOKUP, Pointer

Code = list[Instruction]
EDGES = (0, 1, 2, 7, 31, 63, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 1 << 63, (1 << 64) - 1)
IMMEDIATES = (0, 1, -1, 2, 7, 31, 63, 255, 0x7FFFFFFF, -0x80000000)
EXIT = Instruction(bpf.JMP | bpf.EXIT)


def insn(code: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> Instruction:
    return Instruction(code, dst, src, offset, imm)


def mov(dst: int, imm: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.MOV | bpf.K, dst, imm=imm)


def copy(dst: int, src: int) -> Instruction:
    return insn(bpf.ALU64 | bpf.MOV | bpf.X, dst, src)


def load(dst: int, src: int, offset: int, size: int = bpf.DW) -> Instruction:
    return insn(bpf.LDX | bpf.MEM | size, dst, src, offset)


def wide(dst: int, value: int, src: int = 0, high: int = 0) -> Code:
    low = (value & 0xFFFFFFFF ^ 1 << 31) - (1 << 31)
    return [insn(bpf.LD | bpf.DW, dst, src, 0, low), insn(0, imm=high if src else (value >> 32 ^ 1 << 31) - (1 << 31))]


def native_or_skip() -> None:
    try:
        Program([mov(0, 1), EXIT]).run()
    except cnp.Unsupported as error:
        pytest.skip(f"NOT TESTED: native cannot run here: {error}")


def outcome(program: Program, run: Callable[[bytearray], int], context: bytes, buffer: bytearray) -> tuple[object, ...]:
    """What a run gives or raises, and what it leaves in the context and in maps."""
    buffer[:] = context
    program.reset()
    result: object
    try:
        result = run(buffer)
    except Fault as fault:
        result = fault.number, fault.address, str(fault)
    memory = [ctypes.string_at(r.address, r.length) for each in program.maps for r in (each.values, each.index)]
    return result, bytes(buffer), *memory


def agree(program: Program, context: bytes = b"") -> object:
    """The result of both, which are compared first. Both find the context at one address, which is a result too."""
    buffer = bytearray(context)
    expected = outcome(program, lambda each: program.interpret(each, 100_000), context, buffer)
    found = outcome(program, program.run, context, buffer)
    assert found == expected, bpf.format_program(program.verified.program)
    return expected[0]


# What the words mean.

_W, _D = bpf.ALU, bpf.ALU64


@pytest.mark.parametrize(
    ("a", "instruction", "expected"),
    [
        (-1, insn(_W | bpf.ADD | bpf.K, 0, imm=2), 1),
        (-1, insn(_D | bpf.ADD | bpf.K, 0, imm=2), 1),
        (5, insn(_W | bpf.SUB | bpf.K, 0, imm=6), 0xFFFFFFFF),
        (5, insn(_D | bpf.DIV | bpf.K, 0, imm=0), 0),
        (-5, insn(_W | bpf.MOD | bpf.K, 0, imm=0), 0xFFFFFFFB),
        (-5, insn(_D | bpf.MOD | bpf.K, 0, imm=0), 2**64 - 5),
        (-7, insn(_D | bpf.DIV | bpf.K, 0, offset=1, imm=2), 2**64 - 3),
        (-7, insn(_D | bpf.MOD | bpf.K, 0, offset=1, imm=2), 2**64 - 1),
        (-(2**63), insn(_D | bpf.DIV | bpf.K, 0, offset=1, imm=-1), 2**63),
        (-(2**63), insn(_D | bpf.MOD | bpf.K, 0, offset=1, imm=-1), 0),
        (-(2**31), insn(_W | bpf.DIV | bpf.K, 0, offset=1, imm=-1), 2**31),
        (7, insn(_D | bpf.DIV | bpf.K, 0, imm=-1), 0),
        (1, insn(_D | bpf.LSH | bpf.K, 0, imm=65), 2),
        (1, insn(_W | bpf.LSH | bpf.K, 0, imm=33), 2),
        (-8, insn(_W | bpf.ARSH | bpf.K, 0, imm=1), 0xFFFFFFFC),
        (0x80, insn(_D | bpf.MOV | bpf.X, 0, 0, 8), 2**64 - 128),
        (0x80, insn(_W | bpf.MOV | bpf.X, 0, 0, 8), 0xFFFFFF80),
        (0x8000, insn(_D | bpf.MOV | bpf.X, 0, 0, 16), 2**64 - 2**15),
        (0x80000000, insn(_D | bpf.MOV | bpf.X, 0, 0, 32), 2**64 - 2**31),
        (0x1122334455667788, insn(_W | bpf.END, 0, imm=16), 0x7788),
        (0x1122334455667788, insn(_W | bpf.END | bpf.X, 0, imm=16), 0x8877),
        (0x1122334455667788, insn(_W | bpf.END | bpf.X, 0, imm=32), 0x88776655),
        (0x1122334455667788, insn(_D | bpf.END, 0, imm=64), 0x8877665544332211),
        (1, insn(_D | bpf.NEG, 0), 2**64 - 1),
        (1, insn(_W | bpf.NEG, 0), 2**32 - 1),
    ],
)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_known_answers(a: int, instruction: Instruction, expected: int, backend: str) -> None:
    program = Program([*wide(0, a & 2**64 - 1), instruction, EXIT], backend=backend)
    assert program.interpret() == expected
    try:
        assert program.run() == expected
    except cnp.Unsupported:
        pytest.skip(f"NOT TESTED: {backend} cannot run here")


def variants(code: int) -> list[Instruction]:
    """An opcode on r6 and r7 with every offset and immediate that it accepts, jumps left out."""
    kind, operation = bpf.OPCODES[code], code & 0xF0
    if kind is bpf.Kind.SWAP:
        return [insn(code, 6, imm=bits) for bits in (16, 32, 64)]
    if operation == bpf.NEG:
        return [insn(code, 6)]
    offsets = [0, 1] if operation in (bpf.DIV, bpf.MOD) else [0]
    if operation == bpf.MOV and code & bpf.X:
        offsets = [0, 8, 16, 32] if code & 7 == bpf.ALU64 else [0, 8, 16]
    if code & bpf.X:
        return [insn(code, 6, 7, offset) for offset in offsets]
    return [insn(code, 6, 0, offset, imm) for offset in offsets for imm in IMMEDIATES]


PAIRS = [struct.pack("<QQQ", a, b, 0) for a in EDGES for b in EDGES]
START = [load(6, 1, 0), load(7, 1, 8), mov(0, 0)]
NARROW = [insn(bpf.ALU | bpf.MOV | bpf.X, each, each) for each in (6, 7)]  # the compiler then knows more of them
OF_KIND = {kind: sorted(code for code, each in bpf.OPCODES.items() if each is kind) for kind in bpf.Kind}


@pytest.mark.parametrize("code", OF_KIND[bpf.Kind.ARITHMETIC] + OF_KIND[bpf.Kind.SWAP], ids=hex)
def test_every_arithmetic_opcode_on_edge_values(code: int) -> None:
    native_or_skip()
    results = set()
    for each in variants(code):
        for before in ([], NARROW):
            program = Program([*START, *before, each, copy(0, 6), EXIT])
            for pair in PAIRS[:: 1 if code & bpf.X else 5]:
                results.add(agree(program, pair))
    assert len(results) > 2


@pytest.mark.parametrize("code", OF_KIND[bpf.Kind.BRANCH], ids=hex)
def test_every_branch_on_edge_values(code: int) -> None:
    native_or_skip()
    results = set()
    for imm in (0,) if code & bpf.X else IMMEDIATES:
        src = 7 if code & bpf.X else 0
        for before in ([], NARROW):
            jumps = [insn(code, 6, src, 1, imm), EXIT, mov(0, 1), EXIT]
            choices = [mov(0, 5), insn(code, 6, src, 1, imm), mov(0, -3), EXIT]
            both = [Program([*START, *before, *rest]) for rest in (jumps, choices)]
            for pair in PAIRS[:: 1 if code & bpf.X else 5]:
                results.add(tuple(agree(program, pair) for program in both))
    assert results == {(0, 2**64 - 3), (1, 5)}


def test_jumps_with_16_and_32_bit_offsets_and_backwards() -> None:
    native_or_skip()
    for jump in (insn(bpf.JMP | bpf.JA, offset=1), insn(bpf.JMP32 | bpf.JA, imm=1)):
        assert agree(Program([mov(0, 1), jump, mov(0, 2), EXIT])) == 1
    down = [mov(0, 0), mov(3, 9), insn(_D | bpf.ADD | bpf.X, 0, 3), insn(_D | bpf.ADD | bpf.K, 3, imm=-1)]
    assert agree(Program([*down, insn(bpf.JMP | bpf.JNE, 3, offset=-3), EXIT])) == 45


@pytest.mark.parametrize("code", [*OF_KIND[bpf.Kind.LOAD], *OF_KIND[bpf.Kind.STORE]], ids=hex)
def test_every_load_and_store(code: int) -> None:
    """Through pointers of which all, some and nothing is known, in and out of bounds."""
    native_or_skip()
    is_load = bpf.OPCODES[code] is bpf.Kind.LOAD
    results = Counter[str]()
    for imm in (0,) if is_load or code & 7 == bpf.STX else IMMEDIATES[:4]:
        access = insn(code, 0, 8, 3) if is_load else insn(code, 8, 7 if code & 7 == bpf.STX else 0, 3, imm)
        before = [load(6, 1, 0), load(7, 1, 8), mov(0, 0)]
        pointers = (
            [copy(8, 1)],
            [copy(8, 1), insn(_D | bpf.ADD | bpf.X, 8, 6)],
            [copy(8, 10), insn(_D | bpf.ADD | bpf.K, 8, imm=-16)],
            [copy(8, 10), insn(_D | bpf.ADD | bpf.K, 8, imm=-16), insn(_D | bpf.SUB | bpf.X, 8, 6)],
            [insn(bpf.STX | bpf.MEM | bpf.DW, 10, 1, -8), load(8, 10, -8), insn(_D | bpf.ADD | bpf.X, 8, 6)],
            [*wide(8, 0, bpf.MAP_VALUE), insn(_D | bpf.ADD | bpf.X, 8, 6)],
        )
        spec = MapSpec("data", ARRAY, 4, 24, 1, bytes(range(200, 224)))
        for pointer in pointers:
            program = Program([*before, *pointer, access, EXIT], maps=[spec])
            for first in (0, 5, 13, 14, 15, 18, 19, 20, 21, 24, 600, 4096, 2**63, 2**64 - 3, 2**64 - 4, 2**64 - 11):
                context = struct.pack("<QQQ", first, 0x8182838485868788, 0xF1F2F3F4F5F6F7F8)
                results["fault" if isinstance(agree(program, context), tuple) else "result"] += 1
                if not first:
                    assert not isinstance(agree(program, context), tuple)
    assert min(results.values()) > 20


@pytest.mark.parametrize("imm", bpf.ATOMICS, ids=lambda imm: bpf.ATOMICS[imm])
@pytest.mark.parametrize("size", [bpf.W, bpf.DW])
def test_every_atomic(imm: int, size: int) -> None:
    native_or_skip()
    atomic = insn(bpf.STX | bpf.ATOMIC | size, 1, 7, 16, imm)
    program = Program([load(0, 1, 0), load(7, 1, 8), atomic, insn(_D | bpf.XOR | bpf.X, 0, 7), EXIT])
    itself = Program([load(0, 1, 0), copy(3, 1), insn(bpf.STX | bpf.ATOMIC | size, 3, 3, 16, imm), mov(0, 0), EXIT])
    for expected in EDGES:
        for operand in EDGES[::2]:
            for old in (expected, expected ^ 1 << 40):
                agree(program, struct.pack("<QQQ", expected, operand, old))
    agree(itself, bytes(24))
    with pytest.raises(Fault, match=r"writes [48] bytes at offset 16 of the context, which holds 19 bytes"):
        Program([mov(0, 0), mov(7, 1), atomic, EXIT]).run(bytes(19))


# Calls.


def call(imm: int) -> Instruction:
    return insn(bpf.JMP | bpf.CALL, imm=imm)


def local(number: int, target: int) -> Instruction:
    return insn(bpf.JMP | bpf.CALL, src=bpf.LOCAL, imm=target - number - 1)


FIBONACCI = [
    load(1, 1, 0),
    local(1, 3),
    EXIT,
    copy(0, 1),
    insn(bpf.JMP | bpf.JLT, 1, offset=9, imm=2),
    insn(bpf.STX | bpf.MEM | bpf.DW, 10, 1, -8),
    insn(_D | bpf.ADD | bpf.K, 1, imm=-1),
    local(7, 3),
    copy(6, 0),
    load(1, 10, -8),
    insn(_D | bpf.ADD | bpf.K, 1, imm=-2),
    local(11, 3),
    insn(_D | bpf.ADD | bpf.X, 0, 6),
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
    main += [insn(_D | bpf.ADD | bpf.K, 2, imm=-8), local(5, 8), load(0, 10, -8), EXIT]
    callee = [load(3, 2, 0), load(4, 1, 8), insn(_D | bpf.ADD | bpf.X, 3, 4)]
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


# Maps.


@pytest.mark.parametrize(
    "spec",
    [
        MapSpec("a", ARRAY, 4, 12, 5),
        MapSpec("b", HASH, 4, 8, 7),
        MapSpec("c", HASH, 13, 100, 6),
        MapSpec("d", HASH, 24, 3, 1),
        MapSpec("e", HASH, 1, 65, 300),
    ],
    ids=lambda spec: f"{spec.kind}-{spec.key_size}-{spec.value_size}-{spec.max_entries}",
)
def test_maps_in_python_and_compiled_are_one(spec: MapSpec) -> None:
    native_or_skip()
    rng = random.Random(7)
    python, compiled = Map(spec), Map(spec)
    code = MapCode(compiled)
    lookup, update, delete = code.lookup.compile(), code.update.compile(), code.delete.compile()
    keys = [bytes((n % 256,)) + bytes(spec.key_size - 1) for n in range(9)] + [
        rng.randbytes(spec.key_size) for _ in range(3)
    ]
    seen: Counter[object] = Counter()
    for _ in range(600):
        key, value, flags = rng.choice(keys), rng.randbytes(spec.value_size), rng.choice((0, 0, 0, 1, 2, 3, 2**63))
        held = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
        key_at, value_at = map(ctypes.addressof, held)
        action = rng.randrange(3)
        if action == 0:
            expected, found = python.lookup(key), lookup(key_at)
            expected, found = expected and expected - python.values.address, found and found - compiled.values.address
        elif action == 1:
            expected, found = (
                python.update(key, value_at, flags),
                update(key_at, value_at, flags if flags < 2**63 else flags - 2**64),
            )
        else:
            expected, found = python.delete(key), delete(key_at)
        assert found == expected
        seen[action, min(expected, 1)] += 1
        for one, other in ((python.values, compiled.values), (python.index, compiled.index)):
            assert ctypes.string_at(one.address, one.length) == ctypes.string_at(other.address, other.length)
    assert len(seen) >= (4 if spec.kind == ARRAY else 6), seen


def test_a_map_is_a_mapping() -> None:
    made = Map(MapSpec("m", HASH, 2, 3, 2))
    made[b"ab"], made[b"cd"] = b"one", b"two"
    made[b"ab"] = b"six"
    assert {key: made[key] for key in made} == {b"ab": b"six", b"cd": b"two"}
    with pytest.raises(EbpfError, match="map 'm' is full: it holds 2 entries"):
        made[b"ef"] = b"ten"
    del made[b"ab"]
    assert len(made) == 1
    for bad in (lambda: made[b"ab"], lambda: made.__delitem__(b"ab")):
        with pytest.raises(KeyError):
            bad()
    with pytest.raises(EbpfError, match="map 'm': a key of 1 bytes; 2 are accepted"):
        made[b"x"]


COUNT = [
    load(3, 1, 0, bpf.W),
    insn(bpf.STX | bpf.MEM | bpf.W, 10, 3, -4),
    *wide(1, 0, bpf.MAP),
    copy(2, 10),
    insn(_D | bpf.ADD | bpf.K, 2, imm=-4),
    call(LOOKUP),
    insn(bpf.JMP | bpf.JEQ, 0, offset=4),
    load(3, 0, 0),
    insn(_D | bpf.ADD | bpf.K, 3, imm=1),
    insn(bpf.STX | bpf.MEM | bpf.DW, 0, 3, 0),
    mov(0, 1),
    EXIT,
]


def test_a_value_that_is_found_needs_no_check() -> None:
    native_or_skip()
    program = Program(COUNT, maps=[MapSpec("counts", HASH, 4, 8, 3)])
    values = [each for (number, _), each in program.verified.accesses.items() if number > 7]
    assert [each.check for each in values] == [Check.NOTHING, Check.NOTHING]
    assert agree(program, b"abcd") == 0
    program.map("counts")[b"abcd"] = bytes(8)
    assert [program.run(b"abcd") for _ in range(3)] == [1, 1, 1]
    assert program.map("counts")[b"abcd"] == struct.pack("<Q", 3)


# Random programs.

SPECS = (MapSpec("array", ARRAY, 4, 16, 3), MapSpec("hash", HASH, 8, 16, 2))


@st.composite
def programs(draw: st.DrawFn) -> Code:
    """Up to 24 pieces with jumps forward over some of them; r6 is the context, r7 a map's value or the stack."""
    registers = st.sampled_from((0, 3, 4, 5, 8, 9))
    immediates = st.sampled_from(IMMEDIATES) | st.integers(-(2**31), 2**31 - 1)
    pieces: list[Code] = []
    for _ in range(draw(st.integers(1, 24))):
        what = draw(st.integers(0, 11))
        a, b = draw(registers), draw(registers)
        if what <= 4:
            code = draw(st.sampled_from(OF_KIND[bpf.Kind.ARITHMETIC] + OF_KIND[bpf.Kind.SWAP]))
            each = draw(st.sampled_from(variants(code)))
            constant = not code & bpf.X and bpf.OPCODES[code] is bpf.Kind.ARITHMETIC and code & 0xF0 != bpf.NEG
            source = b if code & bpf.X and bpf.OPCODES[code] is bpf.Kind.ARITHMETIC else 0
            pieces.append([each._replace(dst=a, src=source, imm=draw(immediates) if constant else each.imm)])
        elif what <= 6:
            code = draw(st.sampled_from(OF_KIND[bpf.Kind.BRANCH]))
            skip = draw(st.integers(0, 4))
            pieces.append([insn(code, a, b if code & bpf.X else 0, skip, 0 if code & bpf.X else draw(immediates))])
        elif what <= 9:
            kind = draw(st.sampled_from((bpf.Kind.LOAD, bpf.Kind.LOAD, bpf.Kind.STORE, bpf.Kind.ATOMIC)))
            code = draw(st.sampled_from(OF_KIND[kind]))
            pointer = draw(st.sampled_from((6, 6, 7, 10)))
            offset = draw(st.integers(-64, -8)) if pointer == 10 else draw(st.integers(0, 40 if pointer == 6 else 8))
            if kind is bpf.Kind.LOAD:
                pieces.append([insn(code, a, pointer, offset)])
            elif kind is bpf.Kind.ATOMIC:
                pieces.append([insn(code, pointer, b, offset, draw(st.sampled_from(list(bpf.ATOMICS))))])
            elif code & 7 == bpf.STX:
                pieces.append([insn(code, pointer, b, offset)])
            else:
                pieces.append([insn(code, pointer, 0, offset, draw(immediates))])
        elif what == 10:
            masked = insn(_D | bpf.AND | bpf.K, a, imm=63)
            base = draw(st.sampled_from((6, 7)))
            pieces.append([masked, insn(_D | bpf.ADD | bpf.X, a, base), load(b, a, draw(st.integers(-4, 4)), bpf.H)])
        else:
            helper = draw(st.integers(1, 3))
            which = draw(st.integers(0, 1))
            key = [copy(2, 10), insn(_D | bpf.ADD | bpf.K, 2, imm=draw(st.sampled_from((-8, -16))))]
            value = [copy(3, 6), mov(4, draw(st.integers(0, 2)))]
            after = [mov(each, each) for each in (3, 4, 5)]
            pieces.append([*wide(1, which, bpf.MAP), *key, *value, call(helper), *after])
    start = [copy(6, 1), *wide(7, 0, bpf.MAP_VALUE)]
    if draw(st.booleans()):
        start = [copy(6, 1), copy(7, 10), insn(_D | bpf.ADD | bpf.K, 7, imm=-64)]
    start += [load(each, 6, 8 * position) for position, each in enumerate((0, 3, 4, 5, 8, 9))]
    end = [insn(_D | bpf.XOR | bpf.X, 0, each) for each in (3, 4, 5, 8, 9)]
    starts = [len(start)]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    code: Code = list(start)
    for number, piece in enumerate(pieces):
        if bpf.OPCODES[piece[0].code] is bpf.Kind.BRANCH:
            target = starts[min(number + 1 + piece[0].offset, len(pieces))]
            piece = [piece[0]._replace(offset=target - len(code) - 1)]
        code += piece
    return [*code, *end, EXIT]


@st.composite
def contexts(draw: st.DrawFn) -> bytes:
    words = [draw(st.sampled_from(EDGES) | st.integers(0, 2**64 - 1)) for _ in range(8)]
    return struct.pack("<8Q", *words)[: draw(st.sampled_from((64, 64, 64, 50, 48, 47)))]


ONE = MapSpec("array", ARRAY, 4, 16, 1)


def test_random_programs() -> None:
    native_or_skip()
    seen: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(programs(), st.lists(contexts(), min_size=3, max_size=3))
    def check(code: Code, inputs: Sequence[bytes]) -> None:
        program = Program(code, maps=[ONE, SPECS[1]])
        results = [agree(program, each) for each in inputs]
        faults = sum(isinstance(each, tuple) for each in results)
        seen.update(programs=1, faults=faults, results=3 - faults, varied=len(set(results)) > 1)

    check()
    assert seen["programs"] >= 200
    assert seen["results"] >= 200
    assert seen["faults"] >= 30
    assert seen["varied"] >= 100


# C programs.


def clang_or_skip() -> None:
    native_or_skip()
    try:
        toolchain.find_clang()
    except toolchain.NoCompiler as error:
        pytest.skip(f"NOT TESTED: C programs for eBPF: {error}")


SIZES: Mapping[str, Sequence[int]] = dict.fromkeys(toolchain.NAMES, (*range(20), 255, 1000, 3001))


@pytest.mark.parametrize("name", toolchain.NAMES)
def test_c_programs_give_what_native_code_gives(name: str, tmp_path: Path) -> None:
    clang_or_skip()
    source = toolchain.PROGRAMS / f"{name}.c"
    program = Program.read(toolchain.compile_object(source, tmp_path / "program.o"), name)
    native = toolchain.compile_native(source, tmp_path / "program.so")
    results = set()
    for number, size in enumerate(SIZES[name]):
        made = workload.make(name, size * (40 if name == "packets" else 1), seed=1 + number % 3)
        for data in (made, made[:-1], made[3:]):
            buffer = ctypes.create_string_buffer(data, len(data) or 1)
            expected = native(ctypes.addressof(buffer), len(data))
            assert program.run(data) == expected, (size, len(data))
            results.add(expected)
        program_first = Program.read(tmp_path / "program.o", name)
        if size < 300:
            assert agree(program_first, made) == program_first.interpret(made) or name == "flows"
    assert len(results) > 5


def test_demo(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clang_or_skip()
    assert demo.main(["--bytes", "3000"]) == 0
    assert capsys.readouterr().out.count("agree") == len(toolchain.NAMES)
    made = toolchain.compile_object(toolchain.PROGRAMS / "hash.c", tmp_path / "hash.o")
    assert demo.main([str(made), "--show"]) == 0
    shown = capsys.readouterr().out
    assert "r0 = 0xcbf29ce484222325 ll" in shown
    assert shown.endswith("14695981039346656037\n")
    assert demo.main([str(made), "nothing"]) == 2
    assert "there is no function 'nothing'; accepted: hash" in capsys.readouterr().err


LINKED = """
typedef unsigned long long u64;
typedef unsigned int u32;
struct map { u32 type, key_size, value_size, max_entries; };
__attribute__((section("maps"), used)) struct map array = {2, 4, 8, 4};
static void *(*const lookup)(struct map *, const void *) = (void *)1;
static const u64 primes[4] = {3, 5, 7, 11};
u64 counter = 40;
static u64 zeros;
__attribute__((noinline)) static u64 deep(u64 n, u64 *out) {
    *out = *out * 3 ^ n;
    return n < 2 ? n : deep(n - 1, out) * 5 ^ n;
}
__attribute__((section("classifier"))) u64 start(const void *data, u64 length) {
    u64 sum = !data;
    u32 key = length & 3;
    u64 *value = lookup(&array, &key);
    if (value)
        sum += __sync_fetch_and_add(value, 2);
    zeros += ++counter;
    u64 result = deep(length & 7, &sum);
    return sum + result * 1000 + primes[length & 3] * 1000000 + zeros * 7 + (long)sum / ((long)length - 20);
}
"""


def test_sections_data_and_local_calls_of_an_object(tmp_path: Path) -> None:
    clang_or_skip()
    source = tmp_path / "linked.c"
    source.write_text(LINKED)
    program = Program.read(toolchain.compile_object(source, tmp_path / "linked.o"), "start")
    assert {each.spec.name for each in program.maps} > {"array", ".data", ".bss"}
    for length in range(30):
        depths = range(max(1, length & 7), 0, -1) if length & 7 else [0]
        total, deep, divisor = 0, 0, length - 20
        for n in depths:
            total = total * 3 ^ n
        for n in reversed(depths):
            deep = deep * 5 ^ n
        quotient = total // abs(divisor) * (1 if divisor > 0 else -1) if divisor else 0
        expected = total + deep * 1000 + (3, 5, 7, 11)[length & 3] * 10**6 + 41 * 7 + quotient
        assert agree(program, bytes(length)) == expected


POINTING = """
typedef unsigned long long u64;
static u64 counts[3] = {1, 2, 3};
static const u64 odd[4] = {3, 5, 7, 9};
u64 zeros[2];
static const u64 *const tables[] = {odd, &odd[2], counts};
u64 *where[3] = {counts + 1, zeros, (u64 *)odd};
static const char *names[] = {"one", "three", "sixteen"};
const char **all = names;
u64 pointing(const void *data, u64 length) {
    const char *name = all[length % 3];
    u64 n = !data;
    while (name[n])
        n++;
    *where[length >> 3] += n;
    return tables[length % 3][0] * 1000 + n + zeros[0] * 100000;
}
"""


def test_data_that_points_at_data(tmp_path: Path) -> None:
    clang_or_skip()
    source = tmp_path / "pointing.c"
    source.write_text(POINTING)
    program = Program.read(toolchain.compile_object(source, tmp_path / "pointing.o"))
    for length in range(8):
        n = (3, 5, 7)[length % 3]
        assert agree(program, bytes(length)) == (3, 7, 1)[length % 3] * 1000 + n
        assert program.map(".data")[bytes(4)].startswith(struct.pack("<3Q", 1, 2 + n, 3))
    assert agree(program, bytes(8)) == 1000 + 7 + 700000
    assert "of map '.rodata', which is read-only" in str(agree(program, bytes(16)))
    with pytest.raises(EbpfError, match="map 'x': a pointer to map 1; there are 1"):
        Program([mov(0, 1), EXIT], maps=[MapSpec("x", ARRAY, 4, 8, 1, bytes(8), pointers=(Pointer(0, 1, 0),))])


_MAP = 'struct map { int a[4]; void *p; } m __attribute__((section("maps"))) = {{2, 4, 8, 1}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{_MAP}, 0}};\nvoid *p = &m;",
            "section '.data', offset 0: a pointer to 'm'; pointers to data of",
        ),
        ("extern int there; void *p = &there;", "a pointer to 'there'; pointers to data of"),
        ("int f(void) { return 1; }\nint (*p)(void) = f;", "a pointer to 'f'; pointers to data of"),
        (f"{_MAP}, &m}};", 'a map of section "maps" refers to something; numbers alone are accepted'),
    ],
)
def test_what_data_may_not_point_at(text: str, message: str, tmp_path: Path) -> None:
    clang_or_skip()
    source = tmp_path / "pointing.c"
    source.write_text(f"{text}\nint go(void) {{ return 1; }}\n")
    with pytest.raises(EbpfError, match=message):
        Program.read(toolchain.compile_object(source, tmp_path / "pointing.o"), "go")
