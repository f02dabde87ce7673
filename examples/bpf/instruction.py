"""Turns classic BPF programs from text or memory into instructions, and instructions into text or memory."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# Instruction classes, sizes, modes and operations, as <pcap/bpf.h> and <linux/bpf_common.h> number them.
LD, LDX, ST, STX, ALU, JMP, RET, MISC = range(8)
W, H, B = 0x00, 0x08, 0x10
IMM, ABS, IND, MEM, LEN, MSH = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR = range(0x00, 0xB0, 0x10)
JA, JEQ, JGT, JGE, JSET = range(0x00, 0x50, 0x10)
K, X, A = 0x00, 0x08, 0x10
TAX, TXA = 0x00, 0x80

SCRATCH_WORDS = 16  # BPF_MEMWORDS
MAXIMUM_INSTRUCTIONS = 4096  # BPF_MAXINSNS of Linux; older kernels and the BSDs stop at 512
LOAD_SIZES = {W: 4, H: 2, B: 1}

_INSTRUCTION = struct.Struct("=HBBI")  # struct bpf_insn, struct sock_filter


class FilterError(ValueError):
    """A filter that is not accepted; the message says where it is wrong and what would be accepted."""


class Instruction(NamedTuple):
    """One instruction: `code` 16 bits, `jt` and `jf` (instructions to skip if true, if false) 8 bits, `k` 32 bits."""

    code: int
    jt: int = 0
    jf: int = 0
    k: int = 0


Program = Sequence[Instruction]


def _opcodes() -> dict[int, tuple[str, str]]:
    """Every opcode of classic BPF with its mnemonic and the format of its operand, as `tcpdump -d` writes them."""
    codes: dict[int, tuple[str, str]] = {}
    for size, suffix in ((W, ""), (H, "h"), (B, "b")):
        codes[LD | size | ABS] = ("ld" + suffix, "[{k}]")
        codes[LD | size | IND] = ("ld" + suffix, "[x + {k}]")
    for register, name in ((LD, "ld"), (LDX, "ldx")):
        codes[register | IMM] = (name, "#{k:#x}")
        codes[register | MEM] = (name, "M[{k}]")
        codes[register | W | LEN] = (name, "#pktlen")
    codes[LDX | B | MSH] = ("ldxb", "4*([{k}]&0xf)")
    codes[ST] = ("st", "M[{k}]")
    codes[STX] = ("stx", "M[{k}]")
    decimal, hexadecimal = "#{k}", "#{k:#x}"
    for name, operation, constant in (
        ("add", ADD, decimal), ("sub", SUB, decimal), ("mul", MUL, decimal), ("div", DIV, decimal),
        ("mod", MOD, decimal), ("and", AND, hexadecimal), ("or", OR, hexadecimal), ("xor", XOR, hexadecimal),
        ("lsh", LSH, decimal), ("rsh", RSH, decimal),
    ):  # fmt: skip
        codes[ALU | operation | K] = (name, constant)
        codes[ALU | operation | X] = (name, "x")
    codes[ALU | NEG] = ("neg", "")
    codes[JMP | JA] = ("ja", "{target}")
    for name, operation in (("jeq", JEQ), ("jgt", JGT), ("jge", JGE), ("jset", JSET)):
        codes[JMP | operation | K] = (name, hexadecimal)
        codes[JMP | operation | X] = (name, "x")
    codes[RET | K] = ("ret", decimal)
    codes[RET | A] = ("ret", "")
    codes[MISC | TAX] = ("tax", "")
    codes[MISC | TXA] = ("txa", "")
    return codes


OPCODES = _opcodes()


def is_conditional(instruction: Instruction) -> bool:
    """Whether this is jeq, jgt, jge or jset: the instructions that use `jt` and `jf`."""
    return instruction.code & 7 == JMP and instruction.code != JMP | JA


def _signed(value: int) -> int:
    """The low 32 bits, as two's complement."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def format_instruction(number: int, instruction: Instruction) -> str:
    """The instruction as `tcpdump -d` writes it, for example `(003) jeq #0x800 jt 4 jf 9`.

    Unknown opcodes are written with their number, so that every instruction has a text."""
    code, jt, jf, k = instruction
    if code not in OPCODES:
        return f"({number:03}) unknown opcode {code:#06x} jt {jt} jf {jf} k {k:#x}"
    mnemonic, operand = OPCODES[code]
    decimal = k if "#x" in operand else _signed(k)  # libpcap's bpf_image prints these with %d
    text = f"({number:03}) {mnemonic} " + operand.format(k=decimal, target=_signed(number + 1 + k))
    if is_conditional(instruction):
        text += f" jt {number + 1 + jt} jf {number + 1 + jf}"
    return text.rstrip()


def format_program(program: Program) -> str:
    """The whole program as `tcpdump -d` writes it, one instruction a line."""
    return "\n".join(format_instruction(number, instruction) for number, instruction in enumerate(program))


def dump(program: Program) -> str:
    """The program as `tcpdump -ddd` writes it: the number of instructions, then `code jt jf k` a line, in decimal."""
    lines = [str(len(program)), *(" ".join(map(str, instruction)) for instruction in program)]
    return "\n".join(lines) + "\n"


def parse(text: str) -> list[Instruction]:
    """The program that `tcpdump -ddd` wrote as `text`. Blank lines, and lines that start with `#`, are skipped.

    Raises FilterError naming the line (from 1) that is not four numbers in range, or whose count is wrong."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise FilterError("no filter: the text is empty; the output of `tcpdump -ddd` was expected")
    number, line = lines[0]
    (count,) = _numbers(number, line, ("number of instructions",), (MAXIMUM_INSTRUCTIONS,))
    fields, limits = ("code", "jt", "jf", "k"), (0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF)
    program = [Instruction(*_numbers(number, line, fields, limits)) for number, line in lines[1:]]
    if len(program) != count:
        raise FilterError(f"line {number} announces {count} instructions, but {len(program)} follow")
    return program


def _numbers(number: int, line: str, fields: Iterable[str], limits: Iterable[int]) -> list[int]:
    fields = list(fields)
    words = line.split()
    if len(words) != len(fields):
        raise FilterError(f"line {number}: {line[:60]!r} has {len(words)} fields; expected: {' '.join(fields)}")
    values = []
    for word, field, limit in zip(words, fields, limits, strict=True):
        # int() alone would let through signs, underscores and digits of other scripts.
        if not (word.isascii() and word.isdigit()):
            raise FilterError(f"line {number}: {field} is {word[:20]!r}; expected a decimal number")
        # Leading zeros aside, more than ten digits are out of range; int() of a very long text is slow, or refused.
        value = int(word) if len(word) <= 20 else limit + 1
        if value > limit:
            raise FilterError(f"line {number}: {field} is {word[:20]}; at most {limit} is accepted")
        values.append(value)
    return values


def encode(program: Program) -> bytes:
    """The program as an array of `struct bpf_insn` (8 bytes each, in this machine's byte order)."""
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def decode(data: bytes) -> list[Instruction]:
    """The program in an array of `struct bpf_insn`. Raises FilterError if its size is not a multiple of 8 bytes."""
    if len(data) % _INSTRUCTION.size:
        raise FilterError(f"{len(data)} bytes are not an array of instructions; a multiple of 8 was expected")
    return [Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(data)]
