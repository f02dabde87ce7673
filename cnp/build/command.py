"""The command line of the build: `python build_stencils.py` and `cnp build`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cnp.errors import BuildError, CnpError, MissingExtra
from cnp.stencil.sources import library_path, stencils_directory
from cnp.target import TARGETS, target_named


def parser() -> argparse.ArgumentParser:
    """The options, for --help and for the documentation's test."""
    result = argparse.ArgumentParser(
        prog="build_stencils.py",
        description="Compile the op sources in stencils/ to stencil libraries, one a target; or, with a directory of C "
        "files of your own, to an extension library that has those ops besides. Needs clang 19 or later "
        "(or the ziglang package) and pyelftools: `pip install cnp[build]` brings both. Does nothing when nothing "
        "has changed.",
    )
    add = result.add_argument
    add("directory", nargs="?", type=Path, metavar="DIR", help="C files of your own ops, for an extension library")
    add(
        "--target",
        choices=[*TARGETS, "all"],
        help="which target to build for (default: all; of an extension, this machine's)",
    )
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write the library (default: cnp/data/TARGET.cnpl; of an extension, DIR.cnpl here)",
    )
    add("--jobs", type=int, default=0, metavar="N", help="processes that compile (default: one a processor)")
    add(
        "--clang",
        metavar="COMMAND",
        help="compiler to use, as a command line: a path, or 'python -m ziglang cc' (default: $CNP_CLANG, else a "
        "clang on PATH, else the ziglang package)",
    )
    add("--force", action="store_true", help="build even if nothing has changed")
    add("--verbose", action="store_true", help="show the compiler and statistics")
    add("--keep", type=Path, metavar="DIR", help="keep the generated C and the object files there")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 if the libraries are built or were up to date, 1 after an error on stderr, 2 for bad usage."""
    options = parser().parse_args(arguments)
    chosen = options.target or (os.uname().machine if options.directory else "all")
    names = list(TARGETS) if chosen == "all" else [chosen]
    if options.output is not None and len(names) > 1:
        parser().error("--output names one file: choose one --target")
    try:
        return _build(options, names)
    except (BuildError, MissingExtra) as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
    except CnpError as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _build(options: argparse.Namespace, names: Sequence[str]) -> int:
    # Late, because they need pyelftools: --help must not.
    from cnp.build.clang import find_clang
    from cnp.build.pipeline import Settings, build_libraries
    from cnp.build.progress import default_progress

    clang = find_clang(options.clang)
    if options.verbose:
        print(f"{' '.join(clang.command)}: {clang.version}", file=sys.stderr)
    outputs = [options.output or _default_output(options.directory, name, len(names) > 1) for name in names]
    all_settings = [
        Settings(
            clang, target_named(name), stencils_directory(), output, options.jobs, options.force, options.keep,
            options.directory,
        )
        for name, output in zip(names, outputs)
    ]  # fmt: skip
    for output, statistics in zip(outputs, build_libraries(all_settings, default_progress)):
        if options.verbose or statistics.up_to_date:
            print(statistics, file=sys.stderr)
        else:
            print(f"{output}: {statistics.file_bytes:,} bytes, {statistics.seconds:.1f} s", file=sys.stderr)
    return 0


def _default_output(extension: Path | None, target: str, several: bool) -> Path:
    """Where a library goes unless told otherwise. Several of one extension have the target in their names."""
    if extension is None:
        return library_path(target)
    name = extension.resolve().name
    return Path(f"{name}.{target}.cnpl" if several else f"{name}.cnpl")
