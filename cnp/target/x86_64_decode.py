"""Splits x86-64 code into instructions, as far as clang emits them for x86-64-v2."""

from __future__ import annotations

from cnp.target.record import Instruction

# One letter an opcode: what follows it. "." nothing, "m" ModRM, "b" imm8, "z" imm32 (imm16 after 66), "B" ModRM imm8,
# "Z" ModRM imm32, "v" an immediate of the operand's size, "g" ModRM and, if its reg field is 0 or 1, an immediate,
# "d" rel32, "-" not known here.
_ONE_BYTE = (
    "mmmmbz--mmmmbz--mmmmbz--mmmmbz--mmmmbz--mmmmbz--mmmmbz--mmmmbz--"  # 00 to 3f
    "----------------................---m----zZbB----bbbbbbbbbbbbbbbb"  # 40 to 7f: 40 to 4f are REX
    "BZ-Bmmmmmmmm-m-m..........--....----....bz......bbbbbbbbvvvvvvvv"  # 80 to bf
    "BB-.--BZ----.---mmmm--------------------dd-b--------.-gg------mm"  # c0 to ff
)
_TWO_BYTE_RANGES = (
    (0x0B, 0x0B, "."), (0x0D, 0x0D, "m"), (0x10, 0x1F, "m"), (0x28, 0x2F, "m"), (0x31, 0x31, "."), (0x40, 0x6F, "m"),
    (0x70, 0x73, "B"), (0x74, 0x76, "m"), (0x7C, 0x7F, "m"), (0x80, 0x8F, "d"), (0x90, 0x9F, "m"), (0xA2, 0xA2, "."),
    (0xA3, 0xA3, "m"), (0xA4, 0xA4, "B"), (0xA5, 0xA5, "m"), (0xAB, 0xAB, "m"), (0xAC, 0xAC, "B"), (0xAD, 0xAF, "m"),
    (0xB0, 0xB1, "m"), (0xB3, 0xB3, "m"), (0xB6, 0xB8, "m"), (0xBA, 0xBA, "B"), (0xBB, 0xC1, "m"), (0xC2, 0xC2, "B"),
    (0xC3, 0xC3, "m"), (0xC4, 0xC6, "B"), (0xC7, 0xC7, "m"), (0xC8, 0xCF, "."), (0xD0, 0xFE, "m"),
)  # fmt: skip
_PREFIXES = frozenset((0x66, 0xF2, 0xF3, 0x2E, 0x3E, 0x26, 0x36, 0x64, 0x65, 0xF0))
_STACK_POINTER = 4
_WORD = 8  # bytes that push and pop move


def _two_byte_table() -> str:
    table = ["-"] * 256
    for first, last, form in _TWO_BYTE_RANGES:
        table[first : last + 1] = form * (last + 1 - first)
    return "".join(table)


_TWO_BYTE = _two_byte_table()


def decode(code: bytes) -> list[Instruction]:
    """The instructions of code, in order. ValueError, with the offset and the bytes, at one that is not known."""
    result = []
    offset = 0
    while offset < len(code):
        instruction = _instruction(code, offset)
        result.append(instruction)
        offset += instruction.size
    if offset != len(code):
        raise ValueError(f"the instruction at offset {result[-1].offset} is cut off")
    return result


def _instruction(code: bytes, start: int) -> Instruction:
    try:
        return _read(code, start)
    except IndexError:
        raise ValueError(f"the instruction at offset {start} is cut off") from None


def _read(code: bytes, start: int) -> Instruction:
    at, rex, narrow = start, 0, False
    while code[at] in _PREFIXES:
        narrow |= code[at] == 0x66
        at += 1
    if code[at] & 0xF0 == 0x40:
        rex = code[at]
        at += 1
    opcode, escaped = code[at], False
    form = _ONE_BYTE[opcode]
    at += 1
    if opcode == 0x0F:
        opcode, escaped = code[at], True
        at += 1
        form = _TWO_BYTE[opcode]
        if opcode in (0x38, 0x3A):
            form = "m" if opcode == 0x38 else "B"
            at += 1
            opcode = 0
    if form == "-":
        raise ValueError(f"unknown instruction {code[start : start + 8].hex(' ')} at offset {start}")
    if form in "mBZg":
        modrm = code[at]
        at = _after_modrm(code, at)
        if form == "g":
            form = ("Z" if opcode & 1 else "B") if modrm & 0x38 in (0, 8) else "m"
    else:
        modrm = -1
    if form in "bB":
        at += 1
    elif form in "zZ" or (form == "v" and not rex & 8):
        at += 2 if narrow else 4
    elif form == "v":
        at += 8
    elif form == "d":
        at += 4
    return _classify(code, start, at, opcode, escaped, modrm, rex)


def _after_modrm(code: bytes, at: int) -> int:
    """The offset after a ModRM byte, its SIB byte and its displacement."""
    mod, rm = code[at] >> 6, code[at] & 7
    at += 1
    if mod == 3:
        return at
    base = rm
    if rm == 4:
        base = code[at] & 7
        at += 1
    if mod == 1:
        return at + 1
    return at + 4 if mod == 2 or base == 5 else at


def _classify(code: bytes, start: int, end: int, opcode: int, escaped: bool, modrm: int, rex: int) -> Instruction:
    size = end - start
    if escaped:
        if opcode & 0xF0 == 0x80:
            return _jump(code, start, end, opcode & 15, 4)
        return Instruction(start, size)
    if opcode & 0xF0 == 0x70:
        return _jump(code, start, end, opcode & 15, 1)
    if opcode in (0xE9, 0xEB):
        return _jump(code, start, end, None, 4 if opcode == 0xE9 else 1)
    if opcode == 0xC3:
        return Instruction(start, size, returns=True)
    if opcode == 0xE8:
        return Instruction(start, size, calls=True)
    operation = modrm >> 3 & 7
    if opcode == 0xFF and operation in (2, 4):
        return Instruction(start, size, calls=operation == 2, indirect_jump=operation == 4)
    return Instruction(start, size, frame=_frame(code, end, opcode, modrm, rex))


def _frame(code: bytes, end: int, opcode: int, modrm: int, rex: int) -> int | None:
    """Bytes that an instruction adds to the stack; None if it sets the stack pointer in a way not known here."""
    operation = modrm >> 3 & 7
    if 0x50 <= opcode <= 0x57 or opcode in (0x68, 0x6A) or (opcode == 0xFF and operation == 6):
        return _WORD
    if 0x58 <= opcode <= 0x5F or opcode == 0x8F:
        return -_WORD
    on_stack_pointer = modrm >> 6 == 3 and modrm & 7 == _STACK_POINTER and not rex & 1
    if opcode in (0x81, 0x83) and on_stack_pointer and operation != 7:
        amount = int.from_bytes(code[end - (4 if opcode == 0x81 else 1) : end], "little", signed=True)
        return {5: amount, 0: -amount}.get(operation)
    loads = opcode in (0x8B, 0x8D) and operation == _STACK_POINTER and not rex & 4
    return None if loads or (opcode == 0x89 and on_stack_pointer) else 0


def _jump(code: bytes, start: int, end: int, condition: int | None, width: int) -> Instruction:
    displacement = int.from_bytes(code[end - width : end], "little", signed=True)
    return Instruction(
        start, end - start, jump=True, condition=condition, displacement=displacement, field=end - start - width
    )
