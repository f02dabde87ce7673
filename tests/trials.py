"""Compiles one op in one placement for many operand values, and says what that must leave behind.

A *trial* is an op, the operands that are constants, and which of the others share a place and which lie in the frame.
It becomes one function, which is compiled once for every choice of hardware registers: `pins` take the place of the
register allocator. The function sets all other registers to sentinels, runs the op on each tuple of values, and
stores results, operands and sentinels in a row of memory that its caller compares.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from machines import FLOAT, INTEGER, Machine, Used

from cnp.errors import Trap, TrapKind
from cnp.ir import Function, Register
from cnp.ir.semantics import TrapSignal, load, store
from cnp.types import Type

Value = int | float
Emit = Callable[[Function, "Register | None", list[Any]], None]
"""Appends the op under test: function, destination (None if it has none), sources as registers or numbers."""


def integers(bits: int) -> list[int]:
    """Edges of the type and of every immediate's range, counts of shifts, and two numbers without a pattern."""
    half = 1 << (bits - 1)
    near = [0, 1, -1, 2, 5, 31, 32, 33, 63, 64, 127, 128, -127, -128, -129, 255, 256, 65535, 0x7FFFFFFF, -0x7FFFFFFF]
    wide = [-0x80000000, 0x80000000, 0xFFFFFFFF, 0x100000000, half - 1, -half, -half + 1, 0x123456789ABCDEF0 % half]
    found = dict.fromkeys(near + [each for each in wide if -half <= each < half] + [-0x1234567890ABCDEF % half - half])
    return list(found)


FLOATS = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, math.inf, -math.inf, math.nan, -math.nan, 0.99999),
    *(3.14159, -0.99999),
    *(2.0**31, -(2.0**31), 2.0**31 - 1, -(2.0**31) - 1, 2.0**32, 2.0**32 - 1, 2.0**63, -(2.0**63), 2.0**64),
    *(2.0**52 + 1, -(2.0**23) - 1, 1e300, 5e-324, 16777217.0, 1e-40),
]


def to_f32(value: float) -> float:
    return float(np.float32(value)) if abs(value) < 2.0**128 or not math.isfinite(value) else math.inf


EDGES: dict[Type, list[Any]] = {
    Type.i32: integers(32),
    Type.i64: integers(64),
    Type.f32: list({struct.pack("<f", to_f32(each)): to_f32(each) for each in FLOATS}.values()),
    Type.f64: FLOATS,
}
_FORMAT = {Type.i32: "<Ixxxx", Type.i64: "<Q", Type.f32: "<fxxxx", Type.f64: "<d"}
_CONST = {Type.i32: "i32_const", Type.i64: "i64_const", Type.f32: "f32_const", Type.f64: "f64_const"}
_STORE = {Type.i32: "i32_store", Type.i64: "i64_store", Type.f32: "f32_store", Type.f64: "f64_store"}
INTEGER_SENTINEL, FLOAT_SENTINEL = 0x5EA1_0000_C0DE_0001, 0x7001_BEEF_0000_0001


def pack(type: Type, value: Value) -> bytes:
    """Eight bytes, as a cell of a row holds a value of the type."""
    return struct.pack(_FORMAT[type], value % (1 << type.bits) if type.is_integer else value)


@dataclass
class Place:
    """Where one or more operands live: they share it."""

    is_float: bool
    in_frame: bool
    operands: list[int]  # 0 is the destination, if the op has one, then the sources


@dataclass
class Trial:
    """One op, with its operands' places but for the numbers of their registers."""

    machine: Machine
    name: str
    emit: Emit
    result: Type | None
    sources: Sequence[Type]
    places: list[Place]
    constant: tuple[bool, ...]  # of each source
    tuples: Sequence[tuple[Value, ...]]
    meaning: Callable[..., Value]
    exact_nan: bool = False
    spare: int = 0
    """Integer registers that hold nothing, the scratch registers first, so that stencils may use them."""
    used: Used = field(default_factory=Counter)
    """Of all trials of the op: what registers its operands have been in."""
    function: Function = field(init=False)
    expected: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.function = Function(self.name, [Type.i64])
        self._roles: list[tuple[str, int]] = [("frame", 0)]  # of each register: where `pins` finds its place
        self.expected = bytearray()
        self._nan_cells: list[tuple[int, Type]] = []
        self._op_number = self._runs = 0
        self._build()

    # -- the function

    def _new(self, type: Type, role: str, number: int = 0) -> Register:
        self._roles.append((role, number))
        return self.function.reg(type)

    def _put(self, type: Type, register: Any, value: Value) -> None:
        """Store a register in the next cell, which must then hold the value."""
        if type.is_float and math.isnan(value) and not self.exact_nan:
            self._nan_cells.append((len(self.expected), type))
        getattr(self.function, _STORE[type])(register, self.function.params[0], len(self.expected))
        self.expected += pack(type, value)

    def _set(self, type: Type, register: Register, value: Value) -> None:
        getattr(self.function, _CONST[type])(register, value)

    def _registers(self) -> list[Register | None]:
        """A register for each operand; those that share a place share the register, unless their types differ."""
        types = [self.result, *self.sources]
        registers: list[Register | None] = [None] * len(types)
        for number, place in enumerate(self.places):
            of_type: dict[Type, Register] = {}
            for operand in place.operands:
                type = types[operand]
                assert type is not None
                if type not in of_type:
                    of_type[type] = self._new(type, "frame" if place.in_frame else "place", number)
                registers[operand] = of_type[type]
        return registers

    def _build(self) -> None:
        f = self.function
        sentinels = self._sentinels()
        registers = self._registers()
        wide = self._wide_result()
        for values in self.tuples:
            self._run(registers, wide, values)
        for register, type, value in sentinels:
            self._put(type, register, value)
        f.ret()

    def _sentinels(self) -> list[tuple[Register, Type, Value]]:
        used = [sum(not each.in_frame and each.is_float == kind for each in self.places) for kind in (False, True)]
        extra = self._destination_in_frame()
        found: list[tuple[Register, Type, Value]] = []
        for number in range(self.machine.registers[INTEGER] - used[0] - extra - self.spare):
            found.append((self._new(Type.i64, "integer", number), Type.i64, INTEGER_SENTINEL + number))
        for number in range(self.machine.registers[FLOAT] - used[1]):
            value = struct.unpack("<d", struct.pack("<Q", FLOAT_SENTINEL + number))[0]
            found.append((self._new(Type.f64, "float", number), Type.f64, value))
        for number in range(2):
            found.append((self._new(Type.i64, "frame"), Type.i64, ~INTEGER_SENTINEL + number))
        for register, type, sentinel in found:
            self._set(type, register, sentinel)
        return found

    def _destination_in_frame(self) -> bool:
        return self.result is Type.i32 and any(each.in_frame and 0 in each.operands for each in self.places)

    def _wide_result(self) -> tuple[Register | None, Register] | None:
        """For an i32 result, an i64 register in the same place, which shows the upper half. One in the
        frame is moved to a register first, because moves carry 64 bits."""
        if self.result is not Type.i32:
            return None
        if self._destination_in_frame():
            spare = len(self.places)
            copy, wide = (
                self._new(Type.i32, "integer", -1 - self.spare),
                self._new(Type.i64, "integer", -1 - self.spare),
            )
        else:
            spare = next(n for n, each in enumerate(self.places) if 0 in each.operands)
            copy, wide = None, self._new(Type.i64, "place", spare)
        self._set(Type.i64, wide, 0)
        return copy, wide

    def _run(
        self, registers: list[Register | None], wide: tuple[Register | None, Register] | None, values: tuple[Value, ...]
    ) -> None:
        self._runs += 1
        kept: dict[int, tuple[Type, Register, Value]] = {}
        operands: list[Any] = []
        for number, (type, value) in enumerate(zip(self.sources, values)):
            register = registers[number + 1]
            operands.append(value if self.constant[number] else register)
            if not self.constant[number] and register is not None and register.code not in kept:
                self._set(type, register, value)
                kept[register.code] = type, register, value
        self.operate(registers[0], wide, operands, values)
        gone = next((each for each in self.places if 0 in each.operands), None)
        for number, register in enumerate(registers[1:], 1):
            if register is not None and (gone is None or number not in gone.operands) and register.code in kept:
                type, _, value = kept.pop(register.code)
                exact, self.exact_nan = self.exact_nan, True
                self._put(type, register, value)
                self.exact_nan = exact

    def operate(
        self,
        d: Register | None,
        wide: tuple[Register | None, Register] | None,
        operands: list[Any],
        values: tuple[Value, ...],
    ) -> None:
        """Append the op, and a store of its result."""
        self._op_number = len(self.function.ops)
        self.emit(self.function, d, operands)
        if self.result is None:
            return
        try:
            result = self.meaning(*values)
        except TrapSignal:  # nothing is stored
            result = 0
        if wide is None:
            self._put(self.result, d, result)
            return
        if wide[0] is not None:
            self.function.move(wide[0], d)  # type: ignore[arg-type]
        self._put(Type.i64, wide[1], self.machine.in_register(Type.i32, result))

    # -- choices of registers

    def pins(self) -> Iterator[bytes]:
        """The pins of every choice of registers for the places that are not in the frame."""
        machine, operands = self.machine, (self.result is not None) + self.constant.count(False)
        placed = [number for number, each in enumerate(self.places) if not each.in_frame]
        shared = [(self.places[number].is_float, self.places[number].operands) for number in placed]
        for chosen in machine.choices(shared, operands, self.used):
            hardware = dict(zip(placed, chosen))
            integer, float_ = ({each for each, (kind, _) in zip(chosen, shared) if kind == file} for file in (0, 1))
            free = {
                "integer": sorted(set(range(machine.registers[INTEGER])) - integer, key=machine.is_scratch),
                "float": [each for each in range(machine.registers[FLOAT]) if each not in float_],
            }
            yield bytes(
                255 if role == "frame" else hardware[number] if role == "place" else free[role][number]
                for role, number in self._roles
            )

    def registers(self) -> Iterator[dict[int, int]]:
        """The same as the registers of operands, those in the frame left out."""
        for pins in self.pins():
            found: dict[int, int] = {}
            for number, place in enumerate(self.places):
                if not place.in_frame:
                    register = pins[self._roles.index(("place", number))]
                    found |= dict.fromkeys(place.operands, register)
            yield found

    # -- running

    def run(self) -> int:
        """Compile and call the function for every choice of registers. Returns how many there were."""
        choices = list(self.pins())
        rows = self.machine.rows(len(choices), len(self.expected))
        rows[:] = 0xA5
        address, stride = rows.ctypes.data, rows.strides[0]
        expected = np.frombuffer(bytes(self.expected), np.uint8)
        stored = self._stored()
        for number, pins in enumerate(choices):
            self.machine.poison()
            self.machine.compile(self.function, pins=pins)(address + number * stride)
        for offset, type in self._nan_cells:
            cells = rows[:, offset : offset + type.bits // 8].copy()
            good = np.isnan(cells.view(np.float32 if type is Type.f32 else np.float64)[:, 0])
            rows[good, offset : offset + 8] = expected[offset : offset + 8]
        wrong = np.flatnonzero(((rows != expected) & stored).any(axis=1))
        if wrong.size:
            row = int(wrong[0])
            found = np.where(stored, rows[row], expected)
            raise AssertionError(f"{wrong.size} of {len(choices)}; {self._explain(choices[row], found)}")
        return len(choices)

    def _stored(self) -> Any:
        """Which bytes of a row are written: an i32 or f32 fills half a cell."""
        stored = np.zeros(len(self.expected), bool)
        row = 0
        for op in self.function.ops:
            if op[0] in _STORE_WIDTH and op[-2] is self.function.params[0]:
                stored[op[-1] : op[-1] + _STORE_WIDTH[op[0]]] = True
                row += 1
        return stored

    def _explain(self, pins: bytes, row: Any) -> str:
        expected = bytes(self.expected)
        for offset in range(0, len(row), 8):
            if bytes(row[offset : offset + 8]) != expected[offset : offset + 8]:
                break
        tuples = f"cell {offset // 8} of {len(row) // 8}: {bytes(row[offset : offset + 8])[::-1].hex()}"
        return f"{self.describe(pins)}: {tuples}, expected {expected[offset : offset + 8][::-1].hex()}"

    def describe(self, pins: bytes) -> str:
        """The op with its operands as placed."""
        names: dict[int, str] = {}
        for number, place in enumerate(self.places):
            index = next((i for i, role in enumerate(self._roles) if role == ("place", number)), None)
            name = "frame" if place.in_frame or index is None else f"{'f' if place.is_float else 'r'}{pins[index]}"
            names |= dict.fromkeys(place.operands, f"{name}#{number}" if place.in_frame else name)
        shown = [names[0]] if 0 in names else []
        shown += ["constant" if c else names.get(n, "?") for n, c in enumerate(self.constant, 1)]
        return f"{self.name} {', '.join(shown)}; values {list(self.tuples)[:3]}..., pins {list(pins)}"

    def run_traps(self, kind: TrapKind) -> int:
        """The same for a single tuple on which the op traps."""
        (row,) = self.machine.rows(1, len(self.expected))
        row[:] = 0xA5
        count = 0
        for pins in self.pins():
            self.machine.poison()
            try:
                self.machine.compile(self.function, pins=pins)(row.ctypes.data)
            except Trap as trap:
                found = trap.kind, trap.function, trap.op
                assert found == (kind, self.name, self._op_number), (found, kind, self._op_number, self.describe(pins))
            else:
                raise AssertionError(f"no trap: {self.describe(pins)}")
            assert (row == 0xA5).all(), f"went on after the trap: {self.describe(pins)}"
            count += 1
        return count


class StoreTrial(Trial):
    """A store: the 24 bytes around its address are copied to the row. `meaning` is (address, value) -> None, on a row
    of memory that starts at address - 8."""

    def operate(self, d: Any, wide: Any, operands: list[Any], values: tuple[Value, ...]) -> None:
        f = self.function
        copy = self._new(Type.i64, "frame")
        memory = self.machine.scratch_address
        for offset in (-8, 0, 8):
            f.i64_store(INTEGER_SENTINEL, memory + offset, 0)
            store("i64.store", memory + offset, INTEGER_SENTINEL)
        self.emit(f, None, operands)
        self.meaning(*values)
        for offset in (-8, 0, 8):
            f.i64_load(copy, memory + offset, 0)
            self._put(Type.i64, copy, load("i64.load", memory + offset))


class BranchTrial(Trial):
    """A branch: the row shows which way it went. `meaning` gives the number of the label, from 0; `emit` finds the
    labels behind the operands, and goes on where none is taken.

    It comes near to its target and far from it, and around a jump, whose place it then takes.
    """

    ways = 1

    def operate(self, d: Any, wide: Any, operands: list[Any], values: tuple[Value, ...]) -> None:
        f = self.function
        layout = self._runs % 4
        labels = [f.label() for _ in range(self.ways)]
        other, end = f.label(), f.label()
        self.emit(f, None, [*operands, labels])
        if layout & 1:
            f.jump(other)
        else:
            self._arrive(self.ways, layout)
            f.jump(end)
        for way, label in enumerate(labels):
            f.place(label)
            self._arrive(way, layout)
            f.jump(end)
        if layout & 1:
            f.place(other)
            self._arrive(self.ways, layout)
        f.place(end)
        self.expected += pack(Type.i32, self.meaning(*values))

    def _arrive(self, way: int, layout: int) -> None:
        f = self.function
        f.i32_store(way, f.params[0], len(self.expected))
        if layout & 2:  # too far for a short branch
            for _ in range(20):
                f.i64_store(0, self.machine.scratch_address, 0)


class TableTrial(BranchTrial):
    """A branch table of four labels, the last of which is the default."""

    ways = 4


def _store_widths() -> dict[int, int]:
    probe = Function("probe")
    for method in _STORE.values():
        getattr(probe, method)(0, 0, 0)
    return {op[0]: type.bits // 8 for op, type in zip(probe.ops, _STORE)}


_STORE_WIDTH = _store_widths()

# -- trials of an op


def groupings(operands: Sequence[tuple[int, Type]]) -> Iterator[list[list[int]]]:
    """The ways in which operands may share places: those of one register file and, but for the destination (0), of
    one type."""
    if not operands:
        yield []
        return
    (last, type), rest = operands[-1], operands[:-1]
    types = dict(operands)
    for grouping in groupings(rest):
        for number, group in enumerate(grouping):
            same_file = types[group[0]].is_float == type.is_float
            if same_file and all(types[each] is type for each in group if each):
                yield [*grouping[:number], [*group, last], *grouping[number + 1 :]]
        yield [*grouping, [last]]


def arrangements(result: Type | None, sources: Sequence[Type], constant: Sequence[bool]) -> Iterator[list[Place]]:
    """Every way to place the operands that are not constants, but for the numbers of registers."""
    operands = [(0, result)] if result is not None else []
    operands += [(n, type) for n, (type, is_constant) in enumerate(zip(sources, constant), 1) if not is_constant]
    types = dict(operands)
    for grouping in groupings(operands):
        mixed = [len({types[each] for each in group}) > 1 for group in grouping]
        for frames in itertools.product((False, True), repeat=len(grouping)):
            if not any(map(all, zip(mixed, frames))):  # a slot belongs to one register
                kinds = [types[group[0]].is_float for group in grouping]
                yield [Place(*each) for each in zip(kinds, frames, grouping)]


def shared_values_agree(places: Sequence[Place], values: Sequence[Value], sources: Sequence[Type]) -> tuple[Value, ...]:
    """The tuple with the values of sources in one place made equal to the last of them, which may be an address."""
    found = list(values)
    for place in places:
        members = [each - 1 for each in place.operands if each]
        for each in members[:-1]:
            found[each] = found[members[-1]]
    return tuple(found)
