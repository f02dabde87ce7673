"""Proves what the rest takes for granted: the compiler's calling convention, and the shape of what was built."""

from __future__ import annotations

import re

from cnp.build.compile import Compiler
from cnp.errors import BuildError
from cnp.stencil.model import CHUNK_SIZE, NO_OP, WORD
from cnp.stencil.records import Stencil
from cnp.stencil.words import Value
from cnp.stencil.writer import Contents
from cnp.target.record import Target, arguments


def check_convention(compiler: Compiler) -> None:
    """Ask the compiler where preserve_none arguments are. BuildError if that is not what the target's header says.

    The convention of C is taken for granted.
    """
    order = compiler.target.convention_order
    if not order:
        return
    # An "r" operand that must be where the argument already is shows its register in the assembly.
    names = [f"p{number}" for number in range(len(order))]
    parameters = ", ".join(f"unsigned long long {name}" for name in names)
    lines = "".join(f'__asm__ volatile("#cnp {name} %0" : : "r"({name}));' for name in names)
    text = f"__attribute__((preserve_none)) void cnp_probe({parameters}) {{ {lines} }}\n"
    source, result = compiler.objects / "probe.c", compiler.objects / "probe.s"
    source.write_text(text)
    compiler.run([*arguments(compiler.target.flags), "-S", str(source), "-o", str(result)])
    found = tuple(register for _, register in re.findall(r"\bcnp p(\d+) [%$]?(\w+)", result.read_text()))
    if found != order:
        raise BuildError(
            f"{compiler.clang.version} passes preserve_none arguments in {' '.join(found)}, but "
            f"{compiler.target.header} relies on {' '.join(order)}: this compiler cannot build {compiler.target.name}"
        )


def find_survivors(compiler: Compiler) -> list[int]:
    """Guest integer registers that a call to C leaves alone: those whose value is still in place behind one."""
    target = compiler.target
    order = target.convention_order
    if not order:
        return _find_saved(compiler)
    parameters = ", ".join(f"unsigned long long p{number}" for number in range(len(order)))
    text = "void cnp_callee(void);\n" + "".join(
        f"__attribute__((preserve_none)) void cnp_probe_{number}({parameters}) "
        f'{{ cnp_callee(); __asm__ volatile("#cnp p{number} %0" : : "r"(p{number})); }}\n'
        for number in range(len(order))
    )
    source, result = compiler.objects / "survivors.c", compiler.objects / "survivors.s"
    source.write_text(text)
    compiler.run([*arguments(target.flags), "-S", str(source), "-o", str(result)])
    found = re.findall(r"\bcnp p(\d+) [%$]?(\w+)", result.read_text())
    in_place = {register for number, register in found if order[int(number)] == register}
    return [guest for guest, register in enumerate(target.integer_registers) if register in in_place]


def _find_saved(compiler: Compiler) -> list[int]:
    """Guest integer registers that the convention of C preserves: those that a function saves before it changes
    them.
    """
    names = compiler.target.integer_registers
    text = "".join(
        f'void cnp_probe_{number}(void) {{ __asm__ volatile("" : : : "{name}"); }}\n'
        for number, name in enumerate(names)
    )
    source, result = compiler.objects / "saved.c", compiler.objects / "saved.s"
    source.write_text(text)
    compiler.run([*arguments(compiler.target.flags), "-S", str(source), "-o", str(result)])
    functions = re.split(r"^cnp_probe_\d+:", result.read_text(), flags=re.MULTILINE)[1:]
    return [guest for guest, name in enumerate(names) if re.search(rf"\b{name}\b", functions[guest])]


def check_contents(contents: Contents, target: Target) -> None:
    """Structural truths of a library. BuildError, naming the stencil, at one that does not hold."""
    for index, stencil in enumerate(contents.stencils):
        problem = _problem(stencil, contents, has_words=bool(target.limits["words"]))
        if problem:
            raise BuildError(f"{target.name}: stencil {index} ({stencil.code.hex(' ')}): {problem}")
    if any(index >= len(contents.stencils) for index in contents.placements):
        raise BuildError(f"{target.name}: a placement names a stencil that does not exist")
    if any(index >= len(contents.stencils) for family in contents.families for index in family.stencils.values()):
        raise BuildError(f"{target.name}: a family names a stencil that does not exist")
    codes = range(len(contents.ops))
    for op in contents.ops:
        for other in (op.swapped, op.inverse, op.branch):
            if other != NO_OP and other not in codes:
                raise BuildError(f"{target.name}: op {op.method} names op {other}, which does not exist")


def _problem(stencil: Stencil, contents: Contents, *, has_words: bool) -> str:
    """What is wrong with a stencil; empty if nothing is."""
    ends: list[int] = []
    for chunk in stencil.chunks:
        if len(chunk.code) > CHUNK_SIZE or (has_words and chunk.code and len(chunk.code) != WORD):
            return f"a chunk of {len(chunk.code)} bytes"
        ends.append((ends[-1] if ends else 0) + len(chunk.code))
    filled: dict[int, int] = {}
    for hole in stencil.holes:
        kind = contents.kinds[hole.kind]
        end = hole.offset + kind.width
        if ends[hole.chunk] != end:
            return f"the hole at {hole.offset} does not end its chunk"
        if hole.value == Value.REGISTERS:
            continue
        word = int.from_bytes(stencil.code[max(end - 4, 0) : end].rjust(4, b"\0"), "little")
        if word & kind.mask:
            return f"the hole at {hole.offset} is not empty"
        if filled.get(hole.chunk, 0) & kind.mask:
            return f"the holes at {hole.offset} overlap"
        filled[hole.chunk] = filled.get(hole.chunk, 0) | kind.mask
        if hole.value == Value.LIBRARY and contents.blob and not 0 <= hole.extra < len(contents.blob):
            return f"the hole at {hole.offset} refers to {hole.extra}, outside the blob"
    short = contents.stencils[stencil.short_form] if stencil.short_form else None
    if short is not None and (short.size >= stencil.size or len(short.holes) != len(stencil.holes)):
        return "its short form is not shorter"
    return ""
