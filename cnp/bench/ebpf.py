"""Bench: C programs compiled for eBPF and run by examples/ebpf, against the same C compiled natively by clang -O2."""

from __future__ import annotations

import ctypes
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from cnp.bench.checkout import example
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.measure import Ratio, interleaved, median
from cnp.bench.registry import Bench
from cnp.errors import InternalError

LIMIT = 1.5


def _example(module: str) -> Any:
    if importlib.util.find_spec("elftools") is None:
        raise Unavailable("pyelftools is not installed: pip install 'cnp[bench]'")
    return example(f"ebpf.{module}")


def run(recorder: Recorder) -> None:
    """Time of each program on one large context, every access checked or proven; results are compared first."""
    toolchain = _example("toolchain")
    try:
        toolchain.find_clang()
    except toolchain.NoCompiler as error:
        raise Unavailable(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        for name in toolchain.NAMES:
            _program(recorder, name, Path(directory))


def _program(recorder: Recorder, name: str, directory: Path) -> None:
    toolchain = _example("toolchain")
    source = toolchain.PROGRAMS / f"{name}.c"
    made = toolchain.compile_object(source, directory / f"{name}.o")
    program = _example("program").Program.read(made, name)
    native = toolchain.compile_native(source, directory / f"{name}.so")
    data = _example("workload").make(name, 20_000 if recorder.quick else 1_000_000)
    context = (ctypes.c_char * len(data)).from_buffer_copy(data)
    address, length, compiled = ctypes.addressof(context), len(data), program.compiled
    for _ in range(2):  # the second finds what the first has put into maps
        if compiled(address, length) % 2**64 != native(address, length):
            raise InternalError(f"ebpf: program {name!r}: the result differs from native code's")
    works = {"cnp": lambda: compiled(address, length), "native": lambda: native(address, length)}
    samples = interleaved(works, recorder.rounds(51))
    note = f"{median(samples['cnp']) * 1e6:.0f} against {median(samples['native']) * 1e6:.0f} us for {length:,} bytes"
    recorder.ratio(f"time.{name}", Ratio(samples["cnp"], samples["native"]), at_most=LIMIT, note=note)


BENCH = Bench("ebpf", "eBPF programs from C against the same C compiled natively", run)
