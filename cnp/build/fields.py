"""Learns register fields: from the code of a placement for several registers to one stencil with holes for them.

Where instructions are words of one size, what registers an instruction has is a few bits of it, each the hardware
number of one. The build does not know where these bits are: it compares what clang made of the same placement for
different registers, and refuses a placement whose codes differ in anything else.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cnp.build.extract import Code, CodeHole
from cnp.build.rows import Registers
from cnp.errors import BuildError
from cnp.stencil.words import Value
from cnp.target.patch import PatchKind, Segment
from cnp.target.record import Target

REGISTER_FIELDS = {size: PatchKind(f"registers{8 * size}", (Segment(0, 32, 0),), width=size) for size in (2, 4)}
"""By an instruction's size. A row of FIELDS is all that is put in, by exclusive or, into the four bytes that end it."""
_WORD = 32
Shifts = tuple[tuple[int, ...], ...]
"""By instruction, the bits at which a register's number starts."""
_MOST_FIELDS = 3  # of one register in an instruction: it may be the destination and both operands


class FieldTable:
    """The rows of FIELDS: what each register of a file contributes to a word. Row 0 is nothing's."""

    def __init__(self, target: Target) -> None:
        self._numbers = tuple(
            [target.register_numbers.get(name, 0) for name in names]
            for names in (target.integer_registers, target.float_registers)
        )
        self._index: dict[tuple[int, ...], int] = {(): 0}

    def row(self, is_float: bool, shift: int, mask: int) -> int:
        """The index of the row of a field that starts at a bit and has those of the numbers' bits that are in the
        mask.
        """
        row = tuple((number & mask) << shift & 0xFFFFFFFF for number in self._numbers[is_float])
        return self._index.setdefault(row, len(self._index))

    def mask(self, is_float: bool, registers: Sequence[int]) -> int:
        """The bits in which the hardware numbers of some guest registers differ: short fields have no more."""
        numbers = [self._numbers[is_float][each] for each in registers]
        return functools.reduce(operator.or_, (each ^ numbers[0] for each in numbers), 0)

    def number(self, is_float: bool, register: int) -> int:
        """The hardware number of a guest register."""
        return self._numbers[is_float][register]

    @property
    def rows(self) -> list[tuple[int, ...]]:
        """All rows, by index."""
        return list(self._index)


@dataclass(frozen=True, slots=True)
class Learner:
    """Learns the fields of one placement. `files` says of d, a, b and c whether they are float registers, `masks` of
    both files which bits of a register's number tell it from others of the placement."""

    target: Target
    table: FieldTable
    files: tuple[bool, bool, bool, bool]
    masks: tuple[int, int]
    name: str

    def learn(self, codes: Mapping[Registers, Code]) -> Code:
        """One stencil for all registers. BuildError, naming registers, where codes differ in more than fields.

        Where clang needs registers of its own, which ones it takes may depend on those that it is given: then the code
        that most agree on, but for fields, serves all. It keeps all registers but the destination, as any code does.
        """
        error: BuildError | None = None
        for reference in codes:
            base = codes[reference]
            alike = {
                registers: code
                for registers, code in codes.items()
                if len(code.data) == len(base.data) and code.holes == base.holes
            }
            try:
                return self._learn(reference, alike, len(codes))
            except BuildError as each:
                error = error or each
        assert error is not None
        raise error

    def _learn(self, reference: Registers, codes: Mapping[Registers, Code], wanted: int) -> Code:
        base = codes[reference]
        positions = [position for position, register in enumerate(reference) if register >= 0]
        leaders = [p for p in positions if not any(self._is_tied(codes, p, other) for other in positions if other < p)]
        instructions = [(each.offset + each.size, each.size) for each in self.target.decode(base.data)]
        shifts = [self._most_common(reference, codes, p, leaders, instructions) for p in leaders]
        explained = [
            row
            for row, code in codes.items()
            if self._explains(reference, base, row, code, leaders, shifts, instructions)
        ]
        is_enough = all(
            2 * sum(row in explained for row in alone) > len(alone)
            for alone in ([row for row in codes if _changes(row, reference, leaders) == [p]] for p in leaders)
        )
        if len(explained) * 2 <= wanted or not is_enough:
            raise BuildError(f"{self.name}: the code of registers {reference} differs from others in more than fields")
        data, holes = bytearray(base.data), list(base.holes)
        for index, (end, whole) in enumerate(instructions):
            fields = {p: rows[index] for p, rows in zip(leaders, shifts) if rows[index]}
            if not fields:
                continue
            word = _word(base.data, end, whole)
            for position, row in fields.items():
                word ^= _combined(self._number(reference, position) & self.masks[self.files[position]], row)
            size = min(whole, 4)
            data[end - size : end] = word.to_bytes(4, "little")[4 - size :]
            holes += self._holes(fields, end, size)
        short = None
        if base.short is not None:
            shorts = {row: codes[row].short for row in explained}
            short = self.learn({row: code for row, code in shorts.items() if code is not None})
        return replace(base, data=bytes(data), holes=tuple(sorted(holes, key=lambda each: each.offset)), short=short)

    def _most_common(
        self,
        reference: Registers,
        codes: Mapping[Registers, Code],
        position: int,
        leaders: Sequence[int],
        instructions: Sequence[tuple[int, int]],
    ) -> Shifts:
        """By instruction, where the register of a position is, as most of the rows in which it changes alone have
        it.
        """
        base = codes[reference]
        highest = _WORD - self.masks[self.files[position]].bit_length()
        found: Counter[Shifts] = Counter()
        for registers, code in codes.items():
            if _changes(registers, reference, leaders) != [position]:
                continue
            change = self._number(registers, position) ^ self._number(reference, position)
            rows = [
                _shifts(
                    _word(code.data, end, size) ^ _word(base.data, end, size), change, max(_WORD - 8 * size, 0), highest
                )
                for end, size in instructions
            ]
            if all(row is not None for row in rows):
                found[tuple(row for row in rows if row is not None)] += 1
        if not found:
            raise BuildError(
                f"{self.name}: no other code has the fields of registers {reference} at position {position}"
            )
        return found.most_common(1)[0][0]

    def _explains(
        self,
        reference: Registers,
        base: Code,
        registers: Registers,
        code: Code,
        leaders: Sequence[int],
        shifts: Sequence[Shifts],
        instructions: Sequence[tuple[int, int]],
    ) -> bool:
        for index, (end, size) in enumerate(instructions):
            word = _word(code.data, end, size) ^ _word(base.data, end, size)
            for position, rows in zip(leaders, shifts):
                change = self._number(registers, position) ^ self._number(reference, position)
                word ^= _combined(change, rows[index])
            if word & 0xFFFFFFFF:
                return False
        return True

    def _is_tied(self, codes: Mapping[Registers, Code], p: int, other: int) -> bool:
        return self.files[p] == self.files[other] and all(registers[p] == registers[other] for registers in codes)

    def _number(self, registers: Registers, position: int) -> int:
        return self.table.number(self.files[position], registers[position])

    def _holes(self, fields: Mapping[int, tuple[int, ...]], end: int, size: int) -> list[CodeHole]:
        holes = []
        for number in range(_MOST_FIELDS):
            extra = 0
            for position, shifts in fields.items():
                if number < len(shifts):
                    file = self.files[position]
                    extra |= self.table.row(file, shifts[number], self.masks[file]) << 8 * position
            if extra:
                holes.append(CodeHole(end - size, Value.REGISTERS, REGISTER_FIELDS[size], 0, extra))
        return holes


def _changes(registers: Registers, reference: Registers, leaders: Sequence[int]) -> list[int]:
    """The positions at which registers differ."""
    return [p for p in leaders if registers[p] != reference[p]]


def _word(data: bytes, end: int, size: int) -> int:
    """An instruction, or the last four bytes of one, as the upper end of four bytes."""
    return int.from_bytes(data[end - min(size, 4) : end].rjust(4, b"\0"), "little")


def _shifts(word: int, change: int, lowest: int, highest: int) -> tuple[int, ...] | None:
    """Where a register's number is, from how a word changes with it; () if it is nowhere, None if that is not all.

    It lies within the word: a bit of it at the word's end could be anything else.
    """
    if not word:
        return ()
    for n in range(1, _MOST_FIELDS + 1):
        for shifts in itertools.combinations(range(lowest, highest + 1), n):
            if word == _combined(change, shifts):
                return shifts
    return None


def _combined(change: int, shifts: Sequence[int]) -> int:
    word = 0
    for shift in shifts:
        word ^= change << shift & 0xFFFFFFFF
    return word
