"""Bench: what writing the code costs, once it is decided which.

Emission is cnp_emit: it copies the stencils of a compiled function and patches them. Which stencils, in which
registers, with which values in their holes has then been decided by cnp_compile; the bench `compile` measures all of
it, and `core_instructions_per_instruction` says here how much that is. Every figure is of calls without Python.
"""

from __future__ import annotations

from cnp.bench import code_memory, emission_counts, emission_cycles, emission_programs, emission_times
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.registry import Bench

COUNTED = ("face", "straight", "mix", "loops", "memory", "calls", "many_registers")
"""Programs that the bench `compile` counts; here all are."""


def run(recorder: Recorder) -> None:
    """Executed instructions, time and cycles by shape and size, and what code memory costs before."""
    shapes = _shapes(recorder)
    sized = [each for each in shapes if each != "face"]
    with recorder.part("instructions_per_instruction", "core_instructions_per_instruction"):
        emission_counts.run(recorder, shapes)
    with recorder.part("ns_per_instruction", "time_vs_memcpy"):
        emission_times.run(recorder, sized)
    with recorder.part("cycles_per_instruction"):
        emission_cycles.run(recorder, sized)
    code_memory.run(recorder)


def _shapes(recorder: Recorder) -> list[str]:
    """The programs that the library has the ops for."""
    found = []
    for shape in emission_programs.SHAPES:
        with recorder.part(f"program.{shape}"):
            emission_programs.make(shape, 10)
            found.append(shape)
    if not found:
        raise Unavailable("the library has the ops of no program")
    return found


BENCH = Bench("emission", "instructions, time and cycles of emitting; code memory; linear or not", run)
