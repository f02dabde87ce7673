"""The eBPF example: random programs give the same interpreted and compiled."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

from ebpf_support import (
    EDGES,
    EXIT,
    IMMEDIATES,
    OF_KIND,
    Code,
    agree,
    call,
    copy,
    insn,
    load,
    mov,
    variants,
    wide,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cnp.extension.library import OpLibrary
from examples.ebpf import MapSpec, Program
from examples.ebpf import instruction as bpf
from examples.ebpf.maps import ARRAY, HASH

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
                offset &= -draw(st.sampled_from((bpf.SIZES[code & 0x18], 8, 8, 1)))  # few where it must not be
                pieces.append([insn(code, pointer, b, offset, draw(st.sampled_from(list(bpf.ATOMICS))))])
            elif code & 7 == bpf.STX:
                pieces.append([insn(code, pointer, b, offset)])
            else:
                pieces.append([insn(code, pointer, 0, offset, draw(immediates))])
        elif what == 10:
            masked = insn(bpf.ALU64 | bpf.AND | bpf.K, a, imm=63)
            base = draw(st.sampled_from((6, 7)))
            moved = insn(bpf.ALU64 | bpf.ADD | bpf.X, a, base)
            pieces.append([masked, moved, load(b, a, draw(st.integers(-4, 4)), bpf.H)])
        else:
            helper = draw(st.integers(1, 3))
            which = draw(st.integers(0, 1))
            key = [copy(2, 10), insn(bpf.ALU64 | bpf.ADD | bpf.K, 2, imm=draw(st.sampled_from((-8, -16))))]
            value = [copy(3, 6), mov(4, draw(st.integers(0, 2)))]
            after = [mov(each, each) for each in (3, 4, 5)]
            pieces.append([*wide(1, which, bpf.MAP), *key, *value, call(helper), *after])
    start = [copy(6, 1), *wide(7, 0, bpf.MAP_VALUE)]
    if draw(st.booleans()):
        start = [copy(6, 1), copy(7, 10), insn(bpf.ALU64 | bpf.ADD | bpf.K, 7, imm=-64)]
    start += [load(each, 6, 8 * position) for position, each in enumerate((0, 3, 4, 5, 8, 9))]
    end = [insn(bpf.ALU64 | bpf.XOR | bpf.X, 0, each) for each in (3, 4, 5, 8, 9)]
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


def test_random_programs(atomic_ops: OpLibrary) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(programs(), st.lists(contexts(), min_size=3, max_size=3))
    def check(code: Code, inputs: Sequence[bytes]) -> None:
        program = Program(code, maps=[ONE, SPECS[1]], ops=atomic_ops)
        results = [agree(program, each) for each in inputs]
        faults = sum(isinstance(each, tuple) for each in results)
        seen.update(programs=1, faults=faults, results=3 - faults, varied=len(set(results)) > 1)

    check()
    assert seen["programs"] >= 200
    assert seen["results"] >= 200
    assert seen["faults"] >= 30
    assert seen["varied"] >= 100
