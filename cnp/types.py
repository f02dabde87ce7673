"""The four value types of the IR, and the two parameter types that also take a buffer from Python."""

from __future__ import annotations

import enum

TYPE_CHECKING = False  # importing typing or dataclasses costs milliseconds that every program would wait for
if TYPE_CHECKING:
    from typing import Final


class Type(enum.IntEnum):
    """The type of a register. The values are those of the op rows in a stencil library.

    Integers carry no sign: an op that needs one says so in its name, as in WebAssembly.
    """

    i32 = 0
    i64 = 1
    f32 = 2
    f64 = 3
    # The same four as constants are spelled elsewhere; `name` stays lower-case.
    I32 = 0
    I64 = 1
    F32 = 2
    F64 = 3

    is_float: bool
    is_integer: bool
    bits: int
    """Width: 32 or 64."""
    register_type: Type
    """The type of the register that holds a parameter of this type: itself."""
    code: int
    """The number of this parameter type in the core's signatures (`enum type` in stencils/core/layout.h)."""

    def __init__(self, code: int) -> None:
        self.is_float, self.is_integer = code >= 2, code < 2
        self.bits = 64 if code & 1 else 32
        self.register_type = self
        self.code = code

    def __setattr__(self, name: str, value: object) -> None:
        if "code" in self.__dict__ and not name.startswith("_"):  # __init__ sets it last
            raise AttributeError(f"{self}.{name} is as it is")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


class PointerType:
    """A parameter that is an i64 to the function, and from Python takes an address or any C-contiguous buffer.

    There are two, `ptr` and `writable_ptr`, which are compared by identity.
    """

    __slots__ = ("code", "name", "register_type", "writable")

    def __init__(self, name: str, code: int, writable: bool) -> None:
        self.name = name
        self.code = code  # as in `enum type` of stencils/core/layout.h
        self.writable = writable  # read-only buffers are refused
        self.register_type = Type.i64
        """The type of the register that holds such a parameter."""

    def __reduce__(self) -> str:
        return self.name  # pickled and copied as the module's own

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


ParameterType = Type | PointerType

i32: Final = Type.i32
i64: Final = Type.i64
f32: Final = Type.f32
f64: Final = Type.f64
ptr: Final = PointerType("ptr", 4, writable=False)
writable_ptr: Final = PointerType("writable_ptr", 5, writable=True)

PARAMETER_TYPES: Final[dict[str, ParameterType]] = {each.name: each for each in (i32, i64, f32, f64, ptr, writable_ptr)}
NO_TYPE: Final = 255
"""The result type of an op row that produces nothing."""
