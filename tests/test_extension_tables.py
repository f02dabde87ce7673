"""Tables of guest instructions with ops of a library of their author's own, in C programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from ahead_support import succeed
from conftest import LIBRARY
from op_libraries import EXAMPLE, ROOT
from toolchain import find_tool

from cnp import cli

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

_OWN_TABLE = """
import os

import cnp
from cnp import f64, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Registers, Table, Variable, peek, pop, push

VM, FOUND, REAL = Variable(i64, "vm"), Variable(i64), Variable(f64)
LOCAL, STACK = Registers(i64, 2, "local"), Registers(i64, 4, "stack")
PAGE = Page(
    Field(0),
    {
        1: Instruction("get", ("move", push, LOCAL[Field(1)]), length=2),
        2: Instruction(
            "find",
            ("vm_find", FOUND, VM, peek(0)),
            ("branch_i64_lt_s", FOUND, 0, Exit(LOCAL, STACK)),
            ("move", peek(0), FOUND),
        ),
        3: Instruction("item", ("vm_item", peek(0), VM, peek(0))),
        4: Instruction("sat_add", ("i64_sat_add", push, pop, pop)),
        5: Instruction("forget", ("vm_forget", VM)),
        6: Instruction(
            "polynomial",
            ("f64_convert_i64_s", REAL, peek(0)),
            ("f64_polynomial", REAL, REAL, 1, 2, 0, 0, 0, 0, 0),
            ("i64_trunc_f64_s", peek(0), REAL),
        ),
        7: Instruction("absolute", ("call", push, cnp.extern("llabs", [i64], i64), pop)),
        8: Instruction("return", ("ret", pop)),
    },
    length=1,
)
LIBRARY = cnp.load(os.environ["OWN_LIBRARY"])
TABLE = Table(PAGE, parameters=[VM, LOCAL], stack=STACK, functions=LIBRARY.Function)
"""


def test_a_c_program_has_tables_of_own_ops(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ops that are copied, that trap, and that are called, which call C in turn; a C function by name; guards."""
    compiler = find_tool("gcc") or find_tool("clang")
    if compiler is None:
        pytest.skip("NOT TESTED: there is no gcc, nor clang")
    (tmp_path / "own_table.py").write_text(_OWN_TABLE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OWN_LIBRARY", str(path))
    table = ("--bytecode", "own_table:TABLE", "-o", str(tmp_path / "c"))
    assert cli.main(["export-c", *table]) == 1
    assert "bytecode 'table' has the ops of another library than" in capsys.readouterr().err
    assert cli.main(["export-c", str(path), *table]) == 0
    flags = ("-Wall", "-Wextra", "-Werror", f"-I{tmp_path / 'c'}", f"-I{EXAMPLE}")
    sources = [ROOT / "tests" / "c_host" / "own_table.c", tmp_path / "c" / "cnp.c"]
    succeed([compiler, *flags, *sources, "-o", tmp_path / "main", "-lpthread", "-lm"])
    assert succeed([tmp_path / "main"]).splitlines() == [
        "left at 5 with 4 values, the last 4: -1, 7",
        "9223372036854775807, 0",
        "79, 0",
        "unreachable in guest",
    ]
