"""Python code that compiled code runs: callbacks, and the handlers of side exits."""

from __future__ import annotations

from cnp.errors import UserError
from cnp.types import PointerType, Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from cnp.types import ParameterType

MAXIMUM_PARAMETERS = 8
"""Of a function; the core's signatures have this many places. An extern or callback takes as many integers and as many
floats."""


class Callback:
    """A Python callable that ops can call, made by `callback`."""

    __slots__ = ("function", "name", "native", "params", "result")

    def __init__(self, function: Callable[..., Any], params: tuple[Type, ...], result: Type | None, name: str) -> None:
        self.function = function
        self.params = params
        self.result = result
        self.name = name
        self.native: dict[Any, Any] = {}
        """By core: the code that calls it. It belongs to the back end."""

    @property
    def described(self) -> str:
        """What messages call it."""
        return f"callback {self.name!r}"

    def __repr__(self) -> str:
        return f"<callback {self.name}>"


def callback(
    function: Callable[..., Any], params: Sequence[ParameterType], result: Type | None = None, name: str = ""
) -> Callback:
    """A Python callable for `f.call`. Pointers are i64.

    It is called with an int or a float for each parameter, integers signed, with the GIL held, on the thread that runs
    the compiled code. What it returns must fit `result`: an int in the type's signed range, a float (or int), or None
    where there is no result; TypeError and OverflowError otherwise. That or any exception it raises ends the compiled
    code, and is what the call from Python raises.

    UserError for what cannot be called, types that are none, or more than 8 integer or 8 float parameters.
    """
    name = name or getattr(function, "__name__", None) or type(function).__name__
    if not callable(function):
        raise UserError(f"callback: {function!r} cannot be called; accepted: any callable")
    types = tuple([parameter_type("callback", each).register_type for each in params])
    check_parameters("callback", types)
    return Callback(function, types, result_type("callback", result), name)


class SideExit:
    """Where compiled code is left, made by `Function.exit`."""

    __slots__ = ("handler", "point", "values")

    def __init__(self, handler: Callable[..., Any], point: Any, values: tuple[Any, ...]) -> None:
        self.handler = handler
        self.point = point
        self.values = values  # registers and numbers

    def described(self, function: str) -> str:
        """What messages call it."""
        return f"the handler of exit {self.point!r} of function {function!r}"


def check_parameters(name: str, types: Sequence[Type]) -> None:
    """UserError for more than C is called with."""
    if max(sum(each.is_float for each in types), sum(each.is_integer for each in types)) > MAXIMUM_PARAMETERS:
        raise UserError(f"{name}: more than {MAXIMUM_PARAMETERS} integer or {MAXIMUM_PARAMETERS} float parameters")


def parameter_type(name: str, type: ParameterType) -> ParameterType:
    """The type itself. UserError if it is none of a parameter."""
    if not isinstance(type, (Type, PointerType)):
        raise UserError(f"{name}: {type!r} is no parameter type; accepted: i32 i64 f32 f64 ptr writable_ptr")
    return type


def result_type(name: str, type: Type | None) -> Type | None:
    """The type itself. UserError if it is none of a result."""
    if type is not None and not isinstance(type, Type):
        raise UserError(f"{name}: {type!r} is no result type; accepted: i32 i64 f32 f64 or None")
    return type
