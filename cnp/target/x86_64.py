"""x86-64: registers, compiler flags, relocations and jumps."""

from __future__ import annotations

from cnp.target.record import Flag, JumpEncoding, PatchKind, RelocationKind, Target
from cnp.target.x86_64_decode import decode
from cnp.target.x86_64_immediates import fold_immediate, narrow_immediate

_ABSOLUTE_32 = PatchKind(4, signed=True)
_LOW_32 = PatchKind(4, signed=False)
_RELATIVE_32 = PatchKind(4, signed=True, pc_relative=True)
_HALVES_OF_64 = ((0, PatchKind(4, signed=False)), (4, PatchKind(4, signed=False, high_half=True)))

# Numbers and meanings: System V ABI, AMD64 supplement, table "Relocation Types".
_RELOCATIONS = {
    1: RelocationKind("R_X86_64_64", _HALVES_OF_64),
    2: RelocationKind("R_X86_64_PC32", ((0, _RELATIVE_32),)),
    4: RelocationKind("R_X86_64_PLT32", ((0, _RELATIVE_32),)),  # no PLT: a direct jump or call
    10: RelocationKind("R_X86_64_32", ((0, _LOW_32),)),
    11: RelocationKind("R_X86_64_32S", ((0, _ABSOLUTE_32),)),
    14: RelocationKind("R_X86_64_8", ((0, PatchKind(1, signed=True)),)),  # of .byte: no instruction of clang's has it
}

_COMMON_FLAGS = (
    Flag("-std=gnu2x", "statement expressions and enums as the sources use them"),
    Flag("-ffreestanding", "the code runs without a C library"),
    Flag("-fno-builtin", "no loop may become a call of memcpy or memset"),
    Flag("-fno-stack-protector", "its canary is a hidden extern symbol and a frame"),
    Flag("-fcf-protection=none", "endbr64 at the head of every stencil would be executed for nothing"),
    Flag("-fno-asynchronous-unwind-tables", "unwind tables of snippets describe nothing that exists at run time"),
    Flag("-fno-unwind-tables", "the same, as zig asks for them"),
    Flag("-fomit-frame-pointer", "a frame pointer costs a prologue (and zig asks for one)"),
    Flag("-fno-jump-tables", "jump tables are hidden relocations into data"),
    Flag("-mno-red-zone", "compiled code is entered and left in the middle of frames"),
    Flag("-fno-strict-aliasing", "guest memory has no C types"),
    Flag("-fwrapv", "signed overflow wraps in every op"),
    Flag("-ffp-contract=off", "a fused multiply-add rounds once where WebAssembly rounds twice"),
    Flag("-Xclang", "the next flag is of the compiler proper"),
    Flag("-no-enable-noundef-analysis", "registers that hold nothing are passed on undefined, which is no mistake"),
    Flag("-fno-math-errno", "sqrt is one instruction, not a call"),
    Flag("-Wall", "an op's mistakes should show at build time"),
    Flag("-Wextra", "the same"),
    Flag("-Wno-unused", "a stencil has all registers as parameters and uses few"),
    Flag("-Wno-uninitialized", "registers that a call destroys are passed on undefined, on purpose"),
    Flag("-Wno-unknown-warning-option", "the same list serves clang 19 and later"),
    Flag("-Wno-sign-compare", "literal samples are signed where an operand is not"),
)

_STENCIL_FLAGS = (
    Flag("-Os", "-O2 duplicates tails and turns one division into two paths; smaller also copies faster"),
    Flag("-mcmodel=kernel", "an extern symbol's address is a sign-extended 32-bit immediate: a hole"),
    Flag("-mllvm -disable-vector-combine", "an f32 in a vector register would be computed as four"),
    Flag("-fno-slp-vectorize", "for the same reason"),
    Flag("-fno-pic", "no global offset table between a stencil and its holes"),
) + _COMMON_FLAGS

_CORE_FLAGS = (
    Flag("-O2", "the core's loops are what compile time is made of"),
    Flag("-fPIC", "the core is copied to wherever code memory is"),
    Flag("-fvisibility=hidden", "and reaches its own parts directly, without a global offset table"),
) + _COMMON_FLAGS

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

_CONDITIONS = range(16)


def _invert(condition: int) -> int:
    return condition ^ 1


X86_64 = Target(
    name="x86_64",
    triple="x86_64-unknown-linux-gnu",
    clang_cpu="-march=x86-64-v2",
    zig_triple="x86_64-linux-musl",
    zig_cpu="-mcpu=x86_64_v2",
    header="targets/x86_64.h",
    flags=_STENCIL_FLAGS,
    core_flags=_CORE_FLAGS,
    integer_registers=("r12", "r14", "r15", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r11", "rax"),
    float_registers=tuple(f"xmm{n}" for n in range(8)),
    frame_register="r13",
    elf_machine="EM_X86_64",
    relocations=_RELOCATIONS,
    decode=decode,
    invert=_invert,
    long_jump=JumpEncoding(
        {None: b"\xe9", **{c: bytes((0x0F, 0x80 | c)) for c in _CONDITIONS}}, _RELATIVE_32, addend=-4
    ),
    short_jump=JumpEncoding(
        {None: b"\xeb", **{c: bytes((0x70 | c,)) for c in _CONDITIONS}},
        PatchKind(1, signed=True, pc_relative=True),
        addend=-1,
    ),
    narrow_immediate=narrow_immediate,
    fold_immediate=fold_immediate,
    register_numbers={"rax": 0, "rcx": 1, "rdx": 2, "rsi": 6, "rdi": 7} | {f"r{n}": n for n in (8, 9, *range(11, 16))},
    padding=_NOPS,
    # lea adds into a register of its own.
    three_address=frozenset(("i32_add", "i64_add")),
    # imul has a form with an immediate and a separate destination.
    three_address_immediate=frozenset(("i32_mul", "i64_mul")),
    indexed_offsets=2,
    add_scales=(1, 2, 3),
    indirect_jump="jmpq *%0",
    float_constraint="x",
    convention_order=("r12", "r13", "r14", "r15", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r11", "rax"),
    # From r3 on they are the integer arguments of C, and r10 is rax, where C leaves its result.
    integer_arguments=(3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2),
    integer_result=10,
    float_result=0,
    scratch_registers=(5, 10),  # rdx, rax
    features=_FEATURES,
    missing_features=missing_features,
)
