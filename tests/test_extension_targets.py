"""Op libraries for other machines, and in object files."""

from __future__ import annotations

from pathlib import Path

import pytest
from ahead_support import command_for, succeed
from conftest import LIBRARY
from guest_support import need_emulator
from op_libraries import MACHINE, build, written
from toolchain import find_tool

import cnp
from cnp import Function, Unsupported, UserError, cli, f64, i64
from cnp.errors import LibraryError
from cnp.stencil.sources import library_path
from cnp.tools.emission import object_file
from cnp.tools.emulated import EmulatedFunction
from cnp.tools.emulator import Emulator

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

OTHER = "aarch64" if MACHINE != "aarch64" else "riscv64"
PAIR = """
OP(my_third, PLAIN, i64, i64 a) { return (i64)((s64)a / 3); }
OP(my_near, COMPARISON(my_near, NONE), i32, f64 a) { return __builtin_fabs(a - 7.5) < 0.1; }
OP(my_sum, CALL, i64, i64 a, i64 b) { return a + b; }
"""
PAIR_MEANINGS = {"my.third": lambda a: int(a / 3), "my.near": lambda a: int(abs(a - 7.5) < 0.1)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Libraries of the same ops, for this machine and another."""
    if not library_path(OTHER).exists():
        pytest.skip(f"NOT TESTED: no stencil library is built for {OTHER}")
    root = tmp_path_factory.mktemp("pair")
    directory, here, there = written(root / "ops", pair=PAIR), root / "here.cnpl", root / "there.cnpl"
    build(directory, here)
    build(directory, there, target=OTHER)
    return here, there


def test_ops_for_another_machine(pair: tuple[Path, Path]) -> None:
    """They give there what they mean; constants are those of the library there."""
    need_emulator(OTHER)
    ops = cnp.load(pair[0], semantics=PAIR_MEANINGS)
    ops.add_target(pair[1])
    f = ops.Function("f", params=[i64, f64], result=i64)
    near = f.label()
    f.branch_my_near(f.params[1], near)
    f.my_third(f.params[0], f.params[0])
    f.place(near)
    f.ret(f.params[0])
    there = f.compile(target=OTHER)
    with Emulator(there.library) as emulator:
        run = EmulatedFunction(emulator, there)
        for arguments, wanted in (((-10, 7.0), -3), ((-10, 7.45), -10), ((2**40, 7.75), 2**40 // 3)):
            assert run(*arguments) == f.compile()(*arguments) == f.compile(backend="reference")(*arguments) == wanted
    plain = Function("plain", params=[i64], result=i64)
    plain.ret(plain.params[0])
    assert plain.compile(target=OTHER).library.path == str(library_path(OTHER))


@pytest.mark.parametrize("target", [MACHINE, OTHER])
def test_object_files_with_ops(pair: tuple[Path, Path], target: str, tmp_path: Path) -> None:
    compiler = find_tool("gcc" if target == MACHINE else f"{target}-linux-gnu-gcc")
    if compiler is None:
        pytest.skip(f"NOT TESTED: there is no gcc for {target}")
    (tmp_path / "f.cnp").write_text("func third(a: i64) -> i64\n  my.third a, a\n  ret a\nend\n")
    program = '#include <stdio.h>\nlong third(long);\nint main(void) { return printf("%ld\\n", third(-10)) < 0; }\n'
    (tmp_path / "main.c").write_text(program)
    output = tmp_path / "f.o"
    libraries = [word for each in pair for word in ("--library", str(each))]
    assert cli.main(["emit", str(tmp_path / "f.cnp"), *libraries, "--target", target, "-o", str(output)]) == 0
    succeed([compiler, "-static", tmp_path / "main.c", output, "-o", tmp_path / "main", "-lpthread"])
    assert succeed(command_for(target, tmp_path / "main")) == "-3\n"


def test_what_other_machines_cannot_have(pair: tuple[Path, Path], tmp_path: Path) -> None:
    ops = cnp.load(pair[0])
    f = ops.Function("f", params=[i64], result=i64)
    f.my_sum(f.params[0], f.params[0], 1)
    f.ret(f.params[0])
    text = (
        f"is for {MACHINE} and not for {OTHER}; accepted: after add_target with what `cnp build DIR --target {OTHER}`"
    )
    for compiled in (lambda: f.compile(target=OTHER), lambda: object_file([f], OTHER)):
        with pytest.raises(Unsupported, match=text):
            compiled()
    ops.add_target(pair[1])
    for compiled in (lambda: f.compile(target=OTHER), lambda: object_file([f], OTHER), lambda: object_file([f])):
        with pytest.raises(Unsupported, match=r"function 'f' has the op my\.sum, a CALL, whose C is for this process"):
            compiled()
    with pytest.raises(UserError, match=f"is for {MACHINE}, as .* is; accepted: one for another target"):
        ops.add_target(pair[0])
    with pytest.raises(LibraryError, match="was made of other files than"):
        ops.add_target(library_path(OTHER))
    with pytest.raises(LibraryError, match="cannot read the stencil library"):
        ops.add_target(tmp_path / "none.cnpl")
    plain = Function("plain", result=i64)
    plain.ret(1)
    with pytest.raises(Unsupported, match="functions with ops of several libraries; accepted"):
        object_file([plain, f])
