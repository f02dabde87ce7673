"""bench/kernels/*.c -> functions, by the compiler that builds the stencils, at two levels."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnp.bench.figure import Unavailable
from cnp.errors import CnpError, MissingExtra
from cnp.runtime.default import machine

_COMMON = (
    "-std=gnu2x",
    "-fwrapv",  # as every op does
    "-ffp-contract=off",
    "-fno-sanitize=all",  # zig's default without -O
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",  # zig's default
    "-fcf-protection=none",
    "-fomit-frame-pointer",
)
LEVELS: dict[str, tuple[str, ...]] = {
    "O0": ("-O0",),
    "O2": ("-O2", "-fno-vectorize", "-fno-slp-vectorize"),
}


@dataclass(frozen=True, slots=True)
class CompiledC:
    """One kernel at one level."""

    name: str
    library: ctypes.CDLL
    size: int  # bytes of the kernel's code

    def function(self, result: Any) -> Any:
        """The kernel, to be called with ctypes values."""
        function = getattr(self.library, self.name)
        function.restype = result
        return function


def directory() -> Path:
    """bench/kernels of the checkout. Unavailable in an installed package."""
    path = Path(__file__).resolve().parent.parent.parent / "bench" / "kernels"
    if not path.is_dir():
        raise Unavailable("bench/kernels is not there: this is not a checkout")
    return path


def compile_kernels(names: Sequence[str]) -> dict[tuple[str, str], CompiledC]:
    """Every kernel at every level, by (name, level). Unavailable without a compiler or pyelftools."""
    try:
        from cnp.build.clang import find_clang
        from cnp.build.elf import read_object
        from cnp.target import target_named

        clang, target = find_clang(), target_named(machine())
    except MissingExtra as error:
        raise Unavailable(str(error)) from None
    except CnpError as error:
        raise Unavailable(str(error).partition("\n")[0]) from None
    sources, made = directory(), {}
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as temporary:
        work = Path(temporary)
        for name in names:
            for level, flags in LEVELS.items():
                stem, source = f"{name}-{level}", str(sources / f"{name}.c")
                start = functools.partial(clang.arguments, target)
                clang.run([*start([*_COMMON, *flags, "-fPIC", "-c"]), source, "-o", f"{stem}.o"], work)
                clang.run([*start(["-shared", "-nostdlib"]), f"{stem}.o", "-o", f"{stem}.so"], work)
                symbols = read_object(work / f"{stem}.o", target.elf_machine).symbols
                size = sum(each.size for each in symbols if each.function)
                made[name, level] = CompiledC(name, ctypes.CDLL(str(work / f"{stem}.so")), size)
    return made
