"""Compiles the ops of an extension that are called: functions of C, in the library's blob beside the core."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from cnp.build.compile import Compiler
from cnp.build.core import Part
from cnp.build.elf import HasVariables, read_object
from cnp.build.ops import SourceOp
from cnp.errors import BuildError
from cnp.stencil.model import CALLED_OP
from cnp.target.record import arguments

_LISTING = ("-S", "-gline-tables-only", "-gdwarf-4")
_FILE = re.compile(r'\s*\.file\s+(\d+)\s+"([^"]*)"(?:\s+"([^"]*)")?')
_LOCATION = re.compile(r"\s*\.loc\s+(\d+)\s+([1-9]\d*)")


def compile_routines(compiler: Compiler, ops: Sequence[SourceOp]) -> Iterator[Part]:
    """What clang makes of the called ops, a part a file of theirs: two files may call helpers of their own the same."""
    for number, (path, group) in enumerate(groupby(ops, lambda op: op.path)):
        source, result = (compiler.objects / f"generated_calls{number}.{kind}" for kind in "co")
        functions = "".join(map(_function, group))
        source.write_text(f'#include "cnp.h"\n#include "context.h"\n#include "{path}"\n{functions}')
        compiler.run([*arguments(compiler.target.core_flags), "-c", str(source), "-o", str(result)])
        try:
            file = read_object(result, compiler.target.elf_machine)
        except HasVariables as error:
            lines = (_line_of(compiler, source, symbol) for symbol in error.symbols)
            raise BuildError(f"{next(filter(None, lines), path)}: {error}") from None
        except BuildError as error:
            raise BuildError(f"{path}: {error}") from None
        yield Part(path, file, partial(_line_of, compiler, source))


def _line_of(compiler: Compiler, source: Path, symbol: str) -> str | None:
    """File and line of the first instruction that refers to a symbol: of the same code once more, as assembly. None if
    it is data that refers to it."""
    listing = source.with_suffix(".s")
    compiler.run([*arguments(compiler.target.core_flags), *_LISTING, str(source), "-o", str(listing)])
    mention = re.compile(rf"(?<![\w.$]){re.escape(symbol)}(?![\w.$])")
    files: dict[str, str] = {}
    line = None
    for text in listing.read_text(encoding="utf-8").splitlines():
        if found := _FILE.match(text):
            files[found[1]] = os.path.join(found[2], found[3] or "")
        elif found := _LOCATION.match(text):
            line = f"{files[found[1]]}:{found[2]}"
        elif mention.search(text) and line is not None and not text.lstrip().startswith("."):
            return line
    return None


def _function(op: SourceOp) -> str:
    """The op's body as a function of the C convention, with a ptr as an i64."""
    types = [type.name if type is not None else "i64" for type in op.operands]
    parameters = ", ".join(f"{type} p{number}" for number, type in enumerate(types))
    given = ", ".join(f"(ptr)p{number}" if type is None else f"p{number}" for number, type in enumerate(op.operands))
    result = op.result.name if op.result is not None else "void"
    returns = "return " if op.result is not None else ""
    # Visible, because the core's flags hide what is not exported.
    head = f"__attribute__((used)) {result} {CALLED_OP}{op.name}({parameters})"
    return f"{head};\n{head} {{ {returns}{op.name}({given}, 0); }}\n"


def described(ops: Sequence[SourceOp]) -> dict[str, Mapping[str, object]]:
    """What `cnp.load` wants to know of called ops, by name; of types, None is a ptr, or no result."""
    return {
        op.name: {"params": list(op.operands), "result": op.result, "doc": op.body, "place": op.place} for op in ops
    }
