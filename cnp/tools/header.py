"""Functions -> a C header that declares them, and what their traps call."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnp.errors import TrapKind
from cnp.ir.function import Function
from cnp.ir.signature import register_name

_TYPES = {
    "i32": "int32_t",
    "i64": "int64_t",
    "f32": "float",
    "f64": "double",
    "ptr": "const void *",
    "writable_ptr": "void *",
}
_RESERVED = """
alignas alignof asm auto bool break case char const constexpr continue default do double else enum extern false
float for goto if inline int long nullptr register restrict return short signed sizeof static static_assert struct
switch thread_local true typedef typeof typeof_unqual union unsigned void volatile while and and_eq bitand bitor
catch class compl const_cast delete dynamic_cast explicit export friend mutable namespace new not not_eq operator or
or_eq private protected public reinterpret_cast static_cast template this throw try typeid typename using virtual
wchar_t xor xor_eq
"""
_KEYWORDS = frozenset(_RESERVED.split())  # of C and of C++
_KINDS = ",\n".join(f"    CNP_TRAP_{kind.name} = {int(kind)}" for kind in TrapKind if kind <= TrapKind.STACK_OVERFLOW)
_TRAPS = f"""\
#ifndef CNP_TRAPS
#define CNP_TRAPS
enum cnp_trap_kind {{
{_KINDS}
}};
struct cnp_trap_info {{
    int32_t kind;         /* enum cnp_trap_kind */
    uint32_t op;          /* of the function, counted from 0; of no meaning when a stack overflows */
    const char *reason;   /* "integer divide by zero" */
    const char *function;
}};
typedef void (*cnp_trap_handler)(const struct cnp_trap_info *);

/* What is called in place of a message on standard error and abort(). If it returns, the function that C called returns
 * zero. Gives back the handler before, NULL for none. */
cnp_trap_handler cnp_set_trap_handler(cnp_trap_handler);
#endif
"""


def header(functions: Sequence[Function], source: str) -> str:
    """The text of a header, which says what it was made from: `source`.

    A function whose name C cannot spell is declared in a comment.
    """
    return "\n".join(
        (
            f"/* Made by cnp from {_in_comment(source)}. */",
            "#pragma once",
            "#include <stdint.h>",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            *map(_declaration, functions),
            "",
            _TRAPS,
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
        )
    )


def _declaration(function: Function) -> str:
    types = [_TYPES[str(each)] for each in function.parameter_types]
    names = [_spelled(register_name(function, index)) for index in range(len(types))]
    parameters = ", ".join(_parameter(type, name) for type, name in zip(types, names)) or "void"
    result = "void" if function.result is None else _TYPES[function.result.name]
    if _spelled(function.name):
        return f"{result} {function.name}({parameters});"
    return f"/* no name in C: {result} {_in_comment(function.name)}({parameters}) */"


def _parameter(type: str, name: str) -> str:
    return (type if type.endswith("*") else f"{type} ") + name if name else type


def _spelled(name: str) -> str:
    """The name, if C and C++ can spell it; else nothing."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name not in _KEYWORDS else ""


def _in_comment(text: str) -> str:
    return " ".join(text.replace("*/", "* /").split())
