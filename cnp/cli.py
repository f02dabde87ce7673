"""The command line: cnp build, run, objdump, doctor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cnp
from cnp.errors import CnpError, ParseError, Trap, UserError


def parser() -> argparse.ArgumentParser:
    """The options of every command."""
    result = argparse.ArgumentParser(prog="cnp", description="A copy-and-patch JIT back end: what surrounds the library.")
    result.add_argument("--version", action="version", version=f"cnp {cnp.__version__}")
    commands = result.add_subparsers(dest="command", metavar="COMMAND", required=True)

    commands.add_parser("build", help="compile the op sources to stencil libraries", add_help=False)

    run = commands.add_parser("run", help="compile a .cnp file and call one of its functions")
    run.add_argument("file", type=Path, metavar="FILE", help="functions in text form")
    run.add_argument("--call", metavar="NAME", help="the function to call (default: the only one, or `main`)")
    run.add_argument("--backend", default="native", choices=("native", "reference"), help="what runs it (default: native)")
    run.add_argument("arguments", nargs="*", metavar="ARG", help="integers, floats, or @FILE for a pointer to its bytes")

    objdump = commands.add_parser("objdump", help="show ops, stencils, holes and machine code side by side")
    objdump.add_argument("file", type=Path, metavar="FILE", help="functions in text form")
    objdump.add_argument("--function", metavar="NAME", help="only this one (default: all)")
    objdump.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")

    commands.add_parser("doctor", help="say what cnp found on this machine, and what it chose")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0, or 1 after an error on stderr, 2 for bad usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["build"]:
        from cnp.build.command import main as build

        return build(words[1:])
    options = parser().parse_intermixed_args(words) if words[:1] != ["run"] else parser().parse_args(_literal_arguments(words))
    try:
        return _COMMANDS[options.command](options)
    except (CnpError, ArithmeticError, TypeError, BufferError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def _literal_arguments(words: list[str]) -> list[str]:
    """Lets negative numbers stand among a run's arguments without `--`."""
    if "--" in words:
        return words
    numbers = [each for each in words[1:] if each.startswith("-") and each[1:2].isdigit()]
    return words if not numbers else [each for each in words if each not in numbers] + ["--", *numbers]


def _parse(path: Path) -> dict[str, cnp.Function]:
    from cnp.ir.text import parse

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    return parse(text, str(path))


def _chosen(functions: dict[str, cnp.Function], name: str | None, path: Path) -> cnp.Function:
    if name is None and len(functions) == 1:
        name = next(iter(functions))
    name = name or "main"
    if name not in functions:
        raise UserError(f"{path} has no function {name!r}; accepted: {', '.join(functions) or 'it has none'}")
    return functions[name]


def _argument(type: Any, text: str) -> Any:
    if text.startswith("@") and isinstance(type, cnp.types.PointerType):
        return bytearray(Path(text[1:]).read_bytes())
    try:
        return float(text) if type.register_type.is_float else int(text, 0)
    except ValueError:
        kind = "a float" if type.register_type.is_float else "an integer"
        raise UserError(f"argument {text!r} is not {kind}, which its type {type} wants") from None


def _run(options: argparse.Namespace) -> int:
    function = _chosen(_parse(options.file), options.call, options.file)
    types = function.parameter_types
    if len(types) != len(options.arguments):
        wanted = ", ".join(map(str, types)) or "none"
        raise UserError(f"{function.name} takes {len(types)} arguments ({wanted}), not {len(options.arguments)}")
    values = [_argument(type, text) for type, text in zip(types, options.arguments)]
    try:
        result = function.compile(backend=options.backend)(*values)
    except Trap as trap:
        print(f"trap: {trap}", file=sys.stderr)
        return 1
    if result is not None:
        print(result)
    return 0


def _objdump(options: argparse.Namespace) -> int:
    from cnp.tools import objdump

    functions = _parse(options.file)
    chosen = [_chosen(functions, options.function, options.file)] if options.function else list(functions.values())
    colour = options.color == "always" or (options.color == "auto" and sys.stdout.isatty())
    for each in chosen:
        objdump.show(each.compile(trace=True), sys.stdout, colour)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from cnp.tools.doctor import report

    for topic, finding in report():
        first, *others = finding.splitlines()
        print(f"{topic:20} {first}")
        for line in others:
            print(f"{'':20} {line}")
    return 0


_COMMANDS = {"run": _run, "objdump": _objdump, "doctor": _doctor}

if __name__ == "__main__":
    sys.exit(main())
