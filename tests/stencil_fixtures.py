"""A reduced set of op sources, and what builds them: enough to try every rule of the build in a second or two."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from cnp.build.clang import Clang, find_clang
from cnp.build.compile import Compiler
from cnp.build.extract import Code, Rules, extract
from cnp.build.functions import PRELUDE
from cnp.build.pipeline import Settings, Statistics, build_library
from cnp.build.progress import Silent
from cnp.errors import BuildError
from cnp.stencil.sources import stencils_directory
from cnp.target.x86_64 import TARGET as X86_64

OPS = """
#include "cnp.h"
OP(i64_xor, COMMUTATIVE, i64, i64 a, i64 b) { return a ^ b; }
OP(i64_lt_u, COMPARISON(i64_gt_u, NONE), i32, i64 a, i64 b) { return a < b; }
OP(i64_gt_u, COMPARISON(i64_lt_u, NONE), i32, i64 a, i64 b) { return a > b; }
OP(i64_equal, COMPARISON(NONE, NONE), i32, i64 a, i64 b) { return a == b; }
OP(f64_neg, PLAIN, f64, f64 a) { return -a; }
"""


def sources(directory: Path, ops: str = OPS) -> Path:
    """The real headers, and `ops` as the only op source, in a directory of their own."""
    real = stencils_directory()
    for name in ("cnp.h", "context.h", f"targets/{X86_64.name}.h"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real / name, directory / name)
    (directory / "ops.c").write_text(ops)
    return directory


def build(stencils: Path, output: Path, jobs: int = 1, force: bool = False, clang: Clang | None = None) -> Statistics:
    """Build the library of a directory made by `sources`."""
    settings = Settings(clang or find_clang(), X86_64, stencils, output, jobs=jobs, force=force)
    return build_library(settings, Silent())


def compile_stencil(workspace: Path, body: str, rules: Rules | None = None, before: str = "") -> Code:
    """Compile `CNP_STENCIL(it) { body }` and extract it."""
    compiler = Compiler(find_clang(), X86_64, stencils_directory(), frozenset(("cnp_trap",)), workspace)
    functions = compiler.functions("it", f"{PRELUDE}{before}\nCNP_STENCIL(it) {{ {body} }}\n")
    return extract(functions["it"], X86_64, rules or Rules())


def load_c(workspace: Path, text: str) -> ctypes.CDLL:
    """Compile C that may include the core's sources for this machine, and load it. Skips where there is no clang."""
    try:
        command = find_clang().command
    except BuildError as error:
        pytest.skip(f"NOT TESTED: {error}")
    source, library = workspace / "tested.c", workspace / "tested.so"
    source.write_text(text)
    flags = ["-std=gnu2x", "-w", "-O1", "-fwrapv", "-fPIC", "-shared", "-ffreestanding", "-nostdlib"]
    flags += [f'-DCNP_TARGET_HEADER="{X86_64.header}"', "-I", str(stencils_directory())]
    made = subprocess.run([*command, *flags, source, "-o", library], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return ctypes.CDLL(str(library))
