"""Bench: functions made from C, by an exported library: the floor under what the same costs from Python."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cnp.bench import c_builder, callgrind, emission_programs
from cnp.bench.bytecode import LIMIT
from cnp.bench.counted import Kind
from cnp.bench.figure import Recorder
from cnp.bench.registry import Bench

SIZE = 1000  # ops
SHAPES = ("straight", "many_registers", "mix", "loops", "memory")
WORKS = ("build", "compile", "emit")
"""Building and deleting the function; compiling it to code that can be called, and freeing that; cnp_emit alone."""
GUEST_SIZES = (100, 1_000, 10_000)
"""Instructions of the guests that functions are translated from, which is building them then."""
_MARKER = "cnp_mark"


def run(recorder: Recorder) -> None:
    """Instructions and nanoseconds an op, of what making a function takes, and how many times as many Python takes; and
    a guest instruction, of functions that are made of bytecode."""
    from cnp.bench.guests import GUESTS  # late: tables open the library, and which one that is can be said

    functions = {shape: emission_programs.make(shape, SIZE) for shape in SHAPES}
    guests = {f"{name}.{size}": (name, GUESTS[name].program(size)) for name in GUESTS for size in GUEST_SIZES}
    units = {shape: Unit("op", len(function.ops)) for shape, function in functions.items()}
    units |= {name: Unit("guest_instruction", int(name.rpartition(".")[2])) for name in guests}
    with tempfile.TemporaryDirectory(prefix="cnp-bench-") as directory:
        tables = {name: guest.table for name, guest in GUESTS.items()}
        programs = c_builder.source(functions, guests)
        program = c_builder.compiled("c_host.c", Path(directory), programs, tables, recorder.quick)
        _times(recorder, program, units)
        with recorder.part(*(_name("instructions", units, name, work) for name in units for work in WORKS)):
            _counts(recorder, program, units)


@dataclass(frozen=True, slots=True)
class Unit:
    """What figures are given for, and how many of it a program has."""

    name: str
    count: int


def _name(what: str, units: dict[str, Unit], program: str, work: str) -> str:
    return f"{what}_per_{units[program].name}.{work}.{program}"


def _times(recorder: Recorder, program: Path, units: dict[str, Unit]) -> None:
    command = [str(program), str(recorder.rounds(51))]
    samples: dict[tuple[str, str], list[float]] = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        name, work, nanoseconds = line.split()
        samples.setdefault((name, work), []).append(float(nanoseconds) / units[name].count)
    for (name, work), each in samples.items():
        note = f"{units[name].count:,} {units[name].name.replace('_', ' ')}s"
        recorder.sampled(_name("ns", units, name, work), each, "ns", note=note)
    for name in units:
        if units[name].name != "op":
            both = zip(samples[name, "build"], samples[name, "compile"])
            each = [(translated + compiled) / 1e3 for translated, compiled in both]
            note = "translated, compiled, deleted"
            recorder.sampled(f"us_per_guest_instruction.{name}", each, "us", at_most=LIMIT, note=note)


def _counts(recorder: Recorder, program: Path, units: dict[str, Unit]) -> None:
    printed, total = callgrind.marked([str(program), "count"], _MARKER)
    found: dict[tuple[str, str], float] = {}
    for number, line in enumerate(printed.splitlines()):
        name, work = line.split()
        once, thrice = total[2 * number : 2 * number + 2]
        found[name, work] = (thrice - once) / 2
        recorder.value(_name("instructions", units, name, work), found[name, work] / units[name].count)
    if recorder.quick:
        recorder.left_out(*(f"python.{shape}" for shape in SHAPES))
        return
    python = callgrind.run(((Kind.PYTHON, SIZE),), SHAPES)
    for shape in SHAPES:
        mine = (found[shape, "build"] + found[shape, "compile"]) / units[shape].count
        theirs = python[shape, Kind.PYTHON, SIZE] / units[shape].count
        note = f"{theirs:.0f} from Python, {mine:.0f} from C, instructions an op: built, compiled, dropped"
        recorder.value(f"python.{shape}", theirs / mine, "x", note=note)


BENCH = Bench("c_host", "functions made from C by an exported library", run)
