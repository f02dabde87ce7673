"""The stub from which type checkers know the op methods is what the op table says."""

from __future__ import annotations

import pytest
from conftest import LIBRARY

from cnp.ir.function import Function
from cnp.ir.stubs import STUB, main, stub_text
from cnp.stencil.library import Library
from cnp.stencil.model import OpFlag

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


def test_the_stub_is_up_to_date() -> None:
    with Library.open(LIBRARY) as library:
        expected = stub_text(library.ops)
    assert STUB.read_text() == expected, "run `python -m cnp.ir.stubs`"


def test_the_command_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("cnp.ir.stubs.STUB", tmp_path / "opmethods.pyi")
    main()
    assert (tmp_path / "opmethods.pyi").read_text() == STUB.read_text()
    assert "written" in capsys.readouterr().out


def test_every_public_op_has_a_method_in_it_and_no_hidden_one_has() -> None:
    text = STUB.read_text()
    with Library.open(LIBRARY) as library:
        for op in library.ops:
            hidden = bool(op.flags & OpFlag.HIDDEN)
            assert (f"def {op.method}(self" in text) is not hidden, op.method
            if not hidden:
                assert callable(getattr(Function("f"), op.method))


def test_loads_and_stores_have_an_offset_that_may_be_left_out() -> None:
    text = STUB.read_text()
    assert "def i32_load8_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:" in text
    assert "def f64_store(self, value: Float, base: Integer, offset: SupportsIndex = 0) -> None:" in text
    assert "def branch_i64_ge_s(self, a: Integer, b: Integer, label: Label) -> None:" in text
