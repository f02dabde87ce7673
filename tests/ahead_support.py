"""Links object files of `cnp emit` with C, for this machine and others, and runs the programs."""

from __future__ import annotations

import math
import platform
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from expectations import Expectation
from toolchain import need_clang, need_linker

from cnp.build.compile import Compiler
from cnp.errors import Unsupported
from cnp.ir import Function
from cnp.stencil.sources import stencils_directory
from cnp.target import TARGETS
from cnp.target.record import arguments
from cnp.tools.guest import find_emulator

HERE = Path(__file__).parent / "ahead"
MACHINE = platform.machine()
DEADLINE = 120  # seconds


def run(command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    """Run to the end; what it wrote is text."""
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False, **options)  # type: ignore[call-overload, no-any-return]


def succeed(command: Sequence[str | Path]) -> str:
    """Run a command that must not fail, nor complain; what it printed."""
    done = run(command)
    assert done.returncode == 0 and not done.stderr, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def command_for(target: str, program: Path) -> list[str]:
    """What runs a program of a target here. Skips where nothing does."""
    if target == MACHINE:
        return [str(program)]
    try:
        return [*find_emulator(target), str(program)]
    except Unsupported as error:
        pytest.skip(f"NOT TESTED: {error}")


def _compiler(target: str, directory: Path) -> Compiler:
    return Compiler(need_clang(), TARGETS[target], stencils_directory(), frozenset(), directory)


def link_freestanding(target: str, directory: Path, source: Path, *objects: Path, landing_pads: bool = False) -> Path:
    """An executable without a C library, of C, object files, and freestanding.c."""
    compiler = _compiler(target, directory)
    library, main, program = (directory / f"{target}.{name}" for name in ("freestanding.o", "main.o", "program"))
    pads = TARGETS[target].landing_pads if landing_pads else None
    marks = arguments(pads.flags) if pads else []
    flags = [*arguments(TARGETS[target].core_flags), *marks]
    compiler.run([*flags, "-c", str(HERE / "freestanding.c"), "-o", str(library)])
    plain = ["-O1", "-std=gnu11", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-Wall", "-Wextra"]
    command = [*plain, *marks, "-I", str(directory), "-c", str(source), "-o", str(main)]
    compiler.clang.run(compiler.clang.arguments(TARGETS[target], command), directory)
    succeed([*need_linker(), "-static", "-e", "cnp_start", main, library, *objects, "-o", program])
    return program


_C_TYPES = {
    "i32": "int32_t",
    "i64": "int64_t",
    "f32": "float",
    "f64": "double",
    "ptr": "void *",
    "writable_ptr": "void *",
}
_PRELUDE = """\
#include "program.h"
long write(int, const void *, unsigned long);
static struct cnp_trap_info seen;
static void on_trap(const struct cnp_trap_info *trap) { seen = *trap; }
static int is_text(const char *a, const char *b) { while (*a && *a == *b) a++, b++; return *a == *b; }
static inline double f64_of(uint64_t x) { union { uint64_t i; double f; } u = {x}; return u.f; }
static inline float f32_of(uint32_t x) { union { uint32_t i; float f; } u = {x}; return u.f; }
static inline uint64_t f64_bits(double x) { union { double f; uint64_t i; } u = {x}; return u.i; }
static inline uint32_t f32_bits(float x) { union { float f; uint32_t i; } u = {x}; return u.i; }
static int failed;
static void check(int truth, const char *what, unsigned long size) {
    if (!truth) { failed = 1; write(2, what, size); write(2, "\\n", 1); }
}
#define CHECK(truth, what) check(truth, what, sizeof what - 1)
"""


def program_of(functions: dict[str, Function], expected: Sequence[Expectation]) -> str:
    """A C program that fails unless every expectation is met. Functions may have names that are none in C."""
    lines = [_PRELUDE]
    for number, function in enumerate(functions.values()):
        types = ", ".join(_C_TYPES[str(each)] for each in function.parameter_types) or "void"
        result = _C_TYPES[function.result.name] if function.result is not None else "void"
        lines.append(f'{result} f_{number}({types}) __asm__("{function.name}");')
    lines.append("int main(void) {\n    cnp_set_trap_handler(on_trap);")
    order = list(functions)
    for each in expected:
        lines += _check(each, order.index(each.name), functions[each.name])
    return "\n".join([*lines, "    return failed;\n}\n"])


def _check(each: Expectation, number: int, function: Function) -> list[str]:
    lines, words, text = ["    {"], [], '"' + each.text.replace('"', "'") + '"'
    buffers = 0
    for type, value in zip(function.parameter_types, each.arguments):
        if isinstance(value, bytes):
            lines.append(f"    _Alignas(16) static unsigned char b{buffers}[] = {{{_items(value)}}};")
            words.append(f"b{buffers}")
            buffers += 1
        else:
            words.append(_literal(value, str(type)))
    call = f"f_{number}({', '.join(words)})"
    if each.trap is not None:
        lines.append(f"    seen.kind = 0;\n    {call};\n    CHECK(seen.kind == {int(each.trap)}, {text});")
        if each.place is not None:
            name, op = each.place
            lines.append(f'    CHECK(is_text(seen.function, "{name}") && (seen.op == {op} || seen.kind == 5), {text});')
    elif function.result is None:
        lines.append(f"    {call};")
    else:
        lines.append(f"    CHECK({_compared(call, each.result, function.result.name)}, {text});")
    for index, data in enumerate(each.leaves):
        lines.append(f"    static const unsigned char e{index}[] = {{{_items(data)}}};")
        lines.append(
            f"    for (unsigned long k = 0; k < sizeof e{index}; k++) CHECK(b{index}[k] == e{index}[k], {text});"
        )
    return [*lines, "    }"]


def _items(data: bytes) -> str:
    return ", ".join(map(str, data))


def _bits(value: float, type: str) -> int:
    form = "<f" if type == "f32" else "<d"
    return int.from_bytes(struct.pack(form, value), "little")


def _literal(value: float, type: str) -> str:
    if type.startswith("f"):
        return f"{type}_of({_bits(value, type):#x}u)"
    return f"({_C_TYPES[type]})0x{int(value) % 2**64:x}ull" if type != "i32" else f"(int32_t)0x{int(value) % 2**32:x}u"


def _compared(call: str, value: int | float | None, type: str) -> str:
    assert value is not None
    if not type.startswith("f"):
        return f"{call} == {_literal(value, type)}"
    if math.isnan(value):
        return f"({{ {_C_TYPES[type]} x = {call}; x != x; }})"
    return f"{type}_bits({call}) == {_bits(value, type):#x}u"
