"""Bench: the JIT tier that docs/embedding.md makes, examples/stackvm: what it gains, and how soon there is code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnp import tiers
from cnp.bench.checkout import ROOT, example
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.measure import interleaved
from cnp.bench.registry import Bench
from cnp.bench.tiered import NUMERIC, speed
from cnp.errors import CnpError, InternalError
from cnp.runtime.default import machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIBRARY = ROOT / "build" / "stackvm.cnpl"
"""Its ops, which are built once: that takes seconds."""
LARGE = ("power",)
"""Programs most of whose numbers are for the interpreter: what trying costs them is reported."""
_REPEATS = 20


def run(recorder: Recorder) -> None:
    """Time of each program in a new machine, interpreted and tiered; then from hot to a callable, warm."""
    table, demo = _table(), example("stackvm.__main__")
    for name, arguments in demo.RUNS.items():
        small = [*arguments[:-1], arguments[-1] // 10] if recorder.quick else arguments
        timed = partial(demo.timed, table, name, small)
        if name in LARGE:
            speed(recorder, name, timed, None, column="without_gain")
        else:
            speed(recorder, name, timed, NUMERIC)
    _compile_times(recorder, table, demo)


def _table() -> Any:
    tables = example("stackvm.table")
    try:
        from cnp.build.clang import find_clang
        from cnp.build.pipeline import Settings, build_library
        from cnp.build.progress import Silent
        from cnp.stencil.sources import stencils_directory
        from cnp.target import target_named

        sources = ROOT / "examples" / "stackvm" / "ops"
        target = target_named(machine())
        build_library(Settings(find_clang(), target, stencils_directory(), LIBRARY, extension=sources), Silent())
    except (CnpError, ImportError) as error:
        raise Unavailable(str(error).partition("\n")[0]) from None
    return tables.load(str(LIBRARY))[1]


def _compile_times(recorder: Recorder, table: Any, demo: Any) -> None:
    """`compile_us.NAME` of a function, `enter_us.NAME` of one to be entered in its loop: from hot to a callable."""
    code = example("stackvm.code")
    functions = code.assemble(demo.TEXT)
    hot = tiers.Policy(calls=1, loops=1)
    guest = example("stackvm.tier").TieredMachine(table, functions, policy=hot)
    for function in functions:
        if function.name in demo.RUNS:
            rows = list(code.INSTRUCTION.iter_unpack(function.code))
            note = f"{len(rows)} instructions"
            _time(recorder, f"compile_us.{function.name}", partial(_called, guest, function), note)
            for _, _, back in (row for row in rows if row[0] == code.Op.LOOP):
                point = back * code.INSTRUCTION.size
                _time(recorder, f"enter_us.{function.name}", partial(_looped, guest, function, point), note)


def _called(guest: Any, function: Any) -> Any:
    return guest.tier(function).called()


def _looped(guest: Any, function: Any, point: int) -> Any:
    return guest.tier(function).looped(point)


def _time(recorder: Recorder, name: str, compiled: Callable[[], Any], note: str) -> None:
    if not compiled():
        raise InternalError(f"stackvm: {name}: nothing was compiled")
    works = {name: lambda: [compiled() for _ in range(_REPEATS)]}
    samples = interleaved(works, recorder.rounds(51))[name]
    recorder.sampled(name, [taken / _REPEATS * 1e6 for taken in samples], "us", note=note)


BENCH = Bench("stackvm", "the JIT tier of the guide to embedding: its programs, and how soon there is code", run)
