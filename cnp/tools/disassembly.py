"""Machine code -> instructions as text, through capstone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnp.errors import MissingExtra, Unsupported
from cnp.target import target_named

ALIGNMENT = 8
"""Of what follows a function's instructions."""
_WORD, _QUAD = 4, 8


@dataclass(frozen=True)
class Instruction:
    """One machine instruction, or one row of what follows them."""

    offset: int  # from the start of the code
    code: bytes
    text: str


def instructions(code: bytes, address: int, target: str, end: int) -> list[Instruction]:
    """Decode `code` as it runs at `address`: instructions up to `end`, then the pool and jump tables as words.

    Bytes that are neither become `.byte`. MissingExtra without capstone, Unsupported where capstone does not
    know the target.
    """
    try:
        import capstone
    except ImportError:
        raise MissingExtra("disassembly needs capstone: pip install 'cnp[disassembly]'") from None
    arch, *modes = target_named(target).capstone.split()
    if not hasattr(capstone, arch):
        raise Unsupported(f"capstone {capstone.__version__} does not decode {target}: it has no {arch}")
    decoder = capstone.Cs(getattr(capstone, arch), sum(getattr(capstone, mode) for mode in modes))
    decoder.skipdata = True
    decoded = [
        Instruction(each.address - address, bytes(each.bytes), f"{each.mnemonic} {each.op_str}".rstrip())
        for each in decoder.disasm(code[:end], address)
    ]
    return decoded + words(code, end)


def words(code: bytes, end: int) -> list[Instruction]:
    """What follows the instructions: the pool and jump tables, from a multiple of eight on."""
    start = end + -end % ALIGNMENT
    entries = [(offset, code[offset : offset + _WORD]) for offset in range(start, len(code), _WORD)]
    return [Instruction(offset, each, f".word {int.from_bytes(each, 'little'):#x}") for offset, each in entries]


def distances(code: bytes, start: int, end: int, address: int) -> list[Instruction]:
    """The rows of a jump table: how far each place is from the table's start."""
    rows = []
    for offset in range(start, end, _WORD):
        row = code[offset : offset + _WORD]
        to = address + start + int.from_bytes(row, "little", signed=True)
        rows.append(Instruction(offset, row, f".word {to:#x} - {address + start:#x}"))
    return rows


def quads(code: bytes, start: int, end: int) -> list[Instruction]:
    """The rows of a function's pool."""
    rows = [(offset, code[offset : offset + _QUAD]) for offset in range(start, end, _QUAD)]
    return [Instruction(offset, each, f".quad {int.from_bytes(each, 'little'):#x}") for offset, each in rows]


def text(decoded: Sequence[Instruction], address: int) -> str:
    """An instruction a line: address, bytes, text."""
    return "".join(f"{address + each.offset:#x}  {each.code.hex(' '):30}  {each.text}\n" for each in decoded)


def disassemble(code: bytes, address: int, target: str, end: int) -> str:
    """An instruction a line: address, bytes, text. MissingExtra and Unsupported as for `instructions`."""
    return text(instructions(code, address, target, end), address)
