"""The ops of a library that are called -> C: functions that call them, and where what they import is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnp.stencil.model import CALLED_OP
from cnp.types import Type

if TYPE_CHECKING:
    from cnp.stencil.library import Library


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
    result = "NO_TYPE" if row["result"] is None else f"TYPE_{Type(row['result']).name.upper()}"
    parameters = ", ".join(f"TYPE_{each.name.upper()}" for each in types)
    return "\n".join(
        (
            f"{_head(method, row)} {{",
            f"    const cnp_value arguments[{count}] = {{{', '.join(f'p{number}' for number in range(count))}}};",
            "    const struct callee row = {.kind = CALLEE_C,",
            f"                                .address = ROUTINE(f->session, u64, {CALLED_OP}{method}),",
            f"                                .result_type = {result}, .n_parameters = {count},",
            f"                                .parameter_type = {{{parameters}}}}};",
            f"    put_call(f, {'cnp_none()' if row['result'] is None else 'd'}, &row, NULL, arguments, {count});",
            "}",
        )
    )
