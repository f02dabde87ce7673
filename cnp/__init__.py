"""cnp: a copy-and-patch JIT back end to embed. See README.md, and docs/ for how it works."""

from __future__ import annotations

import os

from cnp.errors import (
    BuildError,
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
    "BuildError",
    "Callback",
    "CheckError",
    "CnpError",
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
    "extern",
    "f32",
    "f64",
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

    from cnp.extension.library import OpLibrary


def load(path: str | os.PathLike[str], *, semantics: Mapping[str, Callable[..., Any]] | None = None) -> OpLibrary:
    """Open a library of ops of your own, made by `cnp build DIR -o FILE`: see cnp.extension.library.load."""
    from cnp.extension import library  # late: most programs have none

    return library.load(path, semantics=semantics)


def _ops() -> object:
    from cnp.runtime.default import default_library

    return default_library().ops


set_default_ops(_ops)  # type: ignore[arg-type]

if os.environ.get("CNP_DUMP"):
    from cnp.tools import dump

    dump.install(os.environ["CNP_DUMP"])
