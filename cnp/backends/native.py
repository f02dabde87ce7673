"""Functions -> machine code on this machine: backend="native"."""

from __future__ import annotations

import ctypes
from _thread import allocate_lock

from cnp.backends.requests import Group
from cnp.errors import Trap, TrapKind, Unsupported
from cnp.ir.function import Function, Label, Register, library_of
from cnp.runtime import listeners
from cnp.runtime.callable import NativeFunction, check_platform, make_callable
from cnp.runtime.code import function_of
from cnp.runtime.codememory import CodeMemory
from cnp.runtime.core import Core
from cnp.runtime.default import default_library
from cnp.runtime.threads import reclaim, shared

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from cnp.stencil.library import Library

_core: Core | None = None
_core_lock = allocate_lock()
_extensions: dict[bytes, Core] = {}
"""The cores of extension libraries, by digest. Like the built-in one they are there to stay."""


def core() -> Core:
    """The core of this machine's library, started when it is first needed."""
    global _core
    if _core is None:
        with _core_lock:
            if _core is None:
                _core = _started(default_library(), {})
    return _core


def _started(library: Library, imports: Mapping[str, int]) -> Core:
    """A core that outlives everything: when Python ends, what is still there may be taken apart together with the
    core, in any order, and compiled code must not be given back to a core that is half gone."""
    check_platform()
    started = Core(library, CodeMemory(), Register, Label, raise_trap, imports)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(started))
    return started


def core_of(function: Function) -> Core:
    """The core that compiles a function: its library's."""
    library = library_of(function)
    return core() if library is None else core_for(library)


def core_for(library: Library, imports: Mapping[str, int] | None = None) -> Core:
    """The core of an extension library. If it starts now, `imports` has the addresses of what the library imports."""
    with _core_lock:
        if library.digest not in _extensions:
            _extensions[library.digest] = _started(library, imports or {})
        return _extensions[library.digest]


def raise_trap(word: int) -> NoReturn:
    """A trap word as an exception. The core calls it."""
    function, op, kind = function_of(word >> 32), word >> 4 & 0xFFFFFFF, TrapKind(word & 15)
    detail = _describe_fault() if kind == TrapKind.MEMORY_FAULT else ""
    # The stack overflows where a function is entered, which is no op's doing; nor are others that have no place.
    name = ""
    if isinstance(function, Function) and kind < TrapKind.STACK_OVERFLOW and op < len(function.ops):
        from cnp.ir.signature import op_name  # late: most programs do not trap

        name = op_name(function, function.ops[op][0])
    raise Trap(kind, function.name if function is not None else "?", op, name, detail)


_OF_KERNEL = 0x80  # SI_KERNEL: it does not say where


def _describe_fault() -> str:
    """The signal, and where in memory, if the kernel said so."""
    import signal

    running, address, word = core(), ctypes.c_uint64(), ctypes.c_uint64()
    running.latest_fault(running.host_address, ctypes.addressof(address), ctypes.addressof(word))
    name, code = signal.Signals(word.value & 0xFFFFFFFF).name, word.value >> 32
    return name if code == _OF_KERNEL or name == "SIGFPE" else f"{name} at address {address.value:#x}"


def compile(
    function: Function,
    target: str | None = None,
    *,
    nogil: bool = False,
    safepoints: bool = True,
    trace: bool = False,
    pins: bytes | None = None,
    landing_pads: bool = False,
) -> Any:
    """Compile `function` and every Function that it calls and that has not been compiled yet.

    `nogil` releases the GIL while the function runs. `safepoints` lets Ctrl-C stop loops and recursion; without them
    loops are a little faster. `trace` keeps what listings need. `pins`, for tests, says where each
    register of `function` is to be: see Group. `landing_pads` marks where the code is entered and where a jump table
    leads, for processors that check it (BTI on AArch64, IBT on x86-64). VerifyError if a function is not well formed.

    For a target other than this machine's it gives a ForeignFunction: LibraryError if there is no library for it.
    """
    running = core_of(function)
    trace = trace or listeners.wants_trace
    if target is not None and target != running.library.target:
        from cnp.backends import foreign

        return foreign.compile(
            running, function, reached([function]), target,
            safepoints=safepoints, trace=trace, pins=pins, landing_pads=landing_pads,
        )  # fmt: skip
    group = Group(
        running,
        reached([function]),
        lambda callee: _compiled(running, callee),
        safepoints=safepoints,
        trace=trace,
        pins=pins,
        landing_pads=landing_pads,
    )
    if shared.has_retired:
        reclaim()
    code = group.compile()
    made = make_callable(function, code, 0, nogil)
    listeners.tell(made)
    return made


def reached(functions: Sequence[Function]) -> Sequence[Function]:
    """The functions, and all Functions that they reach by calls, in the order they are found."""
    if len(functions) == 1 and not functions[0]._callees:  # the usual case, at a third of the time
        return functions
    found = {id(each): each for each in functions}
    waiting = list(functions)
    while waiting:
        for callee in waiting.pop()._callees:
            if isinstance(callee, Function) and id(callee) not in found:
                found[id(callee)] = callee
                waiting.append(callee)
    return list(found.values())


def _compiled(running: Core, callee: Any) -> NativeFunction:
    """A callee that is not a Function of the group: it must be compiled code of this back end."""
    if not isinstance(callee, NativeFunction):
        raise Unsupported(f"native code cannot call {callee!r}; accepted: a Function, native code, or cnp.extern(...)")
    if callee._code.core is not running:
        other = f"{callee!r} was compiled with another library than {running.library.path}"
        raise Unsupported(f"{other}; accepted: its address, cnp.extern(g.address, params, result)")
    return callee
