"""Machine code -> instructions as text, through capstone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cnp.errors import MissingExtra, Unsupported

_DISTANCE = 4  # bytes of a row of a jump table
_QUAD = 8
_RELATIVE = {"x86_64": re.compile(r"\[rip ([+-] (?:0x)?[0-9a-f]+)\]")}
"""By target: an operand at a distance from the end of its instruction."""


@dataclass(frozen=True)
class Instruction:
    """One machine instruction, or one row of what is behind a function's code."""

    offset: int  # from the start of the code
    code: bytes
    text: str


def instructions(code: bytes, address: int, target: str) -> list[Instruction]:
    """Decode `code` as it runs at `address`. Bytes that are no instruction become `.byte`.

    MissingExtra without capstone, Unsupported for a target it is not set up for here.
    """
    try:
        import capstone
    except ImportError:
        raise MissingExtra("disassembly needs capstone: pip install 'cnp[disassembly]'") from None
    modes = {"x86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64)}
    if target not in modes:
        raise Unsupported(f"no disassembly for target {target!r}; accepted: {', '.join(modes)}")
    decoder = capstone.Cs(*modes[target])
    decoder.skipdata = True
    return [
        Instruction(each.address - address, bytes(each.bytes), f"{each.mnemonic} {each.op_str}".rstrip())
        for each in decoder.disasm(code, address)
    ]


def function_instructions(code: bytes, address: int, target: str) -> list[Instruction]:
    """The same for a whole function: its instructions, then the rows of the jump tables behind them.

    The tables are where instructions say that they are: nothing else in its own code does a function refer to.
    """
    found: list[Instruction] = []
    tables: set[int] = set()
    for each in instructions(code, address, target):
        end = each.offset + len(each.code)
        if tables and end > min(tables):
            break
        found.append(each)
        for distance in _RELATIVE[target].findall(each.text):
            place = end + int(distance.replace(" ", ""), 0)
            if end <= place < len(code):
                tables.add(place)
    ends = [*sorted(tables)[1:], len(code)]
    return found + [row for start, end in zip(sorted(tables), ends) for row in distances(code, start, end, address)]


def distances(code: bytes, start: int, end: int, address: int) -> list[Instruction]:
    """The rows of a jump table: what it holds of each is how far it is from the table's start."""
    rows = []
    for offset in range(start, end, _DISTANCE):
        row = code[offset : offset + _DISTANCE]
        to = address + start + int.from_bytes(row, "little", signed=True)
        rows.append(Instruction(offset, row, f".long {to:#x} - {address + start:#x}"))
    return rows


def quads(code: bytes, start: int, end: int) -> list[Instruction]:
    """The rows of a pool of constants."""
    rows = [(offset, code[offset : offset + _QUAD]) for offset in range(start, end, _QUAD)]
    return [Instruction(offset, each, f".quad {int.from_bytes(each, 'little'):#x}") for offset, each in rows]


def text(decoded: Sequence[Instruction], address: int) -> str:
    """An instruction a line: address, bytes, text."""
    return "".join(f"{address + each.offset:#x}  {each.code.hex(' '):30}  {each.text}\n" for each in decoded)


def disassemble(code: bytes, address: int, target: str) -> str:
    """A function as an instruction a line: address, bytes, text. MissingExtra and Unsupported as for `instructions`."""
    return text(function_instructions(code, address, target), address)
