"""Bench: how fast the generated code is, against clang's of the same algorithm in C."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnp.bench.ckernels import LEVELS, CompiledC, compile_kernels, directory
from cnp.bench.figure import Recorder
from cnp.bench.measure import Ratio, geometric_mean, interleaved, median
from cnp.bench.registry import Bench
from cnp.errors import InternalError

SLOW_LIMIT = 0.5  # of clang -O0
FAST_LIMIT = 1.5  # of clang -O2 without vectors
CALLS_LIMIT = 0.8  # of clang -O0, for recursion
CODE_LIMIT = 1.5

Buffer = Any


@dataclass(frozen=True, slots=True)
class Kernel:
    """One algorithm, written in <name>.cnp and in <name>.c: its arguments, and what to compare of its results."""

    name: str
    arguments: Callable[[bool], tuple[Any, ...]]  # given whether to be quick
    result: Any = ctypes.c_int64
    loops: bool = True  # False: its -O2 is another algorithm (clang unrolls recursion), so only -O0 is a target


def _doubles(n: int, step: int) -> Buffer:
    return (ctypes.c_double * n)(*(number * step % 17 - 8.0 for number in range(n)))


def _matrices(quick: bool) -> tuple[Any, ...]:
    n = 16 if quick else 64
    return (ctypes.c_double * (n * n))(), _doubles(n * n, 3), _doubles(n * n, 5), n


def _sieve(quick: bool) -> tuple[Any, ...]:
    n = 1 << (12 if quick else 20)
    return (ctypes.c_uint8 * n)(), n


KERNELS = (
    Kernel("squares", lambda quick: (1_000 if quick else 300_000,)),
    Kernel("sieve", _sieve),
    Kernel("matrix", _matrices, None),
    Kernel("fib", lambda quick: (12 if quick else 32,), loops=False),
)


def run(recorder: Recorder) -> None:
    """Times of interleaved rounds and code bytes; results are compared first."""
    everything: dict[str, list[float]] = {"O0": [], "O2": [], "code": []}
    with recorder.part("O0", "O2", "code_bytes_per_O2"):
        compiled = compile_kernels([each.name for each in KERNELS])
        for kernel in KERNELS:
            _measure(recorder, kernel, {level: compiled[kernel.name, level] for level in LEVELS}, everything)
        for level, limit in (("O0", SLOW_LIMIT), ("O2", FAST_LIMIT)):
            mean = geometric_mean(everything[level])
            recorder.value(f"{level}.mean", mean, "x", at_most=limit, note="geometric mean of the loops")
        recorder.value("code_bytes_per_O2.mean", geometric_mean(everything["code"]), "x", at_most=CODE_LIMIT)


def native_kernel(name: str) -> Any:
    """The kernel compiled by cnp; of several functions, the one that has the file's name."""
    from cnp.ir.text import parse

    path = Path(directory()) / f"{name}.cnp"
    return parse(path.read_text(encoding="utf-8"), str(path))[name].compile()


def _for_ctypes(argument: Any) -> Any:
    return ctypes.c_int64(argument) if isinstance(argument, int) else argument


def _calls(kernel: Kernel, quick: bool, versions: dict[str, CompiledC]) -> dict[str, Callable[[], Any]]:
    """The ways to run the kernel, each with arguments of its own; a call gives all there is to compare."""
    ours = native_kernel(kernel.name)
    callees = {"cnp": ours, **{level: each.function(kernel.result) for level, each in versions.items()}}
    calls: dict[str, Callable[[], Any]] = {}
    for way, callee in callees.items():
        arguments = kernel.arguments(quick)
        passed = arguments if way == "cnp" else tuple(map(_for_ctypes, arguments))
        calls[way] = lambda callee=callee, passed=passed: callee(*passed)  # type: ignore[misc]
        result = calls[way]()
        found = (result, *(bytes(each) for each in arguments if not isinstance(each, int)))
        if way == "cnp":
            expected = found
        elif found != expected:
            raise InternalError(f"kernel {kernel.name}: clang -{way} gives {found[0]} and not cnp's {expected[0]}")
    calls["code"] = lambda: len(ours.code)
    return calls


def _measure(
    recorder: Recorder, kernel: Kernel, versions: dict[str, CompiledC], everything: dict[str, list[float]]
) -> None:
    calls = _calls(kernel, recorder.quick, versions)
    code = calls.pop("code")()
    samples = interleaved(calls, recorder.rounds(21), warm=2)
    ours = median(samples["cnp"])
    for level in LEVELS:
        ratio = Ratio(samples["cnp"], samples[level])
        limit = None
        if kernel.loops:
            limit = {"O0": SLOW_LIMIT, "O2": FAST_LIMIT}[level]
            everything[level].append(ratio.value)
        elif level == "O0":
            limit = CALLS_LIMIT
        note = f"{ours * 1e3:.3f} ms against {median(samples[level]) * 1e3:.3f} ms"
        recorder.ratio(f"{level}.{kernel.name}", ratio, at_most=limit, note=note)
    size = versions["O2"].size
    everything["code"].append(code / size)
    name, note = f"code_bytes_per_O2.{kernel.name}", f"{code} bytes against {size}"
    recorder.value(name, code / size, "x", at_most=CODE_LIMIT if kernel.loops else None, note=note)


BENCH = Bench("kernels", "speed and size of generated code against clang -O0 and -O2", run)
