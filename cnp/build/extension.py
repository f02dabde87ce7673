"""Reads a directory of C files of an author's own: the ops that an extension library has beside the built-in ones."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnp.build.clang import Clang
from cnp.build.compile import Compiler
from cnp.build.functions import PRELUDE
from cnp.build.ops import SourceOp, read_sources
from cnp.errors import BuildError
from cnp.stencil.model import Shape
from cnp.target.record import Target, arguments
from cnp.types import Type

RESERVED = frozenset(
    ("branch_table", "entered_at", "f32_const", "f64_const", "i32_const", "i64_const", "load_cell", "name_register")
    + ("op_table", "parameter_types", "register_types")
)
"""Of the names that an op may have, those that `Function` uses for something else."""

_ATTRIBUTES = ("PLAIN", "COMMUTATIVE", "COMPARISON", "LOAD", "STORE", "CALL")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9]\w*", re.ASCII)
_IS_CALL = re.compile(r"a (call|return|stack frame) at offset")
_HINT = (
    "\na body that calls a C function, or needs more registers than are free, cannot be copied; accepted: the "
    "attribute CALL, with which it is called where the op stands"
)
_OURS = ("cnp.h", "context.h")


@dataclass(frozen=True, slots=True)
class Extension:
    """A directory of ops, as `cnp build` is given it."""

    directory: Path
    clang: Clang
    target: Target
    stencils: Path  # where the built-in ops are

    @property
    def files(self) -> list[Path]:
        """Its op sources, by name. BuildError if there are none, or if a header hides one of cnp's."""
        if not self.directory.is_dir():
            raise BuildError(f"{self.directory} is not a directory; accepted: one with C files of ops")
        found = sorted(self.directory.resolve().glob("*.c"))
        if not found:
            raise BuildError(f"{self.directory} has no C files; accepted: at least one, with ops")
        for name in _OURS:
            if (self.directory / name).exists():
                raise BuildError(f"{self.directory / name} would be taken for cnp's own: give it another name")
        return found

    def digests(self) -> dict[str, str]:
        """SHA-256 of its C files and of all headers that they include and that are no system's, by path from it."""
        inside = self.directory.resolve()
        found: set[Path] = set(self.files)
        for file in self.files:
            for each in self._depends(file):
                if not each.is_relative_to(self.stencils.resolve()):
                    found.add(each)
        names = {Path(os.path.relpath(each, inside)).as_posix(): each for each in found}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(names.items())}

    def _depends(self, file: Path) -> list[Path]:
        """What clang says that a file includes."""
        header = f'-DCNP_TARGET_HEADER="{self.target.header}"'
        flags = [*arguments(self.target.flags), header, "-MM", "-I", ".", str(file)]
        with self.messages():
            text = self.clang.run(self.clang.arguments(self.target, flags), self.stencils)
        words = re.split(r"(?<!\\)\s+", text.replace("\\\n", " ").partition(":")[2].strip())
        return [(self.stencils / each.replace("\\ ", " ")).resolve() for each in words if each]

    def messages(self) -> _Messages:
        """In it, errors of the compiler name files as the directory was given."""
        return _Messages(self.directory)

    def ops(self, built_in: Sequence[SourceOp]) -> list[SourceOp]:
        """Its ops. BuildError, with file and line, for one that is malformed, or named as another is."""
        files = [str(each) for each in self.files]
        with self.messages():
            found = read_sources(self.clang, self.target, self.stencils, files, built_in)
        if found.controls:
            raise BuildError(f"{self.directory}: CONTROL({found.controls[0]}) is for cnp's own stencils; accepted: OP")
        if not found.ops:
            raise BuildError(f"{self.directory} has no ops; accepted: at least one, OP(name, attribute, result, ...)")
        known = {each.name: each for each in (*built_in, *found.ops)}
        for op in found.ops:
            _check_name(op)
            _check_shape(op)
            _check_files(op)
            _check_comparison(op, known)
        return list(found.ops)

    def check_syntax(self, compiler: Compiler) -> None:
        """Compile each file by itself, before any placement is: errors come once, with the author's file and line."""
        for file in self.files:
            source = compiler.objects / "generated_check.c"
            source.write_text(f'{PRELUDE}#include "{file}"\n')
            with self.messages():
                compiler.run([*arguments(self.target.flags), "-fsyntax-only", str(source)])


class _Messages:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, BuildError):
            text = re.sub(r"^In file included from .*generated_\w+\.c:\d+:\n", "", str(error), flags=re.MULTILINE)
            text = text.replace(f"{self._directory.resolve()}/", f"{self._directory}/")
            raise BuildError(text + _HINT * bool(_IS_CALL.search(text))) from None


def pointers(ops: Sequence[SourceOp]) -> dict[str, list[int]]:
    """By name of an op that looks into memory, which of its operands, in the order of its row, are addresses."""
    found = {op.name: [number for number, each in enumerate(op.operands) if each is None] for op in ops}
    found |= {op.name: [1] for op in ops if op.shape == Shape.STORE}
    return {name: numbers for name, numbers in found.items() if numbers}


def _check_name(op: SourceOp) -> None:
    start = f"{op.place}: op {op.name}"
    if not _NAME.fullmatch(op.name):
        raise BuildError(f"{start}: accepted as a name: letters and digits, an underscore, and the rest: i64_sat_add")
    if op.name in RESERVED:
        raise BuildError(f"{start}: Function has something else of that name; accepted: another one")
    if op.name.startswith(("branch_", "not_")) or op.name.endswith("_select"):
        raise BuildError(f"{start}: branch_..., not_... and ..._select are for cnp's own ops; accepted: another name")


def _check_shape(op: SourceOp) -> None:
    start = f"{op.place}: op {op.name}"
    counts = Counter(each is None for each in op.operands)
    if op.attribute not in _ATTRIBUTES:
        raise BuildError(f"{start}: {op.attribute} is for cnp's own ops; accepted: {', '.join(_ATTRIBUTES)}")
    if re.search(r"\btrap_\b", op.body):
        raise BuildError(f"{start}: trap_ is used; accepted: return TRAP(kind);")
    if op.shape == Shape.LOAD and (counts != {True: 1} or op.result is None):
        raise BuildError(f"{start}: a LOAD has one parameter, `ptr address`, and a result")
    if op.shape == Shape.STORE and (counts != {True: 1, False: 1} or op.result is not None):
        raise BuildError(f"{start}: a STORE has two parameters, `ptr address` and a value, and the result void")
    if op.is_call and op.traps:
        raise BuildError(f"{start}: a CALL does not trap; accepted: a result that another op looks at")
    if op.shape == Shape.VALUE and op.result is None and not op.is_call:
        raise BuildError(f"{start}: void is for a STORE or a CALL; accepted: i32, i64, f32 or f64, if only to say 0")
    if op.attribute == "COMMUTATIVE" and (len(op.operands) != 2 or op.operands[0] != op.operands[1]):
        raise BuildError(f"{start}: a COMMUTATIVE op has two operands of one type")


def _check_files(op: SourceOp) -> None:
    """Operands that the allocator may put in one place are of one register file: integers, or floats."""
    files = [each is not None and each.is_float for each in op.operands]
    if op.shape != Shape.VALUE or len(files) == 1 or op.is_call:
        return
    start = f"{op.place}: op {op.name}:"
    if files[0] != files[1]:
        raise BuildError(
            f"{start} a is an integer and b a float, or the reverse; accepted: both integers or both floats"
        )
    if op.result is not None and op.result.is_float and not files[0]:
        raise BuildError(
            f"{start} the result is a float and the operands are not; accepted: that from one operand only"
        )
    if len(files) == 3 and op.result is not None and op.result.is_float != files[0]:
        raise BuildError(f"{start} of three operands a, b and the result are integers, or all three floats")


def _check_comparison(op: SourceOp, known: dict[str, SourceOp]) -> None:
    """A comparison may be moved to the branch that it is for, so it must look at nothing but its operands."""
    if op.attribute != "COMPARISON":
        return
    start = f"{op.place}: op {op.name}: a COMPARISON"
    if op.result != Type.i32 or len(op.operands) > 2:
        raise BuildError(f"{start} has one or two operands and the result i32")
    if op.touches_memory or op.traps:
        raise BuildError(f"{start} takes no ptr and cannot trap, since it moves to its branch; accepted: PLAIN")
    for other in filter(None, (op.swapped, op.inverse)):
        row = known[other]
        if row.attribute != "COMPARISON" or row.operands != op.operands:
            raise BuildError(f"{start} names {other}, which is no COMPARISON of the same operands")
