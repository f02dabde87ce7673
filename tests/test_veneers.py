"""Calls that do not reach their target go through veneers, on every machine; and where indirect jumps may land."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from agreement import function
from ahead_support import run, succeed
from machines import EmulatedMachine, Machine
from sample_functions import trap_of

from cnp.backends import native
from cnp.backends.foreign import ForeignFunction, linkable
from cnp.backends.requests import Group
from cnp.errors import TrapKind
from cnp.ir import Function
from cnp.runtime.callable import make_callable
from cnp.runtime.code import Part
from cnp.runtime.layout import Library as Tables
from cnp.tools.emulated import EmulatedFunction

LOOP = """
func loop(n: i64, by: i64) -> i64
  reg d, part: i64
  label head
  i64.const d, 0
head:
  i64.div_s part, n, by
  i64.add d, d, part
  i64.sub n, n, 1
  branch i64.gt_s n, 0, head
  ret d
end
"""
TABLE = """
func pick(k: i32) -> i64
  label a, b, other
  branch_table k, [a, b], other
a:
  ret 10
b:
  ret 20
other:
  ret 30
end
"""
PADS = {
    "aarch64": bytes.fromhex("df2403d5"),  # bti jc
    "x86_64": bytes.fromhex("f30f1efa"),  # endbr64
    "riscv64": bytes.fromhex("17000000"),  # lpad 0
}


def nobody(callee: Any) -> Any:
    raise AssertionError(f"{callee!r} is called")


def compile_far(machine: Machine, f: Function) -> tuple[Any, Part]:
    """A function whose every call of the core goes through a veneer, and what is known of its code."""
    core, tables = native.core(), None
    if isinstance(machine, EmulatedMachine):
        tables = Tables.from_buffer_copy(machine.tables)
        tables.blob = machine.emulator.blob_address
    group = Group(core, [f], nobody, safepoints=True, trace=True, pins=None, far_calls=True, tables=tables)
    if not isinstance(machine, EmulatedMachine):
        code = group.compile()
        return make_callable(f, code, 0, False), code.parts[0]
    image, parts, relocations = linkable(group, machine.library)
    assert not relocations, "everything is reached by address"
    made = ForeignFunction(f, machine.library, image, parts, relocations)
    return EmulatedFunction(machine.emulator, made), parts[0]


def test_polls_and_traps_go_through_veneers(machine: Machine) -> None:
    f = function(LOOP)
    near = machine.compile(f)
    call, part = compile_far(machine, f)
    names = [machine.library.placement_name(stencil) for _, stencil, _ in part.traces]
    assert names.count("veneer") == 2, "one for the poll, one for the trap"
    rounds = 100_000  # more than there are ticks between two polls
    assert call(rounds, 1) == near(rounds, 1) == rounds * (rounds + 1) // 2
    assert str(trap_of(call, 5, 0)) == str(trap_of(near, 5, 0))
    assert trap_of(call, 5, 0).kind == TrapKind.INTEGER_DIVIDE_BY_ZERO
    assert call(3, 1) == 6, "usable after a trap"


def test_landing_pads_are_where_jumps_arrive(machine: Machine) -> None:
    """At the entry and behind a jump table; without the option there are none."""
    f = function(TABLE)
    pad = PADS.get(machine.library.target)
    if pad is None:
        pytest.skip(f"{machine.library.target} checks no indirect jumps")
    without, with_pads = machine.compile(f), machine.compile(f, landing_pads=True)
    assert pad not in without.code
    assert with_pads.code.count(pad) == 4
    for call in (without, with_pads):
        assert [call(0), call(1), call(2), call(-1)] == [10, 20, 30, 30]


GUARDED = r"""
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
static const unsigned char code[] = {@CODE@};
int main(void) {
    char *page = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    if (mprotect(page, 65536, PROT_READ | PROT_EXEC | 0x10 /* PROT_BTI */))
        return 2;
    __builtin___clear_cache(page, page + sizeof code);
    int64_t (*pick)(int32_t) = (int64_t (*)(int32_t))page;
    return pick(0) == 10 && pick(1) == 20 && pick(2) == 30 ? 0 : 1;
}
"""


@pytest.mark.parametrize(("landing_pads", "status"), [(True, 0), (False, -signal.SIGILL)])
def test_a_processor_that_checks_jumps_is_content_with_pads(tmp_path: Path, landing_pads: bool, status: int) -> None:
    """On pages with PROT_BTI, which qemu honours, code without pads is stopped."""
    gcc, qemu = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64-static")
    if gcc is None or qemu is None:
        pytest.skip("NOT TESTED: there is no aarch64-linux-gnu-gcc, or no qemu-aarch64-static")
    code = function(TABLE).compile(target="aarch64", landing_pads=landing_pads).code
    source = tmp_path / "guarded.c"
    source.write_text(GUARDED.replace("@CODE@", ",".join(map(str, code))))
    succeed([gcc, "-static", "-O1", source, "-o", tmp_path / "guarded"])
    assert run([qemu, "-cpu", "max", tmp_path / "guarded"]).returncode == status
