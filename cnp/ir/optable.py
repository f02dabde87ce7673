"""The ops a function may hold: rows of a stencil library, and the few ops that belong to the IR itself."""

from __future__ import annotations

import enum

from cnp.errors import UserError
from cnp.stencil.model import OpFlag, Shape
from cnp.types import NO_TYPE, Type

TYPE_CHECKING = False  # importing typing costs milliseconds that every program would wait for
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol

    class OpRow(Protocol):
        """What the IR reads of an op row of a stencil library."""

        @property
        def name(self) -> str: ...  # "i64.add"
        @property
        def method(self) -> str: ...  # "i64_add"
        @property
        def shape(self) -> int: ...
        @property
        def result_type(self) -> int: ...  # a Type, or NO_TYPE
        @property
        def operand_types(self) -> Sequence[int]: ...  # a store's value first, then its base
        @property
        def flags(self) -> int: ...
        @property
        def code(self) -> int: ...  # its index in the library
        @property
        def doc(self) -> str: ...  # its C body


class Code(enum.IntEnum):
    """The ops that have no row: control flow, copies, constants. Ops with a row use its index, which is smaller."""

    PLACE = 0xFF00  # label
    JUMP = 0xFF01  # label
    RET = 0xFF02  # value, or nothing
    CALL = 0xFF03  # d or None, index in Function._callees, *arguments
    TABLE = 0xFF04  # index, default label, *labels
    TRAP = 0xFF05
    MOVE = 0xFF06  # d, a
    SELECT = 0xFF07  # d, a, b, condition
    CONST32 = 0xFF08  # d, value; so the three that follow
    CONST64 = 0xFF09
    CONSTF32 = 0xFF0A
    CONSTF64 = 0xFF0B
    SAFEPOINT = 0xFF0C


# The same as plain integers, because an enum member costs a lookup each time it is named.
PLACE, JUMP, RET, CALL, TABLE, TRAP, MOVE, SELECT, CONST32, CONST64, CONSTF32, CONSTF64, SAFEPOINT = map(int, Code)

CODE_NAMES: dict[int, str] = {
    Code.PLACE: "place",
    Code.JUMP: "jump",
    Code.RET: "ret",
    Code.CALL: "call",
    Code.TABLE: "branch_table",
    Code.TRAP: "unreachable",
    Code.MOVE: "move",
    Code.SELECT: "select",
    Code.CONST32: "i32.const",
    Code.CONST64: "i64.const",
    Code.CONSTF32: "f32.const",
    Code.CONSTF64: "f64.const",
    Code.SAFEPOINT: "safepoint",
}


class Role(enum.Enum):
    """What an op does with one of its operands."""

    DESTINATION = "destination"  # a register that is written
    SOURCE = "source"  # a register or a number that is read
    CONSTANT = "constant"  # a number that is read
    OFFSET = "offset"  # a number of bytes
    LABEL = "label"
    CALLEE = "callee"
    ARGUMENT = "argument"  # a source of a call


class Operand:
    """One place in an op's operand list; `type` is None where the role has no type."""

    __slots__ = ("name", "role", "type")

    def __init__(self, role: Role, name: str, type: Type | None = None) -> None:
        self.role = role
        self.name = name
        self.type = type


class OpTable:
    """Rows by code, name and method name, with the operands of each."""

    library: Any = None
    """The extension library that functions of this table are compiled with; None is the built-in one."""

    def __init__(self, rows: Iterable[OpRow] = ()) -> None:
        self.rows: dict[int, OpRow] = {}
        self.meanings: dict[str, Callable[..., Any]] = {}
        """By public name, what ops that are not built in mean, in Python: see cnp.ir.semantics."""
        self.elsewhere: dict[str, Any] = {}
        """By target, the same library for other machines."""
        self.called: dict[str, Any] = {}
        """By public name, the ops of an extension library that are called: CalledOp."""
        self._by_name: dict[str, OpRow] = {}
        self._operands: dict[int, tuple[Operand, ...]] = {}
        self.add(rows)

    def add(self, rows: Iterable[OpRow]) -> None:
        """Add rows, of the library or of an extension to it; a row of the same code is replaced."""
        for row in rows:
            self.rows[row.code] = row
        self._by_name.clear()
        self._operands.clear()

    @property
    def by_name(self) -> dict[str, OpRow]:
        """Rows that users may name, by public name as the text form spells it."""
        if not self._by_name:
            self._by_name.update((public_name(row), row) for row in self.rows.values() if not row.flags & OpFlag.HIDDEN)
        return self._by_name

    def operands(self, code: int) -> tuple[Operand, ...] | None:
        """The operands of a row's op, destination first. None where no row that users may name has the code."""
        found = self._operands.get(code)
        if found is None:
            row = self.rows.get(code)
            if row is None or row.flags & OpFlag.HIDDEN:
                return None
            found = self._operands[code] = tuple(operands_of_row(row))
        return found


def public_name(row: OpRow) -> str:
    """`i64.add`; a fused branch is `branch i64.eq`, in messages as in the text form."""
    return f"branch {comparison_of(row)}" if row.shape == Shape.BRANCH else row.name


def comparison_of(row: OpRow) -> str:
    """The public name of the comparison that a fused branch tests."""
    return row.method.removeprefix("branch_").replace("_", ".", 1)


def operands_of_row(row: OpRow) -> list[Operand]:
    """The operands that a user writes for a row's op, in order."""
    types = [Type(each) for each in row.operand_types]
    if row.shape == Shape.LOAD:
        sources = [Operand(Role.SOURCE, "base", Type.i64), Operand(Role.OFFSET, "offset")]
    elif row.shape == Shape.STORE:
        sources = [Operand(Role.SOURCE, "value", types[0]), Operand(Role.SOURCE, "base", Type.i64)]
        sources.append(Operand(Role.OFFSET, "offset"))
    else:
        sources = [Operand(Role.SOURCE, name, each) for name, each in zip("abc", types)]
    if row.shape == Shape.BRANCH:
        sources.append(Operand(Role.LABEL, "label"))
    if row.result_type != NO_TYPE:
        sources.insert(0, Operand(Role.DESTINATION, "d", Type(row.result_type)))
    return sources


_loader: Callable[[], Iterable[OpRow]] | None = None
_default: OpTable | None = None
_listeners: list[Callable[[Iterable[OpRow]], Any]] = []


def set_default_ops(loader: Callable[[], Iterable[OpRow]]) -> None:
    """Say where op rows come from. `loader` is called once, when an op method or name is first needed."""
    global _loader, _default
    _loader, _default = loader, None


def on_ops(listener: Callable[[Iterable[OpRow]], Any]) -> None:
    """Call `listener` with the rows whenever rows become known."""
    _listeners.append(listener)


def default_ops() -> OpTable:
    """The table in force, loaded now if this is its first use. UserError if nothing was set to load it from."""
    global _default
    if _default is None:
        if _loader is None:
            raise UserError("no op table is known: import cnp, or call cnp.ir.set_default_ops first")
        rows = list(_loader())
        _default = OpTable()
        add_ops(rows)
    return _default


def add_ops(rows: Iterable[OpRow]) -> None:
    """Add the rows of an extension library, which become methods of Function."""
    rows = list(rows)
    default_ops().add(rows)
    for listener in _listeners:
        listener(rows)
