"""The command line: cnp build, run, emit, export-c, objdump, doctor, and what else surrounds the library."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import cnp
from cnp.errors import CnpError, ParseError, Trap, UserError
from cnp.types import ParameterType, PointerType

_ELSEWHERE = {"build": "cnp.build.command", "bench": "cnp.bench.command"}
"""Commands whose module has a parser and a main of its own; loaded only when asked for."""


def parser() -> argparse.ArgumentParser:
    """The options that come before a command, and the list of commands."""
    return _parsers()[0]


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command's parser, and each command's own."""
    result = argparse.ArgumentParser(
        prog="cnp", description="A copy-and-patch JIT back end: what surrounds the library."
    )
    result.add_argument("--version", action="version", version=f"cnp {cnp.__version__}")
    commands = result.add_subparsers(dest="command", metavar="COMMAND", required=True)

    commands.add_parser("build", help="compile the op sources to stencil libraries", add_help=False)

    run = commands.add_parser("run", help="compile a .cnp file and call one of its functions")
    run.add_argument("file", type=Path, metavar="FILE", help="functions in text form")
    run.add_argument("--call", metavar="NAME", help="the function to call (default: the only one, or `main`)")
    run.add_argument(
        "--backend", default="native", choices=("native", "reference"), help="what runs it (default: native)"
    )
    run.add_argument("--library", type=Path, metavar="CNPL", help="an extension library, whose ops FILE may have")
    run.add_argument(
        "arguments", nargs="*", metavar="ARG", help="integers, floats, or @FILE for a pointer to its bytes"
    )

    emit = commands.add_parser("emit", help="compile a .cnp file to an object file that C code can be linked with")
    emit.add_argument("file", type=Path, metavar="FILE", help="functions in text form")
    emit.add_argument(
        "-o", "--output", type=Path, metavar="OBJECT", help="where to write it (default: FILE's name with .o, here)"
    )
    emit.add_argument("--target", metavar="NAME", help="the machine that it is for (default: this one)")
    emit.add_argument(
        "--library", action="append", type=Path, default=[], metavar="CNPL",
        help="an extension library, whose ops FILE may have (may be given again: the same ops for other targets)",
    )  # fmt: skip
    emit.add_argument(
        "--function", action="append", metavar="NAME", help="C can call this one (may be given again; default: all)"
    )
    emit.add_argument(
        "--landing-pads",
        action="store_true",
        help="mark where indirect jumps arrive, for processors that check it (IBT, BTI)",
    )
    emit.add_argument("--header", type=Path, metavar="HEADER", help="write a C header that declares them, too")

    export = commands.add_parser("export-c", help="write a stencil library and its run time as C files: cnp.h, cnp.c")
    export.add_argument(
        "library", nargs="?", type=Path, metavar="CNPL", help="an extension library (default: the built-in ops)"
    )
    export.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    export.add_argument("--target", metavar="NAME", help="the machine that it is for (default: this one)")
    export.add_argument(
        "--bytecode", action="append", default=[], metavar="MODULE:NAME",
        help="a table of guest instructions (cnp.bytecode.Table) to bring along (may be given again)",
    )  # fmt: skip

    objdump = commands.add_parser("objdump", help="show ops, stencils, holes and machine code side by side")
    objdump.add_argument("file", type=Path, metavar="FILE", help="functions in text form")
    objdump.add_argument("--function", metavar="NAME", help="only this one (default: all)")
    objdump.add_argument("--library", type=Path, metavar="CNPL", help="an extension library, whose ops FILE may have")
    objdump.add_argument("--target", metavar="NAME", help="show the code for that machine (default: for this one)")
    objdump.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")

    commands.add_parser("bench", help="measure what cnp is judged by", add_help=False)

    commands.add_parser("doctor", help="say what cnp found on this machine, and what it chose")
    return result, dict(commands.choices)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0, or 1 after an error on stderr. SystemExit with 2 for bad usage, with 0 after --help."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _ELSEWHERE:
        return int(importlib.import_module(_ELSEWHERE[words[0]]).main(words[1:]))
    whole, commands = _parsers()
    if not words or words[0] not in commands:
        whole.parse_args(words)  # --help, --version, or an error
        return 2
    # The command's own parser, because options may stand anywhere among positional arguments only where there is no
    # subcommand left to find. A space keeps argparse from taking -0x10 or -1e9 for an option.
    numbers = [" " + each if re.match(r"-(\d|\.\d|inf|nan)", each) else each for each in words[1:]]
    options = commands[words[0]].parse_intermixed_args(numbers)
    try:
        result = _COMMANDS[words[0]](options)
        sys.stdout.flush()
        return result
    except BrokenPipeError:  # `cnp objdump ... | head`: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"error: {name}{error.strerror or error}", file=sys.stderr)
        return 1
    except (CnpError, ArithmeticError, TypeError, BufferError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parse(path: Path, library: Path | None = None, *others: Path) -> dict[str, cnp.Function]:
    from cnp.ir.text import parse

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    if library is None:
        return parse(text, str(path))
    ops = cnp.load(library)
    for each in others:
        ops.add_target(each)
    return ops.parse(text, str(path))


def _chosen(functions: dict[str, cnp.Function], name: str | None, path: Path) -> cnp.Function:
    if name is None and len(functions) == 1:
        name = next(iter(functions))
    accepted = f"accepted: {', '.join(functions) or 'it has none'}"
    if not functions:
        raise UserError(f"{path} has no functions")
    if name is None and "main" not in functions:
        raise UserError(f"{path} has several functions and none is `main`: choose one with --call; {accepted}")
    name = name or "main"
    if name not in functions:
        raise UserError(f"{path} has no function {name!r}; {accepted}")
    return functions[name]


def _argument(type: ParameterType, text: str) -> int | float | bytearray:
    text = text.strip()
    is_pointer = isinstance(type, PointerType)
    if text.startswith("@") and is_pointer:
        return bytearray(Path(text[1:]).read_bytes())
    try:
        return float(text) if type.register_type.is_float else int(text, 0)
    except ValueError:
        kind = "a float" if type.register_type.is_float else "an integer"
        raise UserError(f"argument {text!r} is not {kind}{' or @FILE' * is_pointer}, as type {type} wants") from None


def _run(options: argparse.Namespace) -> int:
    functions = _parse(options.file, options.library)
    function = _chosen(functions, options.call, options.file)
    types = function.parameter_types
    if len(types) != len(options.arguments):
        wanted = f"{len(types)} argument{'s' * (len(types) != 1)} ({', '.join(map(str, types)) or 'none'})"
        raise UserError(f"{function.name} takes {wanted}, not {len(options.arguments)}")
    values = [_argument(type, text) for type, text in zip(types, options.arguments)]
    try:
        result = function.compile(backend=options.backend)(*values)
    except Trap as trap:
        print(f"trap: {_described(trap, functions)}", file=sys.stderr)
        return 1
    if result is not None:
        print(result)
    return 0


def _described(trap: Trap, functions: dict[str, cnp.Function]) -> str:
    """`integer divide by zero in function 'divide' at op 0: i64.div_s a, a, b`"""
    from cnp.ir.text import print_op

    function = functions.get(trap.function)
    if function is None or trap.op >= len(function.ops):
        return str(trap)
    op = print_op(function, function.ops[trap.op]).strip()
    return f"{trap.kind} in function {trap.function!r} at op {trap.op}: {op}"


def _emit(options: argparse.Namespace) -> int:
    from cnp.target import target_named
    from cnp.tools.emission import object_file, save
    from cnp.tools.header import header

    if options.target is not None:
        target_named(options.target)
    functions = _parse(options.file, *options.library)
    if not functions:
        raise UserError(f"{options.file} has no functions")
    names = dict.fromkeys(options.function or functions)
    chosen = [_chosen(functions, name, options.file) for name in names]
    data = object_file(chosen, options.target, landing_pads=options.landing_pads)
    text = header(chosen, options.file.name)
    save(options.output or Path(options.file.with_suffix(".o").name), data)
    if options.header is not None:
        save(options.header, text.encode())
    return 0


def _export(options: argparse.Namespace) -> int:
    from cnp.export.command import export, opened, table_named
    from cnp.target import target_named

    if options.target is not None:
        target_named(options.target)
    guests = {each.partition(":")[2].lower(): table_named(each) for each in options.bytecode}
    for path in export(opened(options.library, options.target), options.output, guests):
        print(path)
    return 0


def _objdump(options: argparse.Namespace) -> int:
    from cnp.tools import objdump

    functions = _parse(options.file, options.library)
    chosen = [_chosen(functions, options.function, options.file)] if options.function else list(functions.values())
    colour = options.color == "always" or (options.color == "auto" and sys.stdout.isatty() and objdump.can_colour())
    for each in chosen:
        objdump.show(each.compile(trace=True, target=options.target), sys.stdout, colour)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from cnp.tools.doctor import FAILED, report

    failed = False
    for topic, finding in report():
        failed |= finding.startswith(FAILED)
        first, *others = finding.splitlines()
        print(f"{topic:20} {first}")
        for line in others:
            print(f"{'':20} {line}")
    return int(failed)


_COMMANDS = {"run": _run, "emit": _emit, "export-c": _export, "objdump": _objdump, "doctor": _doctor}

if __name__ == "__main__":
    sys.exit(main())
