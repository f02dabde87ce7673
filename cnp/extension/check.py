"""An op -> proof by trial that its compiled code does what its meaning says, in many placements and on many values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnp.errors import CheckError, UserError
from cnp.extension.check_called import check_called, meaning_of_called
from cnp.extension.samples import LETTERS, Outcome, Sample, Value, samples_of
from cnp.ir.reference import meaning_of
from cnp.ir.signature import normalised
from cnp.stencil.model import Shape
from cnp.types import NO_TYPE, Type

if TYPE_CHECKING:
    from cnp.extension.library import OpLibrary
    from cnp.ir.function import CalledOp
    from cnp.stencil.library import OpRow

_OFFSETS = (0, 8, -127, 4096, -(2**31) + 1)
_SLOT = 255
_CONSTANTS = 24  # of the samples, so many are compiled in as constants


def check(
    ops: OpLibrary, name: str, samples: Iterable[Sequence[Any]] | None = None, *, count: int = 64, seed: int = 0
) -> int:
    """Compare what an op computes with what its meaning says; returns how many comparisons that took.

    Operands are in every register once, in frame slots, in the destination's place, and constants; a comparison is
    tried in its fused branch besides, a load or store at several offsets. All operands must be left as they were.

    samples: tuples of operands in the order of the C parameters. None: edge values, and `count` random ones that `seed`
    begins. For a ptr there must be samples, in which bytes stand for memory of that content, which is compared too; a
    number is an address as it is. CheckError names the op, its placement, the operands, what was found and what was
    expected; Unsupported if nobody has said what the op means.
    """
    called: CalledOp | None = ops.table.called.get(name)
    if called is not None:
        trials = _trials(ops, name, called.params, meaning_of_called(called), samples, count, seed)
        return check_called(ops, called, trials)
    row = ops.row(name)
    trials = _trials(ops, name, _c_types(row), meaning_of(ops.table, row), samples, count, seed)
    compared = 0
    for trial, some in _all_trials(ops, row, trials):
        compared += trial.compare(some)
    return compared


def _trials(
    ops: OpLibrary,
    name: str,
    types: Sequence[Type],
    meaning: Callable[..., Any],
    samples: Iterable[Sequence[Any]] | None,
    count: int,
    seed: int,
) -> list[Sample]:
    """Samples, given or made up, each with what the meaning says of it."""
    pointers = ops.pointers(name)
    if samples is None and pointers:
        operand = f"operand {LETTERS[pointers[0]]}"
        raise UserError(f"op {name} looks into memory at {operand}: give samples, with bytes in the address's place")
    rows = list(samples_of(types, count, seed) if samples is None else samples)
    if not rows:
        raise UserError(f"op {name}: there are no samples; accepted: at least one")
    return [Sample.of(name, types, values, meaning) for values in rows]


def _c_types(row: OpRow) -> list[Type]:
    """Types of the operands in the order of the C parameters: a store's row has its value first."""
    types = [Type(each) for each in row.operand_types]
    return [types[1], types[0]] if row.shape == Shape.STORE else types


# -- placements


def _all_trials(ops: OpLibrary, row: OpRow, samples: Sequence[Sample]) -> Iterator[tuple[_Trial, Sequence[Sample]]]:
    numbers = range(len(row.operand_types))
    tried = (row, *ops.branches(row.name))
    for pins in _arrangements(ops, row):
        for offset in _OFFSETS if row.shape in (Shape.LOAD, Shape.STORE) else (0,):
            for each in tried:
                yield _Trial(ops, row, each, pins, (), offset), samples
    some = samples[:: max(1, len(samples) // _CONSTANTS)]
    for size in numbers:
        for constants in itertools.combinations(numbers, size + 1):
            for each in tried:
                yield _Trial(ops, row, each, [_SLOT] * 4, constants, 0), some


def _arrangements(ops: OpLibrary, row: OpRow) -> Iterator[list[int]]:
    """Pins of d, a, b and c: each in every register; each in a slot; d where another is."""
    types = [None if row.result_type == NO_TYPE else Type(row.result_type), *map(Type, row.operand_types)]
    sizes = [1 if type is None else _registers(ops, type) for type in types]
    files = [type is not None and type.is_float for type in types]
    distinct = [[(first + k * 2) % size for k, size in enumerate(sizes)] for first in range(max(sizes))]
    yield from distinct
    for slots in range(1, 1 << len(types)):
        yield [_SLOT if slots >> k & 1 else pin for k, pin in enumerate(distinct[slots % len(distinct)])]
    for k in range(1, len(types)):
        if types[0] is not None and files[k] == files[0]:
            for pins in distinct[:3]:
                yield [pins[k], *pins[1:]]


def _registers(ops: OpLibrary, type: Type) -> int:
    return ops.library.float_registers if type.is_float else ops.library.integer_registers


class _Trial:
    """An op in one placement; `constants` are operands, by number, whose values are compiled in."""

    def __init__(
        self, ops: OpLibrary, named: OpRow, row: OpRow, pins: Sequence[int], constants: Sequence[int], offset: int
    ) -> None:
        self.ops = ops
        self.named = named
        self.row = row
        self.pins = pins
        self.constants = constants
        self.offset = offset
        self._made: dict[Any, Any] = {}

    def compare(self, samples: Sequence[Sample]) -> int:
        """CheckError at the first difference; how many comparisons there were if there is none."""
        wanted = [None, *(number for number in range(len(self.row.operand_types)) if self._survives(number))]
        for kept in wanted:
            for sample in samples if kept is None else samples[:8]:
                compiled = self._compiled(sample, kept)
                values = self._in_row_order(sample.values)
                outcome = sample.run(compiled, values)
                expected = sample.expected
                if kept is not None and expected.trap is None:
                    expected = Outcome(values[kept], None, expected.memory)
                if not outcome.same(expected):
                    self._fail(sample, kept, outcome, expected)
        return len(samples) + min(len(samples), 8) * (len(wanted) - 1)

    def _survives(self, number: int) -> bool:
        """Whether an operand is in a place of its own, where it must be found unchanged."""
        shared = self.pins[1 + number] != _SLOT and self.pins[1 + number] == self.pins[0]
        return not shared and number not in self.constants

    def _in_row_order(self, values: Sequence[Value]) -> list[Value]:
        ordered = list(values[::-1] if self.row.shape == Shape.STORE else values)
        if self.row.shape in (Shape.LOAD, Shape.STORE):
            base = len(ordered) - 1
            ordered[base] = normalised(Type.i64, (int(ordered[base]) - self.offset) % 2**64)
        return ordered

    def _compiled(self, sample: Sample, kept: int | None) -> Any:
        """The op as a function of its operands, whose result is the op's, or an operand as the op has left it."""
        row = self.row
        values = self._in_row_order(sample.values)
        key = kept, *(repr(values[each]) for each in self.constants)
        if key in self._made:
            return self._made[key]
        types = [Type(each) for each in row.operand_types]
        own = Type(self.named.result_type) if self.named.result_type != NO_TYPE else None
        result = own if kept is None else types[kept]
        f = self.ops.Function(f"check_{row.method}", types, result)
        d = f.reg(own) if own is not None else None
        operands: list[Any] = [f.reg(type) for type in types]
        pins = [_SLOT] * len(types) + ([self.pins[0]] if d is not None else []) + list(self.pins[1 : 1 + len(types)])
        for number, (register, parameter) in enumerate(zip(operands, f.params)):
            if number in self.constants:
                operands[number] = values[number]
            else:
                f.move(register, parameter)
        self._emit(f, d, operands)
        f.ret(*([] if result is None else [d] if kept is None else [operands[kept]]))
        self._made[key] = made = f.compile(pins=bytes(pins))
        return made

    def _emit(self, f: Any, d: Any, operands: Sequence[Any]) -> None:
        method = getattr(f, self.row.method)
        if self.row.shape == Shape.BRANCH:
            taken, done = f.label(), f.label()
            method(*operands, taken)
            f.i32_const(d, 0)
            f.jump(done)
            f.place(taken)
            f.i32_const(d, 1)
            f.place(done)
        elif self.row.shape in (Shape.LOAD, Shape.STORE):
            method(*([] if d is None else [d]), *operands, self.offset)
        else:
            method(d, *operands)

    def _fail(self, sample: Sample, kept: int | None, found: Outcome, expected: Outcome) -> None:
        places = self._places()
        given = ", ".join(repr(each) for each in sample.given)
        branch = "branch " if self.row.shape == Shape.BRANCH else ""
        what = "" if kept is None else f" in operand {LETTERS[kept]} afterwards"
        raise CheckError(
            f"op {branch}{self.named.name}({given}) with {places}: found {found}{what}; expected {expected}"
        )

    def _places(self) -> str:
        types = [self.named.result_type, *self.row.operand_types]
        words = []
        for letter, type, pin, number in zip("dabc", types, self.pins, range(-1, 3)):
            if type != NO_TYPE and (number >= 0 or self.row.shape != Shape.BRANCH):
                register = f"{'f' if Type(type).is_float else 'r'}{pin}"
                place = "a constant" if number in self.constants else "a slot" if pin == _SLOT else register
                words.append(f"{letter} in {place}")
        return ", ".join(words) + (f", offset {self.offset}" if self.offset else "")
