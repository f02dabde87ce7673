"""Shares placements out to processes that compile them, and collects the stencils."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cnp.build.cache import Codes
from cnp.build.compile import Compiler, compile_placements
from cnp.build.extract import Code
from cnp.build.placements import Key, Placement
from cnp.build.progress import Progress
from cnp.errors import BuildError
from cnp.target.record import Target

_PER_UNIT = 500
"""Placements compiled by one clang run: enough that its start costs little, few enough to share out evenly."""


class Work:
    """Units of placements, which a pool's processes compile. How many these are does not show in the units."""

    def __init__(self, compiler: Compiler, pool: ProcessPoolExecutor, placements: Sequence[Placement]) -> None:
        self._target, self._placements = compiler.target.name, len(placements)
        self._shares = list(_shares(placements, compiler.target))
        self._futures = [
            pool.submit(compile_placements, compiler, f"{self._target}_unit{number:04}", unit)
            for number, unit in enumerate(self._shares)
        ]

    def result(self, progress: Progress) -> Codes:
        """All that clang made of them, when it has. BuildError names the placements that are no stencils."""
        codes: dict[Key, Code] = {}
        errors: dict[str, str] = {}
        functions = 0
        progress.start(self._target, self._placements)
        try:
            for unit, future in zip(self._shares, self._futures):
                compiled = future.result()
                codes |= compiled.codes
                functions += compiled.functions
                errors = {**compiled.errors, **errors}
                progress.advance(len(unit))
        finally:
            progress.finish()
        if errors:
            raise BuildError("\n".join(errors[op] for op in sorted(errors)))
        return codes, functions


def _shares(placements: Sequence[Placement], target: Target) -> Iterator[Sequence[Placement]]:
    """What one clang run compiles: with floats, or without. An extension's files are kept apart: two may call things of
    theirs the same.
    """

    def kind(each: Placement) -> tuple[bool, str]:
        path = each.op.source.path
        return each.has_floats(target), path if Path(path).is_absolute() else ""

    for _, group in itertools.groupby(sorted(placements, key=kind), kind):
        yield from _units(group)


def _units(placements: Iterable[Placement]) -> list[list[Placement]]:
    """As many as one clang run compiles; placements that differ in registers alone stay together."""
    units: list[list[Placement]] = [[]]
    for _, each in itertools.groupby(placements, lambda placement: placement.group):
        if len(units[-1]) >= _PER_UNIT:
            units.append([])
        units[-1] += each
    return units
