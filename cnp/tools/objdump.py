"""A text file -> its functions' ops, stencils, holes and machine code side by side: `cnp objdump`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, TextIO

from cnp.errors import MissingExtra
from cnp.ir.text import print_op
from cnp.tools import listing

if TYPE_CHECKING:
    from cnp.tools.listing import Made

_WIDEST = {"op": 44, "stencil": 52}
"""Widths, in characters, beyond which these columns of plain listings are cut: few lines are wider."""
_STYLES = ("dim", "bold cyan", "dim", "yellow", "", "green", "magenta")
_NARROWEST = 100
"""Width of a terminal below which the columns would only wrap."""


@dataclass(frozen=True)
class Line:
    """One instruction, with what begins at it: fields that say the same as the line above are empty."""

    number: str  # of the op
    op: str
    offset: str
    code: str  # bytes
    instruction: str
    stencil: str
    holes: str


def lines(made: Made) -> Iterator[Line]:
    """A line an instruction, in the order of the code."""
    function, shown, cold = made.function, -1, False
    for row in listing.rows(made):
        number = "" if row.op is None or (row.op == shown and not row.out_of_line) else str(row.op)
        op = "(entry)" if row.op is None and row.stencil.startswith("count") else ""
        if row.out_of_line:
            op, cold = "" if cold else "(out of line)", True
        elif number and row.op is not None:
            op = print_op(function, function.ops[row.op]).strip()
        shown = shown if row.op is None else row.op
        stencil, holes = row.stencil, " ".join(row.holes)
        for each in row.instructions:
            yield Line(number, op, f"{each.offset:04x}", each.code.hex(" "), each.text, stencil, holes)
            number = op = stencil = holes = ""


def heading(made: Made) -> str:
    """`sum(i64) -> i64: 61 bytes in 14 stencils, frame of 32 bytes`"""
    function = made.function
    params = ", ".join(map(str, function.parameter_types))
    result = f" -> {function.result}" if function.result is not None else ""
    stencils = len(listing.part_of(made).traces)
    size = f"{len(made.code)} bytes in {stencils} stencil{'s' * (stencils != 1)}"
    return f"{function.name}({params}){result}: {size}, frame of {made.frame_size} bytes"


def can_colour() -> bool:
    """Whether what listings in colour need is installed."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def show(made: Made, output: TextIO, colour: bool) -> None:
    """Write one function's listing, in colour and fitted to the terminal, or as plain columns."""
    if colour:
        _show_coloured(made, output)
    else:
        _show_plain(made, output)


def _show_plain(made: Made, output: TextIO) -> None:
    table = list(lines(made))
    names = list(Line.__dataclass_fields__)
    widths = {name: max(len(getattr(line, name)) for line in table) for name in names}
    widths |= {name: min(widths[name], most) for name, most in _WIDEST.items()}
    output.write(heading(made) + "\n")
    for line in table:
        fields = [getattr(line, name) for name in names]
        output.write("  ".join(_fitted(text, widths[name]) for name, text in zip(names, fields)).rstrip() + "\n")
    output.write("\n")


def _fitted(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 3] + "..."


def _show_coloured(made: Made, output: TextIO) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        raise MissingExtra("colours need rich: pip install 'cnp[disassembly]', or --color=never") from None
    listed = [astuple(line) for line in lines(made)]
    columns = list(zip(("", "op", "at", "code", "instruction", "stencil", "holes"), _STYLES, zip(*listed)))
    width = max(shutil.get_terminal_size((140, 24)).columns, _NARROWEST)
    if sum(max(map(len, fields)) + 1 for _, _, fields in columns) > width:
        del columns[3]  # the bytes are what one misses least
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    for name, style, _ in columns:
        table.add_column(name, style=style, overflow="fold", no_wrap=name in ("", "at", "code"))
    for fields in zip(*(fields for _, _, fields in columns)):
        table.add_row(*map(Text, fields))
    console = Console(file=output, force_terminal=True, width=width, highlight=False)
    console.print(Text(heading(made), style="bold"))
    console.print(table)
    console.print()
