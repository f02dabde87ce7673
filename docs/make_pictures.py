"""Draws the pictures of the documentation from the stencil library of this machine, so that they are true.

`python docs/make_pictures.py [DIRECTORY]` writes stencil.svg: one stencil, its holes, its short form, and the code
of a function that it became. Needs a built library and capstone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cnp
from cnp.runtime.default import default_library
from cnp.stencil.records import Hole, Stencil
from cnp.tools import listing
from cnp.tools.disassembly import instructions

CELL, HEIGHT, LEFT = 40, 30, 24  # of the box of a byte, and the margin, in pixels
WIDTH = 640

STYLE = """
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328 }
.title { font-weight: bold } .note { fill: #59636e; font-size: 13px }
.byte { fill: #f6f8fa; stroke: #818b98 } .brace { fill: none; stroke: #818b98 }
.hole-0 { fill: #fff1c2; stroke: #9a6700 } .hole-1 { fill: #d3ecff; stroke: #0969da }
.name-0 { fill: #9a6700 } .name-1 { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 }
  .byte { fill: #212830; stroke: #656c76 } .brace { stroke: #656c76 }
  .hole-0 { fill: #4b3a0b; stroke: #d29922 } .hole-1 { fill: #0c2d52; stroke: #4493f8 }
  .name-0 { fill: #d29922 } .name-1 { fill: #4493f8 }
}
"""


@dataclass(frozen=True)
class Strip:
    """A row of bytes with what is said about it."""

    title: str
    code: bytes
    assembly: str
    holes: Sequence[tuple[int, int, str]]  # offset, width, what is written below
    chunks: Sequence[int] = ()  # sizes
    empty: bool = True  # whether holes are shown as holes


def sample() -> cnp.Function:
    """`sum of 0 to 99`, whose loop ends in a comparison with 100 fused with a branch."""
    f = cnp.Function("sum_below_100", result=cnp.i64)
    i, total = f.reg(cnp.i64, "i"), f.reg(cnp.i64, "total")
    loop = f.label("loop")
    f.i64_const(i, 0)
    f.i64_const(total, 0)
    f.place(loop)
    f.i64_add(total, total, i)
    f.i64_add(i, i, 1)
    f.branch_i64_lt_s(i, 100, loop)
    f.ret(total)
    return f


BRANCH = 5
"""Number of the branch among the sample's ops."""


def strips() -> list[Strip]:
    """The stencil that was chosen for the branch, its short form, and the code of the function."""
    made, library = sample().compile(trace=True), default_library()
    row = next(each for each in listing.rows(made) if each.stencil.startswith("branch") and each.op == BRANCH)
    part = made._code.parts[made._index]
    index = next(stencil for op, stencil, offset in part.traces if offset == row.offset)
    stencil = library.stencil(index)
    short = library.stencil(stencil.short_form) if stencil.short_form else stencil
    code = b"".join(each.code for each in row.instructions)
    used = short if len(code) == short.size else stencil
    result = [_strip(f"stencil {index} of the library: {row.stencil}", stencil, library.target)]
    if stencil.short_form:
        result.append(_strip("its short form, taken where the jump reaches", short, library.target))
    values = [
        (hole.offset, _width(hole), text)
        for hole, text in zip(sorted(used.holes, key=lambda each: each.offset), row.holes)
    ]
    title = f"in the function, at {row.offset:04x}: branch i64.lt_s i, 100, loop"
    return [*result, Strip(title, code, "; ".join(each.text for each in row.instructions), values, empty=False)]


def _width(hole: Hole) -> int:
    return default_library().kinds[hole.kind][1]


def _strip(title: str, stencil: Stencil, target: str) -> Strip:
    holes = sorted(stencil.holes, key=lambda each: each.offset)
    words = []
    for each in instructions(stencil.code, 0, target, stencil.size):
        inside = [hole for hole in holes if each.offset <= hole.offset < each.offset + len(each.code)]
        operands = each.text.rpartition(" ")[0] if inside else each.text
        words.append(" ".join([operands, *(hole.value.name for hole in inside)]))
    named = [(hole.offset, _width(hole), hole.value.name) for hole in holes]
    return Strip(title, stencil.code, "; ".join(words), named, [len(each.code) for each in stencil.chunks])


def stencil_svg() -> str:
    """The picture."""
    row = default_library().op_by_method["i64_lt_s"]
    parts = [_text(LEFT, 30, f"{row.source_line}: {row.name}  {{ {row.doc} }}", "title")]
    top = 66
    for strip in strips():
        parts += _drawn(strip, top)
        top += 156 if strip.chunks else 132
    label = "One stencil of the library, its short form, and its bytes in a compiled function"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - 22}" width="{WIDTH}" height="{top - 22}" '
        f'role="img" aria-label="{label}">\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _drawn(strip: Strip, top: int) -> list[str]:
    parts = [_text(LEFT, top, strip.title), _text(LEFT, top + 20, strip.assembly, "note")]
    y = top + 32
    kind = {at: n for n, (offset, width, _) in enumerate(strip.holes) for at in range(offset, offset + width)}
    for at, byte in enumerate(strip.code):
        x = LEFT + at * CELL
        style = f"hole-{kind[at] % 2}" if at in kind else "byte"
        parts.append(f'<rect class="{style}" x="{x}" y="{y}" width="{CELL}" height="{HEIGHT}"/>')
        if not (strip.empty and at in kind):
            parts.append(_text(x + CELL // 2, y + 20, f"{byte:02x}", anchor="middle"))
    for n, (offset, width, name) in enumerate(strip.holes):
        # The last name is written from its hole's start, the others up to their hole's end: none overlaps.
        last = n == len(strip.holes) - 1
        x = LEFT + (offset if last else offset + width) * CELL
        parts.append(_text(x, y + HEIGHT + 18, name, f"name-{n % 2}", "start" if last else "end"))
    start = LEFT
    for number, size in enumerate(strip.chunks):
        end, below = start + size * CELL, y + HEIGHT + 28
        parts.append(f'<path class="brace" d="M{start + 2} {below}v6H{end - 2}v-6"/>')
        parts.append(_text((start + end) // 2, below + 20, f"chunk {number}", "note", "middle"))
        start = end
    return parts


def _text(x: int, y: int, text: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def main(directory: Path) -> None:
    """Write the pictures into a directory."""
    (directory / "stencil.svg").write_text(stencil_svg(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
