"""Machine code -> instructions as text, through capstone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnp.errors import MissingExtra, Unsupported

_ADDRESS = 8  # bytes of an entry of a jump table


@dataclass(frozen=True)
class Instruction:
    """One machine instruction, or one entry of a jump table."""

    offset: int  # from the start of the code
    code: bytes
    text: str


def instructions(code: bytes, address: int, target: str) -> list[Instruction]:
    """Decode `code` as it runs at `address`: instructions, then the entries of jump tables as `.quad`.

    Bytes that are neither become `.byte`. MissingExtra without capstone, Unsupported for a target it is not set up for
    here.
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
    end = jump_tables(code, address)
    decoded = [
        Instruction(each.address - address, bytes(each.bytes), f"{each.mnemonic} {each.op_str}".rstrip())
        for each in decoder.disasm(code[:end], address)
    ]
    return decoded + quads(code, end)


def quads(code: bytes, start: int) -> list[Instruction]:
    """The entries of jump tables, which reach from `start` to the end."""
    entries = [(offset, code[offset : offset + _ADDRESS]) for offset in range(start, len(code), _ADDRESS)]
    return [Instruction(offset, each, f".quad {int.from_bytes(each, 'little'):#x}") for offset, each in entries]


def jump_tables(code: bytes, address: int) -> int:
    """Where the jump tables behind the instructions begin; len(code) if there are none.

    They are what is at the end, in whole words, and made of addresses inside the code itself: no instruction is.
    """
    start = len(code)
    while start % _ADDRESS == 0 and start >= _ADDRESS:
        entry = int.from_bytes(code[start - _ADDRESS : start], "little")
        if not address <= entry < address + len(code):
            break
        start -= _ADDRESS
    return start


def text(decoded: Sequence[Instruction], address: int) -> str:
    """An instruction a line: address, bytes, text."""
    return "".join(f"{address + each.offset:#x}  {each.code.hex(' '):30}  {each.text}\n" for each in decoded)


def disassemble(code: bytes, address: int, target: str) -> str:
    """An instruction a line: address, bytes, text. MissingExtra and Unsupported as for `instructions`."""
    return text(instructions(code, address, target), address)
