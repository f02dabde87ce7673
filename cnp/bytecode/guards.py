"""Guards in templates: the ops that read cells, and what an instruction may not have done where it leaves."""

from __future__ import annotations

from cnp.bytecode.operands import Exit, Field
from cnp.errors import UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cnp.bytecode.operands import Registers, Variable


class CellAddress:
    """The operand that is the address of a cell, or of the one that a field numbers."""

    __slots__ = ("cell",)

    def __init__(self, cell: Any) -> None:
        self.cell = cell


def lowered(place: str, op: tuple[Any, ...], flag: Variable) -> list[tuple[Any, ...]]:
    """An op as those that its method of Function makes: others for load_cell and assume, else itself."""
    name, operands = op[0] if op else None, op[1:]
    if name == "load_cell":
        d, cell = _two(place, operands, "d, cell")
        _check_cell(place, cell, hasattr(cell, "address"), "a cnp.DataCell")
        return [("i64_load", d, CellAddress(cell), 0)]
    if name == "assume":
        assumption, label = _two(place, operands, "assumption, otherwise")
        _check_cell(place, assumption, getattr(assumption, "is_assumption", False), "a cnp.Assumption")
        return [("i64_load", flag, CellAddress(assumption), 0), ("branch_i64_nez", flag, label)]
    return [op or (None,)]


def _two(place: str, operands: Sequence[Any], names: str) -> Sequence[Any]:
    if len(operands) != 2:
        raise UserError(f"{place}: {len(operands)} operands; accepted: 2 ({names})")
    return operands


def _check_cell(place: str, cell: Any, is_one: bool, accepted: str) -> None:
    if not is_one and not isinstance(cell, Field):
        raise UserError(f"{place}: found {cell!r}; accepted: {accepted}, or a Field that numbers one")


class Step:
    """What one op of an instruction has to do with its exits."""

    __slots__ = ("changes", "exits", "jumps", "name", "places")

    def __init__(self, op: tuple[Any, ...]) -> None:
        self.name = op[0] if op else None
        self.changes: Registers | None = None  # of what an exit may pass on
        self.exits = [each for each in op if isinstance(each, Exit)]
        labels = [each for each in op[1:] if isinstance(each, str)]
        self.places, self.jumps = (labels, []) if self.name == "place" else ([], labels)


def changed_before(steps: Sequence[Step]) -> tuple[int, int] | None:
    """An op with an exit, and one that may be executed before it and changes what the exit passes on.

    If there are none, the interpreter finds everything as it was in front of the instruction.
    """
    placed = {label: number for number, step in enumerate(steps) for label in step.places}
    back = [(placed[label], n) for n, step in enumerate(steps) for label in step.jumps if placed.get(label, n + 1) <= n]
    again = range(min([first for first, _ in back], default=0), max([last for _, last in back], default=-1) + 1)
    for number, step in enumerate(steps):
        live = [file for exit in step.exits for file in exit.files]
        for other, before in enumerate(steps):
            comes_before = other < number or (other in again and number in again)
            if before.changes in live and comes_before:
                return number, other
    return None
