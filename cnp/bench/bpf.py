"""Bench: packet filters compiled by examples/bpf against libpcap's interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnp.bench.checkout import example
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.measure import Ratio, interleaved, median
from cnp.bench.registry import Bench
from cnp.errors import InternalError

LIMIT = 2.0
LONG = 15  # instructions from which the target holds


def traffic(count: int) -> Any:
    """Made-up packets. Unavailable outside a checkout."""
    return example("bpf.traffic").generate(count)


def programs(packets: Any) -> Iterator[tuple[str, Any, Any]]:
    """Of each stored filter: its name, its program, and the compiled function."""
    filters = example("bpf.filter")
    for name, source in example("bpf.demo").stored_filters():
        program = filters.program_from(source, link_type=packets.link_type, snapshot_length=packets.snapshot_length)
        yield name, program, filters.compile_filter(program)


def run(recorder: Recorder) -> None:
    """Packets a second of both, on made-up traffic; verdicts are compared first."""
    if not example("bpf.libpcap").is_installed():
        raise Unavailable("libpcap is not installed")
    packets = traffic(2_000 if recorder.quick else 50_000)
    loop = example("bpf.filter").libpcap_loop()
    for name, program, compiled in programs(packets):
        if compiled.run(packets) != loop(program, packets):
            raise InternalError(f"bpf: filter {name!r}: verdicts differ from libpcap's")
        works = {
            "cnp": lambda compiled=compiled: compiled.run(packets),
            "libpcap": lambda program=program: loop(program, packets),
        }
        samples = interleaved(works, recorder.rounds(11))
        rates = {each: len(packets) / median(samples[each]) / 1e6 for each in samples}
        note = f"{len(program)} instructions; {rates['cnp']:.1f} against {rates['libpcap']:.1f} million packets/s"
        target = LIMIT if len(program) >= LONG else None
        name = "_".join(name.split()[:6])
        recorder.ratio(f"speed.{name}", Ratio(samples["libpcap"], samples["cnp"]), at_least=target, note=note)


BENCH = Bench("bpf", "packet filters against libpcap's interpreter", run)
