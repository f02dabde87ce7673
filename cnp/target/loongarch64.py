"""LoongArch of 64 bits: registers, compiler flags, patch kinds, relocations and jumps."""

from __future__ import annotations

from cnp.target.flags import COMMON_FLAGS, CORE_FLAGS, STENCIL_FLAGS
from cnp.target.immediate import ImmediateClass
from cnp.target.loongarch64_decode import decode, invert
from cnp.target.patch import NEGATE, KindFlag, PatchKind, RelocationKind, Segment
from cnp.target.record import Access, Flag, JumpForm, Role, Target
from cnp.types import Type

_RELATIVE = KindFlag.PC_RELATIVE
_TWO_GIB = 1 << 31
_ROUNDING = 0x800  # the low half of an address is signed


def _distance(name: str, bits: int, *parts: tuple[int, int, int]) -> PatchKind:
    """A signed number of instructions from the field's own: parts of it (first bit, bits) and where these go."""
    reach = 1 << bits + 1
    return PatchKind(name, tuple(Segment(*part) for part in parts), -reach, reach - 4, scale=4, flags=_RELATIVE)


_B26 = _distance("b26", 26, (2, 16, 10), (18, 10, 0))
_B21 = _distance("b21", 21, (2, 16, 10), (18, 5, 0))
_B16 = _distance("b16", 16, (2, 16, 10))
_NEAR20 = _distance("near20", 20, (2, 20, 5))

_IMM12 = PatchKind("imm12", (Segment(0, 12, 10),), -2048, 2047)
# A 32-bit number in two instructions, the second of which is an `or`.
_HIGH20 = PatchKind("high20", (Segment(12, 20, 5),))
_LOW12 = PatchKind("low12", (Segment(0, 12, 10),))
# An address in two, the first of which knows pages only: the core's.
_PAGE20 = PatchKind(
    "page20", (Segment(12, 20, 5),), -_TWO_GIB, _TWO_GIB - 1, bias=_ROUNDING, flags=_RELATIVE | KindFlag.PAGES
)
_PAGE12 = PatchKind("page12", (Segment(0, 12, 10),), flags=KindFlag.PAGES)
# What clang makes of literals: `and`, `or` and `xor` take unsigned ones, subtraction adds the opposite, there are only
# rotations to the right.
_SAMPLED = (
    PatchKind("unsigned12", (Segment(0, 12, 10),), 0, 4095),
    PatchKind("minus12", (Segment(0, 12, 10, NEGATE),), -2047, 2048),
    PatchKind("shift5", (Segment(0, 5, 10),), 0, 31),
    PatchKind("minus5", (Segment(0, 5, 10, NEGATE),), 0, 31),
    PatchKind("shift6", (Segment(0, 6, 10),), 0, 63),
    PatchKind("minus6", (Segment(0, 6, 10, NEGATE),), 0, 63),
)
_KINDS = (_B26, _B21, _B16, _NEAR20, _IMM12, *_SAMPLED, _HIGH20, _LOW12, _PAGE20, _PAGE12)

# Numbers and meanings: ELF for the LoongArch Architecture, "Relocations".
_RELOCATIONS = {
    64: RelocationKind("R_LARCH_B16", ((0, _B16),)),
    65: RelocationKind("R_LARCH_B21", ((0, _B21),)),
    66: RelocationKind("R_LARCH_B26", ((0, _B26),), of_call=True),
    67: RelocationKind("R_LARCH_ABS_HI20", ((0, _HIGH20),)),
    68: RelocationKind("R_LARCH_ABS_LO12", ((0, _LOW12),)),
    71: RelocationKind("R_LARCH_PCALA_HI20", ((0, _PAGE20),)),
    72: RelocationKind("R_LARCH_PCALA_LO12", ((0, _PAGE12),)),
    103: RelocationKind("R_LARCH_PCREL20_S2", ((0, _NEAR20),)),
}

_SHARED_FLAGS = (
    Flag("-mcmodel=normal", "calls are one instruction, whatever the compiler's default is"),
    Flag("-mabi=lp64d", "floats are passed in float registers"),
    Flag("-mno-relax", "there is no linker to make code shorter, nor to put padding right"),
)
_STENCIL_FLAGS = (
    *STENCIL_FLAGS,
    *_SHARED_FLAGS,
    *COMMON_FLAGS,
    Flag("-Wno-cast-function-type-mismatch", "each stencil has its own types of arguments, and goes on to others"),
)
_CORE_FLAGS = (
    *CORE_FLAGS,
    *_SHARED_FLAGS,
    Flag("-DCNP_ANY_FRAME", "the core has frames as arguments"),
    *COMMON_FLAGS,
)


def _word(instruction: int) -> bytes:
    return instruction.to_bytes(4, "little")


def _jumps(condition: int | None) -> tuple[JumpForm, ...]:
    always = _word(0x50000000)
    if condition is None:
        return (JumpForm(always, _B26),)
    near = _B21 if condition >> 26 < 0x13 else _B16  # beqz, bnez, bceqz; those behind compare two registers
    over = _word(invert(condition) | near.encode(8))
    return JumpForm(over + always, _B26), JumpForm(_word(condition), near)


_CLASSES = (
    ImmediateClass("ZERO", 0, 0),
    # Without what a comparison with one more or one less would need.
    ImmediateClass("C12", 1, 2046),
    ImmediateClass("CN12", -2046, -2),
    ImmediateClass("I12", -2047, 2047),
    ImmediateClass("U12", 0, 4095),
    ImmediateClass("LI12", -2048, 2047, loaded=True),  # loaded, as all that follow
    ImmediateClass("LUI", -_TWO_GIB, _TWO_GIB - 4096, scale=4096, loaded=True),
    ImmediateClass("COUNT5", 1, 31),  # clang knows that other shifts to the right leave the sign zero
    ImmediateClass("COUNT6", 0, 63),
    ImmediateClass("I32", -_TWO_GIB, _TWO_GIB - 1, loaded=True),
    ImmediateClass("FRAME", 1, 0),  # no constant: a slot that is out of reach
    ImmediateClass("I64", -(1 << 63), (1 << 64) - 1, loaded=True),
)
_LOADED = ("LI12", "LUI", "I32", "I64")
_COMPARED = ("_eq", "_ne", "_lt", "_gt", "_le", "_ge")


def _immediates(role: Role, access: Access) -> tuple[str, ...]:
    names = _all_immediates(role, access)
    return tuple(name for name in names if name != "I64") if access.type == Type.i32 else names


def _all_immediates(role: Role, access: Access) -> tuple[str, ...]:
    """The classes of an i32 with one for what no i32 is."""
    _, _, op = access.op.partition("_")
    if role == Role.SHIFT:
        return ("COUNT6",) if access.type == Type.i64 or "magic" in op else ("COUNT5",)
    if role == Role.BASE:
        return ("FRAME", "I64")
    if role == Role.OFFSET:
        return ("I12", "I32")
    if role == Role.STORED:
        return () if access.type.is_float else ("ZERO", "LI12") if access.bytes == 1 else ("ZERO", "LI12", "I32")
    if role in (Role.INDEXED_OFFSET, Role.INDEXED_STORED):
        return ()
    if access.type.is_float:
        return ("ZERO", "I64") if role == Role.MOVE else ("I64",)
    if role == Role.MOVE or access.op.startswith("branch_"):
        return ("ZERO", *_LOADED)
    if role == Role.OPERAND:
        if op in ("add", "sub"):
            return ("I12", "I32", "I64")
        if op in ("and", "or", "xor"):
            return ("U12", "LI12", "I32", "I64")
        if any(op.startswith(each[1:]) for each in _COMPARED):
            return ("ZERO", "C12", "CN12", "LI12", "I32", "I64")
        if op.startswith(("div_", "rem_")) and access.type == Type.i64:
            return ("LI12", "I64")
    return ("LI12", "I32", "I64")


# Every bit differs but the sign: what clang makes of them is not due to a bit that they share.
_SAMPLES = {
    "C12": ((1447, 600), (1367, 680), (1253, 794)),
    "CN12": ((-1447, -602), (-1367, -682), (-1253, -796)),
    "I12": ((-601, -1448), (-681, -1368), (-794, -1255)),
    "U12": ((1447, 2648), (1367, 2728), (1253, 2842)),
    "COUNT5": ((13, 18), (13, 18), (13, 18)),
    "COUNT6": ((13, 50), (13, 50), (13, 50)),
}
_SLOTS = {"SLOT_D": (0x558, 0x6A0), "SLOT_A": (0x658, 0x5A0), "SLOT_B": (0x338, 0x4C0), "SLOT_C": (0x570, 0x688)}


def _samples(name: str, position: str) -> tuple[int, ...]:
    if position in _SLOTS:
        return _SLOTS[position]
    return _SAMPLES[name][0 if position == "SHIFT" else "ABC".index(position)] if name in _SAMPLES else ()


_NOP = _word(0x03400000)
# Of floats, clang knows only the names that begin with a dollar.
_INTEGER_REGISTERS = (*(f"a{n}" for n in range(8)), *(f"s{n}" for n in range(8)), "fp")
_FLOAT_REGISTERS = (*(f"$fa{n}" for n in range(8)), *(f"$fs{n}" for n in range(8)))
_NUMBERS = {
    **{f"a{n}": 4 + n for n in range(8)},
    **{f"s{n}": 23 + n for n in range(8)},
    "r21": 21,
    "fp": 22,
    **{f"$fa{n}": n for n in range(8)},
    **{f"$fs{n}": 24 + n for n in range(8)},
}

TARGET = Target(
    name="loongarch64",
    triple="loongarch64-unknown-linux-gnu",
    clang_cpu="-march=loongarch64 -mno-strict-align",  # memory is accessed at any alignment, in one instruction
    zig_triple="loongarch64-linux-musl",
    zig_cpu="-mcpu=generic_la64+f+d+ual",
    header="targets/loongarch64.h",
    flags=_STENCIL_FLAGS,
    core_flags=_CORE_FLAGS,
    general_flags=(),
    integer_registers=_INTEGER_REGISTERS,
    float_registers=_FLOAT_REGISTERS,
    frame_register="r21",
    elf_machine="EM_LOONGARCH",
    landing_pads=None,
    capstone="CS_ARCH_LOONGARCH CS_MODE_LOONGARCH64",
    relocations=_RELOCATIONS,
    kinds=_KINDS,
    decode=decode,
    invert=invert,
    jumps=_jumps,
    jump_addend=0,
    classes=_CLASSES,
    immediates=_immediates,
    samples=_samples,
    holes={"LI12": "HOLE_LI12", "LUI": "HOLE_LUI", "I32": "HOLE32"},
    sample_kinds=None,
    sampled_slots="I12",
    narrow_immediate=None,
    fold_immediate=None,
    register_numbers=_NUMBERS,
    groups=((tuple(range(len(_INTEGER_REGISTERS))),), (tuple(range(len(_FLOAT_REGISTERS))),)),
    named=(8, 8),
    typed_registers=True,
    padding=tuple(_NOP if size == 4 else b"" for size in range(16)),
    three_address=None,
    three_address_immediate=frozenset(),
    indexed_offsets=0,
    add_scales=(),
    indirect_jump="",
    float_users=frozenset(),
    float_constraint="",
    convention_order=(),
    integer_arguments=tuple(range(len(_INTEGER_REGISTERS))),
    integer_result=0,
    float_result=0,
    scratch_registers=(),
    limits={
        "slot_reach": 2048, "first_slot": 8, "c_arguments": 8, "wide_bits": 12, "most_repeated": 8, "aligns_loops": 0,
        "longest_padding": 4, "words": 1, "extends_signs": 1, "pools": 1, "reaches_far": 1, "reach": 1 << 21,
    },
    features=(),
    missing_features=tuple,
)  # fmt: skip
