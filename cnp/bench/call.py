"""Bench: what a call from Python costs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from cnp import Function, i64
from cnp.bench.figure import Recorder
from cnp.bench.measure import Ratio, interleaved, median
from cnp.bench.registry import Bench

PYTHON_LIMIT = 0.7
CTYPES_LIMIT = 0.1

# A code object of its own for each, so that the interpreter's inline caches see one callee only.
_LOOP = """
def loop(times, f, a, b):
    for _ in times:
        {body}
"""


def _loop(body: str) -> Callable[..., None]:
    names: dict[str, Any] = {}
    exec(_LOOP.format(body=body), names)
    made: Callable[..., None] = names["loop"]
    return made


def _sum() -> Any:
    f = Function("sum", params=[i64, i64], result=i64)
    d = f.reg(i64)
    f.i64_add(d, *f.params)
    f.ret(d)
    return f.compile()


def _empty(a: int, b: int) -> None:
    pass


def run(recorder: Recorder) -> None:
    """A compiled function of two integers against an empty Python function, a built-in, and ctypes."""
    compiled = _sum()
    foreign = compiled.ctypes
    a, b = 1234, 5678
    assert compiled(a, b) == foreign(a, b) == a + b
    n = 2_000 if recorder.quick else 50_000
    callees = {"cnp": compiled, "python": _empty, "ctypes": foreign, "built-in": operator.is_}
    loops = {name: _loop("f(a, b)") for name in callees}
    nothing = _loop("pass")
    works: dict[str, Callable[[], object]] = {
        name: lambda f=f, loop=loops[name]: loop(range(n), f, a, b)  # type: ignore[misc]
        for name, f in callees.items()
    }
    works["nothing"] = lambda: nothing(range(n), None, a, b)
    samples = interleaved(works, recorder.rounds(41))
    per_call = {name: [taken / n * 1e9 for taken in each] for name, each in samples.items()}
    loop = median(per_call["nothing"])
    net = {name: [max(taken - loop, 0.01) for taken in each] for name, each in per_call.items()}
    note = f"loop of {loop:.1f} ns subtracted; raw {Ratio(per_call['cnp'], per_call['python']).value:.2f}"
    recorder.ratio("per_python_call", Ratio(net["cnp"], net["python"]), at_most=PYTHON_LIMIT, note=note)
    note = f"loop subtracted; raw {Ratio(per_call['cnp'], per_call['ctypes']).value:.3f}"
    recorder.ratio("per_ctypes_call", Ratio(net["cnp"], net["ctypes"]), at_most=CTYPES_LIMIT, note=note)
    for name in callees:
        recorder.sampled(
            f"ns.{name}",
            net[name],
            "ns",
            note="operator.is_, the cheapest of two arguments" if name == "built-in" else "",
        )


BENCH = Bench("call", "a call from Python against a Python function and ctypes", run)
