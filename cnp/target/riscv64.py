"""RISC-V of 64 bits: registers, compiler flags, patch kinds, relocations and jumps."""

from __future__ import annotations

from cnp.target.flags import COMMON_FLAGS, CORE_FLAGS, STENCIL_FLAGS
from cnp.target.immediate import ImmediateClass
from cnp.target.patch import NEGATE, KindFlag, PatchKind, RelocationKind, Segment
from cnp.target.record import Access, Flag, JumpForm, Role, Target
from cnp.target.riscv64_decode import decode, invert
from cnp.types import Type

_RELATIVE = KindFlag.PC_RELATIVE
_TWO_GIB = 1 << 31
_ROUNDING = 0x800  # the low half of an address is signed


def _distance(name: str, bits: int, width: int, *parts: tuple[int, int, int]) -> PatchKind:
    """A signed number of bytes from the instruction: parts of it (first bit, bits) and where these go."""
    reach = 1 << bits - 1
    shift = 32 - 8 * width
    segments = tuple(Segment(start, count, to + shift) for start, count, to in parts)
    return PatchKind(name, segments, -reach, reach - 2, scale=2, width=width, flags=_RELATIVE)


_JUMP = _distance("jump", 21, 4, (12, 8, 12), (11, 1, 20), (1, 10, 21), (20, 1, 31))
_BRANCH = _distance("branch", 13, 4, (11, 1, 7), (1, 4, 8), (5, 6, 25), (12, 1, 31))
_SHORT_JUMP = _distance(
    "c_jump", 12, 2, (5, 1, 2), (1, 3, 3), (7, 1, 6), (6, 1, 7), (10, 1, 8), (8, 2, 9), (4, 1, 11), (11, 1, 12)
)
_SHORT_BRANCH = _distance("c_branch", 9, 2, (5, 1, 2), (1, 2, 3), (6, 2, 5), (3, 2, 10), (8, 1, 12))

_STORE = (Segment(0, 5, 7), Segment(5, 7, 25))
_IMM12 = PatchKind("imm12", (Segment(0, 12, 20),), -2048, 2047)
_STORE12 = PatchKind("store12", _STORE, -2048, 2047)
# A 32-bit number, and a distance, in two instructions.
_HIGH20 = PatchKind("high20", (Segment(12, 20, 12),), bias=_ROUNDING)
_LOW12 = PatchKind("low12", (Segment(0, 12, 20),))
_STORE_LOW12 = PatchKind("store_low12", _STORE)
_FAR20 = PatchKind(
    "far20", (Segment(12, 20, 12),), -_TWO_GIB - _ROUNDING, _TWO_GIB - _ROUNDING - 1, bias=_ROUNDING, flags=_RELATIVE
)
_FAR12 = PatchKind("far12", (Segment(0, 12, 20),), flags=_RELATIVE)
_STORE_FAR12 = PatchKind("store_far12", _STORE, flags=_RELATIVE)


def _compressed(name: str, low: int, high: int, *segments: Segment, scale: int = 1) -> PatchKind:
    """A field of an instruction of two bytes, which are the upper ones of four."""
    moved = tuple(Segment(each.start, each.bits, each.to + 16, each.flags) for each in segments)
    return PatchKind(name, moved, low, high, scale=scale, width=2)


_C_IMM6 = _compressed("c_imm6", -32, 31, Segment(0, 5, 2), Segment(5, 1, 12))
# What clang makes of literals: subtraction adds the opposite, a rotation shifts both ways.
_SAMPLED = (
    PatchKind("minus12", (Segment(0, 12, 20, NEGATE),), -2047, 2048),
    PatchKind("shift5", (Segment(0, 5, 20),), 0, 31),
    PatchKind("minus5", (Segment(0, 5, 20, NEGATE),), 0, 31),
    PatchKind("shift6", (Segment(0, 6, 20),), 0, 63),
    PatchKind("minus6", (Segment(0, 6, 20, NEGATE),), 0, 63),
    _compressed("c_minus6", -31, 32, Segment(0, 5, 2, NEGATE), Segment(5, 1, 12, NEGATE)),
    _compressed("c_shift6", 0, 63, Segment(0, 5, 2), Segment(5, 1, 12)),
    _compressed("c_left6", 0, 63, Segment(0, 5, 2, NEGATE), Segment(5, 1, 12, NEGATE)),
    _compressed("c_offset4", 0, 124, Segment(6, 1, 5), Segment(2, 1, 6), Segment(3, 3, 10), scale=4),
    _compressed("c_offset8", 0, 248, Segment(6, 2, 5), Segment(3, 3, 10), scale=8),
)
_KINDS = (
    _JUMP, _BRANCH, _SHORT_JUMP, _SHORT_BRANCH, _IMM12, _STORE12, _C_IMM6, *_SAMPLED, _HIGH20, _LOW12, _STORE_LOW12,
    _FAR20, _FAR12, _STORE_FAR12,
)  # fmt: skip

# Numbers and meanings: RISC-V ABIs Specification, "Relocations".
_RELOCATIONS = {
    16: RelocationKind("R_RISCV_BRANCH", ((0, _BRANCH),)),
    17: RelocationKind("R_RISCV_JAL", ((0, _JUMP),)),
    19: RelocationKind("R_RISCV_CALL_PLT", ((0, _FAR20), (4, _FAR12)), of_call=True),
    23: RelocationKind("R_RISCV_PCREL_HI20", ((0, _FAR20),)),
    24: RelocationKind("R_RISCV_PCREL_LO12_I", ((0, _FAR12),), of_label=True),
    25: RelocationKind("R_RISCV_PCREL_LO12_S", ((0, _STORE_FAR12),), of_label=True),
    26: RelocationKind("R_RISCV_HI20", ((0, _HIGH20),)),
    27: RelocationKind("R_RISCV_LO12_I", ((0, _LOW12),)),
    28: RelocationKind("R_RISCV_LO12_S", ((0, _STORE_LOW12),)),
    44: RelocationKind("R_RISCV_RVC_BRANCH", ((0, _SHORT_BRANCH),)),
    45: RelocationKind("R_RISCV_RVC_JUMP", ((0, _SHORT_JUMP),)),
}

_FEATURE = "-Xclang -target-feature -Xclang "
_SHARED_FLAGS = (
    Flag("-mabi=lp64d", "floats are passed in float registers"),
    Flag("-mno-relax", "there is no linker to make code shorter, nor to put padding right"),
    Flag("-mcmodel=medany", "constants are reached by distance"),
)
_STENCIL_FLAGS = (
    *STENCIL_FLAGS,
    *_SHARED_FLAGS,
    Flag("-msmall-data-limit=0", "there is no global pointer: constants stay in .rodata"),
    # -ffixed-x8 is what clang calls it, but `zig cc` does not hear it.
    Flag(_FEATURE + "+reserve-x8" + " " + _FEATURE + "+reserve-x9", "s0 is frame and s1 the ticks"),
    *COMMON_FLAGS,
    Flag("-Wno-cast-function-type-mismatch", "each stencil has its own types of arguments, and goes on to others"),
)
_CORE_FLAGS = (
    *CORE_FLAGS,
    *_SHARED_FLAGS,
    Flag("-DCNP_ANY_FRAME", "the core has frames as arguments, and s0 for its own use"),
    *COMMON_FLAGS,
)
_GENERAL_FLAGS = (
    Flag(
        f"{_FEATURE}-c {_FEATURE}-zca {_FEATURE}-zcd",
        "compressed instructions have few registers, which decide about the size of code then",
    ),
)


def _word(instruction: int, size: int = 4) -> bytes:
    return instruction.to_bytes(size, "little")


def _jumps(condition: int | None) -> tuple[JumpForm, ...]:
    always = _word(0x6F)
    if condition is None:
        return JumpForm(always, _JUMP), JumpForm(_word(0xA001, 2), _SHORT_JUMP)
    over = _word(invert(condition) | _BRANCH.encode(8))
    return JumpForm(over + always, _JUMP), JumpForm(_word(condition), _BRANCH)


_CLASSES = (
    ImmediateClass("ZERO", 0, 0),
    ImmediateClass("LI6", -32, 31, loaded=True),  # loaded, as LI12 and I32 are
    ImmediateClass("OFFSET4", 0, 124, scale=4),
    ImmediateClass("OFFSET8", 0, 248, scale=8),
    ImmediateClass("I6", -31, 31),
    # Without what a comparison with one more or one less would need.
    ImmediateClass("C12", 1, 2046),
    ImmediateClass("CN12", -2046, -2),
    ImmediateClass("I12", -2047, 2047),
    ImmediateClass("LI12", -2048, 2047, loaded=True),
    ImmediateClass("LUI", -_TWO_GIB, _TWO_GIB - 4096, scale=4096, loaded=True),
    ImmediateClass("COUNT5", 1, 31),  # clang knows that other shifts to the right leave the sign zero
    ImmediateClass("COUNT6", 0, 63),
    ImmediateClass("I32", -_TWO_GIB, _TWO_GIB - 1, loaded=True),
    ImmediateClass("FRAME", 1, 0),  # no constant: a slot that is out of reach
    ImmediateClass("I64", -(1 << 63), (1 << 64) - 1, loaded=True),
)
_LOADED = ("LI6", "LI12", "LUI", "I32", "I64")
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
        return ({4: "OFFSET4", 8: "OFFSET8"}.get(access.bytes, "I12"), "I12", "I32")
    if role == Role.STORED:
        loaded = ("LI6", "LI12") if access.bytes == 1 else ("LI6", "LI12", "I32")
        return () if access.type.is_float else ("ZERO", *loaded)
    if role in (Role.INDEXED_OFFSET, Role.INDEXED_STORED):
        return ()
    if access.type.is_float:
        return ("ZERO", "I64") if role == Role.MOVE else ("I64",)
    if role == Role.MOVE:
        return ("ZERO", *_LOADED)
    if access.op.startswith("branch_"):
        return ("ZERO", *_LOADED)
    if role == Role.OPERAND:
        if op in ("add", "and"):
            return ("I6", "I12", "I32", "I64")
        if op in ("sub", "or", "xor"):
            return ("I12", "I32", "I64")
        if any(op.startswith(each[1:]) for each in _COMPARED):
            return ("ZERO", "C12", "CN12", "LI12", "I32", "I64")
        if op.startswith(("div_", "rem_")) and access.type == Type.i64:
            return ("LI6", "LI12", "I64")
    return ("LI6", "LI12", "I32", "I64")


# Every bit differs but the sign: what clang makes of them is not due to a bit that they share.
_SAMPLES = {
    "OFFSET4": ((84, 40), (84, 40), (84, 40)),
    "OFFSET8": ((168, 80), (168, 80), (168, 80)),
    # Negative: what is loaded for i32_and need not be sign-extended where the mask is positive.
    "I6": ((-11, -22), (-11, -22), (-11, -22)),
    "C12": ((1447, 600), (1367, 680), (1253, 794)),
    "CN12": ((-1447, -602), (-1367, -682), (-1253, -796)),
    "I12": ((-601, -1448), (-681, -1368), (-794, -1255)),
    "COUNT5": ((13, 18), (13, 18), (13, 18)),
    "COUNT6": ((13, 50), (13, 50), (13, 50)),
}
# Beyond what a compressed instruction reaches.
_SLOTS = {"SLOT_D": (0x558, 0x6A0), "SLOT_A": (0x658, 0x5A0), "SLOT_B": (0x338, 0x4C0), "SLOT_C": (0x570, 0x688)}


def _samples(name: str, position: str) -> tuple[int, ...]:
    if position in _SLOTS:
        return _SLOTS[position]
    return _SAMPLES[name][0 if position == "SHIFT" else "ABC".index(position)] if name in _SAMPLES else ()


_NOP, _SHORT_NOP = _word(0x13), _word(1, 2)
_INTEGER_REGISTERS = (*(f"a{n}" for n in range(8)), *(f"s{n}" for n in range(2, 12)))
_FLOAT_REGISTERS = (*(f"fa{n}" for n in range(8)), *(f"fs{n}" for n in range(12)))
_NUMBERS = {
    **{f"a{n}": 10 + n for n in range(8)},
    **{f"s{n}": 8 + n if n < 2 else 16 + n for n in range(12)},
}
_COMPRESSIBLE = range(8, 16)


def _groups(names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Registers of all compressed instructions, and the others."""
    short = tuple(guest for guest, name in enumerate(names) if _NUMBERS[name.lstrip("f")] in _COMPRESSIBLE)
    return short, tuple(guest for guest in range(len(names)) if guest not in short)


TARGET = Target(
    name="riscv64",
    triple="riscv64-unknown-linux-gnu",
    clang_cpu="-march=rv64gc -mno-strict-align",  # memory is accessed at any alignment, in one instruction
    zig_triple="riscv64-linux-musl",
    zig_cpu="-mcpu=baseline_rv64+unaligned_scalar_mem",
    header="targets/riscv64.h",
    flags=_STENCIL_FLAGS,
    core_flags=_CORE_FLAGS,
    general_flags=_GENERAL_FLAGS,
    integer_registers=_INTEGER_REGISTERS,
    float_registers=_FLOAT_REGISTERS,
    frame_register="s0",
    elf_machine="EM_RISCV",
    landing_pads=None,
    capstone="CS_ARCH_RISCV CS_MODE_RISCV64 CS_MODE_RISCVC",
    relocations=_RELOCATIONS,
    kinds=_KINDS,
    decode=decode,
    invert=invert,
    jumps=_jumps,
    jump_addend=0,
    classes=_CLASSES,
    immediates=_immediates,
    samples=_samples,
    holes={"LI6": "HOLE_LI6", "LI12": "HOLE_LI12", "LUI": "HOLE_LUI", "I32": "HOLE32"},
    sample_kinds=None,
    sampled_slots="I12",
    narrow_immediate=None,
    fold_immediate=None,
    register_numbers={**_NUMBERS, **{f"f{name}": number for name, number in _NUMBERS.items()}},
    groups=(_groups(_INTEGER_REGISTERS), _groups(_FLOAT_REGISTERS)),
    named=(8, 8),
    typed_registers=True,
    padding=tuple(_NOP * (size // 4) + _SHORT_NOP * (size % 4 // 2) if size % 2 == 0 else b"" for size in range(16)),
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
        "slot_reach": 2048, "first_slot": 8, "c_arguments": 8, "wide_bits": 1, "most_repeated": 0, "aligns_loops": 0,
        "longest_padding": 14, "words": 0, "extends_signs": 1, "pools": 1, "reaches_far": 1, "reach": 1 << 20,
    },
    features=(),
    missing_features=tuple,
)  # fmt: skip
