"""Compiled code -> Python objects that call it: a vectorcall type, its instances, and what they keep alive."""

from __future__ import annotations

import ctypes
from operator import attrgetter

from cnp.errors import MissingExtra, Unsupported
from cnp.runtime.layout import Signature
from cnp.runtime.packing import BYTES_HEAD, packer
from cnp.runtime.threads import shared
from cnp.spec import HEAD, TP_MEMBERS, Member, make_type, members_of
from cnp.types import NO_TYPE, Type, ptr, writable_ptr

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from typing import Any

    from cnp.runtime.code import Code, Described
    from cnp.runtime.core import Core
    from cnp.runtime.outward import ExitPlace

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_FLOATS = {Type.f32.code, Type.f64.code}
_POINTERS = {ptr.code, writable_ptr.code}
_code = attrgetter("code")
_pack = packer(Signature, "host", "parameter_type").pack

# Flags, slots and members of PyType_Spec; numbers of CPython's stable ABI.
_TPFLAGS_BASETYPE = 1 << 10
_TPFLAGS_HAVE_VECTORCALL = 1 << 11
_TP_CALL = 50
_T_PYSSIZET, _READONLY = 19, 1


_offset = Member(b"__vectorcalloffset__", _T_PYSSIZET, HEAD, _READONLY, None)


def _make_callable_type(name: str, size: int, flags: int, base: type) -> type:
    """A type whose instances are called through the function pointer right behind their head."""
    call = ctypes.cast(ctypes.pythonapi.PyVectorcall_Call, ctypes.c_void_p).value or 0
    slots = {_TP_CALL: call, TP_MEMBERS: members_of("_routine", "_description", more=[_offset])}
    return make_type(name, size, _TPFLAGS_HAVE_VECTORCALL | flags, base, slots)


if TYPE_CHECKING:

    class _Head:
        """What CPython sees of a compiled function: two pointers."""

        _routine: int  # of the core, which CPython calls
        _description: int  # the address of the signature
else:
    _Head = _make_callable_type("cnp.runtime.callable._Head", HEAD + 2 * _POINTER, _TPFLAGS_BASETYPE, object)


class NativeFunction(_Head):
    """A function compiled to machine code. Calling it costs what calling a built-in costs.

    Positional arguments only. OverflowError for an integer that does not fit, TypeError for a wrong number or kind of
    arguments, Trap where the function traps. A buffer that is not contiguous or, where it is to be written, read-only,
    raises what its owner raises: BufferError, mostly.
    """

    __slots__ = ("__weakref__", "_code", "_entry", "_index", "_name", "_signature", "function")

    function: Any
    """What was compiled."""
    _code: Code
    _index: int  # among the functions that share a block
    _signature: bytes
    _name: str  # which the signature points to: function.name may change
    _entry: Any  # the block of the way in from C, once somebody asked for it

    backend = "native"

    def __new__(cls, *_: object) -> NativeFunction:
        raise TypeError("compiled functions are made by Function.compile()")

    def __init_subclass__(cls) -> None:
        raise TypeError("NativeFunction cannot be subclassed")

    if TYPE_CHECKING:

        def __call__(self, *arguments: Any) -> Any: ...

    def __repr__(self) -> str:
        return f"<native function {self.function.name}, {len(self.code)} bytes of code>"

    def __reduce__(self) -> Any:
        raise TypeError("machine code cannot be pickled; pickle its text form: str(cnp.ir.text.print_function(f))")

    @property
    def __name__(self) -> str:
        return self._name

    @property
    def __text_signature__(self) -> str:
        names = [f"p{index}" for index in range(len(self.function.parameter_types))]
        return f"({', '.join([*names, '/'] if names else [])})"

    @property
    def __signature__(self) -> Any:
        import inspect

        positional = inspect.Parameter.POSITIONAL_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(f"p{index}", positional, annotation=str(each))
                for index, each in enumerate(self.function.parameter_types)
            ],
            return_annotation=str(self.function.result),
        )

    @property
    def entry(self) -> int:
        """Where the code begins, for other compiled code."""
        return self._code.entry(self._index)

    @property
    def code(self) -> bytes:
        """The machine code, jump tables included."""
        return self._code.bytes_of(self._index)

    @property
    def frame_size(self) -> int:
        """Bytes of the frame stack that an activation takes."""
        return self._code.parts[self._index].frame_size

    @property
    def exits(self) -> list[ExitPlace]:
        """The side exits that something leads to, in the order they were made: (point, offset in the code, values).

        Of each value (register, type, place): the place is `r3` or `f0`, a hardware register as stencils number them,
        `frame+16`, or the number itself, for which register and type are None.
        """
        made = self._code.parts[self._index].exits
        return [] if made is None else made.places()

    @property
    def address(self) -> int:
        """Where C calls the function: `result name(params)` in the platform's C convention.

        Good as long as this object lives. A trap returns 0 and sets the Python exception if the calling thread holds
        the GIL (ctypes with PYFUNCTYPE raises it), else it is reported as unraisable.
        """
        if self._entry is None:
            result = self._signature[Signature.result_type.offset]
            self._entry = self._code.make_entry(result in _FLOATS, self._description)
        return int(self._entry.executable_address)

    @property
    def ctypes(self) -> Any:
        """The function as a ctypes function pointer, which raises on a trap and keeps this object alive.

        ctypes converts the arguments: it wraps integers that do not fit, where a call of this object refuses them.
        """
        kinds: dict[str, Any] = {
            "i32": ctypes.c_int32,
            "i64": ctypes.c_int64,
            "f32": ctypes.c_float,
            "f64": ctypes.c_double,
            "ptr": ctypes.c_void_p,
            "writable_ptr": ctypes.c_void_p,
        }
        function = self.function
        result = kinds[function.result.name] if function.result is not None else None
        pointer: Any = ctypes.PYFUNCTYPE(result, *(kinds[each.name] for each in function.parameter_types))(self.address)
        pointer.compiled = self
        return pointer

    @property
    def low_level_callable(self) -> Any:
        """The function as scipy.LowLevelCallable. MissingExtra without SciPy."""
        try:
            from scipy import LowLevelCallable  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise MissingExtra("low_level_callable needs SciPy: pip install scipy") from None
        return LowLevelCallable(self.ctypes)

    def disassemble(self) -> str:
        """The machine code as text, an instruction a line. MissingExtra without capstone."""
        from cnp.tools.disassembly import disassemble

        return disassemble(
            self.code, self.entry, self._code.core.library.target, self._code.parts[self._index].code_end
        )

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        types = ", ".join(str(each) for each in self.function.parameter_types)
        result = f" -> {self.function.result}" if self.function.result is not None else ""
        return f"{self.function.name}({types}){result}, compiled by cnp."


_NativeLeaf: Any = None


def _leaf() -> Any:
    """The type of instances. It is made by hand because CPython before 3.12 gives classes no vectorcall."""
    global _NativeLeaf
    if _NativeLeaf is None:
        size = NativeFunction.__basicsize__  # type: ignore[attr-defined, unused-ignore]
        _NativeLeaf = _make_callable_type("cnp.NativeFunction", size, 0, NativeFunction)
        _NativeLeaf.__doc__ = NativeFunction.__dict__["__doc__"]  # not None, which would hide the property
    return _NativeLeaf


def make_callable(function: Described, code: Code, index: int, nogil: bool) -> NativeFunction:
    """A callable for member `index` of a piece of code."""
    core = code.core
    part, name = code.parts[index], str(function.name)
    types = bytes(map(_code, function.parameter_types))
    result = NO_TYPE if function.result is None else function.result.code
    uses_floats = not _FLOATS.isdisjoint(types)
    uses_buffers = not _POINTERS.isdisjoint(types)
    signature = _pack(
        core.host_address, code.entry(index), id(name), part.number, len(types), result, bool(nogil), uses_floats,
        uses_buffers, part.is_bare, HEAD != 16, types,
    )  # fmt: skip
    self: NativeFunction = object.__new__(_leaf())
    self.function = function
    self._code = code
    self._index = index
    self._signature = signature
    self._name = name
    self._entry = None
    integers = not (uses_floats or uses_buffers or result in _FLOATS)
    if HEAD == 16 and part.is_bare and integers and not (nogil or shared.catches) and len(types) < len(core.bare_calls):
        routine = core.bare_calls[len(types)]
    else:
        routine = _general_routine(core)
    self._routine, self._description = routine, id(signature) + BYTES_HEAD
    return self


def _general_routine(core: Core) -> int:
    return core.routine("cnp_vectorcall" if HEAD == 16 else "cnp_vectorcall_free_threaded")


def route_all() -> None:
    """Have every compiled function there is called in the way that leaves a trace: shorter ones cannot be left."""
    import gc

    leaf = _leaf()
    for each in gc.get_objects():
        if type(each) is leaf and hasattr(each, "_code"):  # and not one that is being made
            each._routine = _general_routine(each._code.core)


def check_platform() -> None:
    """Unsupported on a Python whose objects are not laid out as the core expects."""
    if HEAD not in (16, 32) or _POINTER != 8:
        raise Unsupported(f"a Python whose objects have a head of {HEAD} bytes; accepted: 64-bit CPython")
    sample = b"bytes"
    if ctypes.string_at(id(sample) + BYTES_HEAD, len(sample) + 1) != sample + b"\0":
        raise Unsupported(f"a Python whose bytes have no head of {BYTES_HEAD} bytes; accepted: 64-bit CPython")
