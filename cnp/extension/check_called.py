"""An op that is called -> proof by trial that it does what its meaning says, as check does for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnp.errors import CheckError, Unsupported
from cnp.extension.samples import LETTERS, Sample, Value

if TYPE_CHECKING:
    from cnp.extension.library import OpLibrary
    from cnp.ir.function import CalledOp

_CONSTANTS = 24  # of the samples, so many are compiled in as constants


def meaning_of_called(op: CalledOp) -> Callable[..., Any]:
    """What it means. Unsupported if nobody has said so."""
    meaning = op.meanings.get(op.name)
    if meaning is None:
        raise Unsupported(f"nobody has said what op {op.name} means; accepted: ops.define({op.name!r}, function)")
    return meaning


def check_called(ops: OpLibrary, op: CalledOp, samples: Sequence[Sample]) -> int:
    """Compare it on all samples, operands in registers or constants; returns how often. CheckError if it differs."""
    return sum(_Trial(ops, op, constants).compare(samples) for constants in _subsets(len(op.params)))


def _subsets(operands: int) -> Iterator[frozenset[int]]:
    """Which operands are constants: none, each alone, all but one, and all."""
    everything = frozenset(range(operands))
    one = [frozenset([each]) for each in everything]
    yield from dict.fromkeys([frozenset[int](), *one, *(everything - each for each in one), everything])


class _Trial:
    """An op that is called, with some operands, by number, as constants."""

    def __init__(self, ops: OpLibrary, op: CalledOp, constants: frozenset[int]) -> None:
        self.ops = ops
        self.op = op
        self.constants = constants

    def compare(self, samples: Sequence[Sample]) -> int:
        """CheckError at the first difference; how many comparisons there were if there is none."""
        some = samples[:: max(1, len(samples) // _CONSTANTS)] if self.constants else samples
        compiled = self._compiled(()) if not self.constants else None
        for sample in some:
            outcome = sample.run(compiled or self._compiled(sample.values), sample.values)
            if not outcome.same(sample.expected):
                given = ", ".join(repr(each) for each in sample.given)
                places = [f"{LETTERS[each]} a constant" for each in sorted(self.constants)]
                with_places = f" with {', '.join(places)}" if places else ""
                raise CheckError(
                    f"op {self.op.name}({given}){with_places}: found {outcome}; expected {sample.expected}"
                )
        return len(some)

    def _compiled(self, values: Sequence[Value]) -> Any:
        op = self.op
        f = self.ops.Function(f"check_{op.name}", op.params, op.result)
        operands = [values[number] if number in self.constants else each for number, each in enumerate(f.params)]
        d = f.reg(op.result) if op.result is not None else None
        f.call(d, op, *operands)
        f.ret(*([] if d is None else [d]))
        return f.compile()
