"""What ops and templates call -> C: functions that call a library's, where what they import is, and rows of callees."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnp.errors import UserError
from cnp.ir.function import CalledOp, Extern
from cnp.stencil.model import CALLED_OP
from cnp.types import Type

if TYPE_CHECKING:
    from cnp.stencil.library import Library


_SYMBOL = re.compile(r"[A-Za-z_.$][\w.$]*", re.ASCII)


def declarations(library: Library) -> str:
    """A function for each, as users call it."""
    return "".join(f"/* {_meaning(method, row)} */\n{_head(method, row)};\n" for method, row in library.calls.items())


def definitions(library: Library) -> str:
    """The functions, and `fill_imports`, which puts the addresses of what a linker finds into a copy of the blob."""
    externs, stores = [], []
    for name, offsets in library.imports.items():
        externs.append(f'extern void import_{name}(void) __asm__("{name}");')
        stores += [f"    address = (u64)(uintptr_t)import_{name}, memcpy(blob + {at}, &address, 8);" for at in offsets]
    functions = (_function(method, row) for method, row in library.calls.items())
    body = ["    u64 address;", *stores] if stores else ["    (void)blob;"]
    return "\n".join((*externs, "static void fill_imports(char *blob) {", *body, "}", *functions, ""))


def template_callees(name: str, callees: Sequence[Any], library: Library) -> str:
    """The array `name_callees` of what a table's templates call: ops of the library, and C functions by name. UserError
    for anything else, which is of this process."""
    externs, rows = [], []
    for number, callee in enumerate(callees):
        place = ".at = 0"
        method = callee.name.replace(".", "_", 1) if isinstance(callee, CalledOp) else None
        if method in library.calls:
            place = f".at = AT_{CALLED_OP}{method}"
        elif isinstance(callee, Extern) and callee.address is None and _SYMBOL.fullmatch(callee.name):
            externs.append(f'extern void {name}_callee_{number}(void) __asm__("{callee.name}");')
            place = f".function = {name}_callee_{number}"
        else:
            accepted = 'CALL ops of the library, cnp.extern("name", ...), and callees that a field numbers'
            raise UserError(f"bytecode {name!r}: a template calls {callee!r}; accepted in C: {accepted}")
        rows.append(f"    {{{{.kind = CALLEE_C, {_signature(callee.params, callee.result)}}}, {place}}},")
    array = f"static const struct template_callee {name}_callees[] = {{"
    return "\n".join((*externs, array, *(rows or ["    {{0}, .at = 0}"]), "};"))


def _signature(params: Sequence[Type], result: Type | None) -> str:
    """Members of a `struct callee`."""
    types = ", ".join(_type(each) for each in params)
    parameters = f".n_parameters = {len(params)}, .parameter_type = {{{types or '0'}}}"
    return f".result_type = {'NO_TYPE' if result is None else _type(result)}, {parameters}"


def _type(type: Type) -> str:
    return f"TYPE_{type.name.upper()}"


def _types(row: Mapping[str, Any]) -> list[Type]:
    return [Type.i64 if each is None else Type(each) for each in row["params"]]


def _meaning(method: str, row: Mapping[str, Any]) -> str:
    result = "" if row["result"] is None else f" -> {Type(row['result']).name}"
    return f"{method.replace('_', '.', 1)} ({', '.join(each.name for each in _types(row))}){result}"


def _head(method: str, row: Mapping[str, Any]) -> str:
    d = [] if row["result"] is None else ["cnp_value d"]
    operands = [f"cnp_value p{number}" for number in range(len(row["params"]))]
    return f"void cnp_{method}({', '.join(('cnp_function *f', *d, *operands))})"


def _function(method: str, row: Mapping[str, Any]) -> str:
    types = _types(row)
    count = len(types)
    result = None if row["result"] is None else Type(row["result"])
    return "\n".join(
        (
            f"{_head(method, row)} {{",
            f"    const cnp_value arguments[{count}] = {{{', '.join(f'p{number}' for number in range(count))}}};",
            "    const struct callee row = {.kind = CALLEE_C,",
            f"                                .address = ROUTINE(f->session, u64, {CALLED_OP}{method}),",
            f"                                {_signature(types, result)}}};",
            f"    put_call(f, {'cnp_none()' if row['result'] is None else 'd'}, &row, NULL, arguments, {count});",
            "}",
        )
    )
