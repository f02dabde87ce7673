"""Compiles the C programs for eBPF and for this machine, runs both, and shows times and whether results agree."""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cnp.errors import LibraryError

from . import atomics, toolchain, workload
from .instruction import EbpfError, format_program
from .memory import MASK
from .program import Program


def _best(run: Callable[[], int], rounds: int = 15) -> tuple[float, int]:
    best, result = float("inf"), 0
    for _ in range(rounds):
        start = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - start)
    return best, result


def _compare(name: str, size: int, directory: Path, show: bool) -> bool:
    source = toolchain.PROGRAMS / f"{name}.c"
    program = Program.read(toolchain.compile_object(source, directory / f"{name}.o"), name)
    native = toolchain.compile_native(source, directory / f"{name}.so")
    if show:
        print(f"{name}\n{format_program(program.verified.program)}\n")
    context = bytearray(workload.make(name, size))
    buffer = (ctypes.c_char * len(context)).from_buffer(context)
    address, length = ctypes.addressof(buffer), len(context)
    first = program.run(context), native(address, length)
    compiled = program.compiled  # code against code: what run() does besides takes 4 us
    ours, result = _best(lambda: int(compiled(address, length)) & MASK)
    theirs, expected = _best(lambda: int(native(address, length)))
    agree = first[0] == first[1] and result == expected
    slots, code = len(program.verified.program), len(program.compiled.code)
    print(
        f"{name:10}{slots:6} slots{code:7} bytes of code{ours * 1e6:10.1f} us, native {theirs * 1e6:8.1f} us:"
        f"{ours / theirs:6.2f}   results {'agree' if agree else 'DIFFER'}"
    )
    return agree


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns 0, 1 if results differ, or 2 for what is refused or missing."""
    parser = argparse.ArgumentParser(prog="python -m examples.ebpf", description=__doc__)
    parser.add_argument("object", nargs="?", help="an eBPF object to run in place of the programs that come with this")
    parser.add_argument("function", nargs="?", help="where to start, if it has several functions")
    parser.add_argument("--context", metavar="FILE", help="what to run it on (nothing)")
    parser.add_argument("--budget", type=int, metavar="TURNS", help="stop it after so many jumps back and calls (none)")
    parser.add_argument("--ops", metavar="FILE", help="what cnp has built of examples/ebpf/ops, for atomics (none)")
    parser.add_argument("--bytes", type=int, default=1 << 16, help="how large contexts to make up (%(default)s)")
    parser.add_argument("--show", action="store_true", help="print the programs' instructions")
    options = parser.parse_args(words)
    try:
        if options.object:
            ops = atomics.load(options.ops) if options.ops else None
            program = Program.read(options.object, options.function, ops=ops)
            if options.show:
                print(format_program(program.verified.program))
            print(program.run(Path(options.context).read_bytes() if options.context else b"", options.budget))
            return 0
        with tempfile.TemporaryDirectory(prefix="cnp-ebpf-") as directory:
            agree = [_compare(name, options.bytes, Path(directory), options.show) for name in toolchain.NAMES]
        return 0 if all(agree) else 1
    except (EbpfError, LibraryError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
