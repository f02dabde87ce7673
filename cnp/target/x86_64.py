"""x86-64: registers, compiler flags, relocations and jumps."""

from __future__ import annotations

from cnp.target.flags import COMMON_FLAGS, CORE_FLAGS, STENCIL_FLAGS
from cnp.target.immediate import ImmediateClass
from cnp.target.patch import KindFlag, PatchKind, RelocationKind, Segment
from cnp.target.record import Access, Flag, JumpForm, LandingPads, Role, Target
from cnp.target.x86_64_decode import decode
from cnp.target.x86_64_immediates import fold_immediate, narrow_immediate
from cnp.types import Type

_S32 = (-(1 << 31), (1 << 31) - 1)
_WHOLE = (Segment(0, 32, 0),)
_LAST_BYTE = (Segment(0, 8, 24),)
_ABSOLUTE_32 = PatchKind("imm32", _WHOLE, *_S32)
_LOW_32 = PatchKind("low32", _WHOLE)
_HIGH_32 = PatchKind("high32", (Segment(32, 32, 0),))
_RELATIVE_32 = PatchKind("rel32", _WHOLE, *_S32, flags=KindFlag.PC_RELATIVE)
_IMMEDIATE_8 = PatchKind("imm8", _LAST_BYTE, -128, 127, width=1)
_RELATIVE_8 = PatchKind("rel8", _LAST_BYTE, -128, 127, width=1, flags=KindFlag.PC_RELATIVE)

# Numbers and meanings: System V ABI, AMD64 supplement, table "Relocation Types".
_RELOCATIONS = {
    1: RelocationKind("R_X86_64_64", ((0, _LOW_32), (4, _HIGH_32))),
    2: RelocationKind("R_X86_64_PC32", ((0, _RELATIVE_32),)),
    4: RelocationKind("R_X86_64_PLT32", ((0, _RELATIVE_32),), of_call=True),  # in a library: direct
    10: RelocationKind("R_X86_64_32", ((0, _LOW_32),), low_half=True),
    11: RelocationKind("R_X86_64_32S", ((0, _ABSOLUTE_32),)),
    14: RelocationKind("R_X86_64_8", ((0, _IMMEDIATE_8),)),  # of .byte: no instruction of clang's has it
}

_COMMON_FLAGS = (
    Flag("-fcf-protection=none", "endbr64 at the head of every stencil would be executed for nothing"),
    Flag("-mno-red-zone", "compiled code is entered and left in the middle of frames"),
    *COMMON_FLAGS,
)

_STENCIL_FLAGS = (
    *STENCIL_FLAGS,
    Flag("-mcmodel=kernel", "an extern symbol's address is a sign-extended 32-bit immediate: a hole"),
    *_COMMON_FLAGS,
)

_CORE_FLAGS = (*CORE_FLAGS, *_COMMON_FLAGS)
# GNU_PROPERTY_X86_FEATURE_1_AND, of which GNU_PROPERTY_X86_FEATURE_1_IBT.
_LANDING_PADS = LandingPads(
    (Flag("-fcf-protection=branch", "what may be called by address begins with endbr64"),), 0xC0000002, 1
)

# What x86-64-v2 adds to the baseline, as /proc/cpuinfo spells it.
_FEATURES = ("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3")


def missing_features(cpuinfo: str = "/proc/cpuinfo") -> tuple[str, ...]:
    """Features of x86-64-v2 that this machine's first processor lacks; empty if it has all or does not say."""
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), None)
    except OSError:
        return ()
    if flags is None:
        return ()
    present = set(flags.partition(":")[2].split())
    return tuple(feature for feature in _FEATURES if feature not in present)


# The recommended multi-byte NOPs (Intel SDM volume 2B, NOP); longer ones carry 66 prefixes.
_NOPS = tuple(
    bytes.fromhex(text)
    for text in (
        "", "90", "6690", "0f1f00", "0f1f4000", "0f1f440000", "660f1f440000", "0f1f8000000000", "0f1f840000000000",
        "660f1f840000000000", "662e0f1f840000000000", "66662e0f1f840000000000", "6666662e0f1f840000000000",
        "666666662e0f1f840000000000", "66666666662e0f1f840000000000", "6666666666662e0f1f840000000000",
    )
)  # fmt: skip


def _invert(condition: int) -> int:
    return condition ^ 1


def _jumps(condition: int | None) -> tuple[JumpForm, ...]:
    far = b"\xe9" if condition is None else bytes((0x0F, 0x80 | condition))
    near = 0xEB if condition is None else 0x70 | condition
    return (
        JumpForm(far + bytes(4), _RELATIVE_32, addend=-4),
        JumpForm(bytes((near, 0)), _RELATIVE_8, addend=-1),
    )


_CLASSES = (
    ImmediateClass("ZERO", 0, 0),
    ImmediateClass("I8", -127, 127),
    ImmediateClass("U32", 0, (1 << 32) - 1),
    ImmediateClass("I32", -(1 << 31) + 1, (1 << 31) - 1),
    ImmediateClass("I64", -(1 << 63), (1 << 64) - 1, loaded=True),
)


def _immediates(role: Role, access: Access) -> tuple[str, ...]:
    if role in (Role.SHIFT, Role.INDEXED_OFFSET):
        return ("I8",)
    if role == Role.BASE:
        return ("I64",)
    if role == Role.OFFSET:
        return ("I8", "I32")
    if role == Role.MOVE:
        return ("ZERO", "I64") if access.type.is_float else ("ZERO", "U32", "I32", "I64")
    if role in (Role.STORED, Role.INDEXED_STORED):
        narrow = ("I8",) if access.bytes == 1 else ()
        return () if access.type.is_float else narrow or (("I32",) if role == Role.STORED else ())
    if access.type.is_float:
        return ("I64",)
    wide = access.type == Type.i64
    if role == Role.REVERSED:
        return ("I64",) if wide else ("I32",)
    return ("I8", "I32", "I64") if wide else ("I8", "I32")


# Every bit differs, of counts the lower five: what clang makes of them is not due to a bit that they share.
_SAMPLES = {
    "I8": {"A": (107, -108), "B": (103, -104), "C": (83, -84), "SHIFT": (13, 18)},
    "U32": {"A": (0x5B7D3F17, 0xA482C0E8), "B": (0x5A7C3D19, 0xA583C2E6), "C": (0x597B3B1D, 0xA684C4E2)},
    "I32": {"A": (0x15A7C3D9, -0x15A7C3DA), "B": (0x16A8C5DB, -0x16A8C5DC), "C": (0x17A9C7DD, -0x17A9C7DE)},
}


def _samples(name: str, position: str) -> tuple[int, ...]:
    return _SAMPLES.get(name, {}).get(position, ())


TARGET = Target(
    name="x86_64",
    triple="x86_64-unknown-linux-gnu",
    clang_cpu="-march=x86-64-v2",
    zig_triple="x86_64-linux-musl",
    zig_cpu="-mcpu=x86_64_v2",
    header="targets/x86_64.h",
    flags=_STENCIL_FLAGS,
    core_flags=_CORE_FLAGS,
    general_flags=(),
    integer_registers=("r12", "r14", "r15", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r11", "rax"),
    float_registers=tuple(f"xmm{n}" for n in range(8)),
    frame_register="r13",
    elf_machine="EM_X86_64",
    landing_pads=_LANDING_PADS,
    capstone="CS_ARCH_X86 CS_MODE_64",
    relocations=_RELOCATIONS,
    decode=decode,
    invert=_invert,
    kinds=(_ABSOLUTE_32, _LOW_32, _HIGH_32, _RELATIVE_32, _IMMEDIATE_8, _RELATIVE_8),
    jumps=_jumps,
    jump_addend=-4,
    classes=_CLASSES,
    immediates=_immediates,
    samples=_samples,
    holes={},
    sample_kinds={"I8": "imm8", "U32": "low32", "I32": "imm32"},
    sampled_slots="",
    narrow_immediate=narrow_immediate,
    fold_immediate=fold_immediate,
    register_numbers={"rax": 0, "rcx": 1, "rdx": 2, "rsi": 6, "rdi": 7} | {f"r{n}": n for n in (8, 9, *range(11, 16))},
    groups=None,
    named=(11, 8),
    typed_registers=False,
    padding=_NOPS,
    # lea adds into a register of its own.
    three_address=frozenset(("i32_add", "i64_add")),
    # imul has a form with an immediate and a separate destination.
    three_address_immediate=frozenset(("i32_mul", "i64_mul")),
    indexed_offsets=2,
    add_scales=(1, 2, 3),
    indirect_jump="jmpq *%0",
    float_users=frozenset(),
    float_constraint="x",
    convention_order=("r12", "r13", "r14", "r15", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r11", "rax"),
    # From r3 on they are the integer arguments of C, and r10 is rax, where C leaves its result.
    integer_arguments=(3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2),
    integer_result=10,
    float_result=0,
    scratch_registers=(5, 10),  # rdx, rax
    limits={
        "slot_reach": 0,
        "first_slot": 0,
        "c_arguments": 6,
        "wide_bits": 32,
        "most_repeated": 8,
        "aligns_loops": 1,
        "longest_padding": 15,
        "words": 0,
        "extends_signs": 0,
        "pools": 0,
        "reaches_far": 0,
        "reach": 1 << 30,
    },
    features=_FEATURES,
    missing_features=missing_features,
)
