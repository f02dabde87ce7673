"""Writes opmethods.pyi, from which type checkers and editors know the op methods, from op rows.

`python -m cnp.ir.stubs` does so from this machine's stencil library, after ops were added to it or changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cnp.ir.optable import Operand, Role, operands_of_row, public_name
from cnp.stencil.model import OpFlag

if TYPE_CHECKING:
    from cnp.ir.optable import OpRow

_HEADER = '''"""The signatures of the op methods. Generated from the op table by cnp.ir.stubs: do not edit."""

from collections.abc import Callable, Iterable
from typing import SupportsFloat, SupportsIndex

from cnp.ir.function import CalledOp, Label, Register
from cnp.ir.optable import OpRow

Emitter = Callable[..., None]
Integer = Register | SupportsIndex
Float = Register | SupportsFloat | SupportsIndex

def make_method(row: OpRow) -> Emitter: ...
def make_called(op: CalledOp) -> Emitter: ...

class OpMethods:
    __slots__ = ()
    @classmethod
    def install(cls, op_rows: Iterable[OpRow]) -> None: ...
'''


def stub_text(op_rows: Iterable[OpRow]) -> str:
    """The whole of opmethods.pyi for these rows, in their order."""
    return _HEADER + "".join(_method(row) for row in op_rows if not row.flags & OpFlag.HIDDEN)


def _method(row: OpRow) -> str:
    parameters = ", ".join(["self", *(_parameter(each) for each in operands_of_row(row))])
    return f'    def {row.method}({parameters}) -> None:\n        """{public_name(row)}"""\n'


def _parameter(operand: Operand) -> str:
    if operand.role is Role.LABEL:
        return f"{operand.name}: Label"
    if operand.role is Role.DESTINATION:
        return f"{operand.name}: Register"
    if operand.role is Role.OFFSET:
        return f"{operand.name}: SupportsIndex = 0"
    assert operand.type is not None
    return f"{operand.name}: {'Float' if operand.type.is_float else 'Integer'}"


STUB = Path(__file__).with_name("opmethods.pyi")


def main() -> None:
    """Write the stub file anew."""
    from cnp.stencil.library import Library
    from cnp.stencil.sources import library_path

    STUB.write_text(stub_text(Library.open(library_path(os.uname().machine)).ops), encoding="utf-8")
    print(f"{STUB}: written")


if __name__ == "__main__":
    main()
