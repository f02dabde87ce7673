"""Machine code -> instructions as text, through capstone."""

from __future__ import annotations

from dataclasses import dataclass

from cnp.errors import MissingExtra, Unsupported


@dataclass(frozen=True)
class Instruction:
    """One machine instruction."""

    offset: int  # from the start of the code
    code: bytes
    text: str


def instructions(code: bytes, address: int, target: str) -> list[Instruction]:
    """Decode `code` as it runs at `address`. Bytes that are no instruction become `.byte`, jump tables among them.

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


def disassemble(code: bytes, address: int, target: str) -> str:
    """An instruction a line: address, bytes, text."""
    return "".join(
        f"{address + each.offset:#x}  {each.code.hex(' '):30}  {each.text}\n"
        for each in instructions(code, address, target)
    )
