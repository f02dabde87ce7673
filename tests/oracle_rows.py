"""An instruction for each patch kind and relocation, as assemblers write it, and how disassemblers show its value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from test_immediate import patterns

from cnp.target.immediate import logical_immediate

Reads = Callable[[Sequence[int], int], bool]
_TWO_GIB = 1 << 31


@dataclass(frozen=True)
class Row:
    """Code with a value in it: written by the assembler, or put there by the linker where there are relocations."""

    target: str
    code: Callable[[int], str]
    reads: Reads  # whether numbers that a disassembler shows are those of a value
    kind: str = ""
    offset: int = 0  # of the kind's field
    relocations: tuple[tuple[int, str], ...] = ()
    of_label: tuple[str, ...] = ()  # those of them whose symbol is where the row's code is
    takes: tuple[int, int] | None = None  # what the oracle takes, if that is not what the kind does
    values: tuple[int, ...] = ()  # all it takes, if they are no range
    checks_range: bool = True  # the oracle does
    checks_alignment: bool = True

    def __str__(self) -> str:
        names = "+".join(name for _, name in self.relocations) or self.kind
        return f"{self.target}-{names}-{self.code(0).split()[0 if '.option' not in self.code(0) else 2]}"


def last(numbers: Sequence[int], value: int) -> bool:
    return numbers[-1] == value


def modulo(bits: int, shown: Callable[[int], int] = lambda value: value) -> Reads:
    """The last number is the value's, as far as so many bits go."""
    return lambda numbers, value: (numbers[-1] - shown(value)) % (1 << bits) == 0


ADDRESS = modulo(64)


def linked(
    target: str,
    code: str,
    relocation: str,
    reads: Reads = ADDRESS,
    offset: int = 0,
    takes: tuple[int, int] | None = None,
    checks_alignment: bool = True,
) -> Row:
    rows = ((offset, relocation),)
    return Row(target, lambda _: code, reads, relocations=rows, takes=takes, checks_alignment=checks_alignment)


def pair(
    target: str,
    code: str,
    reads: Reads,
    *relocations: str,
    of_label: tuple[str, ...] = (),
    takes: tuple[int, int] | None = None,
    checks_range: bool = True,
) -> Row:
    rows = tuple((4 * number, each) for number, each in enumerate(relocations))
    return Row(
        target, lambda _: code, reads, relocations=rows, of_label=of_label, takes=takes, checks_range=checks_range
    )


def written(
    target: str,
    kind: str,
    code: str | Callable[[int], str],
    reads: Reads = last,
    offset: int = 0,
    takes: tuple[int, int] | None = None,
    values: tuple[int, ...] = (),
) -> Row:
    made = code.format if isinstance(code, str) else code
    return Row(target, made, reads, kind=kind, offset=offset, takes=takes, values=values)


# ---- x86-64

_S32, _U32 = (-_TWO_GIB, _TWO_GIB - 1), (0, (1 << 32) - 1)
_X86_64 = (
    linked("x86_64", "movabsq $0, %rax", "R_X86_64_64", modulo(64), 2),
    linked("x86_64", "movl $0, %r9d", "R_X86_64_32", modulo(32), 2, takes=_U32),
    linked("x86_64", "addq $0x12345, %rcx", "R_X86_64_32S", last, 3),
    linked("x86_64", "movq 0x12345(%rbx), %rcx", "R_X86_64_32S", last, 3),
    linked("x86_64", ".byte 0xe9; .long 0", "R_X86_64_PLT32", lambda n, v: n[-1] == v + 5, 1),
    linked("x86_64", ".byte 0x0f, 0x8c; .long 0", "R_X86_64_PC32", lambda n, v: n[-1] == v + 6, 2),
    linked("x86_64", "leaq 0x12345(%rip), %rdx", "R_X86_64_PC32", last, 3),
    # lld takes for this what is a byte with a sign or without.
    linked("x86_64", "addq $5, %rcx", "R_X86_64_8", last, 3, takes=(-128, 255)),
    written("x86_64", "imm8", "addq ${}, %rcx", last, 3),
    written("x86_64", "imm8", "{{disp8}} movq {}(%rbx), %rcx", last, 3),
    written("x86_64", "imm8", "pushq ${}", last, 1),
    # Of all short jumps the only ones without a long form.
    written("x86_64", "rel8", "jrcxz .+2+{}", lambda n, v: n[-1] == v + 2, 1),
)

# ---- aarch64

_COUNT64, _COUNT32 = (0, 63), (0, 31)


def _patterns(bits: int) -> dict[int, int]:
    """All that can be encoded, by what cnp makes of it."""
    found = {logical_immediate(value, bits): value for value in patterns(bits)}
    return {encoded: value for encoded, value in found.items() if encoded is not None}


_LOGICAL = {64: _patterns(64), 32: _patterns(32)}


def _logical(bits: int, instruction: str) -> Row:
    known = _LOGICAL[bits]
    first = next(iter(known))
    return written(
        "aarch64",
        "logical",
        lambda value: instruction.format(known.get(value, known[first])),
        lambda numbers, value: (numbers[-1] - known[value]) % (1 << bits) == 0,
        values=tuple(known),
    )


_PIECES = tuple(number << 16 | half for number in range(4) for half in (0, 1, 0x1234, 0x7FFF, 0x8000, 0xFFFF))


def _piece(place: int, instruction: str) -> Row:
    """A halfword and where it goes. capstone shows a `movz` or `movn` as the number that it makes, if it can."""

    def code(value: int) -> str:
        piece = value >> 18 * place
        return f"{instruction} x4, #{piece & 0xFFFF}, lsl #{(piece >> 16 & 3) * 16}"

    def reads(numbers: Sequence[int], value: int) -> bool:
        piece = value >> 18 * place
        half, made = piece & 0xFFFF, (piece & 0xFFFF) << (piece >> 16 & 3) * 16
        return numbers[-1] % (1 << 64) in (half, made, ~made % (1 << 64))

    return written("aarch64", f"piece{place}", code, reads, values=tuple(each << 18 * place for each in _PIECES))


def _move(code: str, relocation: str, start: int, takes: tuple[int, int] | None = None) -> Row:
    """Of capstone's operands the shift is none; where it shows a `mov`, the number is shifted."""
    return linked(
        "aarch64", code, relocation, lambda n, v: n[-1] in (v >> start & 0xFFFF, v & 0xFFFF << start), takes=takes
    )


_AARCH64 = (
    _move("movz x3, #0", "R_AARCH64_MOVW_UABS_G0", 0, (0, 0xFFFF)),
    _move("movk x3, #0", "R_AARCH64_MOVW_UABS_G0_NC", 0),
    _move("movz x3, #0, lsl #16", "R_AARCH64_MOVW_UABS_G1", 16, (0, (1 << 32) - 1)),
    _move("movk x3, #0, lsl #16", "R_AARCH64_MOVW_UABS_G1_NC", 16),
    _move("movz x3, #0, lsl #32", "R_AARCH64_MOVW_UABS_G2", 32, (0, (1 << 48) - 1)),
    replace(_move("movk x3, #0, lsl #32", "R_AARCH64_MOVW_UABS_G2_NC", 32), checks_range=False),
    linked("aarch64", "ldr d3, 0", "R_AARCH64_LD_PREL_LO19"),
    linked("aarch64", "adr x3, 0", "R_AARCH64_ADR_PREL_LO21"),
    linked("aarch64", "tbnz x5, #42, 0", "R_AARCH64_TSTBR14", checks_alignment=False),
    linked("aarch64", "b.lt 0", "R_AARCH64_CONDBR19"),
    # What these do not reach lld has them reach by a jump that it adds; it does not look at their alignment.
    linked("aarch64", "b 0", "R_AARCH64_JUMP26", checks_alignment=False),
    linked("aarch64", "bl 0", "R_AARCH64_CALL26", checks_alignment=False),
    written("aarch64", "b26", "b #{}", modulo(64)),
    written("aarch64", "b19", "cbz x7, #{}", modulo(64)),
    written("aarch64", "b14", "tbz w7, #3, #{}", modulo(64)),
    written("aarch64", "adr21", "adr x9, #{}", modulo(64)),
    written("aarch64", "imm12", "add x1, x2, #{}"),
    written("aarch64", "imm12", "cmp x2, #{}"),
    written("aarch64", "imm12", "ldrb w1, [x2, #{}]"),
    written("aarch64", "imm12x2", "ldrh w1, [x2, #{}]"),
    written("aarch64", "imm12x4", "str w1, [x2, #{}]"),
    written("aarch64", "imm12x8", "ldr x1, [x2, #{}]"),
    written("aarch64", "imm12x8", "str d1, [x2, #{}]"),
    written("aarch64", "imm9", "ldur x1, [x2, #{}]"),
    written("aarch64", "imm9", "sturb w1, [x2, #{}]"),
    written("aarch64", "minus12", lambda value: f"sub x1, x2, #{-value}", modulo(64, lambda value: -value)),
    written("aarch64", "minus12", lambda value: f"cmn x2, #{-value}", modulo(64, lambda value: -value)),
    written("aarch64", "imm16", "mov x4, #{}"),
    _piece(0, "movz"),
    _piece(0, "movn"),
    _piece(1, "movk"),
    _piece(2, "movk"),
    _logical(64, "and x1, x2, #{}"),
    _logical(64, "orr x1, xzr, #{}"),
    _logical(32, "eor w1, w2, #{}"),
    written("aarch64", "lsl64", "lsl x1, x2, #{}"),
    written("aarch64", "lsl32", "lsl w1, w2, #{}"),
    written("aarch64", "shr", "lsr x1, x2, #{}"),
    written("aarch64", "shr", "asr w1, w2, #{}", takes=_COUNT32),
    written("aarch64", "ror", "ror x1, x2, #{}"),
    written("aarch64", "ror", "ror w1, w2, #{}", takes=_COUNT32),
    written("aarch64", "rol64", lambda v: f"ror x1, x2, #{64 - v if 0 < v < 64 else v}", modulo(6, lambda v: -v)),
    written("aarch64", "rol32", lambda v: f"ror w1, w2, #{32 - v if 0 < v < 32 else v}", modulo(5, lambda v: -v)),
)

# ---- riscv64


def _short(code: str) -> str:
    return f".option rvc\n{code}"


def _halves(numbers: Sequence[int], value: int) -> bool:
    """Of 20 bits and of 12 with a sign, which are not shown where they are zero."""
    return ((numbers[0] << 12) + sum(numbers[1:]) - value) % (1 << 32) == 0


_FAR = (-_TWO_GIB - 0x800, _TWO_GIB - 0x801)
_LOW_I, _LOW_S = "R_RISCV_PCREL_LO12_I", "R_RISCV_PCREL_LO12_S"
_OPPOSITE = modulo(64, lambda value: -value)
_RISCV64 = (
    linked("riscv64", "bltu a3, s7, 0", "R_RISCV_BRANCH"),
    linked("riscv64", "jal ra, 0", "R_RISCV_JAL"),
    linked("riscv64", _short("c.bnez a3, 0"), "R_RISCV_RVC_BRANCH"),
    linked("riscv64", _short("c.j 0"), "R_RISCV_RVC_JUMP"),
    pair("riscv64", "auipc t1, 0; jalr ra, 0(t1)", _halves, "R_RISCV_CALL_PLT"),
    pair("riscv64", "auipc a5, 0; ld a4, 0(a5)", _halves, "R_RISCV_PCREL_HI20", _LOW_I, of_label=(_LOW_I,), takes=_FAR),
    pair("riscv64", "auipc a5, 0; sd a4, 0(a5)", _halves, "R_RISCV_PCREL_HI20", _LOW_S, of_label=(_LOW_S,), takes=_FAR),
    pair("riscv64", "lui a5, 0; addiw a5, a5, 0", _halves, "R_RISCV_HI20", "R_RISCV_LO12_I", takes=_FAR),
    pair("riscv64", "lui a5, 0; fsd fs7, 0(a5)", _halves, "R_RISCV_HI20", "R_RISCV_LO12_S", takes=_FAR),
    written("riscv64", "jump", "jal zero, {}"),
    written("riscv64", "branch", "beq a2, a3, {}"),
    written("riscv64", "c_jump", _short("c.j {}")),
    written("riscv64", "c_branch", _short("c.beqz a2, {}")),
    written("riscv64", "imm12", "addi a1, s3, {}"),
    written("riscv64", "imm12", "ld a1, {}(s3)"),
    written("riscv64", "store12", "sb a1, {}(s3)"),
    written("riscv64", "store12", "fsw fa1, {}(s3)"),
    written("riscv64", "minus12", lambda value: f"addi a1, s3, {-value}", _OPPOSITE),
    written("riscv64", "shift5", "slliw a1, s3, {}"),
    written("riscv64", "shift5", "sraiw a1, s3, {}"),
    written("riscv64", "minus5", lambda v: f"srliw a1, s3, {32 - v if 0 < v < 32 else v}", modulo(5, lambda v: -v)),
    written("riscv64", "shift6", "slli a1, s3, {}"),
    written("riscv64", "minus6", lambda v: f"srli a1, s3, {64 - v if 0 < v < 64 else v}", modulo(6, lambda v: -v)),
    written("riscv64", "c_imm6", _short("c.li a1, {}")),
    written("riscv64", "c_imm6", _short("c.addiw a1, {}")),
    written("riscv64", "c_imm6", _short("c.andi a1, {}")),
    written("riscv64", "c_minus6", lambda value: _short(f"c.addiw a1, {-value}"), _OPPOSITE),
    # A count of zero is none of these instructions.
    written("riscv64", "c_shift6", _short("c.slli s3, {}"), takes=(1, 63)),
    written("riscv64", "c_shift6", _short("c.srai a3, {}"), takes=(1, 63)),
    written(
        "riscv64", "c_left6", lambda value: _short(f"c.srli a3, {64 - value}"), modulo(6, lambda v: -v), takes=(1, 63)
    ),
    written("riscv64", "c_offset4", _short("c.lw a1, {}(a3)")),
    written("riscv64", "c_offset8", _short("c.ld a1, {}(a3)")),
    written("riscv64", "c_offset8", _short("c.fsd fa1, {}(a3)")),
)

# ---- loongarch64

_LOONGARCH64 = (
    linked("loongarch64", "blt $a0, $a1, 0", "R_LARCH_B16"),
    linked("loongarch64", "bnez $a0, 0", "R_LARCH_B21"),
    linked("loongarch64", "b 0", "R_LARCH_B26"),
    linked("loongarch64", "pcaddi $a0, 0", "R_LARCH_PCREL20_S2", lambda n, v: n[-1] * 4 == v),
    pair(
        "loongarch64",
        "lu12i.w $a0, 0; ori $a0, $a0, 0",
        lambda n, v: ((n[0] << 12) + n[1] - v) % (1 << 32) == 0,
        "R_LARCH_ABS_HI20",
        "R_LARCH_ABS_LO12",
        takes=(-_TWO_GIB, _TWO_GIB - 1),
        checks_range=False,
    ),
    # The distance of two pages, from a page's start.
    pair(
        "loongarch64",
        "pcalau12i $a0, 0; ld.d $a0, $a0, 0",
        _halves,
        "R_LARCH_PCALA_HI20",
        "R_LARCH_PCALA_LO12",
        takes=(-_TWO_GIB + 0x800, _TWO_GIB - 0x2000),
        checks_range=False,
    ),
    written("loongarch64", "imm12", "addi.d $a0, $s3, {}"),
    written("loongarch64", "imm12", "st.w $a0, $s3, {}"),
    written("loongarch64", "unsigned12", "xori $a0, $s3, {}"),
    written("loongarch64", "minus12", lambda value: f"addi.w $a0, $s3, {-value}", _OPPOSITE),
    written("loongarch64", "shift5", "slli.w $a0, $s3, {}"),
    written("loongarch64", "shift6", "srai.d $a0, $s3, {}"),
    written(
        "loongarch64", "minus5", lambda v: f"rotri.w $a0, $s3, {32 - v if 0 < v < 32 else v}", modulo(5, lambda v: -v)
    ),
    written(
        "loongarch64", "minus6", lambda v: f"rotri.d $a0, $s3, {64 - v if 0 < v < 64 else v}", modulo(6, lambda v: -v)
    ),
    written("loongarch64", "b26", "bl {}"),
    written("loongarch64", "b21", "beqz $a0, {}"),
    written("loongarch64", "b16", "bgeu $a0, $s3, {}"),
    written(
        "loongarch64",
        "near20",
        lambda v: f"pcaddi $a0, {v / 4:g}" if v % 4 else f"pcaddi $a0, {v // 4}",
        lambda n, v: n[-1] * 4 == v,
    ),
)

ROWS = (*_X86_64, *_AARCH64, *_RISCV64, *_LOONGARCH64)
