"""Calls that do not reach their target go through veneers, on every machine; and where indirect jumps may land."""

from __future__ import annotations

import ctypes
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from agreement import function
from ahead_support import run, succeed
from guest_support import NATIVE
from machines import PADS, EmulatedMachine, Machine, machine_named
from sample_functions import trap_of

from cnp.backends import native
from cnp.backends.foreign import ForeignFunction, linkable
from cnp.backends.requests import Group
from cnp.errors import TrapKind, Unsupported
from cnp.ir import Function
from cnp.runtime import libc
from cnp.runtime.callable import make_callable
from cnp.runtime.code import Part
from cnp.runtime.layout import Library as Tables
from cnp.tools.emulated import EmulatedFunction
from cnp.types import Type

i64, f64 = Type.i64, Type.f64

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


def nobody(callee: Any) -> Any:
    raise AssertionError(f"{callee!r} is called")


class Placed:
    """Compiled code at an address, wherever it was compiled."""

    def __init__(self, entry: int) -> None:
        self.entry = entry


def compile_far(machine: Machine, f: Function, resolve: Any = nobody, *, far_calls: bool = True) -> tuple[Any, Part]:
    """A function whose every call of the core, and of what `resolve` gives, goes through a veneer; and what is known of
    its code."""
    core, tables = native.core(), None
    if isinstance(machine, EmulatedMachine):
        tables = Tables.from_buffer_copy(machine.tables)
        tables.blob = machine.emulator.blob_address
    group = Group(core, [f], resolve, safepoints=True, trace=True, pins=None, far_calls=far_calls, tables=tables)
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
    assert names_of(machine, part).count("veneer") == 2, "one for the poll, one for the trap"
    rounds = 100_000  # more than there are ticks between two polls
    assert call(rounds, 1) == near(rounds, 1) == rounds * (rounds + 1) // 2
    assert str(trap_of(call, 5, 0)) == str(trap_of(near, 5, 0))
    assert trap_of(call, 5, 0).kind == TrapKind.INTEGER_DIVIDE_BY_ZERO
    assert call(3, 1) == 6, "usable after a trap"


def names_of(machine: Machine, part: Part) -> list[str]:
    return [machine.library.placement_name(stencil) for _, stencil, _ in part.traces]


def caller_of(machine: Machine) -> tuple[Function, Any]:
    """A function that calls compiled code, which comes with it."""
    triple = Function("triple", [i64], i64)
    triple.i64_mul(triple.params[0], triple.params[0], 3)
    triple.ret(triple.params[0])
    callee = machine.callee(triple)
    f = Function("caller", [i64], i64)
    (n,), d, total, head = f.params, f.reg(i64), f.reg(i64), f.label()
    f.i64_const(total, 0)
    f.place(head)
    f.call(d, callee, n)
    f.i64_add(total, total, d)
    f.i64_sub(n, n, 1)
    f.branch_i64_gt_s(n, 0, head)
    f.ret(total)
    return f, callee


def test_calls_of_compiled_code_go_through_veneers(machine: Machine) -> None:
    f, callee = caller_of(machine)
    entry = EmulatedFunction(machine.emulator, callee).entry if isinstance(machine, EmulatedMachine) else callee.entry
    call, part = compile_far(machine, f, lambda _: Placed(entry))
    assert names_of(machine, part).count("veneer") == 3, "to the callee, and to what polls before a call and in a loop"
    rounds = 20_000
    assert call(rounds) == 3 * rounds * (rounds + 1) // 2
    assert call(1) == 3


def test_constants_of_the_library_are_no_calls(machine: Machine) -> None:
    f = Function("constants", [f64], f64)
    f.f64_neg(f.params[0], f.params[0])
    f.f64_abs(f.params[0], f.params[0])
    f.f64_neg(f.params[0], f.params[0])
    f.ret(f.params[0])
    call, _ = compile_far(machine, f)
    assert call(2.5) == call(-2.5) == -2.5


def test_an_image_that_does_not_reach_is_compiled_again(machine: Machine) -> None:
    """It is linked to be where neither the core nor its callee is within reach; with veneers it runs anywhere."""
    if not isinstance(machine, EmulatedMachine):
        pytest.skip("native code has its own test")
    emulator = machine.emulator
    f, callee = caller_of(machine)
    compiled = machine.callee(f)
    routines = {name: emulator.routine(name) for name in emulator.library.exports}
    loaded = {id(callee): EmulatedFunction(emulator, callee).entry}
    near, far = (compiled.linked(loaded[id(callee)] + away, routines, loaded) for away in (4096, 1 << 40))
    assert len(near) == len(compiled.image) < len(far)
    trap, result, _ = emulator.run(emulator.place(far), [20_000], [], number=compiled.parts[0].number)
    assert (trap, result) == (0, 3 * 20_000 * 20_001 // 2)
    f.ret(f.params[0])
    with pytest.raises(Unsupported, match=r"function 'caller' has changed since it was compiled for"):
        compiled.linked(1 << 50, routines, loaded)


def test_code_that_does_not_reach_is_compiled_again() -> None:
    """The callee is a copy in another part of the address space."""
    machine = machine_named(NATIVE)
    f, callee = caller_of(machine)
    size = 1 << 16
    readable, private = libc.PROT_READ | libc.PROT_WRITE, libc.MAP_PRIVATE | libc.MAP_ANONYMOUS
    page = libc.mmap((callee.entry - (1 << 38)) & -size, size, readable, private)
    try:
        assert abs(page - callee.entry) > 1 << 32
        ctypes.memmove(page, callee.code, len(callee.code))
        libc.mprotect(page, size, libc.PROT_READ | libc.PROT_EXEC)
        call, part = compile_far(machine, f, lambda _: Placed(page), far_calls=False)
        assert names_of(machine, part).count("veneer") == 3
        assert call(100) == 3 * 5050
    finally:
        libc.munmap(page, size)


def test_landing_pads_are_where_jumps_arrive(machine: Machine) -> None:
    """At the entry and behind a jump table; without the option there are none."""
    f = function(TABLE)
    pad = PADS.get(machine.library.target)
    if pad is None:
        pytest.skip(f"{machine.library.target} checks no indirect jumps")
    without, with_pads = machine.compile(f), machine.compile(f, landing_pads=True)
    assert pad not in without.code
    places = [at for at in range(0, len(with_pads.code), 2) if with_pads.code.startswith(pad, at)]
    assert len(places) == 4 and not any(at % 4 for at in places), "Zicfilp wants them aligned"
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
