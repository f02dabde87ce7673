"""bench/kernels/*.c -> entries, by clang at three levels and by tcc."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnp.bench.figure import Unavailable
from cnp.bench.kernel_entry import LocalEntry, foreign
from cnp.bench.kernel_table import Arguments, Kernel
from cnp.build.clang import Clang, find_clang
from cnp.errors import BuildError, CnpError
from cnp.runtime.default import machine
from cnp.target import target_named

_CLANG_FLAGS = (
    "-std=gnu2x",
    "-fwrapv",  # as every op does
    "-ffp-contract=off",
    "-fno-math-errno",  # the square root is an instruction
    "-fno-sanitize=all",  # zig's default without -O
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",  # zig's default
    "-fcf-protection=none",
    "-fomit-frame-pointer",
    "-fPIC",
)
LEVELS = {
    "O0": ("-O0",),
    "O1": ("-O1",),
    "O2": ("-O2", "-fno-vectorize", "-fno-slp-vectorize"),
}
_LINK = ("-shared", "-nostdlib", "-Wl,-Bsymbolic")  # bound to one another, functions are called directly


def clang_entry(level: str, kernel: Kernel, arguments: Arguments) -> LocalEntry:
    """A kernel compiled by the compiler that builds the stencils. Unavailable without it."""
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        made = Path(directory) / f"{kernel.name}.so"
        _clang([*_CLANG_FLAGS, *LEVELS[level], *_LINK, str(kernel.source(".c")), "-o", str(made)], made.parent)
        return _loaded(made, kernel, arguments)


def tcc_entry(kernel: Kernel, arguments: Arguments) -> LocalEntry:
    """A kernel compiled by tcc; clang links it, so that calls are direct, as they are where tcc compiles to memory."""
    if shutil.which("tcc") is None:
        raise Unavailable("tcc is not installed: it is the package tcc of most systems")
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        made, item = Path(directory) / f"{kernel.name}.so", Path(directory) / f"{kernel.name}.o"
        command = ["tcc", "-c", str(kernel.source(".c")), "-o", str(item)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"tcc failed:\n{done.stderr.strip()}")
        _clang([*_LINK, str(item), "-o", str(made)], made.parent)
        return _loaded(made, kernel, arguments)


def _clang(arguments: Sequence[str], directory: Path) -> None:
    clang = _find_clang()
    clang.run(clang.arguments(target_named(machine()), arguments), directory)


@functools.cache
def _find_clang() -> Clang:
    try:
        return find_clang()
    except CnpError as error:
        raise Unavailable(str(error).partition("\n")[0]) from None


def _loaded(path: Path, kernel: Kernel, arguments: Arguments) -> LocalEntry:
    _load_mathematics()
    function = ctypes.CDLL(str(path))[kernel.name]
    return foreign(function, kernel, arguments, size_of_functions(path.read_bytes()))


@functools.cache
def _load_mathematics() -> ctypes.CDLL:
    """For tcc, to which a square root is a call."""
    return ctypes.CDLL(ctypes.util.find_library("m"), ctypes.RTLD_GLOBAL)


def size_of_functions(elf: bytes) -> int:
    """Of an object or a shared library, the sizes of all function symbols: code without padding and constants."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise Unavailable("pyelftools is not installed: pip install 'cnp[bench]'") from None
    symbols = ELFFile(io.BytesIO(elf)).get_section_by_name(".symtab").iter_symbols()
    return sum(each["st_size"] for each in symbols if each["st_info"]["type"] == "STT_FUNC")
