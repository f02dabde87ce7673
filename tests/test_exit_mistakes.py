"""What is said of side exits, and what cannot be one."""

from __future__ import annotations

import pytest
from conftest import LIBRARY
from exit_ways import callee_with_exit, keep

import cnp
from cnp import f64, i64
from cnp.ir.text import parse, print_function
from cnp.ir.verifier import find

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


# -- what is said of them


def test_places() -> None:
    f = cnp.Function("f", [i64, f64], i64)
    n, x = f.params
    slot = f.reg(i64)
    f.i64_add(slot, n, 1)
    out, unused = f.exit(keep, "a", [n, x, slot, 4]), f.exit(keep, "b", [n])
    f.branch_i64_gt_s(n, 10, out)
    f.ret(n)
    g = f.compile(pins=bytes([2, 1, 255]))
    assert unused not in (out,)
    assert [(point, values) for point, _, values in g.exits] == [
        ("a", [(n, i64, "r2"), (x, f64, "f1"), (slot, i64, "frame+0"), (None, None, 4)])
    ]
    assert 0 < g.exits[0][1] < len(g.code)
    assert cnp.Function("g", [], None).exits == {}


def test_the_way_past_an_exit_is_one_branch() -> None:
    """What is wanted there is neither moved nor stored, and registers are free again behind it."""
    f = cnp.Function("f", [i64, i64], i64)
    a, b = f.params
    values = [f.reg(i64) for _ in range(8)]
    for each in values:
        f.i64_add(each, a, b)
    f.branch_i64_gt_s(a, b, f.exit(keep, 1, [a, b, *values]))
    more = [f.reg(i64) for _ in range(8)]
    for each in more:
        f.i64_mul(each, a, b)
    for each in more:
        f.i64_add(a, a, each)
    f.ret(a)
    g = f.compile(trace=True)
    from cnp.tools import listing

    rows = [each for each in listing.rows(g, decode=False) if each.op is not None and each.offset < g.exits[0][1]]
    assert [each.stencil.split()[0] for each in rows if each.op == 8] == ["branch"]
    assert all("slot" not in each.stencil for each in rows), [each.stencil for each in rows]


# -- mistakes


def test_what_cannot_be_an_exit() -> None:
    f, other = cnp.Function("f", [i64], i64), cnp.Function("other", [i64], i64)
    with pytest.raises(cnp.UserError, match="exit 1: its handler 5 cannot be called; accepted: any callable"):
        f.exit(5, 1)  # type: ignore[arg-type]
    for wrong in (other.params[0], "x", None, f.label()):
        with pytest.raises(cnp.UserError, match=r"exit 1 cannot pass on .*; accepted: a register of this function"):
            f.exit(keep, 1, [wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", ["branch", "jump", "table", "threaded"])
def test_a_register_that_is_not_assigned_on_every_way(kind: str) -> None:
    f = cnp.Function("f", [i64], i64)
    (n,) = f.params
    never, on = f.reg(i64, "never"), f.label()
    ok, out = f.exit(keep, 0, [n, n, 3]), f.exit(keep, 1, [n, 5, never])
    if kind == "branch":
        f.branch_i64_gt_s(n, 3, out)
    elif kind == "jump":
        f.jump(out)
    elif kind == "table":
        f.branch_table(0, [on, ok, on], out)
    else:
        f.branch_i64_gt_s(n, 3, on)
        f.ret(n)
        f.place(on)
        f.jump(out)
    if kind in ("branch", "table"):
        f.place(on)
        f.ret(n)
    for options in ({}, {"backend": "reference"}):
        with pytest.raises(cnp.VerifyError, match="side exit: register never of type i64 is read where some path"):
            f.compile(**options)
    number = {"branch": 0, "jump": 0, "table": 0, "threaded": 3}[kind]
    assert find(f).op == number


def test_an_exit_cannot_be_placed_nor_run_into() -> None:
    f = cnp.Function("f", [i64], i64)
    out = f.exit(keep, 1)
    f.branch_i64_eqz(f.params[0], out)
    for options in ({}, {"backend": "reference"}):
        with pytest.raises(cnp.VerifyError, match="control goes on past the last op"):
            f.compile(**options)
    f.place(out)
    f.ret(1)
    for options in ({}, {"backend": "reference"}):
        with pytest.raises(cnp.VerifyError, match=r"is a side exit; accepted: a label that Function\.label made"):
            f.compile(**options)


def test_where_this_python_is_not() -> None:
    f = callee_with_exit(keep)
    from cnp.target import TARGETS
    from cnp.tools.emission import object_file

    with pytest.raises(cnp.Unsupported, match="function 'callee' has side exits, which lead to this Python"):
        object_file([f])
    other = next(name for name in TARGETS if name != LIBRARY.stem)
    with pytest.raises((cnp.Unsupported, cnp.LibraryError), match=r"has side exits|there is no stencil library"):
        f.compile(target=other).linked(0, {}, {})
    text = print_function(f)
    assert "exit @0 (%0) ; 'seven'" in text
    with pytest.raises(cnp.ParseError, match="a side exit leads to a Python object, which a text cannot name"):
        parse(text)
