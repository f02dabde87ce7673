"""Learns register fields: from the code of a placement for several registers to one stencil with holes for them.

Where instructions are words of one size, what registers an instruction has is a few bits of it, each the hardware number
of one. The build does not know where these bits are: it compares what clang made of the same placement for different
registers, and refuses a placement whose codes differ in anything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cnp.build.extract import Code, CodeHole
from cnp.build.rows import Registers
from cnp.errors import BuildError
from cnp.stencil.model import Value
from cnp.target.patch import PatchKind, Segment
from cnp.target.record import Target

REGISTER_FIELDS = {size: PatchKind(f"registers{8 * size}", (Segment(0, 32, 0),), width=size) for size in (2, 4)}
"""By an instruction's size. A row of FIELDS is all that is put in, by exclusive or, into the four bytes that end it."""
_WORD = 32
_MOST_FIELDS = 3  # of one register in an instruction: a rotation names its source twice, a sum may be d = d + d


class FieldTable:
    """The rows of FIELDS: what each register of a file contributes to a word. Row 0 is nothing's."""

    def __init__(self, target: Target) -> None:
        self._numbers = tuple(
            [target.register_numbers.get(name, 0) for name in names]
            for names in (target.integer_registers, target.float_registers)
        )
        self._index: dict[tuple[int, ...], int] = {(): 0}

    def row(self, is_float: bool, shift: int) -> int:
        """The index of the row of a field that starts at a bit."""
        row = tuple(number << shift & 0xFFFFFFFF for number in self._numbers[is_float])
        return self._index.setdefault(row, len(self._index))

    def number(self, is_float: bool, register: int) -> int:
        """The hardware number of a guest register."""
        return self._numbers[is_float][register]

    @property
    def rows(self) -> list[tuple[int, ...]]:
        """All rows, by index."""
        return list(self._index)


@dataclass(frozen=True, slots=True)
class Learner:
    """Learns the fields of one placement. `files` says of d, a, b and c whether they are float registers."""

    target: Target
    table: FieldTable
    files: tuple[bool, bool, bool, bool]
    name: str

    def learn(self, codes: Mapping[Registers, Code]) -> Code:
        """One stencil for all registers. BuildError, naming registers, where codes differ in more than fields."""
        reference = next(iter(codes))
        base = codes[reference]
        for registers, code in codes.items():
            if len(code.data) != len(base.data) or code.holes != base.holes:
                raise BuildError(f"{self.name}: the code of registers {registers} is not that of {reference}")
        positions = [position for position, register in enumerate(reference) if register >= 0]
        leaders = [p for p in positions if not any(self._is_tied(codes, p, other) for other in positions if other < p)]
        data, holes = bytearray(base.data), list(base.holes)
        for instruction in self.target.decode(base.data):
            end = instruction.offset + instruction.size
            words = {registers: _word(code.data, end, instruction.size) for registers, code in codes.items()}
            fields = self._fields(words, reference, leaders, instruction.size)
            if fields is None:
                shown = base.data[instruction.offset : end].hex(" ")
                raise BuildError(f"{self.name}: {shown} at offset {instruction.offset} has more than register fields")
            if not any(fields.values()):
                continue
            word = words[reference]
            for position, shifts in fields.items():
                for shift in shifts:
                    word ^= self._number(reference, position) << shift & 0xFFFFFFFF
            size = min(instruction.size, 4)
            data[end - size : end] = word.to_bytes(4, "little")[4 - size :]
            holes += self._holes(fields, end, size)
        short = None
        if base.short is not None:
            short = self.learn({registers: code.short for registers, code in codes.items() if code.short is not None})
        return replace(base, data=bytes(data), holes=tuple(sorted(holes, key=lambda each: each.offset)), short=short)

    def _is_tied(self, codes: Mapping[Registers, Code], p: int, other: int) -> bool:
        return self.files[p] == self.files[other] and all(registers[p] == registers[other] for registers in codes)

    def _number(self, registers: Registers, position: int) -> int:
        return self.table.number(self.files[position], registers[position])

    def _fields(
        self, words: Mapping[Registers, int], reference: Registers, leaders: Sequence[int], size: int
    ) -> dict[int, tuple[int, ...]] | None:
        """Where each position's register is in an instruction; None if that does not explain all words."""
        differences = {
            registers: (word ^ words[reference], [self._number(registers, p) ^ self._number(reference, p) for p in leaders])
            for registers, word in words.items()
        }
        lowest = max(_WORD - 8 * size, 0)
        found: list[tuple[int, ...]] = []
        for index in range(len(leaders)):
            alone = [
                (word, changes[index])
                for word, changes in differences.values()
                if changes[index] and not any(changes[:index]) and not any(changes[index + 1 :])
            ]
            shifts = _shifts(alone, lowest) if alone else None
            if shifts is None:
                return None
            found.append(shifts)
        for word, changes in differences.values():
            for change, shifts in zip(changes, found):
                for shift in shifts:
                    word ^= change << shift & 0xFFFFFFFF
            if word:
                return None
        return dict(zip(leaders, found))

    def _holes(self, fields: Mapping[int, tuple[int, ...]], end: int, size: int) -> list[CodeHole]:
        holes = []
        for number in range(_MOST_FIELDS):
            extra = 0
            for position, shifts in fields.items():
                if number < len(shifts):
                    extra |= self.table.row(self.files[position], shifts[number]) << 8 * position
            if extra:
                holes.append(CodeHole(end - size, Value.REGISTERS, REGISTER_FIELDS[size], 0, extra))
        return holes


def _word(data: bytes, end: int, size: int) -> int:
    """An instruction, or the last four bytes of one, as the upper end of four bytes."""
    return int.from_bytes(data[end - min(size, 4) : end].rjust(4, b"\0"), "little")


def _shifts(alone: Sequence[tuple[int, int]], lowest: int) -> tuple[int, ...] | None:
    """Where a register's number is, from how a word changes with it alone; () if it is nowhere."""
    if not any(word for word, _ in alone):
        return ()
    for n in range(1, _MOST_FIELDS + 1):
        for shifts in itertools.combinations(range(lowest, _WORD), n):
            if all(word == _combined(change, shifts) for word, change in alone):
                return shifts
    return None


def _combined(change: int, shifts: Sequence[int]) -> int:
    word = 0
    for shift in shifts:
        word ^= change << shift & 0xFFFFFFFF
    return word
