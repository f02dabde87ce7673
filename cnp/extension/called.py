"""The ops of an extension library that are C functions in it: where they are, and what they in turn call."""

from __future__ import annotations

import ctypes

from cnp.backends.native import core_for
from cnp.errors import LibraryError, UserError
from cnp.ir.function import CalledOp
from cnp.stencil.model import CALLED_OP
from cnp.types import Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cnp.ir.function import Meanings
    from cnp.stencil.library import Library


def called_ops(library: Library, imports: Mapping[str, Any], meanings: Meanings) -> dict[str, CalledOp]:
    """The called ops by public name. The library is in code memory afterwards, if it has any.

    LibraryError for an import that is neither given nor in the process; UserError for one that the library does not
    have, is no address, or is another than when the library was loaded first.
    """
    addresses = _resolved(library, imports)
    if not library.calls:
        return {}
    running = core_for(library, addresses)
    if running.imports != addresses:
        changed = sorted(name for name in addresses if running.imports.get(name) != addresses[name])
        raise UserError(
            f"{library.path} has been loaded with other addresses of {', '.join(changed)}; accepted: the same ones"
        )
    found = {}
    for method, row in library.calls.items():
        params = tuple(Type.i64 if each is None else Type(each) for each in row["params"])
        result = None if row["result"] is None else Type(row["result"])
        name = method.replace("_", ".", 1)
        found[name] = CalledOp(running.routine(CALLED_OP + method), params, result, name, row["doc"], meanings)
    return found


def _resolved(library: Library, imports: Mapping[str, Any]) -> dict[str, int]:
    wanted = library.imports
    unknown = sorted(set(imports) - set(wanted))
    if unknown:
        accepted = ", ".join(wanted) or "none"
        raise UserError(f"{library.path} does not import {', '.join(unknown)}; accepted: {accepted}")
    return {name: _address(library, name, imports.get(name)) for name in wanted}


def _address(library: Library, name: str, given: Any) -> int:
    if given is None:
        given = getattr(ctypes.CDLL(None), name, None)
        if given is None:
            raise LibraryError(
                f"{library.path} imports {name}, which is not in this process; accepted: its address, "
                f"cnp.load(..., imports={{{name!r}: address}})"
            )
    if not isinstance(given, int) and hasattr(given, "argtypes"):
        given = ctypes.cast(given, ctypes.c_void_p).value or 0
    if not isinstance(given, int) or not 0 < given < 2**64:
        raise UserError(f"{library.path}: import {name}: {given!r}; accepted: an address, or a function of ctypes")
    return given
