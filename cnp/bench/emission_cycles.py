"""Programs -> core cycles of emitting them, where the processor's counters can be had."""

from __future__ import annotations

from collections.abc import Sequence

from cnp.bench import census, emission_programs
from cnp.bench.counters import Event, per_call
from cnp.bench.figure import Recorder
from cnp.bench.harness import Prepared, nothing
from cnp.bench.measure import median, repeats_for

SIZE = 1000
_EVENTS = (Event.CYCLES, Event.INSTRUCTIONS, Event.BRANCH_MISSES)


def run(recorder: Recorder, shapes: Sequence[str]) -> None:
    """Figures that begin with `cycles_`, `counted_` and `missed_`: cnp_emit, warm. Unavailable without the counters."""
    per_call(nothing().repeat, 1, _EVENTS)  # says at once that there are none
    totals = dict.fromkeys(_EVENTS, 0.0)
    generated = 0
    for shape in shapes:
        prepared = Prepared(emission_programs.make(shape, SIZE))
        instructions = census.take(prepared).instructions
        n = repeats_for(prepared.emit, 0.001)
        rounds = [per_call(prepared.emit, n, _EVENTS) for _ in range(recorder.rounds(15))]
        prepared.close()
        cycles = [each[Event.CYCLES] / instructions for each in rounds]
        recorder.sampled(f"cycles_per_instruction.{shape}", cycles, "cycles", note=f"cnp_emit, warm, {SIZE:,} ops")
        generated += instructions
        for event in _EVENTS:
            totals[event] += median(each[event] for each in rounds)
    note = f"all programs of {SIZE:,} ops together; core cycles, in user space"
    recorder.value("cycles_per_instruction", totals[Event.CYCLES] / generated, "cycles", note=note)
    note = "the same by the processor's counter, to be held against valgrind's count; the calling loop is in it"
    recorder.value("counted_instructions_per_instruction", totals[Event.INSTRUCTIONS] / generated, note=note)
    recorder.value("missed_branches_per_instruction", totals[Event.BRANCH_MISSES] / generated)
