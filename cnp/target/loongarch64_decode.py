"""Splits LoongArch code into instructions, as far as clang emits them for la64v1.0, which has 128-bit vectors."""

from __future__ import annotations

from bisect import bisect_right

from cnp.target.fields import bits, signed, unknown, word_at
from cnp.target.record import Instruction

_SIZE = 4
_ZERO, _RETURN_ADDRESS, _STACK_POINTER = 0, 1, 3
_BEQZ, _BCEQZ, _JIRL, _B, _BL, _BEQ, _BGEU = 0x10, 0x12, 0x13, 0x14, 0x15, 0x16, 0x1B  # bits 31:26
_ADDI_D, _PCADDU18I = 0x00B, 0x0F  # bits 31:22, bits 31:25

# The first and the last word of instructions that do not jump, in order: "r" sets the integer register in 4:0.
_ROWS = (
    (0x00001000, 0x00005FFF, "r"), (0x00006C00, 0x00006FFF, "r"),  # bits counted and reversed, extensions; cpucfg
    (0x00040000, 0x0009FFFF, "r"), (0x000C0000, 0x0019FFFF, "r"),  # alsl.w, bytepick; add.w to sra.d
    (0x001B0000, 0x0027FFFF, "r"), (0x002A0000, 0x002A7FFF, "."),  # rotr, multiplication, division, crc; break
    (0x002B0000, 0x002B7FFF, "."), (0x002C0000, 0x002DFFFF, "r"),  # syscall; alsl.d
    (0x00408000, 0x0041FFFF, "r"), (0x00448000, 0x0045FFFF, "r"),  # slli; srli
    (0x00488000, 0x0049FFFF, "r"), (0x004C8000, 0x004DFFFF, "r"),  # srai; rotri
    (0x00600000, 0x00FFFFFF, "r"), (0x01008000, 0x01137FFF, "."),  # bstrins, bstrpick; fadd to fcopysign
    (0x01140400, 0x0114AFFF, "."), (0x0114B400, 0x0114BFFF, "r"),  # fabs to movgr2frh; movfr2gr, movfrh2gr
    (0x0114C000, 0x0114C3FF, "."), (0x0114C800, 0x0114CBFF, "r"),  # movgr2fcsr; movfcsr2gr
    (0x0114D000, 0x0114DBFF, "."), (0x0114DC00, 0x0114DFFF, "r"),  # movfr2cf, movcf2fr, movgr2cf; movcf2gr
    (0x01191800, 0x011E4BFF, "."), (0x02000000, 0x03FFFFFF, "r"),  # fcvt, ftint, ffint, frint; slti to xori
    (0x08100000, 0x09EFFFFF, "."), (0x0C100000, 0x0C6FFFFF, "."),  # fmadd to vfnmsub; fcmp, vfcmp
    (0x0D000000, 0x0D03FFFF, "."), (0x0D100000, 0x0D1FFFFF, "."),  # fsel; vbitsel
    (0x0D500000, 0x0D5FFFFF, "."), (0x10000000, 0x1FFFFFFF, "r"),  # vshuf.b; addu16i.d to pcaddu18i
    (0x20000000, 0x24FFFFFF, "r"), (0x25000000, 0x25FFFFFF, "."),  # ll, sc, ldptr.w; stptr.w
    (0x26000000, 0x26FFFFFF, "r"), (0x27000000, 0x27FFFFFF, "."),  # ldptr.d; stptr.d
    (0x28000000, 0x28FFFFFF, "r"), (0x29000000, 0x29FFFFFF, "."),  # ld.b to ld.d; st
    (0x2A000000, 0x2ABFFFFF, "r"), (0x2AC00000, 0x2C7FFFFF, "."),  # ld.bu to ld.wu; preld, fld, fst, vld, vst
    (0x30100000, 0x31BFFFFF, "."), (0x38000000, 0x380FFFFF, "r"),  # vldrepl, vstelm; ldx.b to ldx.d
    (0x38100000, 0x381FFFFF, "."), (0x38200000, 0x382BFFFF, "r"),  # stx; ldx.bu to ldx.wu
    (0x382C0000, 0x3847FFFF, "."), (0x38600000, 0x3871FFFF, "r"),  # preldx, fldx, fstx, vldx, vstx; amswap to ammin
    (0x38720000, 0x3872FFFF, "."), (0x70000000, 0x72EF7FFF, "."),  # dbar, ibar; vectors
    (0x72EF8000, 0x72EFF7FF, "r"), (0x72EFF800, 0x72F37FFF, "."),  # vpickve2gr; vectors
    (0x72F38000, 0x72F3F7FF, "r"), (0x72F3F800, 0x73FFFFFF, "."),  # the same, unsigned; vectors
)  # fmt: skip
_STARTS = [first for first, _, _ in _ROWS]


def decode(code: bytes) -> list[Instruction]:
    """The instructions of code, in order. ValueError, with the offset and the bytes, at one that is not known.

    pcaddu18i and the jirl after it that adds to it are one, if it jumps or links in the ABI's way.
    """
    result = []
    offset = 0
    while offset < len(code):
        instruction = _far(code, offset) or _near(word_at(code, offset), offset)
        if instruction is None:
            raise unknown(code, offset)
        result.append(instruction)
        offset += instruction.size
    return result


def invert(condition: int) -> int:
    """The conditional branch, without its displacement, that is taken when this one is not."""
    return condition ^ (1 << 8 if condition >> 26 == _BCEQZ else 1 << 26)


def _far(code: bytes, offset: int) -> Instruction | None:
    """`pcaddu18i t, high; jirl zero, t, low`, or the same with ra twice; None if it is neither."""
    high = word_at(code, offset)
    base = bits(high, 0, 5)
    if high >> 25 != _PCADDU18I or base in (_ZERO, _STACK_POINTER) or offset + 2 * _SIZE > len(code):
        return None
    low = word_at(code, offset + _SIZE)
    link = bits(low, 0, 5)
    if low >> 26 != _JIRL or bits(low, 5, 5) != base:
        return None
    if link == _ZERO:
        displacement = (signed(high >> 5, 20) << 18) + signed(low >> 10, 16) * _SIZE - 2 * _SIZE
        return Instruction(offset, 2 * _SIZE, jump=True, displacement=displacement)
    return Instruction(offset, 2 * _SIZE, calls=True) if link == base == _RETURN_ADDRESS else None


def _near(word: int, offset: int) -> Instruction | None:
    opcode = word >> 26
    if _BEQ <= opcode <= _BGEU:
        return _jump(offset, signed(word >> 10, 16), word & 0xFC0003FF)
    if _BEQZ <= opcode <= _BCEQZ:
        known = opcode != _BCEQZ or bits(word, 8, 2) < 2
        return _jump(offset, signed(bits(word, 10, 16) | word << 16, 21), word & 0xFC0003E0) if known else None
    if opcode == _B:
        return _jump(offset, signed(bits(word, 10, 16) | word << 16, 26))
    if opcode == _BL:
        return Instruction(offset, _SIZE, calls=True)
    if opcode == _JIRL:
        return _to_register(word, offset)
    _, last, form = _ROWS[bisect_right(_STARTS, word) - 1]
    if word < _STARTS[0] or word > last:
        return None
    if form != "r" or bits(word, 0, 5) != _STACK_POINTER:
        return Instruction(offset, _SIZE)
    adds = word >> 22 == _ADDI_D and bits(word, 5, 5) == _STACK_POINTER
    return Instruction(offset, _SIZE, frame=-signed(word >> 10, 12) if adds else None)


def _jump(offset: int, distance: int, condition: int | None = None) -> Instruction:
    """A jump by so many instructions."""
    return Instruction(offset, _SIZE, jump=True, condition=condition, displacement=(distance - 1) * _SIZE)


def _to_register(word: int, offset: int) -> Instruction | None:
    """jirl, if it links in the ABI's way or not at all."""
    link, base, distance = bits(word, 0, 5), bits(word, 5, 5), bits(word, 10, 16)
    if link > _RETURN_ADDRESS:
        return None
    returns = link == _ZERO and base == _RETURN_ADDRESS and distance == 0
    calls = link == _RETURN_ADDRESS
    return Instruction(offset, _SIZE, returns=returns, indirect_jump=not returns and not calls, calls=calls)
