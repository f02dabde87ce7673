"""Turns a capture and some filters into a table: what each way to run them costs, and whether they agree."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import capture, libpcap, traffic
from .capture import Capture, CaptureError
from .filter import compile_filter, interpret, libpcap_loop, program_from
from .instruction import FilterError, Instruction, format_program

FILTERS = Path(__file__).with_name("filters")
_T = TypeVar("_T")
Loop = Callable[[Iterable[Instruction], Capture], "array[int]"]


@dataclass(frozen=True)
class Row:
    """One filter's measurements. Times in seconds: `compile` from the program to a callable, the others for the
    whole capture; None where libpcap is not installed."""

    name: str
    instructions: int
    code_bytes: int
    accepted: int
    agree: bool
    compile: float
    python: float
    libpcap: float | None
    cnp: float


def best_of(rounds: int, run: Callable[[], _T]) -> tuple[float, _T]:
    """The shortest time of some runs, in seconds, and the last result: the least disturbed by the machine."""
    return side_by_side(rounds, run)[0]


def side_by_side(rounds: int, *runs: Callable[[], _T]) -> list[tuple[float, _T]]:
    """best_of() for each of some things to compare, taking turns, so that a disturbance meets them alike."""
    best: list[tuple[float, _T]] = []
    for _ in range(rounds):
        for number, run in enumerate(runs):
            start = time.perf_counter()
            result = run()
            seconds = time.perf_counter() - start
            if number == len(best):
                best.append((seconds, result))
            else:
                best[number] = (min(best[number][0], seconds), result)
    return best


def measure(name: str, program: list[Instruction], packets: Capture, loop: Loop | None, backend: str) -> Row:
    """Run one filter in every way there is and compare all verdicts."""
    compile_time, compiled = best_of(20, lambda: compile_filter(program, backend=backend))
    python_time, expected = best_of(1, lambda: interpret(program, packets))
    runs: list[Callable[[], array[int]]] = [lambda: compiled.run(packets)]
    if loop is not None:
        runs.append(functools.partial(loop, program, packets))
    (cnp_time, verdicts), *others = side_by_side(11, *runs)
    return Row(
        name=name,
        instructions=len(program),
        code_bytes=len(getattr(compiled.compiled, "code", b"")),
        accepted=sum(map(bool, expected)),
        agree=verdicts == expected and all(each == expected for _, each in others),
        compile=compile_time,
        python=python_time,
        libpcap=others[0][0] if others else None,
        cnp=cnp_time,
    )


HEADINGS = (
    "filter", "instructions", "accepted", "compile, us", "code, bytes",
    "Python, M/s", "libpcap, M/s", "cnp, M/s", "cnp / libpcap", "verdicts",
)  # fmt: skip


def cells(row: Row, count: int) -> tuple[str, ...]:
    """The row as text; M/s are millions of packets per second."""

    def rate(seconds: float | None) -> str:
        return "-" if seconds is None else f"{count / max(seconds, 1e-9) / 1e6:,.2f}"

    return (
        row.name,
        str(row.instructions),
        f"{row.accepted:,}",
        f"{row.compile * 1e6:,.0f}",
        f"{row.code_bytes:,}",
        rate(row.python),
        rate(row.libpcap),
        rate(row.cnp),
        "-" if row.libpcap is None else f"{row.libpcap / row.cnp:.2f}",
        "agree" if row.agree else "DIFFER",
    )


def show(title: str, table: Sequence[Sequence[str]]) -> None:
    """Print the table, through rich where it is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        widths = [max(map(len, column)) for column in zip(HEADINGS, *table, strict=True)]
        print(title)
        for line in (HEADINGS, *table):
            first, *rest = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            print("  ".join([first.strip().ljust(widths[0]), *rest]))
        return
    pretty = Table(title=title, title_justify="left", padding=(0, 0, 0, 1))
    for number, heading in enumerate(HEADINGS):
        pretty.add_column(heading, justify="right" if number else "left", no_wrap=bool(number))
    for line in table:
        pretty.add_row(*map(Text, line))  # Text: a filter's own brackets are not markup
    # A pipe has no width; without one rich would squeeze the table into 80 columns.
    Console(width=None if sys.stdout.isatty() else 150).print(pretty)


def stored_filters() -> list[tuple[str, str]]:
    """Names and texts of the filters that come with the demo."""
    texts = [path.read_text() for path in sorted(FILTERS.glob("*.txt"))]
    return [(text.splitlines()[0].lstrip("# "), text) for text in texts]


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.bpf", description=__doc__)
    parser.add_argument("capture", nargs="?", help="a pcap file; without one, made-up traffic")
    parser.add_argument("expression", nargs="?", help="a filter as for tcpdump, or a file with `tcpdump -ddd` text")
    parser.add_argument("--packets", type=int, default=100_000, help="how many to make up (%(default)s)")
    parser.add_argument("--snapshot-length", type=int, default=262144, help="bytes to keep of each (%(default)s)")
    parser.add_argument("--backend", default="native", help="cnp's back end (%(default)s)")
    parser.add_argument("--write", metavar="FILE", help="store the packets as a pcap file")
    parser.add_argument("--show", action="store_true", help="print the filters' instructions")
    return parser.parse_args(words)


def _run(options: argparse.Namespace) -> bool:
    if options.capture:
        packets = capture.read(options.capture)
    else:
        packets = traffic.generate(options.packets, snapshot_length=options.snapshot_length)
    if options.write:
        capture.write(options.write, packets)
    filters = stored_filters()
    if options.expression:
        path = Path(options.expression)
        filters = [(options.expression, path.read_text() if path.is_file() else options.expression)]
    loop = libpcap_loop() if libpcap.is_installed() else None
    rows = []
    for name, source in filters:
        program = program_from(source, link_type=packets.link_type, snapshot_length=packets.snapshot_length)
        if options.show:
            print(f"{name}\n{format_program(program)}\n")
        rows.append(measure(name, program, packets, loop, options.backend))
    title = f"{len(packets):,} packets, {len(packets.data) / 1e6:,.1f} MB in memory; "
    title += libpcap.version() if loop else "libpcap is not installed"
    show(title, [cells(row, len(packets)) for row in rows])
    return all(row.agree for row in rows)


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 1 if any two ways to run a filter disagree, or 2 for an input that is refused."""
    try:
        return 0 if _run(_arguments(words)) else 1
    except (FilterError, CaptureError, libpcap.LibpcapMissing, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
