"""Turns op rows into methods of Function: one small closure an op, which appends one tuple.

The methods check nothing: everything is checked once, in C, when the function is compiled. opmethods.pyi, which is
generated from the same rows by cnp.ir.stubs, tells type checkers and editors their signatures.
"""

from __future__ import annotations

from cnp.ir.optable import comparison_of, default_ops, on_ops
from cnp.stencil.model import OpFlag, Shape
from cnp.types import NO_TYPE, Type

TYPE_CHECKING = False  # importing typing costs milliseconds that every program would wait for
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from cnp.ir.function import CalledOp
    from cnp.ir.optable import OpRow

    Emitter = Callable[..., None]

_HIDDEN = int(OpFlag.HIDDEN)  # an enum's & is slow


class _Late:
    """In place of a method that nobody has looked up: most programs use a tenth of them."""

    __slots__ = ("_row",)

    def __init__(self, row: OpRow) -> None:
        self._row = row

    def __get__(self, instance: Any, owner: type) -> Emitter:
        method = make_method(self._row)
        setattr(OpMethods, self._row.method, method)
        return method if instance is None else method.__get__(instance, owner)


class OpMethods:
    """The op methods of Function. They appear when the first of them is used, which loads the op table."""

    __slots__ = ()

    @classmethod
    def install(cls, op_rows: Iterable[OpRow]) -> None:
        """Add a method for every row that users may name. It is made when it is first looked up."""
        for row in op_rows:
            if not row.flags & _HIDDEN:
                setattr(OpMethods, row.method, _Late(row))

    def __getattr__(self, name: str) -> Any:
        """Reached only when the ordinary lookup fails: before the op table is loaded, or for a name that is no op."""
        if not name.startswith("_"):
            default_ops()
            if name in OpMethods.__dict__:
                return getattr(self, name)
        import difflib  # which only a mistake needs

        close = difflib.get_close_matches(name, dir(type(self)), n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise AttributeError(f"{type(self).__name__} has no op or attribute {name!r}{hint}", name=name, obj=self)


on_ops(OpMethods.install)


def make_method(row: OpRow) -> Emitter:
    """The method of one row."""
    method = _FACTORIES[row.shape, len(row.operand_types) if row.shape not in _MEMORY else 0](row.code)
    method.__name__ = row.method
    method.__qualname__ = f"OpMethods.{row.method}"
    method.__doc__ = _doc(row)
    return method


def make_called(op: CalledOp) -> Emitter:
    """The method of an op that is called: its destination, None where nobody wants the result, then its operands."""
    if op.result is None:

        def method(self: Any, *arguments: Any) -> None:
            self.call(None, op, *arguments)

    else:

        def method(self: Any, d: Any, *arguments: Any) -> None:
            self.call(d, op, *arguments)

    method.__name__ = op.name.replace(".", "_")
    method.__qualname__ = f"OpMethods.{method.__name__}"
    method.__doc__ = op.doc
    return method


def _doc(row: OpRow) -> str:
    types = ", ".join([_TYPE_NAMES[each] for each in row.operand_types])
    name = f"branch on {comparison_of(row)}" if row.shape == Shape.BRANCH else row.name
    result = f" -> {_TYPE_NAMES[row.result_type]}" if row.result_type != NO_TYPE else ""
    return f"{name} ({types}){result}\n\nIn C: {row.doc}"


_TYPE_NAMES = {each.value: each.name for each in Type}


# One factory an arity: a closure with its op's code in it is the cheapest call Python offers.
def _value_1(code: int) -> Emitter:
    def op(self: Any, d: Any, a: Any) -> None:
        self._emit((code, d, a))

    return op


def _value_2(code: int) -> Emitter:
    def op(self: Any, d: Any, a: Any, b: Any) -> None:
        self._emit((code, d, a, b))

    return op


def _value_3(code: int) -> Emitter:
    def op(self: Any, d: Any, a: Any, b: Any, c: Any) -> None:
        self._emit((code, d, a, b, c))

    return op


def _value_0(code: int) -> Emitter:
    def op(self: Any, d: Any) -> None:
        self._emit((code, d))

    return op


def _load(code: int) -> Emitter:
    def op(self: Any, d: Any, base: Any, offset: int = 0) -> None:
        self._emit((code, d, base, offset))

    return op


def _store(code: int) -> Emitter:
    def op(self: Any, value: Any, base: Any, offset: int = 0) -> None:
        self._emit((code, value, base, offset))

    return op


def _branch_1(code: int) -> Emitter:
    def op(self: Any, a: Any, label: Any) -> None:
        self._emit((code, a, label))

    return op


def _branch_2(code: int) -> Emitter:
    def op(self: Any, a: Any, b: Any, label: Any) -> None:
        self._emit((code, a, b, label))

    return op


_MEMORY = (Shape.LOAD, Shape.STORE)
_FACTORIES: dict[tuple[int, int], Callable[[int], Emitter]] = {
    (Shape.VALUE, 0): _value_0,
    (Shape.VALUE, 1): _value_1,
    (Shape.VALUE, 2): _value_2,
    (Shape.VALUE, 3): _value_3,
    (Shape.LOAD, 0): _load,
    (Shape.STORE, 0): _store,
    (Shape.BRANCH, 1): _branch_1,
    (Shape.BRANCH, 2): _branch_2,
}
