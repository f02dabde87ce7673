"""The back ends by name: what Function.compile chooses from."""

from __future__ import annotations

from cnp.errors import Unsupported, UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


NAMES = ("native", "reference")
PLANNED = ("gadget", "switch")

_native: Any = None
"""The function that most ask for, once it is imported."""


def compiler(backend: str) -> Callable[..., Any]:
    """What compiles a function for a target (None: this machine) with one of NAMES. UserError for another name."""
    global _native
    if backend == "native":
        if _native is None:
            from cnp.backends import native

            _native = native.compile
        found: Callable[..., Any] = _native
        return found
    if backend == "reference":
        from cnp.backends import reference

        return reference.compile
    if backend in PLANNED:
        raise Unsupported(f"back end {backend!r} is not there yet; accepted: {', '.join(map(repr, NAMES))}")
    raise UserError(f"there is no back end {backend!r}; accepted: {', '.join(map(repr, NAMES))}")
