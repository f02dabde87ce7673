"""The command line of the benches: `cnp bench`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from cnp.bench import machine, markdown, own_library, plot, printer, registry, results, runner
from cnp.bench.figure import Mark
from cnp.bench.results import Results
from cnp.errors import CnpError, UserError


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
    add("--plots", type=Path, metavar="DIR", help="also draw the figures there, as SVG and PNG (needs matplotlib)")
    add("--from", type=Path, metavar="FILE", dest="source", help="measure nothing: show what --json wrote there")
    add("--markdown", action="store_true", help="print the tables in Markdown")
    add("--quick", action="store_true", help="few rounds and small sizes: to see that everything runs, not how fast")
    add("--verbose", action="store_true", help="also print breakdowns, and the spread of every figure")
    add("--library", type=Path, metavar="FILE", help="measure with another stencil library (default: cnp's own)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 whether or not targets are met, 1 after an error or a bench that failed, 2 for bad usage."""
    own = parser()
    options = own.parse_args(arguments)
    if options.source and (options.names or options.json or options.quick or options.library):
        own.error("--from shows what was measured: it goes with neither names nor --json, --quick and --library")
    try:
        registry.chosen(options.names)
    except UserError as error:
        own.error(str(error))
    try:
        return _run(options)
    except BrokenPipeError:  # `cnp bench | head`: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"error: {error.filename or 'cnp bench'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except CnpError as error:
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
    # Before minutes of measuring, not after them.
    if options.json:
        _check_file(options.json)
    if options.plots:
        plot.check_available()
        _check_directory(options.plots)
    found = _read(options) if options.source else _measured(options)
    if options.markdown:
        print(markdown.document(found))
    else:
        printer.show_verdict(found.figures, found.quick)
    if options.json:
        results.write(options.json, found)
    if options.plots:
        for line in plot.draw(found, options.plots):
            print(line, file=sys.stderr if options.markdown else sys.stdout)
    return int(any(each.mark is Mark.FAILED for each in found.figures))


def _read(options: argparse.Namespace) -> Results:
    found = results.read(options.source)
    if not options.markdown:
        printer.show_rows({**found.machine, **found.versions, "date": found.date})
        for bench, figures in found.benches().items():
            printer.show(bench, figures, options.verbose)
    return found


def _measured(options: argparse.Namespace) -> Results:
    """Runs the benches, each shown when it is done."""
    chosen = registry.chosen(options.names)
    if options.library is not None:
        own_library.use(options.library)
    about, versions = machine.machine(), machine.versions()
    about["load at start"], stolen = machine.load(), machine.stolen()
    if not options.markdown:
        printer.show_rows({**about, **versions})
    recorders = []
    for recorder in runner.run(chosen, options.quick):
        if not options.markdown:
            printer.show(recorder.bench, recorder.figures, options.verbose)
            for text in recorder.texts if options.verbose else ():
                print(text)
        recorders.append(recorder)
    about["load at end"], about["stolen by others"] = machine.load(), f"{machine.stolen() - stolen:.1f} s"
    bench = " ".join(each.name for each in chosen) if options.names else results.ALL
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return results.gathered(bench, recorders, about, versions, date)


def _check_file(path: Path) -> None:
    """UserError unless a file can be put there, or replaced; makes the directories that it needs."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file that can be replaced")
    _check_directory(path.parent)


def _check_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from None
