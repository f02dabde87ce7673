"""AArch64: registers, compiler flags, patch kinds, relocations and jumps."""

from __future__ import annotations

from cnp.target.aarch64_decode import decode, invert
from cnp.target.flags import COMMON_FLAGS, CORE_FLAGS, STENCIL_FLAGS
from cnp.target.immediate import ONES, ImmediateClass
from cnp.target.patch import INVERT, NEGATE, KindFlag, PatchKind, RelocationKind, Segment
from cnp.target.record import Access, Flag, JumpForm, LandingPads, Role, Target
from cnp.types import Type

_MIB = 1 << 20


def _distance(name: str, bits: int, to: int) -> PatchKind:
    """A signed number of instructions from the field's own."""
    reach = 1 << bits + 1
    return PatchKind(name, (Segment(2, bits, to),), -reach, reach - 4, scale=4, flags=KindFlag.PC_RELATIVE)


_B26, _B19, _B14 = _distance("b26", 26, 0), _distance("b19", 19, 5), _distance("b14", 14, 5)
_ADR21 = PatchKind("adr21", (Segment(0, 2, 29), Segment(2, 19, 5)), -_MIB, _MIB - 1, flags=KindFlag.PC_RELATIVE)

_IMM12 = PatchKind("imm12", (Segment(0, 12, 10),), 0, 4095)
_IMM9 = PatchKind("imm9", (Segment(0, 9, 12),), -256, 255)
_LOW16, _HIGH16 = (PatchKind(f"bits{start}", (Segment(start, 16, 5),)) for start in (0, 16))
_THIRD16 = PatchKind("bits32", (Segment(32, 16, 5),), 0, (1 << 48) - 1)
_SCALED = tuple(
    PatchKind(f"imm12x{1 << shift}", (Segment(shift, 12, 10),), 0, 4095 << shift, scale=1 << shift)
    for shift in (1, 2, 3)
)
# What `halfwords` gives: a halfword and its number, of movz or movn and each movk.
_PIECES = tuple(PatchKind(f"piece{number}", (Segment(18 * number, 18, 5),)) for number in range(3))
# What clang makes of an immediate that is negative, wide, a count, or a pattern. A shift to the left is ubfm, whose
# fields are the count's opposite and complement; a rotation to the left one to the right. Bit 6 of a count is 0: so is
# the highest bit of a field of 32 bits, which tells it from one of 64.
_SAMPLED = (
    PatchKind("minus12", (Segment(0, 12, 10, NEGATE),), -4095, 0),
    PatchKind("imm16", (Segment(0, 16, 5),), 0, 0xFFFF),
    PatchKind("logical", (Segment(0, 13, 10),), 0, 0x1FFF),
    PatchKind("lsl64", (Segment(0, 6, 16, NEGATE), Segment(0, 6, 10, INVERT)), 0, 63),
    PatchKind(
        "lsl32", (Segment(0, 5, 16, NEGATE), Segment(6, 1, 21), Segment(0, 5, 10, INVERT), Segment(6, 1, 15)), 0, 31
    ),
    PatchKind("shr", (Segment(0, 6, 16),), 0, 63),
    PatchKind("ror", (Segment(0, 6, 10),), 0, 63),
    PatchKind("rol64", (Segment(0, 6, 10, NEGATE),), 0, 63),
    PatchKind("rol32", (Segment(0, 5, 10, NEGATE), Segment(6, 1, 15)), 0, 31),
)
_KINDS = (_B26, _B19, _B14, _ADR21, _IMM12, _IMM9, *_SCALED, *_PIECES, *_SAMPLED, _LOW16, _HIGH16, _THIRD16)

# Numbers and meanings: ELF for the Arm 64-bit Architecture, "Static AArch64 relocations".
_RELOCATIONS = {
    263: RelocationKind("R_AARCH64_MOVW_UABS_G0", ((0, _LOW16),)),
    264: RelocationKind("R_AARCH64_MOVW_UABS_G0_NC", ((0, _LOW16),)),
    265: RelocationKind("R_AARCH64_MOVW_UABS_G1", ((0, _HIGH16),)),
    266: RelocationKind("R_AARCH64_MOVW_UABS_G1_NC", ((0, _HIGH16),)),
    267: RelocationKind("R_AARCH64_MOVW_UABS_G2", ((0, _THIRD16),)),
    268: RelocationKind("R_AARCH64_MOVW_UABS_G2_NC", ((0, _THIRD16),)),
    273: RelocationKind("R_AARCH64_LD_PREL_LO19", ((0, _B19),)),
    274: RelocationKind("R_AARCH64_ADR_PREL_LO21", ((0, _ADR21),)),
    279: RelocationKind("R_AARCH64_TSTBR14", ((0, _B14),)),
    280: RelocationKind("R_AARCH64_CONDBR19", ((0, _B19),)),
    282: RelocationKind("R_AARCH64_JUMP26", ((0, _B26),)),
    283: RelocationKind("R_AARCH64_CALL26", ((0, _B26),), of_call=True),
}

_TINY = Flag("-mcmodel=tiny", "constants and the core's own parts are within 1 MiB: one instruction reaches them")
_CPU = Flag("-mno-outline-atomics", "the core links against nothing")
_STENCIL_FLAGS = (*STENCIL_FLAGS, _TINY, _CPU, *COMMON_FLAGS)
_CORE_FLAGS = (*CORE_FLAGS, _TINY, _CPU, *COMMON_FLAGS)

# GNU_PROPERTY_AARCH64_FEATURE_1_AND, of which GNU_PROPERTY_AARCH64_FEATURE_1_BTI.
_LANDING_PADS = LandingPads(
    (Flag("-mbranch-protection=bti", "what may be called by address begins with bti"),), 0xC0000000, 1
)


def _word(instruction: int) -> bytes:
    return instruction.to_bytes(4, "little")


def _jumps(condition: int | None) -> tuple[JumpForm, ...]:
    always = _word(0x14000000)
    if condition is None:
        return (JumpForm(always, _B26),)
    near = _B14 if condition & 0x7E000000 == 0x36000000 else _B19
    over = _word(invert(condition) | near.encode(8))
    return JumpForm(over + always, _B26), JumpForm(_word(condition), near)


_CLASSES = (
    ImmediateClass("ZERO", 0, 0),
    # Without what a comparison with one more or one less would need.
    ImmediateClass("C12", 1, 4094),
    ImmediateClass("CN12", -4094, -2),
    ImmediateClass("U12", 0, 4095),
    ImmediateClass("N12", -4095, -1),
    ImmediateClass("U12X2", 0, 4095 * 2, scale=2),
    ImmediateClass("U12X4", 0, 4095 * 4, scale=4),
    ImmediateClass("U12X8", 0, 4095 * 8, scale=8),
    ImmediateClass("N9", -256, -1),
    ImmediateClass("LOGIC32", 0, 0, pattern=32),
    ImmediateClass("LOGIC64", 0, 0, pattern=64),
    ImmediateClass("COUNT", 0, 63),
    ImmediateClass("MOVZ1", 0, 0, pattern=1, loaded=True),
    ImmediateClass("MOVN1", 0, 0, pattern=ONES | 1, loaded=True),
    ImmediateClass("MOVZ2", 0, 0, pattern=2, loaded=True),
    ImmediateClass("MOVN2", 0, 0, pattern=ONES | 2, loaded=True),
    # No constant: a slot that is out of reach, which the core takes for the first that an address may be.
    ImmediateClass("FRAME", 1, 0),
    ImmediateClass("MOVZ3", 0, 0, pattern=3, loaded=True),
    ImmediateClass("MOVN3", 0, 0, pattern=ONES | 3, loaded=True),
    ImmediateClass("I64", -(1 << 63), (1 << 64) - 1, loaded=True),
)
_ARITHMETIC = frozenset(f"i{bits}_{op}" for bits in (32, 64) for op in ("add", "sub"))
_LOGICAL = frozenset(f"i{bits}_{op}" for bits in (32, 64) for op in ("and", "or", "xor"))
_COMPARED = ("_eq", "_ne", "_lt", "_gt", "_le", "_ge")


def _immediates(role: Role, access: Access) -> tuple[str, ...]:
    wide = access.type == Type.i64
    two = ("MOVZ2", "MOVN2")
    loaded = ("MOVZ1", "MOVN1", *two, "MOVZ3", "MOVN3", "I64") if wide else ("MOVZ1", "MOVN1", *two)
    if role == Role.SHIFT:
        return ("COUNT",)
    if role == Role.BASE:
        return ("FRAME", "I64")
    if role == Role.OFFSET:
        scaled = "U12" if access.bytes == 1 else f"U12X{access.bytes}"
        return (scaled, "N9", *two)
    if role == Role.STORED:
        return () if access.type.is_float else ("ZERO",)
    if role in (Role.INDEXED_OFFSET, Role.INDEXED_STORED):
        return ()
    if role == Role.MOVE:
        return ("ZERO", "I64") if access.type.is_float else ("ZERO", "LOGIC64", *loaded)
    if access.type.is_float:
        return ("I64",)
    if role == Role.REVERSED:
        return loaded
    if "_div_" in access.op or "_rem_" in access.op:
        return ("I64",)
    if access.op in _ARITHMETIC:
        return ("U12", "N12", *loaded)
    if access.op in _LOGICAL:
        return ("LOGIC64" if wide else "LOGIC32", *loaded)
    if any(each in access.op for each in _COMPARED):
        return ("ZERO", "C12", "CN12", *loaded)
    return loaded


# Every bit differs but the sign: what clang makes of them is not due to a bit that they share.
_SAMPLES = {
    "C12": ((1447, 2648), (1367, 2728), (1253, 2842)),
    "CN12": ((-1447, -2650), (-1367, -2730), (-1253, -2844)),
    "U12": ((1447, 2648), (1367, 2728), (1253, 2842)),
    "N12": ((-1447, -2650), (-1367, -2730), (-1253, -2844)),
    "U12X2": ((2894, 5296), (2734, 5456), (2506, 5684)),
    "U12X4": ((5788, 10592), (5468, 10912), (5012, 11368)),
    "U12X8": ((11576, 21184), (10936, 21824), (10024, 22736)),
    "N9": ((-107, -150), (-91, -166), (-85, -172)),
    "LOGIC32": ((0x0FFFF000, 0x3F3F3F3F), (0x07FFF800, 0x1F1F1F1F), (0x03FFFC00, 0x7E7E7E7E)),
    "LOGIC64": (
        (0x00007FFFFFF80000, 0x3F3F3F3F3F3F3F3F),
        (0x0003FFFFFE000000, 0x1F1F1F1F1F1F1F1F),
        (0x00FFFFFF80000000, 0x7E7E7E7E7E7E7E7E),
    ),
    "COUNT": ((13, 18), (13, 18), (13, 18)),
}
# In reach of a load of a single byte, too.
_SLOTS = {"SLOT_D": (0x558, 0xAA0), "SLOT_A": (0xA58, 0x5A0), "SLOT_B": (0x338, 0xCC0), "SLOT_C": (0x970, 0x688)}


def _samples(name: str, position: str) -> tuple[int, ...]:
    if position in _SLOTS:
        return _SLOTS[position]
    return _SAMPLES[name][0 if position == "SHIFT" else "ABC".index(position)] if name in _SAMPLES else ()


_NOP = _word(0xD503201F)
_INTEGER_REGISTERS = tuple(f"x{n}" for n in (*range(22, 29), *range(8), *range(10, 15), 9, 15))
# preserve_none passes eight floats in registers. It preserves no others, which clang therefore takes for itself.
_FLOAT_REGISTERS = tuple(f"d{n}" for n in range(8))

TARGET = Target(
    name="aarch64",
    triple="aarch64-unknown-linux-gnu",
    clang_cpu="-march=armv8-a",
    zig_triple="aarch64-linux-musl",
    zig_cpu="-mcpu=generic",
    header="targets/aarch64.h",
    flags=_STENCIL_FLAGS,
    core_flags=_CORE_FLAGS,
    general_flags=(),
    integer_registers=_INTEGER_REGISTERS,
    float_registers=_FLOAT_REGISTERS,
    frame_register="x20",
    elf_machine="EM_AARCH64",
    landing_pads=_LANDING_PADS,
    capstone="CS_ARCH_ARM64",
    relocations=_RELOCATIONS,
    kinds=_KINDS,
    decode=decode,
    invert=invert,
    jumps=_jumps,
    jump_addend=0,
    classes=_CLASSES,
    immediates=_immediates,
    samples=_samples,
    holes={f"MOV{kind}{number}": f"HOLE_MOV{kind}{number}" for kind in "ZN" for number in (1, 2, 3)},
    sample_kinds=None,
    sampled_slots="U12",
    narrow_immediate=None,
    fold_immediate=None,
    register_numbers={f"{letter}{n}": n for letter in "xd" for n in range(32)},
    groups=((tuple(range(len(_INTEGER_REGISTERS))),), (tuple(range(len(_FLOAT_REGISTERS))),)),
    named=(len(_INTEGER_REGISTERS), len(_FLOAT_REGISTERS)),
    typed_registers=False,
    padding=tuple(_NOP if size == 4 else b"" for size in range(16)),
    three_address=None,
    three_address_immediate=frozenset(),
    indexed_offsets=1,
    add_scales=(1, 2, 3),
    indirect_jump="",
    float_users=frozenset(("i32_popcnt", "i64_popcnt")),
    float_constraint="",
    convention_order=("x20", "x21", *_INTEGER_REGISTERS),
    # From r7 on they are the integer arguments of C.
    integer_arguments=(*range(7, 22), *range(7)),
    integer_result=7,
    float_result=0,
    scratch_registers=(),
    limits={
        "slot_reach": 4096, "first_slot": 8, "c_arguments": 8, "wide_bits": 13, "most_repeated": 5, "aligns_loops": 0,
        "longest_padding": 4, "words": 1, "extends_signs": 0, "pools": 1, "reaches_far": 1, "reach": _MIB,
    },
    features=(),
    missing_features=tuple,
)  # fmt: skip
