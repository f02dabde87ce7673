"""Collects the ops of one function: typed virtual registers, labels, and a plain list of tuples."""

from __future__ import annotations

import itertools

from cnp.errors import Unsupported, UserError
from cnp.ir.callback import (
    MAXIMUM_PARAMETERS,
    Callback,
    SideExit,
    check_parameters,
    parameter_type,
    result_type,
)
from cnp.ir.opmethods import OpMethods
from cnp.ir.optable import (
    CALL,
    CONST32,
    CONST64,
    CONSTF32,
    CONSTF64,
    JUMP,
    MOVE,
    PLACE,
    RET,
    SAFEPOINT,
    SELECT,
    TABLE,
    TRAP,
    default_ops,
)
from cnp.spec import numbered
from cnp.types import Type

TYPE_CHECKING = False  # importing typing costs milliseconds that every program would wait for
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
    from typing import Any, Protocol, SupportsFloat, SupportsIndex, TypeAlias

    from cnp.ir.optable import OpTable
    from cnp.ir.osr import Live, Reached
    from cnp.ir.packed import Packed
    from cnp.types import ParameterType

_SERIALS = 2**28
_serials = itertools.count(1)
RESERVED_NAMES = frozenset(["inf", "nan"])
"""Names that the text form reads as numbers."""

_TYPES = list(Type)
_new: Any = object.__new__  # past the classes' own, which refuse users


@numbered
class Register:
    """A virtual register of one function. It may be assigned again and again."""

    code: int  # the function's serial number << 32 | the register's index

    def __new__(cls) -> Register:
        raise TypeError("registers are made by Function.reg()")

    def __repr__(self) -> str:
        return f"<register {self.code & 0xFFFFFFFF}>"


@numbered
class Label:
    """A place in one function that ops may jump to."""

    code: int  # the function's serial number << 32 | the label's index

    def __new__(cls) -> Label:
        raise TypeError("labels are made by Function.label()")

    def __repr__(self) -> str:
        return f"<label {self.code & 0xFFFFFFFF}>"


class Extern:
    """A C function by address or by name, made by `extern`. Two that say the same are equal.

    Without an address, which is None then, it is what a linker knows by its name: only an object file can call it.
    """

    __slots__ = ("address", "name", "params", "result")

    def __init__(self, address: int | None, params: tuple[Type, ...], result: Type | None, name: str) -> None:
        self.address = address
        self.params = params
        self.result = result
        self.name = name

    def _key(self) -> tuple[object, ...]:
        return self.address, self.params, self.result, self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extern) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<extern {self.name}>" if self.address is None else f"<extern {self.name} at {self.address:#x}>"


class CalledOp(Extern):
    """An op of an extension library that is a C function in it. `meanings` has what it means in Python, by name."""

    __slots__ = ("doc", "meanings")

    def __init__(
        self, address: int, params: tuple[Type, ...], result: Type | None, name: str, doc: str, meanings: Meanings
    ) -> None:
        super().__init__(address, params, result, name)
        self.doc = doc
        self.meanings = meanings


class CallCell:
    """Where code finds the address of the compiled code it calls: 8 bytes at `address`, which may change meanwhile.

    cnp.Cell is one that looks after what is in it.
    """

    __slots__ = ("address", "name", "params", "result")

    def __init__(self, address: int, params: Sequence[Type], result: Type | None, name: str) -> None:
        self.address = address
        self.params = tuple(params)
        self.result = result
        self.name = name

    def __repr__(self) -> str:
        return f"<cell {self.name} at {self.address:#x}>"


if TYPE_CHECKING:
    Meanings = Mapping[str, Callable[..., Any]]
    Number = int | float | SupportsIndex | SupportsFloat
    Source = Register | Number
    """What may stand where a value is read. An i32 takes [-2^31, 2^32), an i64 [-2^63, 2^64), floats are rounded."""

    class ReadCell(Protocol):
        """A cnp.DataCell or cnp.Assumption, as far as a load is concerned."""

        address: int

    class Compiled(Protocol):
        """What Function.compile returns, as far as a call op is concerned."""

        @property
        def function(self) -> Function: ...

    Callee: TypeAlias = "Function | Compiled | Extern | Callback | CallCell"


def extern(address: int | str, params: Sequence[ParameterType], result: Type | None = None, name: str = "") -> Extern:
    """A C function at `address` (1 to 2^64 - 1) that ops can call. Pointers are i64.

    In place of the address its name may stand, as a linker knows it: `cnp emit` can use that, compiling for this
    process is Unsupported. UserError for an address out of range, or more than 8 integer or 8 float parameters.
    """
    if isinstance(address, str):
        if not address or "\0" in address or name not in ("", address):
            accepted = "an address and a name, or a C function's own name"
            raise UserError(f"extern: {address!r}, name={name!r}; accepted: {accepted}")
        number, name = None, address
    else:
        number = _address(address)
    types = tuple([parameter_type("extern", each).register_type for each in params])
    check_parameters("extern", types)
    return Extern(number, types, result_type("extern", result), name or f"extern_{number:x}")


def _address(address: Any) -> int:
    if not hasattr(address, "__index__"):
        raise UserError(f"extern: {address!r} is no address; accepted: 1 to 2^64 - 1, or a name")
    result: int = address.__index__()
    if not 0 < result < 2**64:
        raise UserError(f"extern: address {result:#x} is out of range; accepted: 1 to 2^64 - 1")
    return result


def unlinked(callee: Extern) -> str:
    """What to say of an extern without an address where one is needed."""
    return (
        f"extern {callee.name!r} is a name for a linker, which `cnp emit` can use; "
        "to call it from here, give its address: cnp.extern(address, ...)"
    )


def callee_function(callee: Callee) -> Function | None:
    """The Function that `callee` is or was compiled from, or None for anything else."""
    function = callee if isinstance(callee, Function) else getattr(callee, "function", None)
    return function if isinstance(function, Function) else None


def callee_signature(callee: Callee) -> tuple[str, Sequence[Type], Type | None] | None:
    """Name, parameter types and result type of anything that a call op may call, None if it may not."""
    if isinstance(callee, (Extern, Callback, CallCell)):
        return callee.name, callee.params, callee.result
    function = callee_function(callee)
    if function is None:
        return None
    return function.name, [each.register_type for each in function.parameter_types], function.result


def register_coded(code: int) -> Register:
    """A register by the number that it carries."""
    register: Register = _new(Register)
    register.code = code
    return register


class _KnownCallee:
    """What call checks, for a callee that the function has called before."""

    __slots__ = ("has_result", "name", "number", "parameters")

    def __init__(self, number: int, name: str, parameters: int, has_result: bool) -> None:
        self.number = number
        self.name = name
        self.parameters = parameters
        self.has_result = has_result


class Function(OpMethods):
    """A function under construction.

    `params` are types: i32, i64, f32, f64, or ptr and writable_ptr, which are an i64 to the function and also take a
    buffer from Python. `result` is a type or None. Op methods put the destination first; wherever a value is read a
    Python number may stand. Nothing is checked until the function is compiled or verified.
    """

    __slots__ = (
        "__weakref__",
        "_callees",
        "_cells",
        "_emit",
        "_exits",
        "_first_code",
        "_known_callees",
        "_label_count",
        "_label_names",
        "_live",
        "_ops",
        "_packed",
        "_parameter_types",
        "_register_names",
        "_result",
        "_serial",
        "_taken_names",
        "_types",
        "name",
        "params",
    )

    def __init__(self, name: str, params: Iterable[ParameterType] = (), result: Type | None = None) -> None:
        """UserError if a type is none of cnp's, or for more than 8 parameters."""
        self._begin(name, params, result)
        self._ops: list[tuple[Any, ...]] = []
        self._emit: Callable[[tuple[Any, ...]], None] = self._ops.append
        self._packed: Packed | None = None  # the ops in another form, see cnp.ir.packed
        self.params = self._parameters()

    def _begin(self, name: str, params: Iterable[ParameterType], result: Type | None) -> None:
        """Everything but the ops, and the registers of the parameters as objects."""
        if not isinstance(name, str):
            raise UserError(f"{name!r} cannot name a function; accepted: a str")
        self.name = name
        self._parameter_types = types = tuple(params)
        self._result = result_type(name, result)
        if len(types) > MAXIMUM_PARAMETERS:
            raise UserError(f"function {name!r}: {len(types)} parameters; accepted: up to {MAXIMUM_PARAMETERS}")
        self._serial = serial = 1 + next(_serials) % (_SERIALS - 1)
        self._first_code = serial << 32  # of its registers and labels
        self._types = registers = bytearray()
        for each in types:  # a comprehension is a call
            registers.append(parameter_type(name, each).register_type)
        self._label_count = 0
        self._callees: list[Callee] = []
        self._cells: list[ReadCell] = []  # which compiled code keeps alive
        self._known_callees: dict[int, _KnownCallee] = {}
        self._exits: MutableMapping[int, SideExit] = {}
        self._live: Live | None = None
        self._register_names: dict[int, str] = {}
        self._label_names: dict[int, str] = {}
        self._taken_names: set[tuple[str, str]] = set()

    def _parameters(self) -> tuple[Register, ...]:
        first, made = self._first_code, []
        for code in range(first, first + len(self._parameter_types)):
            made.append(register_coded(code))  # a comprehension is a call
        return tuple(made)

    @property
    def parameter_types(self) -> tuple[ParameterType, ...]:
        """One for each of `params`."""
        return self._parameter_types

    @property
    def result(self) -> Type | None:
        """The type of what `ret` returns; None for nothing."""
        return self._result

    _own_ops: OpTable | None = None
    """Set by the classes of extension libraries."""

    @property
    def op_table(self) -> OpTable:
        """The ops that the function may have."""
        return self._own_ops or default_ops()

    def __repr__(self) -> str:
        params = ", ".join(str(each) for each in self.parameter_types)
        result = f" -> {self.result}" if self.result is not None else ""
        return f"<Function {self.name}({params}){result}, {len(self.ops)} ops>"

    # -- registers and labels

    def reg(self, type: Type, name: str | None = None) -> Register:
        """A new register. A name must be an identifier (dots allowed) that no other register of the function has."""
        if type.__class__ is not Type:
            raise UserError(f"function {self.name!r}: a register cannot be of type {type!r}; accepted: i32 i64 f32 f64")
        register: Register = _new(Register)
        register.code = self._first_code + len(self._types)
        if name is not None:
            self._name(self._register_names, len(self._types), name, "register")
        self._types.append(type)
        return register

    def label(self, name: str | None = None) -> Label:
        """A new label; `place` puts it somewhere. A name must be an identifier that no other label has."""
        label: Label = _new(Label)
        label.code = self._first_code + self._label_count
        if name is not None:
            self._name(self._label_names, self._label_count, name, "label")
        self._label_count += 1
        return label

    def name_register(self, register: Register, name: str) -> None:
        """Name a register after the fact: parameters, mostly. UserError as for `reg`."""
        self._name(self._register_names, register.code & 0xFFFFFFFF, name, "register")

    def _name(self, names: dict[int, str], index: int, name: str, what: str) -> None:
        plain = name.isascii() and name.replace(".", "_").isidentifier() and name[0] != "."
        if not plain or name in RESERVED_NAMES:
            raise UserError(f"function {self.name!r}: {name!r} cannot name a {what}; accepted: an identifier")
        if (what, name) in self._taken_names:
            raise UserError(f"function {self.name!r}: there is a {what} {name!r} already")
        self._taken_names.discard((what, names.get(index, "")))
        self._taken_names.add((what, name))
        names[index] = name

    @property
    def register_types(self) -> list[Type]:
        """The type of every register by index, parameters first."""
        return [_TYPES[each] for each in self._types]

    @property
    def ops(self) -> Sequence[tuple[Any, ...]]:
        """The ops so far, for reading: (code, operands...), see cnp.ir.optable.Code."""
        return self._ops

    @property
    def callees(self) -> Sequence[Callee]:
        """What the call ops of this function call; a call op holds an index into it."""
        return self._callees

    @property
    def exits(self) -> Mapping[int, SideExit]:
        """The side exits by the index of their label."""
        return self._exits

    def exit(self, handler: Callable[[Any, tuple[Any, ...]], Any], point: Any, values: Iterable[Source] = ()) -> Label:
        """A label that leads out of compiled code: to `handler(point, (values...))`, whose result is the function's.

        Jumps, branches and branch tables may lead there; it is placed nowhere. `point` says where in the guest that is:
        any object. `values` are registers, which are read where the jump is, or numbers, passed on as they are. The
        handler gets ints, signed, and floats, with the GIL held. What it returns and raises is treated as that of a
        callback is: see `cnp.callback`. UserError if the handler cannot be called, or a value is neither a number nor a
        register of this function.
        """
        start = f"function {self.name!r}: exit {point!r}"
        if not callable(handler):
            raise UserError(f"{start}: its handler {handler!r} cannot be called; accepted: any callable")
        live = tuple(values)
        for each in live:
            if each.__class__ is Register:
                accepted = 0 <= each.code - self._first_code < len(self._types)
            else:
                accepted = hasattr(each, "__index__") or hasattr(each, "__float__")
            if not accepted:
                raise UserError(f"{start} cannot pass on {each!r}; accepted: a register of this function, or a number")
        label = self.label()
        self._exits[self._label_count - 1] = SideExit(handler, point, live)
        return label

    # -- ops that have no row in the op table

    def place(self, label: Label) -> None:
        """Put `label` here: the next op is what jumps to it execute. Once per label."""
        self._emit((PLACE, label))

    def jump(self, label: Label) -> None:
        """Go on at `label`."""
        self._emit((JUMP, label))

    def ret(self, value: Source | None = None) -> None:
        """Return, with a value if and only if the function has a result."""
        self._emit((RET,) if value is None else (RET, value))

    def branch_table(self, index: Source, labels: Sequence[Label], default: Label) -> None:
        """Go on at labels[index], or at `default` where the i32 index, taken as unsigned, is past the end."""
        self._emit((TABLE, index, default, *labels))

    def unreachable(self) -> None:
        """Trap."""
        self._emit((TRAP,))

    def safepoint(self) -> None:
        """Let Python handle signals if it wants to, which may end the function with an INTERRUPTED trap."""
        self._emit((SAFEPOINT,))

    def move(self, d: Register, a: Source) -> None:
        """d = a, of any one type."""
        self._emit((MOVE, d, a))

    def select(self, d: Register, a: Source, b: Source, condition: Source) -> None:
        """d = a if the i32 condition is not zero, else b; both are read."""
        self._emit((SELECT, d, a, b, condition))

    def i32_const(self, d: Register, value: Number) -> None:
        """d = value, in [-2^31, 2^32)."""
        self._emit((CONST32, d, value))

    def i64_const(self, d: Register, value: Number) -> None:
        """d = value, in [-2^63, 2^64)."""
        self._emit((CONST64, d, value))

    def f32_const(self, d: Register, value: Number) -> None:
        """d = value, rounded to the nearest f32."""
        self._emit((CONSTF32, d, value))

    def f64_const(self, d: Register, value: Number) -> None:
        """d = value, rounded to the nearest f64."""
        self._emit((CONSTF64, d, value))

    def call(self, d: Register | None, callee: Callee, *arguments: Source) -> None:
        """d = callee(arguments). d is None where there is no result, or nobody wants it.

        The callee is a Function (this one included), a compiled function, an extern, a callback or a cell. UserError at
        once if it is none of these, for a wrong number of arguments, or for a destination where there is no result.
        """
        known = self._known_callees.get(id(callee)) or self._add_callee(callee)
        if len(arguments) != known.parameters:
            takes = f"{known.name!r} takes {known.parameters} arguments"
            raise UserError(f"function {self.name!r}: {takes}, not {len(arguments)}")
        if d is not None and not known.has_result:
            raise UserError(f"function {self.name!r}: {known.name!r} has no result; accepted as destination: None")
        self._emit((CALL, d, known.number, *arguments))

    def load_cell(self, d: Register, cell: ReadCell) -> None:
        """d = what is in a cnp.DataCell, an i64. The compiled function keeps the cell alive."""
        if not hasattr(cell, "address"):
            raise UserError(f"function {self.name!r}: {cell!r} is no cell; accepted: a cnp.DataCell")
        self._cells.append(cell)
        self.i64_load(d, cell.address)

    def assume(self, assumption: ReadCell, otherwise: Label) -> None:
        """A guard: go on at `otherwise` if a cnp.Assumption is broken. One load and a branch."""
        if not getattr(assumption, "is_assumption", False):
            raise UserError(f"function {self.name!r}: {assumption!r} is no assumption; accepted: a cnp.Assumption")
        flag = self.reg(_TYPES[1])
        self.load_cell(flag, assumption)
        self.branch_i64_nez(flag, otherwise)

    def _add_callee(self, callee: Callee) -> _KnownCallee:
        signature = callee_signature(callee)
        if signature is None:
            accepted = "a Function, a compiled function, cnp.extern(...), cnp.callback(...) or a cnp.Cell"
            raise UserError(f"function {self.name!r}: {callee!r} cannot be called; accepted: {accepted}")
        name, params, result = signature
        self._check_library(name, callee)
        known = _KnownCallee(len(self._callees), name, len(params), result is not None)
        self._known_callees[id(callee)] = known
        self._callees.append(callee)  # which also keeps its id from being used again
        return known

    def _check_library(self, name: str, callee: Callee) -> None:
        """One piece of code is made by one library. UserError if the callee is another's."""
        function = callee_function(callee)
        if function is None:
            return
        mine, other = library_of(self), library_of(function)
        if mine is other or (other is None and function is callee):  # every library has the built-in ops
            return
        raise UserError(
            f"function {self.name!r} has {_ops_of(mine)} and cannot call {name!r}, which has {_ops_of(other)}; "
            "accepted: a Function of the same library, or the other's address: cnp.extern(g.address, params, result)"
        )

    def _take_places(self, function: Function, first: int, numbers: Sequence[int]) -> None:
        """The ops from `first` on are going to be those of another function that have these numbers."""

    def _reached_from(self, label: Label) -> Reached:
        """What `entered_at` makes its function of."""
        from cnp.ir import osr  # it is built on what is built on this module

        return osr.Reached(self, label)

    def _where(self, op: int) -> str:
        """What messages call an op by its number."""
        return f"op {op}"

    def entered_at(self, label: Label, live: Sequence[Register], name: str = "") -> Function:
        """A function that goes on at `label` of this one (on-stack replacement), made of the ops so far.

        Its one parameter is a ptr: an address or buffer of the values of the `live` registers, 8 bytes each, in this
        order, an i32 or f32 in the first four of them; `pack` makes one of Python numbers. What is not reached from the
        label is not in it. Registers that are read and not among the live ones are reported when it is compiled or
        verified.
        UserError for a label that is placed nowhere, or for what is no register of this function.
        """
        from cnp.ir import osr  # it is built on what is built on this module

        return osr.entered_at(self, label, live, name)

    def pack(self, values: Iterable[Number]) -> bytes:
        """The buffer that a function made by `entered_at` takes: a number for each live register, integers signed.

        UserError for another number of values, or for a function that was not made so; OverflowError for a value that
        does not fit its register, TypeError for one of another kind.
        """
        if self._live is None:
            raise UserError(f"function {self.name!r} takes arguments; accepted here: one that Function.entered_at made")
        return self._live.pack(self.name, values)

    def compile(self, backend: str = "native", target: str | None = None, **options: Any) -> Any:
        """Compile for `target` (None: this machine) with one of the back ends native, gadget, switch, reference.

        VerifyError if the function is not well formed, Unsupported if the back end cannot run here.
        """
        global _compiler
        if _compiler is None:
            from cnp import backends  # back ends are built on the IR, so it can only reach up when asked to

            _compiler = backends.compiler
        return _compiler(backend)(self, target, **options)


_compiler: Any = None  # a statement that imports takes half a microsecond each time


def library_of(function: Function) -> Any:
    """The extension library whose ops a function may have; None where it has the built-in ones only."""
    return None if function._own_ops is None else function._own_ops.library


def library_elsewhere(function: Function, target: str) -> Any:
    """The same for any target; Unsupported if it has not been brought along for that one."""
    table = function._own_ops
    if table is None or table.library.target == target:
        return library_of(function)
    if target not in table.elsewhere:
        raise Unsupported(
            f"function {function.name!r} has the ops of {table.library.path}, which is for {table.library.target} and "
            f"not for {target}; accepted: after add_target with what `cnp build DIR --target {target}` makes"
        )
    return table.elsewhere[target]


def _ops_of(library: Any) -> str:
    return "the built-in ops" if library is None else f"the ops of {library.path}"
