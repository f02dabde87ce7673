"""Op libraries of a user's own are built, or refused with the reason, as the guide says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LIBRARY
from op_libraries import build, written

import cnp
from cnp.errors import BuildError

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


# ---- building


def test_a_build_repeats_and_does_nothing_where_nothing_changed(tmp_path: Path) -> None:
    directory = written(
        tmp_path / "ops",
        a="static inline i64 half(i64 a) { return a / 2; }\nOP(my_half, PLAIN, i64, i64 a) { return half(a); }",
        b='#include "more.h"\nstatic inline i64 half(i64 a) { return a >> MORE; }\n'
        "OP(my_quarter, PLAIN, i64, i64 a) { return half(a); }",
    )  # two files may call what is theirs the same
    (directory / "more.h").write_text("#define MORE 2\n")
    first, second = tmp_path / "first.cnpl", tmp_path / "second.cnpl"
    assert not build(directory, first).up_to_date
    build(directory, second)
    assert first.read_bytes() == second.read_bytes()
    assert build(directory, first).up_to_date
    ops = cnp.load(first, semantics={"my.half": lambda a: a % 2**64 // 2, "my.quarter": lambda a: a % 2**64 // 4})
    assert ops.ops == ["my.half", "my.quarter"] and ops.check("my.half") and ops.check("my.quarter")
    (directory / "more.h").write_text("#error changed\n")
    with pytest.raises(BuildError, match=r"more\.h:1:\d+: error: changed"):
        build(directory, first)


MALFORMED = {
    "OP(i64_add, PLAIN, i64, i64 a) { return a; }": r"ops\.c:2: op i64_add is already defined at integer\.c:\d+",
    "OP(twice_1, PLAIN, i64, i64 a) { return a; }\nOP(twice_1, PLAIN, i64, i64 a) { return a; }": "already defined at",
    "OP(nodot, PLAIN, i64, i64 a) { return a; }": r"ops\.c:2: op nodot: accepted as a name: letters and digits, an ",
    "OP(3_d, PLAIN, i64, i64 a) { return a; }": "op 3_d: accepted as a name",
    "OP(name_register, PLAIN, i64, i64 a) { return a; }": "Function has something else of that name",
    "OP(branch_off, PLAIN, i64, i64 a) { return a; }": r"branch_\.\.\., not_\.\.\. and \.\.\._select are for",
    "OP(my_op, PLAIN, i64, u64 a) { return a; }": r"ops\.c:2: op my_op: type 'u64' is not one of i32, i64, f32, f64",
    "OP(my_op, PLAIN, u64, i64 a) { return a; }": "type 'u64' is not one of",
    "OP(my_op, PLAIN, i64, i64 a, i64 b, i64 c, i64 d) { return a; }": r"ops\.c:2: op my_op: 4 operands; at most 3",
    "OP(my_op, PLAIN, i64, void) { return 0; }": r"'void' is no parameter; accepted: at least one",
    "OP(my_op, PLAIN, i64) { return 0; }": "'' is no parameter",
    "OP(my_op, PLAIN, void, ptr a) { *a = 0; }": r"void is for a STORE or a CALL; accepted",
    f"OP(my_op, CALL, i64, {', '.join(f'i64 p{k}' for k in range(9))}) {{ return 1; }}": "9 operands; at most 8 are",
    "OP(my_op, CALL, i64, i64 a) { return TRAP(UNREACHABLE); }": "a CALL does not trap; accepted: a result that",
    "OP(my_op, CALL, i64, i64 a) { static i64 n; return n += a; }": r"ops/ops\.c:2: section \.bss \(.*n\) is wri",
    "static i64 calls;\nOP(my_op, CALL, i64, i64 a) {\n  return a + ++calls;\n}": (
        r"ops/ops\.c:4: section \.bss \(calls\) is writable"
    ),
    "i64 one(i64);\nstatic i64 (*const table[])(i64) = {one, 0};\n"
    "OP(my_op, CALL, i64, i64 a) {\n  return table[a & 1](a);\n}": (
        r"ops/ops\.c:5: section \.data\.rel\.ro \(table\) has addresses, .*; accepted: tables of numbers"
    ),
    "i64 there(i64);\nOP(my_op, CALL, i64, i64 a) { return there(a); }": (
        r"ops/ops\.c:3: undefined symbol there: .* accepted in ops that are called: what IMPORT names"
    ),
    "i64 there(i64);\nstatic i64 twice(i64 a) {\n  return 2 *\n    there(a);\n}\n"
    "OP(my_op, CALL, i64, i64 a) {\n  return twice(a);\n}": r"^.*ops/ops\.c:5: undefined symbol there: ",
    "OP(my_op, MAGIC, i64, i64 a) { return a; }": "MAGIC is for cnp's own ops; accepted: PLAIN, COMMUTATIVE",
    "OP(my_op, FAST, i64, i64 a) { return a; }": r"ops\.c:2: op my_op: unknown attribute 'FAST'",
    "OP(my_op, COMMUTATIVE, i64, i64 a, i32 b) { return a; }": "a COMMUTATIVE op has two operands of one type",
    "OP(my_op, LOAD, i64, i64 a) { return a; }": "a LOAD has one parameter, `ptr address`, and a result",
    "OP(my_op, STORE, void, ptr a) { *a = 0; }": "a STORE has two parameters",
    "OP(my_op, COMPARISON(NONE, NONE), i64, i64 a) { return a; }": "a COMPARISON has one or two operands and",
    "OP(my_op, COMPARISON(NONE, NONE), i32, ptr a) { return *a; }": "takes no ptr and cannot trap",
    "OP(my_op, COMPARISON(i64_add, NONE), i32, i64 a, i64 b) { return a < b; }": "names i64_add, which is no COMP",
    "OP(my_op, PLAIN, i64, i64 a) { return TRAP(HICCUP); }": r"ops\.c:2: op my_op: unknown trap HICCUP: known are",
    "OP(my_op, PLAIN, i64, i64 a) { *trap_ = 1; return 0; }": "trap_ is used; accepted: return TRAP",
    "OP(my_op, PLAIN, f64, f64 a, i64 b) { return a + b; }": "accepted: both integers or both floats",
    "OP(my_op, PLAIN, f64, i32 a, i32 b) { return a + b; }": "accepted: that from one operand only",
    "OP(my_op, PLAIN, i64, f64 a, f64 b, i64 c) { return c ? a < b : 0; }": "of three operands a, b and the result are",
    "CONTROL(mine) { CNP_GO(NEXT); }": r"CONTROL\(mine\) is for cnp's own stencils",
    "int nothing;": "has no ops; accepted: at least one",
    "OP(my_op, PLAIN, i64, i64 a) { return b; }": r"ops/ops\.c:2:\d+: error: use of undeclared identifier 'b'",
    "OP(my_op, PLAIN, i64, i64 a) {\n  return a +;\n}": r"ops/ops\.c:3:\d+: error: expected expression",
    '#include "none.h"': r"ops/ops\.c:2:\d+: fatal error: 'none\.h' file not found",
}


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_malformed_is_named_with_its_file_and_line(tmp_path: Path, text: str) -> None:
    directory = written(tmp_path / "ops", ops=text)
    with pytest.raises(BuildError, match=MALFORMED[text]) as caught:
        build(directory, tmp_path / "my.cnpl")
    assert "generated_" not in str(caught.value)
    assert not (tmp_path / "my.cnpl").exists()


def test_what_cannot_be_copied_is_named_with_its_file_and_line(tmp_path: Path) -> None:
    text = "i64 helper(i64);\nOP(my_op, PLAIN, i64, i64 a) { return helper(a); }"
    with pytest.raises(
        BuildError, match=r"^op my_op, form FREE \(d=r0, a=r0\), ops\.c:3: .* where none is accepted\n"
    ) as caught:
        build(written(tmp_path / "ops", ops=text), tmp_path / "my.cnpl")
    assert "accepted: the attribute CALL, with which it is called where the op stands" in str(caught.value)


def test_a_directory_must_have_ops(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is not a directory; accepted: one with C files of ops"):
        build(tmp_path / "none", tmp_path / "my.cnpl")
    with pytest.raises(BuildError, match="has no C files"):
        build(tmp_path, tmp_path / "my.cnpl")
    directory = written(tmp_path / "ops", ops="")
    (directory / "cnp.h").write_text("")
    with pytest.raises(BuildError, match=r"cnp\.h would be taken for cnp's own"):
        build(directory, tmp_path / "my.cnpl")


def test_names_that_function_has_are_reserved() -> None:
    from cnp.build.extension import RESERVED
    from cnp.ir.opmethods import OpMethods

    taken = {name for name in dir(cnp.Function) if not name.startswith("_") and "_" in name}
    assert taken - set(OpMethods.__dict__) == RESERVED


# ---- the documentation


def test_the_guide_is_true(tmp_path: Path) -> None:
    """Its C is built by its own command, its Python runs with what that makes, and prints what the guide says."""
    from test_docs import EMBEDDING, blocks

    guide = tmp_path / "guide.md"
    guide.write_text(EMBEDDING.read_text(encoding="utf-8").split("\n## In C, without Python\n")[0], encoding="utf-8")
    source = "".join(each for each in blocks(guide, "c") if "OP(" in each)
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "vm.c").write_text(source)
    (command,) = (line for line in "".join(blocks(guide, "sh")).splitlines() if line.startswith("cnp build"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in (["-m", *command.split()], ["-W", "error", "-c", "\n".join(blocks(guide, "python"))]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(blocks(guide, "text"))
