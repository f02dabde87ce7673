"""Bench: what compiling costs, inside the core and from Python, and whether it stays linear."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cnp import Function
from cnp.bench import callgrind, fit, many_loops, programs
from cnp.bench.counted import Kind
from cnp.bench.figure import Recorder
from cnp.bench.harness import Prepared
from cnp.bench.measure import interleaved, median, repeats_for
from cnp.bench.registry import Bench

CORE_LIMIT = 60.0  # ns an op
PYTHON_LIMIT = 0.25  # us an op
TINY_LIMIT = 30.0  # us a function of three ops
SLOPE_LIMIT = 1.1
LOOPS_LIMIT = 1.1  # times the instructions an op where there are four times as many loops
COUNTED = ("straight", "many_registers", "loops", "memory", "calls", "mix")
SMALL, LARGE = 1_000, 100_000
FEW, MANY = 500, 2_000  # loops
GROWING = (100, 1_000, 10_000, 100_000, 1_000_000)


def run(recorder: Recorder) -> None:
    """ns an op in the core, us an op from Python, instructions, how they grow with loops, the exponent of growth."""
    with recorder.part("core_instructions_per_op", "python_instructions_per_op"):
        _count(recorder)
    with recorder.part(*(f"many_loops.{shape}" for shape in many_loops.SHAPES)):
        _many_loops(recorder)
    _core(recorder)
    _growth(recorder)
    _python(recorder)
    _tiny(recorder)


def _count(recorder: Recorder) -> None:
    # The names of emission's run where all are counted, so that valgrind starts once.
    from cnp.bench.emission import COUNTED as ALL

    counts = callgrind.counts(SMALL, *(ALL[:3] if recorder.quick else ALL))
    for shape in COUNTED:
        if f"{shape}.compile" not in counts:
            recorder.left_out(f"core_instructions_per_op.{shape}")
            if shape != "calls":  # which is not built again and again: see counted.py
                recorder.left_out(f"python_instructions_per_op.{shape}")
            continue
        ops = len(programs.SHAPES[shape](SMALL).ops)
        recorder.value(f"core_instructions_per_op.{shape}", counts[f"{shape}.compile"] / ops)
        if f"{shape}.python" in counts:
            recorder.value(f"python_instructions_per_op.{shape}", counts[f"{shape}.python"] / ops)


def _many_loops(recorder: Recorder) -> None:
    if recorder.quick:
        recorder.left_out(*(f"many_loops.{shape}" for shape in many_loops.SHAPES))
        return
    counts = callgrind.run(tuple((Kind.COMPILE, n) for n in (FEW, MANY)), many_loops.SHAPES)
    for shape in many_loops.SHAPES:
        few, many = (counts[shape, Kind.COMPILE, n] / len(many_loops.make(shape, n).ops) for n in (FEW, MANY))
        note = f"core instructions an op: {few:,.0f} with {FEW:,} loops or values, {many:,.0f} with {MANY:,}"
        recorder.value(f"many_loops.{shape}", many / few, "x", at_most=LOOPS_LIMIT, note=note)


def _core(recorder: Recorder) -> None:
    for size in (SMALL,) if recorder.quick else (SMALL, LARGE):
        prepared = {name: Prepared(make(size)) for name, make in programs.SHAPES.items()}
        repeats = {name: repeats_for(each.compile_and_emit, 0.003) for name, each in prepared.items()}
        works = {name: lambda each=each, n=repeats[name]: each.compile_and_emit(n) for name, each in prepared.items()}
        samples = interleaved(works, recorder.rounds(15))
        total = [0.0] * len(next(iter(samples.values())))
        for name, each in prepared.items():
            per_op = [taken / repeats[name] / each.ops * 1e9 for taken in samples[name]]
            recorder.sampled(f"core_ns_per_op.{name}.{size}", per_op, "ns", at_most=CORE_LIMIT)
            total = [a + b for a, b in zip(total, per_op)]
            each.close()
        mean = [each / len(prepared) for each in total]
        recorder.sampled(f"core_ns_per_op.{size}", mean, "ns", at_most=CORE_LIMIT, note="mean of the programs")
    if recorder.quick:
        recorder.left_out(*(f"core_ns_per_op.{name}.{LARGE}" for name in programs.SHAPES), f"core_ns_per_op.{LARGE}")


def _growth(recorder: Recorder) -> None:
    sizes = GROWING[:3] if recorder.quick else GROWING
    for name in ("straight", "loops", "many_registers"):
        prepared = {size: Prepared(programs.SHAPES[name](size)) for size in sizes}
        repeats = {size: repeats_for(each.compile_and_emit, 0.002) for size, each in prepared.items()}
        works = {str(size): partial(each.compile_and_emit, repeats[size]) for size, each in prepared.items()}
        samples = interleaved(works, recorder.rounds(9))
        points: dict[int, float] = {}
        for size, each in prepared.items():
            nanoseconds = [taken / repeats[size] * 1e9 for taken in samples[str(size)]]
            recorder.samples[f"{recorder.bench}.growth_ns.{name}.{size}"] = nanoseconds
            points[each.ops] = median(nanoseconds)
            each.close()
        exponent, note = fit.power(points).exponent, fit.described(points, "ns")
        recorder.value(f"growth.{name}", exponent, at_most=SLOPE_LIMIT, note=note)


def _python(recorder: Recorder) -> None:
    shapes = {name: programs.unrolled(make(SMALL)) for name, make in programs.SHAPES.items() if name != "calls"}
    compiled: dict[str, object] = {}
    built: dict[str, Function] = {}

    def build(name: str) -> None:
        built[name] = shapes[name]()

    def finish(name: str) -> None:
        compiled[name] = built[name].compile()

    works: dict[str, Callable[[], object]] = {}
    for name in shapes:
        works[f"build {name}"] = lambda name=name: build(name)  # type: ignore[misc]
        works[f"finish {name}"] = lambda name=name: finish(name)  # type: ignore[misc]
        works[f"drop {name}"] = lambda name=name: compiled.pop(name, None)  # type: ignore[misc]
    samples = interleaved(works, recorder.rounds(101, 5), warm=3)
    total = [0.0] * recorder.rounds(101, 5)
    for name in shapes:
        ops = len(built[name].ops)
        whole = [(a + b) / ops * 1e6 for a, b in zip(samples[f"build {name}"], samples[f"finish {name}"])]
        parts = [median(samples[f"{part} {name}"]) / ops * 1e9 for part in ("build", "finish", "drop")]
        note = f"building {parts[0]:.0f} ns an op, compile() {parts[1]:.0f} ns, dropping {parts[2]:.0f} ns besides"
        recorder.sampled(f"python_us_per_op.{name}", whole, "us", at_most=PYTHON_LIMIT, note=note)
        total = [a + b for a, b in zip(total, whole)]
    mean = [each / len(shapes) for each in total]
    note = "mean of the programs without calls"
    recorder.sampled(f"python_us_per_op.{SMALL}", mean, "us", at_most=PYTHON_LIMIT, note=note)


def _tiny(recorder: Recorder) -> None:
    kept: list[object] = []
    n = 50

    def whole() -> None:
        for _ in range(n):
            kept.append(programs.tiny().compile())

    def build() -> None:
        for _ in range(n):
            kept.append(programs.tiny())

    works: dict[str, Callable[[], object]] = {"whole": whole, "drop": kept.clear, "build": build, "clear": kept.clear}
    samples = interleaved(works, recorder.rounds(101), warm=5)
    per_function = {name: [taken / n * 1e6 for taken in each] for name, each in samples.items()}
    note = f"building {median(per_function['build']):.1f} us of it"
    recorder.sampled("tiny_us", per_function["whole"], "us", at_most=TINY_LIMIT, note=note)
    recorder.sampled("tiny_drop_us", per_function["drop"], "us", note="dropping such a function")


BENCH = Bench("compile", "ns an op inside the core, us an op from Python, linearity", run)
