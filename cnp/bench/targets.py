"""Bench: the code for other machines, in bytes and in instructions executed under qemu, against clang -O2's for
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cnp.bench.emission_targets import SIZE, emission
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.kernel_cnp import parsed
from cnp.bench.kernel_guest import clang_code, cnp_code, run
from cnp.bench.kernel_table import KERNELS
from cnp.bench.measure import Ratio, geometric_mean
from cnp.bench.registry import Bench
from cnp.build.clang import find_clang
from cnp.errors import CnpError, InternalError
from cnp.runtime.default import library_for, machine
from cnp.stencil.library import Library
from cnp.target import TARGETS


def measure(recorder: Recorder) -> None:
    """Every kernel on every target but this machine's own, on small arguments; and what compiling for one costs."""
    for name in TARGETS:
        if name != machine():
            with recorder.part(f"bytes_vs_clang_O2.{name}", f"instructions_vs_clang_O2.{name}"):
                _target(recorder, name)


def _target(recorder: Recorder, name: str) -> None:
    try:
        library, clang = library_for(name), find_clang()
    except CnpError as error:
        raise Unavailable(str(error).partition("\n")[0]) from None
    sizes, counts, missing = [], [], ""
    for kernel in KERNELS[:2] if recorder.quick else KERNELS:
        figures = (f"bytes_vs_clang_O2.{name}.{kernel.name}", f"instructions_vs_clang_O2.{name}.{kernel.name}")
        with recorder.part(*figures):
            ours = cnp_code(kernel, name)
            try:
                theirs = clang_code(kernel, TARGETS[name], clang)
            except Unavailable:
                missing += f" {kernel.name}"
                raise
            sizes.append(ours.code_size / theirs.code_size)
            recorder.value(figures[0], sizes[-1], "x", note=f"{ours.code_size} against {theirs.code_size} bytes")
            mine = run(kernel, ours, library, kernel.arguments(True))
            others = run(kernel, theirs, library, kernel.arguments(True))
            if mine.outcome != others.outcome:
                raise InternalError(f"kernel {kernel.name}: clang's code for {name} does not compute what cnp's does")
            counts.append(mine.instructions / others.instructions)
            note = f"{mine.instructions} against {others.instructions} instructions"
            recorder.value(figures[1], counts[-1], "x", note=note)
    if not sizes:
        raise Unavailable(f"no kernel was compiled for {name}")
    note = f"geometric mean of {len(sizes)} kernels" + (f"; without{missing}" if missing else "")
    recorder.value(f"bytes_vs_clang_O2.{name}", geometric_mean(sizes), "x", at_most=1.5, note=note)
    recorder.value(f"instructions_vs_clang_O2.{name}", geometric_mean(counts), "x", at_most=1.4, note=note)
    _compile_time(recorder, name)
    ratio, there, here = emission(name, recorder.rounds(51))
    note = f"cnp_emit, {SIZE:,} ops: {there:,} bytes there, {here:,} here"
    recorder.ratio(f"emission_vs_this_machine.{name}", ratio, at_most=1.0, note=note)
    _library(recorder, library)


def _compile_time(recorder: Recorder, name: str) -> None:
    """Compiling all kernels for a target, beside compiling them for this machine."""
    modules = [(kernel, parsed(kernel)) for kernel in KERNELS]
    functions = [module[kernel.name] for kernel, module in modules]

    def compile_all(target: str) -> float:
        start = time.perf_counter()
        for function in functions:
            function.compile(target=target)
        return time.perf_counter() - start

    samples = _rounds(lambda: (compile_all(name), compile_all(machine())), recorder.rounds(21))
    ratio = Ratio([there for there, _ in samples], [here for _, here in samples])
    recorder.ratio(f"compile_vs_this_machine.{name}", ratio, at_most=1.0, note="all kernels, from Python")


def _rounds(each: Callable[[], tuple[float, float]], rounds: int) -> list[tuple[float, float]]:
    each()
    return [each() for _ in range(rounds)]


def _library(recorder: Recorder, library: Library) -> None:
    with open(library.path, "rb") as file:
        size = len(file.read())
    recorder.value(f"library.{library.target}", size / 1e6, "MB", at_most=2.0)


BENCH = Bench("targets", "code for other machines against clang -O2's: bytes, executed instructions", measure)
