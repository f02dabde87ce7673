"""cnp: a copy-and-patch JIT back end to embed. See README.md, and docs/ for how it works."""

from __future__ import annotations

import os

from cnp.errors import (
    BuildError,
    BytecodeError,
    CheckError,
    CnpError,
    InternalError,
    LibraryError,
    MissingExtra,
    ParseError,
    Trap,
    TrapKind,
    Unsupported,
    UserError,
    VerifyError,
)
from cnp.ir.callback import Callback, callback
from cnp.ir.function import Extern, Function, Label, Register, extern
from cnp.ir.optable import set_default_ops
from cnp.types import Type, f32, f64, i32, i64, ptr, writable_ptr

__version__ = "0.1.0"

__all__ = [
    "Assumption",
    "BuildError",
    "BytecodeError",
    "Callback",
    "Cell",
    "CheckError",
    "CnpError",
    "DataCell",
    "Extern",
    "Function",
    "InternalError",
    "Label",
    "LibraryError",
    "MissingExtra",
    "ParseError",
    "Register",
    "Trap",
    "TrapKind",
    "Type",
    "Unsupported",
    "UserError",
    "VerifyError",
    "callback",
    "catch_faults",
    "extern",
    "f32",
    "f64",
    "fuel",
    "i32",
    "i64",
    "load",
    "ptr",
    "set_default_ops",
    "writable_ptr",
]


TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cnp.backends.assumption import Assumption
    from cnp.backends.cell import Cell, DataCell
    from cnp.backends.fuel import Fuel
    from cnp.extension.library import OpLibrary

_LATE = {"Assumption": "assumption", "Cell": "cell", "DataCell": "cell"}
"""Classes that most programs do without, and their modules in cnp.backends."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'cnp' has no attribute {name!r}")
    import importlib

    globals()[name] = found = getattr(importlib.import_module(f"cnp.backends.{_LATE[name]}"), name)
    return found


def fuel(ticks: int) -> Fuel:
    """A budget for compiled code: `with cnp.fuel(n) as fuel:` raises a Trap, OUT_OF_FUEL, where more is wanted.

    It counts, on this thread, the jumps back of loops (a short innermost loop does two rounds between them), each entry
    of a function that goes on to call compiled code, one for each 128 bytes of its frame where that is larger than 120,
    and `f.safepoint()`. That many may pass; the next is where it ends, between two ops. Loops compiled with
    `safepoints=False` do not count. Code that runs without a budget is the same, and as fast.

    A block in a block has no more than is left of the outer one, which pays for what it uses. `fuel.left` and
    `fuel.used` may be read at any time. UserError for `ticks` below 0, or of 2^62 and above.
    """
    from cnp.backends.fuel import Fuel

    return Fuel(ticks)


def catch_faults() -> None:
    """From now on SIGSEGV, SIGBUS and SIGFPE in compiled code, or in C that it called, raise a Trap, MEMORY_FAULT.

    C is left where it stands: locks that it holds stay locked, and memory that it owns stays allocated. Faults anywhere
    else, in Python that compiled code has called back among it, go to whoever handled the signal before: enable
    faulthandler first, or call this again. A call by address of code that was compiled without this is covered, too.
    """
    from cnp.backends import faults

    faults.catch_faults()


def load(
    path: str | os.PathLike[str],
    *,
    semantics: Mapping[str, Callable[..., Any]] | None = None,
    imports: Mapping[str, Any] | None = None,
) -> OpLibrary:
    """Open a library of ops of your own, made by `cnp build DIR -o FILE`: see cnp.extension.library.load."""
    from cnp.extension import library  # late: most programs have none

    return library.load(path, semantics=semantics, imports=imports)


def _ops() -> object:
    from cnp.runtime.default import default_library

    return default_library().ops


set_default_ops(_ops)  # type: ignore[arg-type]

if os.environ.get("CNP_DUMP"):
    from cnp.tools import dump

    dump.install(os.environ["CNP_DUMP"])
