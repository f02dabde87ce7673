"""The command line of the benches: `cnp bench`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cnp.bench import machine, own_library, printer, registry, runner
from cnp.bench.figure import Mark
from cnp.errors import CnpError


def parser() -> argparse.ArgumentParser:
    """The options, for --help and for the documentation's test."""
    result = argparse.ArgumentParser(
        prog="cnp bench",
        description="Measure what cnp is judged by. What is compared runs in alternating rounds of one process or "
        "of many; medians count. What this machine cannot measure is reported as unavailable.",
    )
    add = result.add_argument
    add("names", nargs="*", metavar="NAME", help="which benches to run (default: all)")
    add("--list", action="store_true", help="say which benches there are")
    add("--json", type=Path, metavar="FILE", help="also write figures, samples, machine and versions there")
    add("--quick", action="store_true", help="few rounds and small sizes: to see that everything runs, not how fast")
    add("--verbose", action="store_true", help="also print breakdowns")
    add("--library", type=Path, metavar="FILE", help="measure with another stencil library (default: cnp's own)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 whether or not targets are met, 1 after an error on stderr, 2 for bad usage."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except (CnpError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.list:
        for each in registry.benches().values():
            print(f"{each.name:12}{each.summary}")
        return 0
    chosen = registry.chosen(options.names)
    if options.library is not None:
        own_library.use(options.library)
    printer.show_machine({**machine.machine(), **machine.versions()})
    results = []
    for recorder in runner.run(chosen, options.quick):
        printer.show(recorder, options.verbose)
        results.append(recorder)
    marks = [figure.mark for each in results for figure in each.figures]
    counts = [f"{marks.count(mark)} {mark.value}" for mark in (Mark.PASS, Mark.MISS, Mark.UNAVAILABLE)]
    print(", ".join(counts))
    if options.json is not None:
        options.json.write_text(json.dumps(runner.as_json(results), indent=1) + "\n", encoding="utf-8")
    return 0
