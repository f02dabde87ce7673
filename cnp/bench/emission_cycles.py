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
    totals: dict[str, dict[Event, float]] = {}
    generated: dict[str, int] = {}
    for shape in shapes:
        prepared = Prepared(emission_programs.make(shape, SIZE))
        instructions = census.take(prepared).instructions
        n = repeats_for(prepared.emit, 0.001)
        rounds = [per_call(prepared.emit, n, _EVENTS) for _ in range(recorder.rounds(15))]
        prepared.close()
        cycles = [each[Event.CYCLES] / instructions for each in rounds]
        recorder.sampled(f"cycles_per_instruction.{shape}", cycles, "cycles", note=f"cnp_emit, warm, {SIZE:,} ops")
        generated[shape] = instructions
        totals[shape] = {event: median(each[event] for each in rounds) for event in _EVENTS}
    pooled = emission_programs.pooled(shapes)
    per_instruction = {
        event: sum(totals[each][event] for each in pooled) / sum(generated[each] for each in pooled)
        for event in _EVENTS
    }
    note = f"{', '.join(pooled)} of {SIZE:,} ops together; core cycles, in user space"
    recorder.value("cycles_per_instruction", per_instruction[Event.CYCLES], "cycles", note=note)
    note = "the same by the processor's counter, to be held against valgrind's count; the calling loop is in it"
    recorder.value("counted_instructions_per_instruction", per_instruction[Event.INSTRUCTIONS], note=note)
    recorder.value("missed_branches_per_instruction", per_instruction[Event.BRANCH_MISSES])
