"""Large functions, constants and tables in object files."""

from __future__ import annotations

from pathlib import Path

import pytest
from ahead_support import command_for, link_freestanding, run
from conftest import LIBRARY
from object_files import for_each_target

import cnp
from cnp import f64, i64
from cnp.ir import Function
from cnp.tools.emission import object_file

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


@for_each_target
def test_constants_and_jump_tables_are_where_the_code_looks(target: str, tmp_path: Path) -> None:
    """Of many functions: what lies behind the code of one is in front of another's."""
    functions = []
    for number in range(40):
        f = Function(f"f{number}", [f64], f64)
        d = f.reg(f64)
        f.f64_neg(d, f.params[0]) if number % 2 else f.f64_abs(d, f.params[0])
        f.f64_add(d, d, number + 0.1)
        f.ret(d)
        functions.append(f)
    path, source = tmp_path / "it.o", tmp_path / "it.c"
    path.write_bytes(object_file(functions, target))
    declared = "".join(f"double f{number}(double);\n" for number in range(40))
    checked = "".join(
        f"    if (f{number}(-1.5) != 1.5 + {number + 0.1!r}) return {number + 1};\n" for number in range(40)
    )
    source.write_text(f"{declared}int main(void) {{\n{checked}    return 0;\n}}\n")
    assert run(command_for(target, link_freestanding(target, tmp_path, source, path))).returncode == 0


@for_each_target
def test_large_frames(target: str, tmp_path: Path) -> None:
    """C that is called in the middle of one may call compiled code, which must not use the same memory."""
    callees = (cnp.extern("c_plain", [i64], i64), cnp.extern("c_eight", [i64] * 8, i64))
    functions = []
    for callee, name in zip(callees, ("plain", "eight")):
        f = Function(name, [i64], i64)
        (n,) = f.params
        values = [f.reg(i64) for _ in range(60)]
        for number, each in enumerate(values):
            f.i64_mul(each, n, number + 1)
        d = f.reg(i64)
        f.call(d, callee, *([n] if name == "plain" else values[:8]))
        for each in values:
            f.i64_add(d, d, each)
        f.ret(d)
        functions.append(f)
    path, source = tmp_path / "it.o", tmp_path / "it.c"
    path.write_bytes(object_file(functions, target))
    source.write_text(
        "long plain(long), eight(long);\nstatic int depth;\n"
        "long c_plain(long x) {\n    if (depth++ >= 3)\n        return x;\n"
        "    long first = plain(x + 1);\n    return first + eight(x);\n}\n"
        "long c_eight(long a, long b, long c, long d, long e, long f, long g, long h) {\n"
        "    return depth++ < 3 ? eight(a + 1) : a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;\n}\n"
        "int main(void) {\n    long first = plain(1);\n    depth = 0;\n    long second = eight(1);\n"
        f"    return first != {_plain(1, [0])} || second != {_eight(1, [0])};\n}}\n"
    )
    assert run(command_for(target, link_freestanding(target, tmp_path, source, path))).returncode == 0


def _plain(x: int, depth: list[int]) -> int:
    """What the C and the functions of test_large_frames come to."""
    depth[0] += 1
    called = _plain(x + 1, depth) + _eight(x, depth) if depth[0] <= 3 else x
    return called + x * sum(range(1, 61))


def _eight(x: int, depth: list[int]) -> int:
    depth[0] += 1
    called = _eight(x + 1, depth) if depth[0] <= 3 else x * sum(k * k for k in range(1, 9))
    return called + x * sum(range(1, 61))
