"""A compiled function -> listings: its ops, the stencils chosen for them, their holes, and the machine code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnp.errors import UserError
from cnp.ir.text import print_function
from cnp.tools.disassembly import Instruction, disassemble, instructions

if TYPE_CHECKING:
    from cnp.runtime.callable import NativeFunction
    from cnp.stencil.library import Library

@dataclass(frozen=True)
class Row:
    """One stencil of a function, as it stands in the code."""

    op: int  # number of the op it was chosen for
    offset: int  # bytes from the start of the function
    stencil: str  # its op and placement
    holes: tuple[str, ...]  # `value=bytes in hex`, in the order of the code
    instructions: tuple[Instruction, ...]


def rows(made: NativeFunction) -> list[Row]:
    """The stencils of a function compiled with trace=True, in the order of the code. UserError without the trace."""
    part = made._code.parts[made._index]
    library = made._code.core.library
    if not part.traces:
        raise UserError(f"function {made.function.name!r} was compiled without trace=True, which listings need")
    code = made.code
    decoded = instructions(code, made.entry, library.target)
    ends = [offset for _, _, offset in part.traces[1:]] + [len(code)]
    result, next_instruction = [], 0
    for (op, stencil, offset), end in zip(part.traces, ends):
        mine = []
        while next_instruction < len(decoded) and decoded[next_instruction].offset < end:
            mine.append(decoded[next_instruction])
            next_instruction += 1
        result.append(Row(op, offset, library.placement_name(stencil), _holes(library, stencil, code[offset:end]), tuple(mine)))
    return result


def _holes(library: Library, index: int, code: bytes) -> tuple[str, ...]:
    """Holes in the order of the code. A branch that became short has lost its hole's place: it has one byte, the last."""
    stencil = library.stencil(index)
    if len(code) < stencil.size and stencil.short_form:
        stencil = library.stencil(stencil.short_form)
    return tuple(
        f"{hole.value.name.lower()}={code[hole.offset : hole.offset + hole.width].hex()}"
        for hole in sorted(stencil.holes, key=lambda hole: hole.offset)
        if hole.offset + hole.width <= len(code)
    )


def stencils_text(made: NativeFunction) -> str:
    """A stencil a line: offset, op number, placement, holes."""
    return "".join(f"{row.offset:04x}  op {row.op:4}  {row.stencil:44} {' '.join(row.holes)}\n" for row in rows(made))


def allocation_text(made: NativeFunction) -> str:
    """A register a line: the range of positions it lives in (two an op), and where."""
    from cnp.ir.signature import register_name

    part = made._code.parts[made._index]
    lines = []
    for index, (start, end, place, slot) in enumerate(part.intervals):
        if index < len(made.function._types):
            type, name = made.function.register_types[index], register_name(made.function, index)
        else:
            continue
        file = "f" if type.is_float else "r"
        where = [f"{file}{place}"] if place >= 0 else []
        where += [f"slot {slot}"] if slot >= 0 else []
        lines.append(f"{name:16} {type}  {f'{start} to {end}' if end >= 0 else 'unused':16} {' and '.join(where)}\n")
    return "".join(lines)


def stages(made: NativeFunction) -> Iterator[tuple[str, str]]:
    """What CNP_DUMP shows, by its letters; each text is made only when it is asked for."""
    name, library = made.function.name, made._code.core.library
    yield "i", f"-- {name}: ops\n{print_function(made.function)}"
    yield "a", f"-- {name}: registers\n{allocation_text(made)}"
    yield "s", f"-- {name}: stencils\n{stencils_text(made)}"
    yield "d", f"-- {name}: machine code\n{disassemble(made.code, made.entry, library.target)}"

