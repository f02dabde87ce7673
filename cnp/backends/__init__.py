"""The back ends by name: what Function.compile calls."""

from __future__ import annotations

from cnp.errors import Unsupported, UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

    from cnp.ir.function import Function

NAMES = ("native", "reference")
PLANNED = ("gadget", "switch")

_native: Any = None
"""The function that most ask for, once it is imported."""


def compile(function: Function, backend: str = "native", target: str | None = None, **options: Any) -> Any:
    """Compile `function` with one of NAMES. UserError for another name, Unsupported for a target that cannot run."""
    global _native
    if backend == "native":
        if _native is None:
            from cnp.backends import native

            _native = native.compile
        return _native(function, target=target, **options)
    if backend == "reference":
        from cnp.backends import reference

        if target is not None:
            raise Unsupported(f"backend 'reference' has no targets, and none called {target!r}")
        return reference.compile(function, **options)
    if backend in PLANNED:
        raise Unsupported(f"back end {backend!r} is not there yet; accepted: {', '.join(map(repr, NAMES))}")
    raise UserError(f"there is no back end {backend!r}; accepted: {', '.join(map(repr, NAMES))}")
