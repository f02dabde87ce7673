"""Op libraries of a user's own: built, loaded, called like the built-in ops, checked, and refused with the reason."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ahead_support import command_for, succeed
from conftest import LIBRARY
from guest_support import need_emulator
from toolchain import find_tool

import cnp
from cnp import Function, Trap, TrapKind, Unsupported, UserError, cli, f64, i32, i64
from cnp.errors import BuildError, CheckError, LibraryError
from cnp.extension import library as extension_library
from cnp.extension.library import OpLibrary
from cnp.ir.text.printer import print_module
from cnp.stencil.sources import library_path
from cnp.tools.emission import object_file
from cnp.tools.emulated import EmulatedFunction
from cnp.tools.emulator import Emulator
from examples.ops.meanings import ITEMS, MEANINGS, SAMPLES, Vm

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "ops"
BACKENDS = ("native", "reference")
MACHINE = os.uname().machine

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


def build(directory: Path, output: Path, force: bool = False, target: str = MACHINE) -> Any:
    from cnp.build.clang import find_clang
    from cnp.build.pipeline import Settings, build_library
    from cnp.build.progress import Silent
    from cnp.stencil.sources import stencils_directory
    from cnp.target import target_named

    try:
        clang = find_clang()
    except BuildError as error:
        pytest.skip(f"NOT TESTED: {error}")
    settings = Settings(clang, target_named(target), stencils_directory(), output, force=force, extension=directory)
    return build_library(settings, Silent())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's library. What was compiled for the built-in one is reused, if that was built here."""
    output = tmp_path_factory.mktemp("extension") / "example.cnpl"
    build(EXAMPLE, output)
    return output


@pytest.fixture
def ops(path: Path) -> OpLibrary:
    return cnp.load(path, semantics=MEANINGS)


def written(directory: Path, **files: str) -> Path:
    """A directory of C files, each of which includes cnp.h in its first line."""
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.c").write_text(f'#include "cnp.h"\n{text}\n')
    return directory


# ---- what can be done with one


def test_a_c_program_has_the_ops_too(path: Path, tmp_path: Path) -> None:
    compiler = find_tool("gcc") or find_tool("clang")
    if compiler is None:
        pytest.skip("NOT TESTED: there is no gcc, nor clang")
    assert cli.main(["export-c", str(path), "-o", str(tmp_path)]) == 0
    sources = [ROOT / "tests" / "c_host" / "own_ops.c", tmp_path / "cnp.c"]
    flags = ("-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", f"-I{EXAMPLE}")
    succeed([compiler, *flags, *sources, "-o", tmp_path / "main", "-lpthread", "-lm"])
    assert succeed([tmp_path / "main"]) == "9223372036854775553, 0, unreachable in item at op 1\n"


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


@pytest.mark.parametrize("name", MEANINGS)
def test_every_op_does_what_it_means(ops: OpLibrary, name: str) -> None:
    assert ops.check(name, SAMPLES.get(name)) > (len(SAMPLES[name]) if name in ops.table.called else 50)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ops_are_used_like_built_in_ones(ops: OpLibrary, backend: str) -> None:
    f = ops.Function("total", params=[i64, i64], result=i64)
    n, step = f.params
    total = f.reg(i64)
    again, done = f.label(), f.label()
    f.i64_const(total, 0)
    f.place(again)
    f.branch_i64_eqz(n, done)
    f.i64_sat_add(total, total, step)
    f.i64_sub(n, n, 1)
    f.jump(again)
    f.place(done)
    f.i64_sat_add(total, total, 2**62)
    f.ret(total)
    compiled = f.compile(backend=backend)
    assert compiled(3, 5) == 15 + 2**62
    assert compiled(3, 2**62) == 2**63 - 1
    assert compiled(3, -(2**62)) == -(2**63) + 2**62


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_comparison_has_a_fused_branch(ops: OpLibrary, backend: str) -> None:
    f = ops.Function("choose", params=[f64, f64], result=i32)
    near = f.label()
    f.branch_f64_near(*f.params, near)
    f.ret(0)
    f.place(near)
    f.ret(1)
    compiled = f.compile(backend=backend)
    assert [compiled(1.0, x) for x in (1.05, 1.2, float("nan"))] == [1, 0, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_op_may_look_into_a_structure_and_stays_where_it_is(ops: OpLibrary, backend: str) -> None:
    """Neither its operands nor its result change from round to round, yet it runs in every one."""
    vm = Vm(100, ITEMS, len(ITEMS))
    f = ops.Function("rounds", params=[cnp.writable_ptr, i64], result=i64)
    base, n = f.params
    before, first = f.reg(i64), f.reg(i64)
    again = f.label()
    f.place(again)
    f.vm_count(before, base, 1)
    f.vm_item(first, base, 0)
    f.i64_sub(n, n, 1)
    f.branch_i64_nez(n, again)
    f.i64_add(before, before, first)
    f.ret(before)
    assert f.compile(backend=backend)(vm, 1000) == 100 + 999 + ITEMS[0]
    assert vm.executed == 1100


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_trap_names_function_and_op(ops: OpLibrary, backend: str) -> None:
    f = ops.Function("item", params=[cnp.writable_ptr, i64], result=i64)
    d = f.reg(i64)
    f.vm_item(d, *f.params)
    f.ret(d)
    compiled, vm = f.compile(backend=backend), Vm(0, ITEMS, len(ITEMS))
    assert compiled(vm, 2) == ITEMS[2]
    with pytest.raises(Trap) as caught:
        compiled(vm, 3)
    assert str(caught.value) == "unreachable in function 'item' at op 0 (vm.item)"
    assert caught.value.kind is TrapKind.UNREACHABLE


@pytest.mark.parametrize("backend", BACKENDS)
def test_loads_and_stores_have_bases_and_offsets(ops: OpLibrary, backend: str) -> None:
    f = ops.Function("copy", params=[cnp.writable_ptr, i64])
    base, index = f.params
    address, value = f.reg(i64), f.reg(i32)
    f.i64_shl(address, index, 2)
    f.i64_add(address, address, base)
    f.i32_load_swapped(value, address)
    f.i32_store_swapped(value, address, 4)
    f.i32_store(value, base)
    f.ret()
    data = bytearray(bytes(4) + b"\1\2\3\4" + bytes(4))
    f.compile(backend=backend)(data, 1)
    assert data == b"\4\3\2\1\1\2\3\4\1\2\3\4"


@pytest.mark.parametrize("backend", BACKENDS)
def test_c_functions_are_called_between_ops(ops: OpLibrary, backend: str) -> None:
    labs = cnp.extern(ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value or 0, [i64], i64)
    f = ops.Function("distance", params=[i64], result=i64)
    d = f.reg(i64)
    f.call(d, labs, *f.params)
    f.i64_sat_add(d, d, 2**63 - 3)
    f.ret(d)
    compiled = f.compile(backend=backend)
    assert [compiled(x) for x in (-2, 1, -100)] == [2**63 - 1, 2**63 - 2, 2**63 - 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ops_may_be_functions_of_c_that_call_others(ops: OpLibrary, backend: str) -> None:
    items = (ctypes.c_int64 * 4)(-20, 1, 5, 9)
    vm = Vm(7, items, len(items))
    f = ops.Function("places", params=[cnp.writable_ptr, i64, f64], result=f64)
    base, key, x = f.params
    place, other, y = f.reg(i64), f.reg(i64), f.reg(f64)
    f.vm_find(place, base, key)
    f.vm_find(other, base, 9)
    f.i64_add(place, place, other)
    f.vm_forget(base)
    f.vm_find(None, base, 5)  # nobody wants to know
    f.f64_polynomial(y, x, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    f.f64_convert_i64_s(x, place)
    f.f64_add(y, x, y)
    f.ret(y)
    compiled = f.compile(backend=backend)
    assert compiled(vm, 1, 2.0) == 1 + 3 + 1 + 4 + 64
    assert vm.executed == 0
    assert compiled(vm, 6, 0.0) == -1 + 3 + 1
    with pytest.raises(UserError, match=r"'vm\.find' takes 2 arguments, not 1"):
        f.vm_find(place, base)


def test_called_ops_have_a_text_form(ops: OpLibrary) -> None:
    text = "func root(x: f64) -> f64\n  reg y: f64\n  call y, f64.polynomial(x, 1, 2, 3, 4, 5, 6, 7)\n  ret y\nend\n"
    module = ops.parse(text)
    assert print_module(module.values()) == text
    assert module["root"].compile()(1.0) == 28


def test_imports_are_given_or_found(path: Path) -> None:
    """In a process of its own, because a library that is loaded stays."""
    code = (
        f"import cnp, ctypes\npath = {str(path)!r}\n"
        "@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)\n"
        "def power(x, k):\n    return x * 10 ** k\n"
        "for imports in {'power': 1}, {'pow': 0}, {'pow': 'here'}, {'pow': power}, {}:\n"
        "    try:\n        ops = cnp.load(path, imports=imports)\n"
        "    except cnp.CnpError as error:\n        print(str(error).replace(path, 'LIBRARY'))\n"
        "f = ops.Function('f', params=[cnp.f64], result=cnp.f64)\n"
        "f.f64_polynomial(f.params[0], f.params[0], 1, 2, 3, 0, 0, 0, 0)\nf.ret(f.params[0])\n"
        "print(f.compile()(2.0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.splitlines() == [
        "LIBRARY does not import power; accepted: pow",
        "LIBRARY: import pow: 0; accepted: an address, or a function of ctypes",
        "LIBRARY: import pow: 'here'; accepted: an address, or a function of ctypes",
        "LIBRARY has been loaded with other addresses of pow; accepted: the same ones",
        str(2.0 * (1 + 20 + 300)),
    ], done.stderr


def test_functions_of_one_library_call_one_another_and_those_of_built_in_ops(ops: OpLibrary, path: Path) -> None:
    plain = cnp.Function("plain", params=[i64], result=i64)
    plain.i64_add(plain.params[0], *plain.params, 1)
    plain.ret(plain.params[0])
    inner = cnp.load(path, semantics=MEANINGS).Function("inner", params=[i64], result=i64)  # the same file
    inner.call(inner.params[0], plain, *inner.params)
    inner.ret(inner.params[0])
    outer = ops.Function("outer", params=[i64], result=i64)
    outer.call(outer.params[0], inner, *outer.params)
    outer.i64_sat_add(outer.params[0], outer.params[0], 1)
    outer.ret(outer.params[0])
    assert [outer.compile(backend=backend)(5) for backend in BACKENDS] == [7, 7]


def test_functions_of_another_library_are_called_by_address(ops: OpLibrary) -> None:
    inner = ops.Function("inner", params=[i64], result=i64)
    inner.i64_sat_add(inner.params[0], *inner.params, 2**63 - 1)
    inner.ret(inner.params[0])
    outer = cnp.Function("outer", params=[i64], result=i64)
    compiled = inner.compile()
    for callee in (inner, compiled):
        with pytest.raises(UserError) as caught:
            outer.call(outer.params[0], callee, *outer.params)
        assert str(caught.value) == (
            f"function 'outer' has the built-in ops and cannot call 'inner', which has the ops of {ops.path}; "
            "accepted: a Function of the same library, or the other's address: cnp.extern(g.address, params, result)"
        )
    outer.call(outer.params[0], cnp.extern(compiled.address, [i64], i64), *outer.params)
    outer.ret(outer.params[0])
    assert outer.compile()(5) == 2**63 - 1


def test_compiled_functions_of_another_library_are_no_callees(ops: OpLibrary) -> None:
    plain = cnp.Function("plain", result=i64)
    plain.ret(5)
    f = ops.Function("f", result=i64)
    with pytest.raises(UserError, match="cannot call 'plain', which has the built-in ops"):
        f.call(f.reg(i64), plain.compile())


def test_the_built_in_class_knows_nothing_of_it(ops: OpLibrary) -> None:
    f = cnp.Function("f")
    with pytest.raises(AttributeError, match=r"Function has no op or attribute 'i64_sat_add'"):
        f.i64_sat_add(1, 2, 3)  # type: ignore[attr-defined, unused-ignore]
    with pytest.raises(AttributeError, match=r"no op or attribute 'i64_sat_ad'; did you mean i64_sat_add"):
        ops.Function("g").i64_sat_ad(1, 2, 3)


def test_the_verifier_names_the_op(ops: OpLibrary) -> None:
    f = ops.Function("f", params=[i32], result=i32)
    f.i32_clamp(f.params[0], *f.params, 0, 2**40)
    f.ret(f.params[0])
    for backend in BACKENDS:
        with pytest.raises(cnp.VerifyError) as caught:
            f.compile(backend=backend)
        assert str(caught.value).startswith("function 'f', op 0 (i32.clamp), operand c: 1099511627776 is out of range")


def test_the_text_form_has_its_ops(ops: OpLibrary) -> None:
    from cnp.ir.text import print_function

    text = "func f(a: f64, b: f64) -> i32\n  branch f64.near a, b, close\n  ret 0\nclose:\n  ret 1\nend\n"
    f = ops.parse(text)["f"]
    assert print_function(f) == text
    assert f.compile()(1.0, 1.01) == 1
    with pytest.raises(cnp.ParseError, match=r"found 'i64.sat_ad', which is no op; accepted: i64.sat_add"):
        ops.parse("func f()\n  i64.sat_ad\nend\n")


def test_the_command_line_takes_a_library(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cnp.cli import main

    program = tmp_path / "program.cnp"
    program.write_text("func sum(a: i64, b: i64) -> i64\n  i64.sat_add a, a, b\n  ret a\nend\n")
    assert main(["run", "--library", str(path), str(program), "9223372036854775807", "1"]) == 0
    assert capsys.readouterr().out == "9223372036854775807\n"
    pytest.importorskip("capstone")
    assert main(["objdump", "--library", str(path), str(program)]) == 0
    assert "i64.sat_add a, a, b" in capsys.readouterr().out
    assert main(["run", str(program), "1", "1"]) == 1
    assert "found 'i64.sat_add', which is no op" in capsys.readouterr().err


# ---- what it means


def test_an_op_without_a_meaning_is_unsupported(path: Path) -> None:
    ops = cnp.load(path)
    f = ops.Function("f", params=[i64], result=i64)
    f.i64_sat_add(f.params[0], *f.params, 1)
    f.ret(f.params[0])
    assert f.compile()(1) == 2
    with pytest.raises(Unsupported, match=r"does not know op i64\.sat_add; say what it means: ops\.define"):
        f.compile(backend="reference")
    with pytest.raises(Unsupported, match=r"does not know op i64\.sat_add"):
        ops.check("i64.sat_add")
    ops.define("i64.sat_add", MEANINGS["i64.sat_add"])
    assert f.compile(backend="reference")(1) == 2


def test_a_wrong_meaning_is_found(ops: OpLibrary) -> None:
    ops.define("i64.sat_add", lambda a, b: (a + b + 2**63) % 2**64 - 2**63)
    with pytest.raises(CheckError) as caught:
        ops.check("i64.sat_add", [(1, 2), (2**63 - 1, 5)])
    assert str(caught.value) == (
        "op i64.sat_add(9223372036854775807, 5) with d in r0, a in r2, b in r4: found 9223372036854775807; "
        "expected -9223372036854775804"
    )
    with pytest.raises(CheckError):
        ops.check("i64.sat_add")
    ops.define("f64.near", lambda a, b: int(abs(a - b) <= 0.5))
    with pytest.raises(
        CheckError, match=r"op f64\.near\(1\.0, 1\.5\) with d in r0, a in f2, b in f4: found 0; expected 1"
    ):
        ops.check("f64.near", [(1.0, 1.5)])
    ops.define("vm.item", lambda vm, index: 5)
    with pytest.raises(CheckError, match=r"found trap UNREACHABLE, memory .*; expected 5, memory"):
        ops.check("vm.item", [(bytes(Vm(0, ITEMS, 0)), 0)])
    ops.define("i32.store_swapped", lambda address, value: None)
    with pytest.raises(CheckError, match=r"found None, memory 00 00 00 01; expected None, memory 00 00 00 00"):
        ops.check("i32.store_swapped", [(bytes(4), 1)])


def test_what_a_check_wants(ops: OpLibrary) -> None:
    with pytest.raises(UserError, match=r"vm\.item looks into memory at operand a: give samples, with bytes"):
        ops.check("vm.item")
    with pytest.raises(UserError, match=r"op i64\.sat_add: a sample of 1 operands; accepted: 2"):
        ops.check("i64.sat_add", [(1,)])
    with pytest.raises(UserError, match=r"op i64\.sat_add: 1\.5 in a sample; accepted: i64"):
        ops.check("i64.sat_add", [(1.5, 2)])
    with pytest.raises(UserError, match="there are no samples"):
        ops.check("i64.sat_add", [])
    with pytest.raises(UserError, match=r"has no op 'i64\.add' of its own; accepted: vm\.count, vm\.item, "):
        ops.check("i64.add")
    ops.define("i64.sat_add", lambda a, b: "much")
    with pytest.raises(UserError, match=r"the meaning of op i64\.sat_add gave 'much' for \(1, 2\); accepted: i64"):
        ops.check("i64.sat_add", [(1, 2)])


def test_python_ends_in_order_when_meanings_lead_back_to_functions(path: Path) -> None:
    """Both are in one cycle with the program's module, which is taken apart when much else is gone."""
    code = (
        "import cnp\n"
        f"ops = cnp.load({str(path)!r}, semantics={{'i64.sat_add': lambda a, b: g(a, b)}})\n"
        "f = ops.Function('f', params=[cnp.i64, cnp.i64], result=cnp.i64)\n"
        "f.i64_sat_add(f.params[0], *f.params)\nf.ret(f.params[0])\ng = f.compile()\nprint(g(1, 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


# ---- what is refused


def test_a_library_of_another_abi_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension_library, "ABI_HASH", 1)
    with pytest.raises(LibraryError) as caught:
        cnp.load(path)
    assert f"{path} was built against other headers: its ABI hash is" in str(caught.value)
    assert str(caught.value).endswith(f"rebuild it with `cnp build DIR -o {path}`")


def test_a_library_for_another_target_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension_library, "machine", lambda: "another")
    with pytest.raises(LibraryError, match=f"is a stencil library for target {MACHINE}; another is accepted"):
        cnp.load(path)


def test_a_damaged_or_missing_library_is_refused(path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.cnpl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(LibraryError, match="was altered: its checksum is"):
        cnp.load(damaged)
    damaged.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(LibraryError, match=r"is truncated: .*; rebuild it with `cnp build DIR"):
        cnp.load(damaged)
    with pytest.raises(LibraryError, match="cannot read the stencil library"):
        cnp.load(tmp_path / "none.cnpl")


def test_a_library_with_other_built_in_ops_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnp.ir.optable import OpTable, default_ops

    fewer = OpTable([row for row in default_ops().rows.values() if row.method != "i64_bswap"])
    monkeypatch.setattr(extension_library, "default_ops", lambda: fewer)
    with pytest.raises(LibraryError, match=r"has other built-in ops than this cnp \(i64_bswap\); rebuild it"):
        cnp.load(path)


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
    (directory / "more.h").write_text("#define MORE 3\n")
    assert not build(directory, first).up_to_date


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
    "OP(my_op, CALL, i64, i64 a) { static i64 n; return n += a; }": r"section \.bss is writable",
    "i64 there(i64);\nOP(my_op, CALL, i64, i64 a) { return there(a); }": (
        "ops.c: .text offset .* undefined symbol there: .* accepted in ops that are called: what IMPORT names"
    ),
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


def test_tables_of_guest_instructions_may_have_them(ops: OpLibrary) -> None:
    from cnp.bytecode import Field, Instruction, Page, Registers, Table

    r = Registers(i64, 2)
    instruction = Instruction("add", ("i64_sat_add", r[0], r[0], r[1]), ("ret", r[0]))
    table = Table(Page(Field(0), {1: instruction}, length=1), parameters=[r], functions=ops.Function)
    f = table.function("f", [i64, i64], i64, b"\x01")
    assert f.compile()(2**63 - 1, 1) == f.compile(backend="reference")(2**63 - 1, 1) == 2**63 - 1
    with pytest.raises(cnp.UserError, match="there is no such op"):
        Table(Page(Field(0), {1: instruction}, length=1), parameters=[r])
    find = Instruction("find", ("vm_forget", r[0]), ("vm_find", r[1], r[0], r[1]), ("ret", r[1]))
    table = Table(Page(Field(0), {2: find}, length=1), parameters=[r], functions=ops.Function)
    f = table.function("f", [cnp.writable_ptr, i64], i64, b"\x02")
    vm = Vm(7, ITEMS, len(ITEMS))
    place = MEANINGS["vm.find"](ctypes.addressof(vm), ITEMS[2])
    assert f.compile()(vm, ITEMS[2]) == place == 2 and vm.executed == 0
    short = Instruction("find", ("vm_find", r[1], r[0]))
    with pytest.raises(
        cnp.UserError, match=r"\(vm_find\): 3 operands; accepted: 4 \(d, callee, argument 0, argument 1\)"
    ):
        Table(Page(Field(0), {2: short}, length=1), parameters=[r], functions=ops.Function)


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
