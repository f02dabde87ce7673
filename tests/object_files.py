"""Object files that tests make, and what they are linked with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from ahead_support import HERE, MACHINE, run
from toolchain import find_tool

from cnp import cli, i64
from cnp.ir import Function
from cnp.stencil.sources import library_path
from cnp.target import TARGETS

ROOT = Path(__file__).parent.parent
BUILT = [name for name in TARGETS if library_path(name).exists()]
FIB = ROOT / "tests" / "programs" / "fib.cnp"
PROGRAM = HERE / "program.cnp"
for_each_target = pytest.mark.parametrize("target", BUILT)


def emit(
    directory: Path, source: Path = PROGRAM, target: str = MACHINE, name: str = "program", options: Sequence[str] = ()
) -> Path:
    """The object file of a program, with `name`.h beside it."""
    path = directory / f"{name}.o"
    words = ["emit", str(source), "-o", str(path), "--target", target, "--header", str(directory / f"{name}.h")]
    assert cli.main([*words, *options]) == 0
    return path


def adder(name: str = "add_one") -> Function:
    f = Function(name, [i64], i64)
    d = f.reg(i64)
    f.i64_add(d, f.params[0], 1)
    f.ret(d)
    return f


HOSTED = [
    ("gcc", "-O2"),
    ("gcc", "-fPIE -pie -Wl,-z,text"),
    ("gcc", "-static -no-pie"),
    ("clang", "-O2"),
    ("clang", "-fuse-ld=lld -fPIE -pie -Wl,-z,text,--gc-sections"),
    ("clang", "-fuse-ld=lld -static"),
]


def link_hosted(compiler: str, flags: str, directory: Path, *objects: Path) -> Path:
    program = directory / "program"
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-std=c11", "-D_GNU_SOURCE", "-DHOSTED"]
    words = ["-I", directory, HERE / "main.c", *objects, "-lpthread", "-o", program]
    done = run([compiler, *warnings, *flags.split(), *words])
    if "cannot find -l" in done.stderr or "invalid linker name" in done.stderr:
        pytest.skip(f"NOT TESTED: {compiler} {flags}: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return program


def gcc() -> str:
    found = shutil.which("cc") or shutil.which("gcc") or find_tool("clang")
    if found is None:
        pytest.skip("NOT TESTED: there is no C compiler")
    return found
