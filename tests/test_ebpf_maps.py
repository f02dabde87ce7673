"""The eBPF example: maps, from Python and from programs."""

from __future__ import annotations

import ctypes
import random
import struct
from collections import Counter

import pytest
from ebpf_support import EXIT, agree, call, copy, insn, load, mov, native_or_skip, wide

from examples.ebpf import EbpfError, Map, MapSpec, Program
from examples.ebpf import instruction as bpf
from examples.ebpf.accesses import Check
from examples.ebpf.map_code import MapCode
from examples.ebpf.maps import ARRAY, HASH, LOOKUP


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
    insn(bpf.ALU64 | bpf.ADD | bpf.K, 2, imm=-4),
    call(LOOKUP),
    insn(bpf.JMP | bpf.JEQ, 0, offset=4),
    load(3, 0, 0),
    insn(bpf.ALU64 | bpf.ADD | bpf.K, 3, imm=1),
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
