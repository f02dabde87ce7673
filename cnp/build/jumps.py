"""Simplifies the jumps of a stencil: the last one is dropped, those over or to another jump are merged with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cnp.build.elf import Reference
from cnp.target.record import Target

END = -1
"""The label of the end of a stencil, where the next one follows."""
_COLD = "EXIT_"


@dataclass(frozen=True, slots=True)
class Piece:
    """An instruction: either bytes with references, or a jump whose encoding is chosen later."""

    label: int  # the offset it was compiled to
    data: bytes = b""
    references: tuple[Reference, ...] = ()  # offsets within data
    jump: bool = False
    condition: int | None = None  # of a jump; None is always
    symbol: str | None = None  # of a jump that leaves the stencil
    to: int = END  # of another jump: a label
    final: bool = False  # a return, or an indirect jump

    @property
    def always(self) -> bool:
        """Whether it is a jump that is always taken."""
        return self.jump and self.condition is None

    @property
    def ends(self) -> bool:
        """Whether what follows it is reached by a jump or not at all."""
        return self.final or self.always

    @property
    def leaves(self) -> bool:
        """Whether it jumps out of the stencil, be it to the next one."""
        return self.jump and (self.symbol is not None or self.to == END)

    def toward(self, other: Piece) -> Piece:
        """This jump, going where the other one goes."""
        return replace(self, symbol=other.symbol, to=other.to)


def simplify(pieces: Sequence[Piece], target: Target) -> list[Piece]:
    """Rewrite until nothing changes. Requires that code which runs off the end means the next stencil."""
    passes: tuple[Callable[[list[Piece], Target], list[Piece]], ...]
    passes = (_drop_last, _thread, _drop_unreachable, _merge_over)
    now = list(pieces)
    before: list[Piece] | None = None
    while now != before:
        before = now
        for each in passes:
            now = each(now, target)
    return now


def _drop_last(pieces: list[Piece], target: Target) -> list[Piece]:
    """A final jump to the next stencil goes where the code goes on anyway."""
    if not (pieces and pieces[-1].jump and pieces[-1].symbol is None and pieces[-1].to == END):
        return pieces
    gone = pieces[-1].label
    return [replace(each, to=END) if each.jump and each.to == gone else each for each in pieces[:-1]]


def _thread(pieces: list[Piece], target: Target) -> list[Piece]:
    """A jump to a jump goes where that one goes; out of the stencil only if that is rare, as it takes more bytes."""
    at = {each.label: each for each in pieces}
    result = []
    for each in pieces:
        to = at.get(each.to) if each.jump and each.symbol is None else None
        if to is not None and to.always and to is not each and (to.symbol is None or to.symbol.startswith(_COLD)):
            each = each.toward(to)
        result.append(each)
    return result


def _drop_unreachable(pieces: list[Piece], target: Target) -> list[Piece]:
    """What follows a jump that is always taken, and is not jumped to, is never executed."""
    wanted = {each.to for each in pieces if each.jump and each.symbol is None}
    return [
        each for index, each in enumerate(pieces) if index == 0 or each.label in wanted or not pieces[index - 1].ends
    ]


def _merge_over(pieces: list[Piece], target: Target) -> list[Piece]:
    """`jcc after; jmp X; after:` is `jncc X`, unless something jumps to the second jump."""
    labels = [each.label for each in pieces] + [END]
    wanted = {each.to for each in pieces if each.jump and each.symbol is None}
    for index, (branch, jump) in enumerate(itertools.pairwise(pieces)):
        over = branch.symbol is None and branch.to == labels[index + 2]
        if over and branch.condition is not None and jump.always and jump.label not in wanted:
            merged = replace(branch, condition=target.invert(branch.condition)).toward(jump)
            return [*pieces[:index], merged, *pieces[index + 2 :]]
    return pieces
