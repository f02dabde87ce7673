"""The op table of every test: the built stencil library's, or, where none is built, rows made from the names in
SEMANTICS, which are enough for the IR and the reference interpreter."""

from __future__ import annotations

import gc
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from guest_support import machine_names

from cnp.ir import set_default_ops
from cnp.ir.semantics import LOADS, SEMANTICS, STORES
from cnp.stencil.library import Library
from cnp.stencil.model import OpFlag, Shape
from cnp.target import TARGETS
from cnp.types import NO_TYPE, Type

pytest_plugins = ["code_memories", "op_libraries", "stops"]

if TYPE_CHECKING:
    from machines import Machine

    from cnp.ir.optable import OpRow

_PLAIN = OpFlag(0)
_COMPARISON = re.compile(r"(eq|ne|lt|gt|le|ge|eqz|nez)(_[su])?$")
_UNARY = re.compile(r"(clz|ctz|popcnt|bswap|eqz|nez|extend\d+_s|abs|neg|sqrt|ceil|floor|trunc|nearest)$")
_CONVERSION = re.compile(r"_([if](?:32|64))(?:_[su])?$")


@dataclass(frozen=True)
class Row:
    """As much of an op row as the IR reads."""

    method: str
    shape: Shape
    result_type: int
    operand_types: tuple[int, ...]
    flags: OpFlag
    code: int
    doc: str = ""

    @property
    def name(self) -> str:
        return self.method.replace("_", ".", 1)


def rows_from_names() -> list[Row]:
    """One row for every op that the reference interpreter knows, and for every fused branch."""
    rows: list[Row] = []

    def add(method: str, shape: Shape, result: int, operands: tuple[int, ...], flags: OpFlag = _PLAIN) -> None:
        rows.append(Row(method, shape, result, operands, flags, len(rows)))

    for name in SEMANTICS:
        type_name, _, suffix = name.partition(".")
        type = Type[type_name]
        converted = _CONVERSION.search(suffix)
        operands = (Type[converted[1]],) if converted else (type,) if _UNARY.match(suffix) else (type, type)
        method = name.replace(".", "_")
        if _COMPARISON.match(suffix):
            add(method, Shape.VALUE, Type.i32, operands, OpFlag.COMPARISON)
            add(f"branch_{method}", Shape.BRANCH, NO_TYPE, operands)
        else:
            add(method, Shape.VALUE, type, operands)
    for name, (_, _, result) in LOADS.items():
        add(name.replace(".", "_"), Shape.LOAD, Type[result], (Type.i64,))
    for name, (_, stored) in STORES.items():
        add(name.replace(".", "_"), Shape.STORE, NO_TYPE, (Type[stored], Type.i64))
    return rows


LIBRARY = Path(__file__).parent.parent / "cnp" / "data" / f"{platform.machine()}.cnpl"


def rows() -> Iterable[OpRow]:
    return Library.open(LIBRARY).ops if LIBRARY.exists() else rows_from_names()


set_default_ops(rows)


@pytest.fixture(params=machine_names())
def machine(request: pytest.FixtureRequest) -> Machine:
    """This machine, and each that qemu emulates."""
    from machines import machine_named  # which wants a library

    return machine_named(request.param)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example language compiles at once, and keeps entering compiled code however little it does."""
    from lang_support import compile_eagerly

    compile_eagerly(monkeypatch)


def pytest_collection_finish() -> None:
    """Thousands of collected tests are not garbage: to look through them again and again takes a tenth of all time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    if "machines" in sys.modules:
        sys.modules["machines"].close()


LOUD = ("NOT TESTED: ", "could not import ")
"""How the reasons of skips begin that are for want of a tool; the second is what pytest.importorskip says."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says once, where everybody looks, what was not tested at all."""
    for each in sorted(set(TARGETS) - {platform.machine(), *machine_names()}):
        terminalreporter.write_line(f"WARNING: {LOUD[0]}{each} has no library, or no runner", red=True, bold=True)
    skipped = terminalreporter.getreports("skipped")
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in skipped if report.longrepr}
    for each in sorted(reason for reason in reasons if reason.startswith(LOUD)):
        terminalreporter.write_line(f"WARNING: {each}", red=True, bold=True)
