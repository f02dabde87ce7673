"""Function: the tuples its methods emit, its names, and what it refuses at once."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import pytest
from conftest import LIBRARY

from cnp.errors import Trap, TrapKind, UserError
from cnp.ir import Function, Label, Register, default_ops, extern, stubs
from cnp.ir.optable import Code, public_name
from cnp.ir.stubs import stub_text
from cnp.stencil.model import OpFlag
from cnp.types import f32, f64, i32, i64, ptr, writable_ptr


def test_parameters_are_registers_of_their_types() -> None:
    f = Function("f", params=[i32, ptr, f64, writable_ptr], result=f32)
    assert f.register_types == [i32, i64, f64, i64]
    assert f.parameter_types == (i32, ptr, f64, writable_ptr)
    assert [each.code & 0xFFFFFFFF for each in f.params] == [0, 1, 2, 3]
    assert repr(f) == "<Function f(i32, ptr, f64, writable_ptr) -> f32, 0 ops>"


def test_registers_and_labels_are_a_number_that_says_whose_they_are() -> None:
    f, g = Function("f"), Function("g")
    a, b, label = f.reg(i64), g.reg(i64), f.label()
    assert isinstance(a, Register) and isinstance(label, Label)
    with pytest.raises(AttributeError):
        a.other = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"registers are made by Function\.reg\(\)"):
        Register()
    with pytest.raises(TypeError, match=r"labels are made by Function\.label\(\)"):
        Label()
    assert a.code >> 32 == f._serial != b.code >> 32 == g._serial
    assert a.code & 0xFFFFFFFF == b.code & 0xFFFFFFFF == label.code & 0xFFFFFFFF == 0


def test_the_garbage_collector_does_not_follow_ops() -> None:
    f = Function("f", params=[i64])
    f.i64_add(f.params[0], f.params[0], 1)
    f.jump(f.label())
    gc.collect()
    assert not any(map(gc.is_tracked, [f.params[0], f.label(), *f.ops]))


def test_ops_become_tuples_with_the_destination_first() -> None:
    f = Function("f", params=[i64], result=i64)
    (n,) = f.params
    done, d, word = f.label(), f.reg(i64), f.reg(i32)
    code = {row.method: row.code for row in default_ops().rows.values()}
    f.i64_add(d, n, 1)
    f.branch_i64_ge_s(d, n, done)
    f.branch_i32_eqz(word, done)
    f.i32_load8_u(word, n, 4)
    f.i32_load(word, n)
    f.i64_store(d, n)
    f.f64_sqrt(d, 2.0)
    assert f.ops == [
        (code["i64_add"], d, n, 1),
        (code["branch_i64_ge_s"], d, n, done),
        (code["branch_i32_eqz"], word, done),
        (code["i32_load8_u"], word, n, 4),
        (code["i32_load"], word, n, 0),
        (code["i64_store"], d, n, 0),
        (code["f64_sqrt"], d, 2.0),
    ]


def test_ops_of_the_ir_itself() -> None:
    f = Function("f", params=[i32], result=i64)
    (n,) = f.params
    d, here, there = f.reg(i64), f.label(), f.label()
    f.place(here)
    f.jump(here)
    f.branch_table(n, [here, there], there)
    f.move(d, 1)
    f.select(d, d, 2, n)
    f.i32_const(n, 1)
    f.i64_const(d, 2)
    f.f32_const(d, 3.0)
    f.f64_const(d, 4.0)
    f.call(d, f, n)
    f.call(None, f, 3)
    f.safepoint()
    f.unreachable()
    f.ret()
    f.ret(d)
    assert f.ops == [
        (Code.PLACE, here),
        (Code.JUMP, here),
        (Code.TABLE, n, there, here, there),
        (Code.MOVE, d, 1),
        (Code.SELECT, d, d, 2, n),
        (Code.CONST32, n, 1),
        (Code.CONST64, d, 2),
        (Code.CONSTF32, d, 3.0),
        (Code.CONSTF64, d, 4.0),
        (Code.CALL, d, 0, n),
        (Code.CALL, None, 0, 3),
        (Code.SAFEPOINT,),
        (Code.TRAP,),
        (Code.RET,),
        (Code.RET, d),
    ]
    assert f.callees == [f]
    assert all(type(op[0]) is int for op in f.ops)  # the core reads them without asking what they are


def test_every_public_row_is_a_documented_method() -> None:
    for row in default_ops().rows.values():
        assert row.flags & OpFlag.HIDDEN or hasattr(Function, row.method)
    assert not hasattr(Function, "i64_div_s_magic")
    assert Function.i64_add.__name__ == "i64_add"
    assert Function.i64_add.__qualname__ == "OpMethods.i64_add"
    assert Function.i64_add.__doc__.startswith("i64.add (i64, i64) -> i64")
    assert Function.branch_i64_eq.__doc__.startswith("branch on i64.eq (i64, i64)")


def test_a_misspelt_op_suggests_others() -> None:
    with pytest.raises(AttributeError, match=r"Function has no op or attribute 'i64_ad'; did you mean .*i64_add"):
        Function("f").i64_ad(1, 2, 3)


def test_stub_has_every_public_method() -> None:
    rows = list(default_ops().rows.values())
    text = stub_text(rows)
    compile(text, "opmethods.pyi", "exec")
    assert "    def i64_add(self, d: Register, a: Integer, b: Integer) -> None:" in text
    assert "    def i32_load8_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:" in text
    assert "    def f64_store(self, value: Float, base: Integer, offset: SupportsIndex = 0) -> None:" in text
    assert "    def branch_f64_lt(self, a: Float, b: Float, label: Label) -> None:" in text
    assert text.count("    def ") == 1 + sum(not row.flags & OpFlag.HIDDEN for row in rows)


def test_the_stub_that_is_checked_in_is_current() -> None:
    if not LIBRARY.exists():
        pytest.skip("NOT TESTED: no stencil library is built")
    assert (Path(stubs.__file__).parent / "opmethods.pyi").read_text() == stub_text(default_ops().rows.values())


def test_public_names() -> None:
    rows = {row.method: row for row in default_ops().rows.values()}
    assert public_name(rows["i64_trunc_sat_f32_u"]) == "i64.trunc_sat_f32_u"
    assert public_name(rows["branch_i64_ge_s"]) == "branch i64.ge_s"


def test_names() -> None:
    f = Function("f", params=[i64])
    f.name_register(f.params[0], "n")
    f.reg(i64, "total")
    f.label("head")
    f.label("n")  # labels and registers do not mix
    with pytest.raises(UserError, match="function 'f': there is a register 'n' already"):
        f.reg(i64, "n")
    for name in ("1a", "", "a b", "inf", "nan", "é"):
        with pytest.raises(UserError, match="cannot name a label; accepted: an identifier"):
            f.label(name)


def test_what_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="f: <class 'int'> is no parameter type; accepted: i32 i64 f32 f64 ptr"):
        Function("f", params=[int])  # type: ignore[list-item]
    with pytest.raises(UserError, match="f: ptr is no result type; accepted: i32 i64 f32 f64 or None"):
        Function("f", result=ptr)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="function 'f': 9 parameters; accepted: up to 8"):
        Function("f", params=[i32] * 9)
    with pytest.raises(UserError, match="function 'f': a register cannot be of type ptr; accepted: i32 i64 f32 f64"):
        Function("f").reg(ptr)  # type: ignore[arg-type]


def test_calls_are_checked_at_once() -> None:
    f, g = Function("f"), Function("g", params=[i64], result=i64)
    d = g.reg(i64)
    with pytest.raises(UserError, match="function 'g': 'f' takes 0 arguments, not 1"):
        g.call(None, f, d)
    with pytest.raises(UserError, match="function 'g': 'f' has no result; accepted as destination: None"):
        g.call(d, f)
    with pytest.raises(UserError, match="function 'g': 42 cannot be called; accepted: a Function, a compiled function"):
        g.call(d, 42)  # type: ignore[arg-type]
    g.call(d, g, 1)
    g.call(None, f)
    g.call(None, g, 1)
    assert [op[2] for op in g.ops] == [1, 0, 1]


def test_extern() -> None:
    callee = extern(0x1000, [i32, ptr], f64)
    assert (callee.address, callee.params, callee.result, callee.name) == (0x1000, (i32, i64), f64, "extern_1000")
    assert extern(0x1000, [], name="abs").name == "abs"
    for address in (0, -1, 2**64):
        with pytest.raises(UserError, match=r"is out of range; accepted: 1 to 2\^64 - 1"):
            extern(address, [])
    extern(1, [i64] * 8 + [f64] * 8)
    with pytest.raises(UserError, match="more than 8 integer or 8 float parameters"):
        extern(1, [i64] * 9)


def test_trap() -> None:
    trap = Trap(TrapKind.INTEGER_DIVIDE_BY_ZERO, "f", 7, "i64.div_s")
    assert str(trap) == "integer divide by zero in function 'f' at op 7 (i64.div_s)"
    assert str(Trap(5, "g", 0)) == "stack overflow in function 'g' at op 0"
    again = pickle.loads(pickle.dumps(trap))
    assert (again.kind, again.function, again.op, str(again)) == (trap.kind, "f", 7, str(trap))


def test_registers_and_labels_are_made_by_functions() -> None:
    with pytest.raises(TypeError, match=r"registers are made by Function\.reg\(\)"):
        Register()
    with pytest.raises(TypeError, match=r"labels are made by Function\.label\(\)"):
        Label()


@pytest.mark.parametrize("name", [None, b"x", 7])
def test_a_name_is_a_str(name: object) -> None:
    with pytest.raises(UserError, match="cannot name a function; accepted: a str"):
        Function(name)  # type: ignore[arg-type]
