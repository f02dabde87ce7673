"""Reads the op table out of the C sources: clang's preprocessor is the parser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnp.build.clang import Clang
from cnp.errors import BuildError, TrapKind
from cnp.stencil.model import Shape
from cnp.target.record import Target
from cnp.types import Type

CONTROL_SOURCE = "control.c"
_ENTRY = re.compile(r"@@(OP|CONTROL)\s+(.*?)@@", re.DOTALL)
_TRAP = re.compile(r"\(\s*\*\s*trap_\s*=\s*\(\s*(\w+)\s*\)\s*,\s*0\s*\)")
_SHAPES = {"LOAD": Shape.LOAD, "STORE": Shape.STORE, "TABLE": Shape.TABLE}
_SHAPES |= {"MAGIC": Shape.MAGIC, "PLAIN": Shape.VALUE, "COMMUTATIVE": Shape.VALUE, "MOVE": Shape.VALUE}
_SHAPES |= {"CALL": Shape.VALUE}
_MOST_OPERANDS, _MOST_ARGUMENTS = 3, 8


@dataclass(frozen=True, slots=True)
class SourceOp:
    """One OP of a source file."""

    name: str
    attribute: str  # PLAIN, COMMUTATIVE, COMPARISON, LOAD, STORE, CALL, MOVE, TABLE or MAGIC
    swapped: str | None  # of a COMPARISON: names of ops
    inverse: str | None
    shape: Shape
    result: Type | None
    operands: tuple[Type | None, ...]  # None is a ptr
    traps: tuple[TrapKind, ...]
    body: str
    source: str  # file name
    line: int
    path: str  # of the file, as generated C includes it

    @property
    def place(self) -> str:
        """`integer.c:12`"""
        return f"{self.source}:{self.line}"

    @property
    def is_call(self) -> bool:
        """Whether it is a function of C that is called where the op stands, and has no stencils."""
        return self.attribute == "CALL"

    @property
    def touches_memory(self) -> bool:
        """Whether it is no load or store but takes a ptr: its result may differ from one time to the next."""
        return self.shape == Shape.VALUE and None in self.operands


@dataclass(frozen=True, slots=True)
class Sources:
    """All that the op sources define."""

    ops: tuple[SourceOp, ...]
    controls: tuple[str, ...]


def read_sources(
    clang: Clang, target: Target, directory: Path, files: Sequence[str], known: Sequence[SourceOp] = ()
) -> Sources:
    """The ops of `files`, in order, and the control stencils. BuildError, with file and line, at a malformed one.

    Files are named from `directory`. `known` are ops that there are already, whose names new ones must not take.
    """
    ops: list[SourceOp] = []
    controls: list[str] = []
    for file in files:
        text = _preprocess(clang, target, directory, file)
        for match in _ENTRY.finditer(text):
            fields = [field.strip() for field in match[2].split("|")]
            if match[1] == "CONTROL":
                controls.append(fields[0])
            else:
                ops.append(_op(fields, _body(text, match.end()), file))
    _check_names([*known, *ops])
    return Sources(tuple(ops), tuple(controls))


def _preprocess(clang: Clang, target: Target, directory: Path, file: str) -> str:
    flags = ["-E", "-P", "-DCNP_TABLE", f'-DCNP_TARGET_HEADER="{target.header}"', "-I", ".", file]
    return clang.run(clang.arguments(target, flags), directory)


def _body(text: str, start: int) -> str:
    """The text between the braces that follow, on one line, with TRAP spelled as its author did."""
    depth, at = 0, text.find("{", start)
    for end in range(at, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return " ".join(_TRAP.sub(r"TRAP(\1)", text[at + 1 : end]).split())
    return ""


def _op(fields: Sequence[str], body: str, path: str) -> SourceOp:
    name, attributes, result, parameters, file, line = fields
    source = Path(file.strip('"')).name
    place = f"{source}:{line}: op {name}"
    attribute, _, arguments = attributes.partition("(")
    attribute = attribute.strip()
    swapped = inverse = None
    if attribute == "COMPARISON":
        names = [each.strip() for each in arguments.rstrip(") ").split(",")]
        if len(names) != 2:
            raise BuildError(f"{place}: COMPARISON takes two names, swapped and inverse, not {arguments!r}")
        swapped, inverse = (None if each == "NONE" else each for each in names)
        shape = Shape.VALUE
    elif attribute in _SHAPES:
        shape = _SHAPES[attribute]
    else:
        raise BuildError(f"{place}: unknown attribute {attribute!r}: accepted are COMPARISON, {', '.join(_SHAPES)}")
    traps = sorted({_trap(kind, place) for kind in re.findall(r"TRAP\((\w+)\)", body)})
    operands = tuple(_parameter_type(each, place) for each in parameters.split(","))
    most = _MOST_ARGUMENTS if attribute == "CALL" else _MOST_OPERANDS
    if len(operands) > most:
        raise BuildError(f"{place}: {len(operands)} operands; at most {most} are accepted")
    result_type = None if result == "void" else _type(result, place)
    return SourceOp(
        name, attribute, swapped, inverse, shape, result_type, operands, tuple(traps), body, source, int(line), path
    )


def _trap(kind: str, place: str) -> TrapKind:
    try:
        return TrapKind[kind]
    except KeyError:
        raise BuildError(f"{place}: unknown trap {kind}: known are {', '.join(TrapKind.__members__)}") from None


def _type(name: str, place: str) -> Type:
    if name not in ("i32", "i64", "f32", "f64"):
        raise BuildError(f"{place}: type {name!r} is not one of i32, i64, f32, f64")
    return Type[name]


def _parameter_type(parameter: str, place: str) -> Type | None:
    words = parameter.split()
    if len(words) < 2:
        raise BuildError(f"{place}: {parameter!r} is no parameter; accepted: at least one, each a type and a name")
    if words[0] == "ptr":
        return None
    return _type(words[0], place)


def _check_names(ops: Sequence[SourceOp]) -> None:
    known: dict[str, SourceOp] = {}
    for op in ops:
        if op.name in known:
            raise BuildError(f"{op.place}: op {op.name} is already defined at {known[op.name].place}")
        known[op.name] = op
    for op in ops:
        for other in (op.swapped, op.inverse):
            if other is not None and other not in known:
                raise BuildError(f"{op.place}: op {op.name} names {other}, which is not an op")
