"""Bench: functions made from C, by an exported library: the floor under what the same costs from Python."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from cnp.bench import c_builder, callgrind, emission_programs
from cnp.bench.counted import Kind
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.registry import Bench
from cnp.export.command import export
from cnp.runtime.default import default_library

SIZE = 1000  # ops
SHAPES = ("straight", "many_registers", "mix", "loops", "memory")
WORKS = ("build", "compile", "emit")
"""Building and deleting the function; compiling it to code that can be called, and freeing that; cnp_emit alone."""
_DRIVER = Path(__file__).parent / "c_host.c"
_MARKER = "cnp_mark"


def run(recorder: Recorder) -> None:
    """Instructions and nanoseconds an op, of what making a function takes; and how many times as many Python takes."""
    functions = {shape: emission_programs.make(shape, SIZE) for shape in SHAPES}
    sizes = {shape: len(function.ops) for shape, function in functions.items()}
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        program = _compiled(Path(directory), c_builder.source(functions))
        _times(recorder, program, sizes)
        with recorder.part(*(f"instructions_per_op.{work}.{shape}" for shape in SHAPES for work in WORKS)):
            _counts(recorder, program, sizes)


def _compiled(directory: Path, programs: str) -> Path:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise Unavailable("there is no C compiler: cc, gcc or clang")
    export(default_library(), directory)
    (directory / "programs.c").write_text(programs)
    program = directory / "c_host"
    command = [compiler, "-O2", f"-I{directory}", str(_DRIVER), "-o", str(program), "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{compiler} failed: {done.stderr.strip()[-300:]}")
    return program


def _times(recorder: Recorder, program: Path, sizes: dict[str, int]) -> None:
    command = [str(program), str(recorder.rounds(51))]
    samples: dict[tuple[str, str], list[float]] = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        shape, work, nanoseconds = line.split()
        samples.setdefault((shape, work), []).append(float(nanoseconds) / sizes[shape])
    for (shape, work), each in samples.items():
        recorder.sampled(f"ns_per_op.{work}.{shape}", each, "ns", note=f"{sizes[shape]:,} ops")


def _counts(recorder: Recorder, program: Path, sizes: dict[str, int]) -> None:
    printed, total = callgrind.marked([str(program), "count"], _MARKER)
    found: dict[tuple[str, str], float] = {}
    for number, line in enumerate(printed.splitlines()):
        shape, work = line.split()
        once, thrice = total[2 * number : 2 * number + 2]
        found[shape, work] = (thrice - once) / 2
        recorder.value(f"instructions_per_op.{work}.{shape}", found[shape, work] / sizes[shape])
    if recorder.quick:
        recorder.left_out(*(f"python.{shape}" for shape in SHAPES))
        return
    python = callgrind.run(((Kind.PYTHON, SIZE),), SHAPES)
    for shape in SHAPES:
        mine = (found[shape, "build"] + found[shape, "compile"]) / sizes[shape]
        theirs = python[shape, Kind.PYTHON, SIZE] / sizes[shape]
        note = f"{theirs:.0f} from Python, {mine:.0f} from C, instructions an op: built, compiled, dropped"
        recorder.value(f"python.{shape}", theirs / mine, "x", note=note)


BENCH = Bench("c_host", "functions made from C by an exported library", run)
