"""Functions -> C that builds the same through cnp.h, by a statement an op or by a table: nothing is left to decide; and
a program of it, of this library, and of a driver."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnp import Function, Label, Register
from cnp.bench.figure import Unavailable
from cnp.export.command import export
from cnp.ir.optable import Code, Operand, Role
from cnp.ir.signature import operands_of
from cnp.runtime.default import default_library
from cnp.types import Type

if TYPE_CHECKING:
    from cnp.bytecode import Table

_TYPES = {each: f"CNP_{each.name.upper()}" for each in Type}
_METHODS = {
    int(Code.PLACE): "place", int(Code.JUMP): "jump", int(Code.RET): "ret", int(Code.MOVE): "move",
    int(Code.SELECT): "select", int(Code.CONST32): "move", int(Code.CONST64): "move", int(Code.CONSTF32): "move",
    int(Code.CONSTF64): "move",
}  # fmt: skip


_LEAVE = """static int leave(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    (void)point, (void)values, (void)n;
    result->i64 = 0;
    return 0;
}
"""


def compiled(driver: str, directory: Path, programs: str, tables: Mapping[str, Table], quick: bool) -> Path:
    """The program of a driver beside this file, which includes `programs`, in a directory for whatever that takes. It
    is not optimised for a quick run. Unavailable without a C compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise Unavailable("there is no C compiler: cc, gcc or clang")
    export(default_library(), directory, tables)
    (directory / "programs.c").write_text(programs)
    program = directory / "program"
    flags = ["-O0" if quick else "-O2", f"-I{directory}"]
    command = [compiler, *flags, str(Path(__file__).parent / driver), "-o", str(program), "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{compiler} failed: {done.stderr.strip()[-300:]}")
    return program


def source(functions: Mapping[str, Function], translated: Mapping[str, tuple[str, bytes]]) -> str:
    """`programs[]` of functions without calls, and of bytecode with the table that it is translated by, from an i64 to
    an i64: the name of each, and what builds it."""
    texts = [_builder(number, function) for number, function in enumerate(functions.values())]
    texts += [_translator(number, *each) for number, each in enumerate(translated.values(), len(functions))]
    rows = [f'    {{"{name}", build_{number}}},' for number, name in enumerate([*functions, *translated])]
    fields = "const char *name; cnp_function *(*build)(cnp_session *);"
    return "\n".join((_LEAVE, *texts, f"static const struct program {{ {fields} }} programs[] = {{", *rows, "};", ""))


def _builder(number: int, function: Function) -> str:
    types, parameters = function.register_types, len(function.params)
    result = "CNP_VOID" if function.result is None else _TYPES[function.result]
    labels = max((each.code & 0xFFFFFFFF for op in function.ops for each in op if isinstance(each, Label)), default=0)
    lines = [
        f'cnp_function *f = cnp_new(session, "{function.name}", {result});',
        f"cnp_value r[{max(len(types), 1)}];",
        f"cnp_label l[{labels + 1}];",
        *(f"r[{k}] = cnp_parameter(f, {_TYPES[types[k]]});" for k in range(parameters)),
        *(f"r[{k}] = cnp_register(f, {_TYPES[types[k]]});" for k in range(parameters, len(types))),
        f"for (int k = 0; k <= {labels}; k++)",
        "    l[k] = cnp_new_label(f);",
    ]
    rows = function.op_table.rows
    for op in function.ops:
        method = rows[op[0]].method if op[0] in rows else _METHODS[op[0]]
        expected = operands_of(function, op) or ()
        values = ", ".join(("f", *(_value(each, operand) for each, operand in zip(op[1:], expected))))
        lines.append(f"cnp_{method}({values});")
    return _routine(number, lines)


def _translator(number: int, table: str, code: bytes) -> str:
    lines = [
        f"static const unsigned char code[] = {{{', '.join(map(str, code))}}};",
        'cnp_function *f = cnp_new(session, "guest", CNP_I64);',
        "cnp_parameter(f, CNP_I64);",
        f"cnp_translate(f, &cnp_bytecode_{table}, code, sizeof code, &(cnp_guest){{.handler = leave}});",
    ]
    return _routine(number, lines)


def _routine(number: int, lines: Sequence[str]) -> str:
    body = "".join(f"    {line}\n" for line in (*lines, "return f;"))
    return f"static cnp_function *build_{number}(cnp_session *session) {{\n{body}}}\n"


def _value(value: Any, operand: Operand) -> str:
    if isinstance(value, Label):
        return f"l[{value.code & 0xFFFFFFFF}]"
    if isinstance(value, Register):
        return f"r[{value.code & 0xFFFFFFFF}]"
    if operand.role is Role.OFFSET:
        return str(value)
    assert operand.type is not None
    return f"cnp_const_{operand.type.name}({value!r})"
