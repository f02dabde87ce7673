"""A kernel on another machine: compiled by cnp and by clang -O2, run in an Emulator, its instructions counted."""

from __future__ import annotations

import ctypes
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnp.backends.foreign import ForeignFunction
from cnp.bench.figure import Unavailable
from cnp.bench.kernel_cnp import jump_tables, parsed
from cnp.bench.kernel_entry import Outcome, exact
from cnp.bench.kernel_table import Arguments, Kernel
from cnp.build.clang import Clang
from cnp.build.compile import Compiler
from cnp.build.core import Part, link
from cnp.build.elf import read_object
from cnp.errors import CnpError, Unsupported
from cnp.stencil.library import Library
from cnp.target import Target
from cnp.target.flags import COMMON_FLAGS, CORE_FLAGS
from cnp.target.record import arguments as flag_arguments
from cnp.tools.emulated import EmulatedFunction, from_register
from cnp.tools.emulator import Emulator
from cnp.types import Type

_CLANG_FLAGS = (
    *("-O2", "-fno-vectorize", "-fno-slp-vectorize", "-std=gnu2x", "-fwrapv", "-ffp-contract=off", "-fno-math-errno"),
    *("-fno-stack-protector", "-fomit-frame-pointer", "-fPIC", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"),
    *("-ffreestanding", "-Dsqrt=__builtin_sqrt"),  # there is no C library, and its square root is an instruction
)
_COUNTED = ("-singlestep", "-d", "exec,nochain")  # qemu logs each instruction as a block of its own
_RESULTS = {None: None, ctypes.c_int32: Type.i32, ctypes.c_int64: Type.i64, ctypes.c_double: Type.f64}


@dataclass(frozen=True, slots=True)
class GuestCode:
    """A kernel's code for another machine. `image` runs anywhere, `entry` is in it."""

    code_size: (
        int  # with constants, which one compiler keeps in instructions and another beside them; without jump tables
    )
    compiled: ForeignFunction | None = None
    image: bytes = b""
    entry: int = 0


@dataclass(frozen=True, slots=True)
class GuestRun:
    """What came out of a call, and how many instructions of the kernel it took."""

    outcome: Outcome
    instructions: int


def cnp_code(kernel: Kernel, target: str) -> GuestCode:
    """The kernel as a user of cnp gets it: safepoints in its loops included."""
    module = parsed(kernel)
    compiled = module[kernel.name].compile(target=target)
    size = sum(len(each.compile(target=target).code) - jump_tables(each) for each in module.values())
    return GuestCode(size, compiled)


def clang_code(kernel: Kernel, target: Target, clang: Clang) -> GuestCode:
    """The kernel compiled by clang -O2 without vectors. Unavailable where it needs what is not linked in."""
    common = {each.text for each in (*COMMON_FLAGS, *CORE_FLAGS)}
    own = [each for each in target.core_flags if each.text not in common]
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        compiler = Compiler(clang, target, Path(directory), frozenset(), Path(directory))
        made = Path(directory) / "kernel.o"
        compiler.run([*_CLANG_FLAGS, *flag_arguments(own), "-c", str(kernel.source(".c")), "-o", str(made)])
        file = read_object(made, target.elf_machine)
        try:
            blob = link([Part(f"{kernel.name}.c", file)], target, exported="")
        except CnpError as error:
            raise Unavailable(str(error)) from None
        size = sum(each.size for each in file.symbols if each.function and each.section)
        size += sum(len(each.data) for each in file.sections.values() if each.entry_size)
        return GuestCode(size, None, blob.data, blob.exports[kernel.name])


def run(kernel: Kernel, code: GuestCode, library: Library, arguments: Arguments) -> GuestRun:
    """Call it once in a process of its own, which logs every instruction. Unavailable without qemu."""
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        log = Path(directory) / "log"
        try:
            opened = Emulator(library, options=(*_COUNTED, "-D", str(log)))
        except Unsupported as error:
            raise Unavailable(str(error)) from None
        with opened as emulator:
            passed = [_there(emulator, each) for each in arguments]
            start = emulator.allocate(0)
            result = _call(kernel, code, emulator, passed)
            end = emulator.allocate(0)
            outcome = exact(result), *(bytes(each) for each in passed if isinstance(each, ctypes.Array))
        return GuestRun(outcome, _count(log, start, end))


def _call(kernel: Kernel, code: GuestCode, emulator: Emulator, arguments: list[Any]) -> Any:
    if code.compiled is not None:
        return EmulatedFunction(emulator, code.compiled)(*arguments)
    entry = emulator.place(code.image, 4096) + code.entry
    integers = [_integer(each) for each in arguments if not isinstance(each, float)]
    given = [ctypes.c_double(each) for each in arguments if isinstance(each, float)]
    floats = [ctypes.c_uint64.from_buffer_copy(each).value for each in given]
    type = _RESULTS[kernel.result]
    result = emulator.call(entry, integers, floats, gives_float=type is Type.f64)
    return from_register(type, result, result)


def _there(emulator: Emulator, argument: Any) -> Any:
    """An argument as the guest can see it."""
    if not isinstance(argument, ctypes.Array):
        return argument
    copy = type(argument).from_buffer(emulator.array(ctypes.sizeof(argument)))
    ctypes.memmove(copy, argument, ctypes.sizeof(argument))
    return copy


def _integer(argument: Any) -> int:
    return ctypes.addressof(argument) if isinstance(argument, ctypes.Array) else int(argument)


def _count(log: Path, start: int, end: int) -> int:
    """Lines of the log, `Trace 0: 0x7f... [cs/pc/flags/...]`, whose pc is in a range."""
    count = 0
    with log.open("rb") as file:
        for line in file:
            fields = line.split(b"/", 2)
            if line.startswith(b"Trace") and start <= int(fields[1], 16) < end:
                count += 1
    return count
