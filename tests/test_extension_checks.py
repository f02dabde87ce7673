"""Op libraries of a user's own: what their ops mean is checked, and what is no such library is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LIBRARY
from op_libraries import MACHINE

import cnp
from cnp import Unsupported, UserError, i64
from cnp.errors import CheckError, LibraryError
from cnp.extension import library as extension_library
from cnp.extension.library import OpLibrary
from examples.ops.meanings import ITEMS, MEANINGS, Vm

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


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
