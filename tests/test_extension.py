"""Op libraries of a user's own: loaded, and called like the built-in ops."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ahead_support import succeed
from conftest import LIBRARY
from op_libraries import EXAMPLE
from toolchain import find_tool

import cnp
from cnp import Trap, TrapKind, UserError, cli, f64, i32, i64
from cnp.extension.library import OpLibrary
from cnp.ir.text.printer import print_module
from examples.ops.meanings import ITEMS, MEANINGS, SAMPLES, Vm

ROOT = Path(__file__).parent.parent
BACKENDS = ("native", "reference")

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


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


def test_loops_of_such_a_table_can_be_entered(ops: OpLibrary) -> None:
    """The core that makes the entry knows which operands of the library's own branches are labels."""
    from cnp.bytecode import Field, Instruction, Page, Registers, Table, Target

    r = Registers(f64, 2)
    up = Instruction("up", ("f64_add", r[0], r[0], 1.0), length=1)
    near = Instruction("near", ("branch_f64_near", r[0], r[1], Target(Field(1), "zero")), length=2)
    leave = Instruction("return", ("ret", r[0]), length=1)
    table = Table(Page(Field(0), {1: up, 2: near, 3: leave}), parameters=[r], functions=ops.Function)
    f = table.function("f", [f64, f64], f64, bytes([1, 2, 0, 3]))
    entry = f.entered_at(f.label_at(0), f.registers(r))
    for backend in BACKENDS:
        run = entry.compile(backend=backend)
        assert run(entry.pack([4.05, 5.0])) == f.compile()(4.05, 5.0) == 6.05, "once more, since 5.05 is near 5"
