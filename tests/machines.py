"""Machines that the tests run compiled code on: this one, and one for each target that qemu emulates."""

from __future__ import annotations

import collections
import ctypes
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from guest_support import NATIVE, need_emulator

import cnp
from cnp.backends import native
from cnp.backends.foreign import ForeignFunction, tables_for
from cnp.ir import Extern, Function, reference
from cnp.ir.function import CallCell
from cnp.runtime.code import Part
from cnp.runtime.default import library_for
from cnp.runtime.layout import Library as Tables
from cnp.stencil.library import Library
from cnp.target import target_named
from cnp.target.immediate import ONES
from cnp.tools.emulated import EmulatedFunction, as_register, from_register
from cnp.tools.emulator import Emulator
from cnp.types import ParameterType, Type

INTEGER, FLOAT = False, True
MEMORY_SIZE = 256
_c_function = reference._c_function  # which tests replace by call_c
Shared = tuple[bool, Sequence[int]]
"""A register's file, and the numbers of the operands that are in it."""
Used = collections.Counter[tuple[int, int]]
"""How often operands have been in registers, by their numbers."""


i32, i64, f32, f64 = Type
C_FUNCTIONS: dict[str, tuple[list[ParameterType], Type]] = {
    "sum_integers": ([i64] * 8, i64),
    "sum_floats": ([f64] * 8, f64),
    "sum_mixed": ([i64, f64, i32, f32, i64, f64], f64),
    "half": ([f32], f32),
    "narrow": ([i64], i32),
}
"""Those of cnp.tools.guest.FUNCTIONS that call nothing, and their types."""


PADS = {
    "aarch64": bytes.fromhex("df2403d5"),  # bti jc
    "x86_64": bytes.fromhex("f30f1efa"),  # endbr64
    "riscv64": bytes.fromhex("17000000"),  # lpad 0
}
"""Where an indirect jump may arrive, by target."""


def _weighted(*values: Any) -> Any:
    return sum(number * each for number, each in enumerate(values, 1))


def _integer(*values: int) -> int:
    return (_weighted(*values) + 2**63) % 2**64 - 2**63


_LONG, _DOUBLE, _FLOAT = ctypes.c_int64, ctypes.c_double, ctypes.c_float
_CALLBACKS: dict[str, Any] = {
    "sum_integers": ctypes.CFUNCTYPE(_LONG, *[_LONG] * 8)(_integer),
    "sum_floats": ctypes.CFUNCTYPE(_DOUBLE, *[_DOUBLE] * 8)(_weighted),
    "sum_mixed": ctypes.CFUNCTYPE(_DOUBLE, _LONG, _DOUBLE, ctypes.c_int32, _FLOAT, _LONG, _DOUBLE)(_weighted),
    "half": ctypes.CFUNCTYPE(_FLOAT, _FLOAT)(lambda x: x / 2),
    # Of an i32 there may be anything in the upper half of the register.
    "narrow": ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(lambda x: x & 0xFFFFFFFF | 0xDEADBEEF << 32),
}


class Machine:
    """This machine."""

    name = NATIVE
    is_native = True
    lives = True

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.library: Library = native.core().library
        self.tables: Tables = native.core().tables
        self._begin()

    def _begin(self) -> None:
        self.target = target_named(self.library.target)
        self.registers = self.tables.integer_registers, self.tables.float_registers
        """How many there are for integers and for floats."""
        self.scratch = self.array(64)
        self.scratch_address = self.scratch.ctypes.data + 16
        """Where stores under test go: 24 bytes behind it and 8 in front of it."""
        self.memory = self.array(MEMORY_SIZE + 64)
        self.address = self.memory.ctypes.data + 32
        """Of MEMORY_SIZE bytes that programs read and write."""
        self._cells: list[Any] = []
        self.middle = self.address + MEMORY_SIZE // 2
        self._poison = self._make_poison()

    def compile(self, function: Function, **options: Any) -> Any:
        """What the tests call."""
        return native.compile(function, **options)

    def compile_for_buffers(self, function: Function) -> Any:
        """The same, to be called with any bytearrays and ctypes arrays."""
        return self.compile(function)

    def callee(self, function: Function, **options: Any) -> Any:
        """The function compiled for others to call."""
        return native.compile(function, **options)

    def array(self, size: int) -> Any:
        """Bytes in memory that compiled code sees."""
        return np.zeros(size, np.uint8)

    def rows(self, count: int, size: int) -> Any:
        """The same for rows, which are gone when others are asked for."""
        return self.array(count * size).reshape(count, size)

    def close(self) -> None:
        """End what was started for it."""

    def cell(self, target: Any) -> CallCell:
        """A cell with a compiled function in it, in memory that compiled code sees."""
        memory, function = self.array(8), target.function
        types = [each.register_type for each in function.parameter_types]
        made = CallCell(memory.ctypes.data, types, function.result, function.name)
        self._cells.append(memory)
        self.point(made, target)
        return made

    def point(self, cell: CallCell, target: Any) -> None:
        """Put another function into a cell."""
        ctypes.c_uint64.from_address(cell.address).value = target.entry

    def fuel(self, ticks: int = -1) -> int:
        """What the thread that runs code has left of its ticks; afterwards it has so many, if they are not negative."""
        core = native.core()
        return int(core.fuel(core.host_address, ticks))

    def extern(self, name: str) -> Extern:
        """One of C_FUNCTIONS."""
        return cnp.extern(ctypes.cast(_CALLBACKS[name], ctypes.c_void_p).value or 0, *C_FUNCTIONS[name], name)

    def call_c(self, callee: Extern) -> Any:
        """A C function as a Python callable."""
        return _c_function(callee)

    def address_for_c(self, compiled: Any) -> int:
        """Where C calls a compiled function."""
        return int(compiled.address)

    def is_scratch(self, register: int) -> bool:
        return bool(self.tables.scratch >> register & 1)

    def in_register(self, type: Type, value: Any) -> int:
        """The 64 bits of a register that holds an integer."""
        low = value % (1 << type.bits)
        if self.tables.extends_signs and low >> type.bits - 1:
            return int(low - (1 << type.bits)) % (1 << 64)
        return int(low)

    def choices(self, places: Sequence[Shared], operands: int, used: Used) -> Iterator[tuple[int, ...]]:
        """Registers for the places of a trial of an op of so many operands: here, all there are."""
        files = [[n for n, (kind, _) in enumerate(places) if kind == each] for each in (INTEGER, FLOAT)]
        for integers in itertools.permutations(range(self.registers[INTEGER]), len(files[INTEGER])):
            for floats in itertools.permutations(range(self.registers[FLOAT]), len(files[FLOAT])):
                chosen = dict(zip((*files[INTEGER], *files[FLOAT]), (*integers, *floats)))
                yield tuple(chosen[number] for number in range(len(places)))

    def turns(self) -> Sequence[int]:
        """How far to turn registers, so that a value comes into each: here, one by one."""
        return range(self.registers[INTEGER])

    def class_edges(self, type: Type, limit: int = 1 << 64) -> list[int]:
        """Numbers between -limit and limit at the ends of the library's classes of immediates: here none, since
        EDGES has them."""
        return []

    def some(self, values: Sequence[Any], count: int) -> Sequence[Any]:
        """Of the values that a test tries, as many as there is time for: here, all."""
        return values

    def poison(self) -> None:
        """Fill the frame that the next function gets with ones."""
        self._poison()

    def _make_poison(self) -> Any:
        f = Function("poison")
        registers = [f.reg(Type.i64) for _ in range(32)]
        for each in registers:
            f.i64_const(each, -1)
        for each in registers:
            f.i64_store(each, self.scratch_address, 0)
        f.ret()
        return self.compile(f, pins=bytes([255] * 32))

    def part(self, compiled: Any) -> Part:
        """What is known of a compiled function's own code."""
        part: Part = compiled._code.parts[0]
        return part

    def stencils(self, function: Function, **options: Any) -> list[tuple[int, int]]:
        """Op number and stencil of all of a function's code, in its order."""
        return [(op, stencil) for op, stencil, _ in self.part(self.callee(function, trace=True, **options)).traces]


ROWS_SIZE = 16 << 20
PATTERNS = (
    0x55555555,
    0x0F0F0F0F0F0F0F0F,
    0x00FF00FF00FF00FF,
    1 << 63,
    0xF000000F,
    0x7FFE,
    0x8000000000000001,
    0x5555AAAA,
)
"""Rows of ones, rotated and repeated, which some targets have in instructions, and numbers that nearly are."""


class EmulatedMachine(Machine):
    """Another target's, which qemu runs."""

    is_native = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.start()

    def start(self) -> None:
        """Start the process, or another one in its place: addresses stay the same."""
        if hasattr(self, "emulator"):
            self.close()
        self.library = library_for(self.name)
        self.emulator = Emulator(self.library)
        self.tables = tables_for(native.core(), self.library)
        self._rows = self.array(ROWS_SIZE)
        self._last_entry = 0
        self._begin()

    def compile(self, function: Function, **options: Any) -> EmulatedFunction:
        options.pop("nogil", None)
        made = EmulatedFunction(self.emulator, self.callee(function, **options))
        if made.entry < self._last_entry:  # the room for code is used a second time
            self._last_entry = 0
            self._poison = self._make_poison()
        self._last_entry = made.entry
        return made

    def compile_for_buffers(self, function: Function) -> Any:
        compiled = self.compile(function)

        def call(*arguments: Any) -> Any:
            passed, copies, at = list(arguments), [], 0
            for number, each in enumerate(arguments):
                if isinstance(each, (bytearray, ctypes.Array)):
                    size = len(bytes(each))
                    passed[number] = copy = self._rows[at : at + size]
                    copy[:] = np.frombuffer(each, np.uint8)
                    copies.append((memoryview(each).cast("B"), copy))
                    at += size + 63 & -64
            try:
                return compiled(*passed)
            finally:
                for theirs, copy in copies:
                    theirs[:] = copy.tobytes()

        return call

    def callee(self, function: Function, **options: Any) -> ForeignFunction:
        made: ForeignFunction = native.compile(function, self.name, **options)
        return made

    @property
    def lives(self) -> bool:  # type: ignore[override]
        guest = self.emulator._guest
        return guest is not None and not guest._end

    def close(self) -> None:
        self.emulator.close()

    def array(self, size: int) -> Any:
        return np.frombuffer(self.emulator.array(size), np.uint8)

    def rows(self, count: int, size: int) -> Any:
        return self._rows[: count * size].reshape(count, size)

    def extern(self, name: str) -> Extern:
        return cnp.extern(self.emulator.functions[name], *C_FUNCTIONS[name], name)

    def fuel(self, ticks: int = -1) -> int:
        emulator = self.emulator
        return emulator.call(emulator.routine("cnp_fuel"), [emulator.host_address, ticks])

    def address_for_c(self, compiled: EmulatedFunction) -> int:
        emulator, core, function = self.emulator, native.core(), compiled.function
        tables = Tables.from_buffer_copy(self.tables)
        tables.blob = emulator.blob_address
        assert function.result is not None
        types, result = [each.code for each in function.parameter_types], function.result
        signature = emulator.make_signature(compiled.entry, types, result.code, self.part(compiled).number)
        size = core.emit_entry(ctypes.addressof(tables), result.is_float, signature, None, 0)
        address = emulator.allocate(size)
        core.emit_entry(ctypes.addressof(tables), result.is_float, signature, address, address)
        emulator.commit(address, size)
        return address

    def call_c(self, callee: Extern) -> Any:
        def call(*values: Any) -> Any:
            registers: tuple[list[int], list[int]] = [], []
            for type, value in zip(callee.params, values):
                registers[type.is_float].append(as_register(self.library, type, value))
            gives_float = callee.result is not None and callee.result.is_float
            word = self.emulator.call(callee.address, *registers, gives_float=gives_float)
            return from_register(callee.result, word, word)

        return call

    def choices_of(self, operands: int) -> int:
        """For how many choices a trial has time; ops of few operands have few trials, too."""
        groups = [self.target.register_groups(type) for type in (Type.i64, Type.f64)]
        most, largest = max(map(len, groups)), max(len(group) for each in groups for group in each)
        return {0: 1, 1: most * largest, 2: 8 if most == 1 else largest}.get(operands, 4)

    def choices(self, places: Sequence[Shared], operands: int, used: Used) -> Iterator[tuple[int, ...]]:
        """A few: of each combination of registers that do not share stencils, those that have been used least."""
        groups = [self.target.register_groups(Type.f64 if is_float else Type.i64) for is_float, _ in places]
        combinations = list(itertools.product(*groups))
        for turn in range(max(self.choices_of(operands), len(combinations)) if places else 1):
            chosen: list[int] = []
            for group, (is_float, sharing) in zip(combinations[turn % len(combinations)], places):
                taken = {each for each, (kind, _) in zip(chosen, places) if kind == is_float}
                free = [each for each in group if each not in taken]
                random.Random(used.total()).shuffle(free)
                if free:
                    chosen.append(min(free, key=lambda each: sum(used[operand, each] for operand in sharing)))
                    used.update((operand, chosen[-1]) for operand in sharing)
            if len(chosen) == len(places):
                yield tuple(chosen)

    def turns(self) -> Sequence[int]:
        return range(0, self.registers[INTEGER], 5)

    def class_edges(self, type: Type, limit: int = 1 << 64) -> list[int]:
        if type.is_float:
            return []
        found = list(PATTERNS)
        for _, low, high, scale, pattern in self.library.classes:
            if pattern & 3:
                pieces = (0, 0x1234 << 48, 0x1234_0000_5678_0000, 0x1234_0000_5678_9ABC)[pattern & 3]
                found += [~pieces if pattern & ONES else pieces]
            elif low <= high and not pattern:
                middle = (low + high) // 2 // scale * scale
                found += [low - scale, low, middle, high - 1, high, high + scale]
        half = 1 << type.bits - 1
        wrapped = [(each + half) % (2 * half) - half for each in found]
        return [each for each in dict.fromkeys(wrapped) if abs(each) < limit]

    def some(self, values: Sequence[Any], count: int) -> Sequence[Any]:
        """Always the same ones."""
        if len(values) <= count:
            return values
        return random.Random(count).sample(values, count)

    def part(self, compiled: EmulatedFunction | ForeignFunction) -> Part:
        return (compiled.compiled if isinstance(compiled, EmulatedFunction) else compiled).parts[0]


_machines: dict[str, Machine] = {}


def machine_named(name: str) -> Machine:
    """One of machine_names(), made when it is first asked for. Skips the test where nothing runs the target."""
    found = _machines.get(name)
    if found is None:
        if name != NATIVE:
            need_emulator(name)
        _machines[name] = found = Machine() if name == NATIVE else EmulatedMachine(name)
    if not found.lives:
        found.start()
    return found


def close() -> None:
    """End the processes."""
    for each in _machines.values():
        each.close()
    _machines.clear()
