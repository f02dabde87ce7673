"""A text file -> its functions' ops, stencils, holes and machine code side by side: `cnp objdump`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from cnp.errors import MissingExtra
from cnp.ir.text import print_op
from cnp.tools import listing

if TYPE_CHECKING:
    from cnp.runtime.callable import NativeFunction

_PLAIN = (5, 30, 5, 32, 40)
"""Widths of the columns where the output is no terminal: op number, op, offset, code, instruction."""


def table_rows(made: NativeFunction) -> Iterator[tuple[str, str, str, str, str, str, str]]:
    """Op number, op, offset, bytes, instruction, stencil, holes: a row an instruction, repeated fields left empty."""
    function, shown = made.function, -1
    for row in listing.rows(made):
        number, op = str(row.op), print_op(function, function.ops[row.op]).strip()
        if row.op == shown:
            number = op = ""
        shown = row.op
        stencil, holes = row.stencil, " ".join(row.holes)
        for instruction in row.instructions:
            offset = f"{instruction.offset:04x}"
            yield number, op, offset, instruction.code.hex(" "), instruction.text, stencil, holes
            number = op = stencil = holes = ""


def heading(made: NativeFunction) -> str:
    """`sum(n: i64) -> i64   61 bytes in 14 stencils, frame 32 bytes`"""
    function = made.function
    params = ", ".join(map(str, function.parameter_types))
    result = f" -> {function.result}" if function.result is not None else ""
    stencils = len(made._code.parts[made._index].traces)
    return f"{function.name}({params}){result}: {len(made.code)} bytes in {stencils} stencils, frame of {made.frame_size} bytes"


def show(made: NativeFunction, output: TextIO, colour: bool) -> None:
    """Write one function's listing, in colour and boxed to the terminal's width, or as plain columns."""
    if colour:
        _show_coloured(made, output)
        return
    output.write(heading(made) + "\n")
    for *columns, stencil, holes in table_rows(made):
        fields = "  ".join(text.ljust(width) for text, width in zip(columns, _PLAIN))
        output.write(f"{fields}  {stencil}  {holes}".rstrip() + "\n")
    output.write("\n")


def _show_coloured(made: NativeFunction, output: TextIO) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        raise MissingExtra("colours need rich: pip install 'cnp[disassembly]', or --color=never") from None
    table = Table(title=heading(made), title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    styles = ("dim", "bold cyan", "dim", "yellow", "white", "green", "magenta")
    for name, style in zip(("op", "", "at", "code", "instruction", "stencil", "holes"), styles):
        table.add_column(name, style=style, overflow="fold", no_wrap=name in ("at", "op"))
    for row in table_rows(made):
        table.add_row(*map(Text, row))
    console = Console(file=output, force_terminal=True)
    console.print(table)
    console.print()
