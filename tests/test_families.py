"""Families: what the build makes of placements that differ in register fields, and what it refuses; and that any three
registers or slots of the built library's families make the instruction that is meant."""

from __future__ import annotations

import itertools
import platform
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cnp.build.extract import Code, CodeHole
from cnp.build.families import Learned, Registers, family_placements, learn, variants
from cnp.build.placements import Variant
from cnp.errors import BuildError
from cnp.runtime.default import default_library
from cnp.stencil.layout import FAMILY, FAMILY_STENCILS, SectionName
from cnp.stencil.model import MOST_GROUPS, MOST_REGISTERS, Shape
from cnp.stencil.words import Value
from cnp.target import target_named
from cnp.target.x86_64 import TARGET as X86_64
from cnp.types import Type

capstone = pytest.importorskip("capstone")

KINDS = {each.name: each for each in X86_64.kinds}

# ---- what is learned


def op(shape: Shape = Shape.LOAD, offsets: int = 1, values: int = 1, scales: int = 1) -> Any:
    """As much of an op as families are made of."""
    types = (Type.i64, Type.i64) if shape == Shape.STORE else (Type.i64,)
    return SimpleNamespace(
        row=SimpleNamespace(
            method="i64_it",
            shape=shape,
            operand_types=types,
            indexed=SimpleNamespace(scales=scales, offsets=offsets, values=values, number=1),
            code=0,
        ),
        source=SimpleNamespace(result=None if shape == Shape.STORE else Type.i64, place="memory.c:1"),
    )


def registers(target: Any = X86_64, it: Any = None, variant: int = 0) -> list[Registers]:
    """What is compiled for a family."""
    return [each.registers for each in family_placements(it or op(), target) if each.index == variant]


Encoder = Callable[[int, int, int], Code]


def encode(x: int, y: int, z: int) -> Code:
    """Three fields of four bits; a prefix from 8 on; what is in a slot is loaded first."""
    slots = (y == 11) + 2 * (z == 11)
    data = bytes([0xA0 + slots] * (1 + slots)) + bytes([0x40 | (x > 7) | (y > 7) << 1 | (z > 7) << 2, 0x8B])
    return Code(data + struct.pack("<I", 0x01000000 | x | y << 8 | z << 16), ())


def learned(encoder: Encoder = encode, keep: Callable[[Registers], bool] = lambda _: True) -> Learned:
    it = op()
    codes = {each: encoder(*each) for each in registers() if keep(each)}
    return learn(it, variants(it)[0], X86_64, codes)


def refusal(encoder: Encoder = encode, keep: Callable[[Registers], bool] = lambda _: True) -> str:
    with pytest.raises(BuildError) as caught:
        learned(encoder, keep)
    return str(caught.value)


def combined(family: Learned, triple: Registers) -> bytes:
    code = family.codes[cast("Registers", tuple(family.groups[n][each] for n, each in enumerate(triple)))]
    (value,) = struct.unpack("<I", code.data[-4:])
    for n, each in enumerate(triple):
        value ^= family.fields[n][each]
    return code.data[:-4] + struct.pack("<I", value)


def everything() -> Iterator[Registers]:
    return itertools.product(range(11), range(12), range(12))


def test_what_is_learned_makes_every_combination() -> None:
    family = learned()
    assert len(family.codes) == 2 * 3 * 3
    for triple in everything():
        assert combined(family, triple) == encode(*triple).data


def test_every_two_registers_at_every_two_positions_are_compiled_once() -> None:
    """Of the first variant, that is; of the others every register at its position, beside the first ones and the last,
    and some together.
    """
    for it in (op(), op(Shape.STORE, offsets=2, values=2)):
        for number, variant in enumerate(variants(it)):
            found = registers(it=it, variant=number)
            sizes = (1 if variant.immediate else 11, 12, 12)
            assert len(found) == len(set(found)) <= sizes[0] * 144
            for fixed in ((0, 0, 0), (sizes[0] - 1, 10, 10)):
                for at, size in enumerate(sizes):
                    assert {(*fixed[:at], each, *fixed[at + 1 :]) for each in range(size)} <= set(found), variant
            assert set(itertools.product({0, sizes[0] - 1}, (0, 10, 11), (0, 10, 11))) <= set(found)
            for a, b in itertools.combinations(range(3), 2) if not number else ():
                pairs = {(each[a], each[b]) for each in found}
                assert pairs == set(itertools.product(range(sizes[a]), range(sizes[b]))), variant


def test_variants_are_in_the_order_of_the_library() -> None:
    found = [(v.scale, v.offset is not None, v.immediate) for v in variants(op(Shape.STORE, 2, 2, scales=0b1001))]
    kinds = [(False, False), (True, False), (False, True)]
    assert found == [(scale, *kind) for scale in (0, 3) for kind in kinds]


def test_fields_that_depend_on_each_other_are_refused() -> None:
    def sorted_operands(x: int, y: int, z: int) -> Code:
        return encode(x, *sorted((y, z))) if max(y, z) < 11 else encode(x, y, z)

    assert "op i64_it, index shifted by 0, memory.c:1: " in refusal(sorted_operands)


@pytest.mark.parametrize("bit", [0, 9, 31])
def test_a_single_placement_that_differs_is_refused(bit: int) -> None:
    """Whichever it is, as long as no register or group is one of a kind in it."""
    lines = [(0, 0, 0), (10, 10, 10)]
    others = [each for each in registers() if all(sum(a != b for a, b in zip(each, line)) > 1 for line in lines)]
    for odd in others[::7]:

        def encoder(x: int, y: int, z: int, odd: Registers = odd) -> Code:
            code = encode(x, y, z)
            (last,) = struct.unpack("<I", code.data[-4:])
            changed = struct.pack("<I", last ^ (1 << bit)) if (x, y, z) == odd else code.data[-4:]
            return Code(code.data[:-4] + changed, ())

        assert "is not that of others with other fields" in refusal(encoder)


def test_another_length_is_refused() -> None:
    assert "is not that of others" in refusal(
        lambda x, y, z: Code(b"\x90" * ((x, y, z) == (4, 5, 9)) + encode(x, y, z).data, ())
    )


def test_too_many_groups_are_refused() -> None:
    message = refusal(lambda x, y, z: Code(bytes([y // 3]) + encode(x, y, z).data, ()))
    assert "registers at position 1 fall into" in message and "groups, not fields" in message


def test_fields_outside_the_last_four_bytes_are_refused() -> None:
    message = refusal(lambda x, y, z: Code(encode(x, y, z).data + b"\x90", ()))
    assert "registers at position 0 fall into 11 groups, not fields" in message


def hole(offset: int, width: int, value: Value = Value.SLOT_A) -> CodeHole:
    return CodeHole(offset, value, KINDS[{1: "imm8", 4: "imm32"}[width]], 0, 0)


def test_a_hole_behind_the_fields_is_accepted() -> None:
    """As in an address with a constant offset of a byte."""

    def encoder(x: int, y: int, z: int) -> Code:
        return Code(b"\x8b" + bytes([x, y, z, 0]), (hole(4, 1, Value.OFFSET),))

    family = learned(encoder)
    assert all(combined(family, each) == encoder(*each).data for each in everything())


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_a_hole_among_the_fields_is_refused(offset: int) -> None:
    """Chunks end in holes, and fields are in the last chunk."""

    def encoder(x: int, y: int, z: int) -> Code:
        fields = bytes([x | y << 4, z])
        return Code(b"\x8b\x8c" + b"\0" + fields + b"\0", (hole(offset, 1 if offset > 1 else 4), hole(5, 1)))

    assert "a hole is where register fields are" in refusal(encoder)


def test_holes_that_depend_on_registers_are_groups() -> None:
    def encoder(x: int, y: int, z: int) -> Code:
        holes = (hole(0, 4), *((hole(4, 4, Value.SLOT_C),) if z == 11 else ()))
        return Code(bytes(8 if z == 11 else 4) + bytes([x, y, z % 11, 1]), holes)

    family = learned(encoder)
    assert [len(set(each)) for each in family.groups] == [1, 1, 2]
    assert all(combined(family, each) == encoder(*each).data for each in everything())


def test_groups_that_no_placement_combines_are_refused() -> None:
    """With nothing but the lines along which one register varies."""
    ends = [(0, 0, 0), (10, 10, 10)]

    def on_a_line(each: Registers) -> bool:
        return any(sum(a != b for a, b in zip(each, end)) <= 1 for end in ends)

    assert "no placement of groups" in refusal(keep=on_a_line)


def test_code_shorter_than_a_field() -> None:
    family = learned(lambda x, y, z: Code(bytes([x, y, z]), ()))
    assert {len(each) for each in map(set, family.groups)} == {1}
    assert next(iter(family.codes.values())).data == bytes([0, 0, 0])
    assert family.fields[2][5] >> 24 == 5, "the fields end where the code ends"


# ---- what the built library has

LIBRARY = default_library()


def test_the_built_in_ops_that_have_families() -> None:
    found = {op.method for op in LIBRARY.ops if op.families}
    wanted = {op.method for op in LIBRARY.ops if op.shape in (Shape.LOAD, Shape.STORE)}
    two_instructions = {"i32_load8_s", "i32_load16_s"}  # clang extends the sign to 64 bits, then clears the upper half
    assert found == wanted - two_instructions | {"i32_add", "i64_add"}


TARGET = target_named(platform.machine())
ROWS = [each for each in LIBRARY.ops if each.scales]
SLOT_B_VALUE, SLOT_C_VALUE, OFFSET, IMMEDIATE = 0x1A1A1A18, 0x2B2B2B28, 0x55, 0x2A


@dataclass
class Built:
    """A family of the library."""

    fields: list[tuple[int, ...]]
    stencils: tuple[int, ...]
    groups: list[tuple[int, ...]]

    def code(self, triple: Registers) -> bytes:
        x, y, z = (self.groups[n][each] for n, each in enumerate(triple))
        stencil = LIBRARY.stencil(self.stencils[(x * MOST_GROUPS + y) * MOST_GROUPS + z])
        assert stencil.size, f"no stencil for {triple}"
        code = bytearray(stencil.code)
        field = 0
        for n, each in enumerate(triple):
            field ^= self.fields[n][each]
        for n, byte in enumerate(struct.pack("<I", field)[-len(code) :]):
            code[len(code) - min(4, len(code)) + n] ^= byte
        for each in stencil.holes:
            kind = TARGET.kinds[each.kind]
            assert not any(code[each.offset : each.offset + kind.width]), "fields in a hole"
            is_base = each.value in (Value.SLOT_A, Value.SLOT_B)
            value = {Value.OFFSET: OFFSET, Value.IMMEDIATE_A: IMMEDIATE, Value.SLOT_C: SLOT_C_VALUE}
            number = (SLOT_B_VALUE if is_base else value[each.value]) + each.addend
            code[each.offset : each.offset + kind.width] = kind.encode(number).to_bytes(4, "little")[4 - kind.width :]
        return bytes(code)


def built(number: int) -> Built:
    row = FAMILY.unpack_from(LIBRARY.section(SectionName.FAMILIES), number * FAMILY.size)
    starts = range(0, 3 * MOST_REGISTERS, MOST_REGISTERS)
    fields = [row[start : start + MOST_REGISTERS] for start in starts]
    rest = row[FAMILY_STENCILS.stop :]
    groups = [rest[start : start + MOST_REGISTERS] for start in starts]
    return Built(fields, row[FAMILY_STENCILS], groups)


def kinds(row: Any) -> list[Variant]:
    shape = Shape(row.shape)
    indexed = SimpleNamespace(scales=sum(1 << each for each in row.scales), number=1, **_counts(row, shape))
    return variants(cast("Any", SimpleNamespace(row=SimpleNamespace(indexed=indexed, shape=shape))))


def _counts(row: Any, shape: Shape) -> dict[str, int]:
    values = 2 if shape == Shape.STORE and "store8" in row.method else 1
    return {"values": values, "offsets": len(row.families) // len(row.scales) - values + 1}


MNEMONICS = {
    "i32_add": "lea", "i64_add": "lea", "f32_load": "movss", "f32_store": "movss", "f64_load": "movsd",
    "f64_store": "movsd", "i64_load32_s": "movsxd",
}  # fmt: skip


def mnemonic(method: str) -> str:
    if method in MNEMONICS:
        return MNEMONICS[method]
    if "load" in method and ("8" in method.split("_")[1] or "16" in method):
        return "movsx" if method.endswith("_s") else "movzx"
    return "mov"


WIDTHS = {"8": 1, "16": 2, "32": 4}


def width(row: Any) -> int:
    suffix = row.method.split("_")[1].removeprefix("load").removeprefix("store")
    type = Type(row.operand_types[0] if row.shape == Shape.STORE else row.result_type)
    return WIDTHS.get(suffix, type.bits // 8)


def full_name(instruction: Any, register: int) -> str:
    """rax for al, ax, eax."""
    name = str(instruction.reg_name(register))
    if name.startswith("xmm"):
        return name
    legacy = {"a": "rax", "c": "rcx", "d": "rdx", "b": "rbx", "si": "rsi", "di": "rdi"}
    if name[0] == "r" and name[1].isdigit():
        return name.rstrip("bwd")
    core = name.removeprefix("r").removeprefix("e")
    return legacy.get(core.removesuffix("l").removesuffix("x"), legacy.get(core.removesuffix("l"), name))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="decodes x86-64")
@pytest.mark.parametrize("method", [each.method for each in ROWS])
def test_every_combination_decodes_to_what_is_meant(method: str) -> None:
    row = LIBRARY.op_by_method[method]
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    is_store = row.shape == Shape.STORE
    type = Type(row.operand_types[0] if is_store else row.result_type)
    values = TARGET.float_registers if type.is_float else TARGET.integer_registers
    places = [*TARGET.integer_registers, "slot"]
    all_kinds = kinds(row)
    assert len(all_kinds) == len(row.families)
    for number, variant in zip(row.families, all_kinds):
        family = built(number)
        count = 1 if variant.immediate else len(values)
        for triple in itertools.product(range(count), range(len(places)), range(len(places))):
            x, y, z = triple
            code = family.code(triple)
            instructions = list(decoder.disasm(code, 0))
            shown = f"{triple}: " + "; ".join(f"{each.mnemonic} {each.op_str}" for each in instructions)
            assert sum(each.size for each in instructions) == len(code), shown
            *loads, last = instructions
            held = {"slot base": "", "slot index": ""}
            for each in loads:
                to, source = each.operands
                assert each.mnemonic == "mov" and each.reg_name(source.mem.base) == TARGET.frame_register, shown
                assert not source.mem.index and source.size >= (4 if method == "i32_add" else 8), shown
                which = {SLOT_B_VALUE: "slot base", SLOT_C_VALUE: "slot index"}[source.mem.disp]
                held[which] = full_name(each, to.reg)
                assert held[which] in ("r10", "rbx"), shown
            assert held["slot base"] != held["slot index"] or not loads, shown
            base = held["slot base"] if places[y] == "slot" else places[y]
            index = held["slot index"] if places[z] == "slot" else places[z]
            assert len(loads) == (places[y] == "slot") + (places[z] == "slot"), shown
            assert last.mnemonic == mnemonic(method), shown
            memory, other = last.operands if is_store else reversed(last.operands)
            found = (full_name(last, memory.mem.base), full_name(last, memory.mem.index), memory.mem.scale)
            accepted = {(base, index, 1 << variant.scale)}
            if not variant.scale:
                accepted.add((index, base, 1))
            assert found in accepted, shown
            assert memory.mem.disp == (OFFSET if variant.offset is not None else 0), shown
            assert not memory.mem.segment, shown
            if method not in ("i32_add", "i64_add"):
                assert memory.size == width(row), shown
            if variant.immediate:
                assert other.imm == IMMEDIATE, shown
            else:
                assert full_name(last, other.reg) == values[x], shown
                if not type.is_float:
                    bits = width(row) if is_store else 4 if method.endswith("_u") else type.bits // 8
                    assert other.size in (bits, type.bits // 8), shown
