"""Compiles placements to stencils, many to a clang run: samples literals first, and falls back to relocations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnp.build.clang import Clang
from cnp.build.elf import Function, functions_of, read_object
from cnp.build.extract import Code, Rules, extract
from cnp.build.placements import PRELUDE, Group, Immediate, Key, Placement, Writer
from cnp.build.sample import merge_samples
from cnp.errors import BuildError
from cnp.stencil.model import Shape
from cnp.target.record import Target, arguments
from cnp.types import Type


@dataclass(frozen=True, slots=True)
class Compiler:
    """All that a compilation needs beside what is compiled. Picklable: workers get a copy."""

    clang: Clang
    target: Target
    stencils: Path  # directory of the op sources
    routines: frozenset[str]  # of the core, that stencils may reach
    objects: Path  # directory for generated files

    def functions(self, name: str, text: str, flags: Sequence[str] = ()) -> dict[str, Function]:
        """Compile C to an object file, with flags beside the target's, and read its functions."""
        source, object_file = self.objects / f"generated_{name}.c", self.objects / f"generated_{name}.o"
        source.write_text(text)
        self.run([*arguments(self.target.flags), *flags, "-c", str(source), "-o", str(object_file)])
        file = read_object(object_file, self.target.elf_machine)
        return {function.name: function for function in functions_of(file, self.target)}

    def run(self, flags: Sequence[str]) -> None:
        """Run clang where the op sources are, so that its messages name them shortly."""
        header = f'-DCNP_TARGET_HEADER="{self.target.header}"'
        kinds = [f"-DCNP_KIND_{kind.name}={number}" for number, kind in enumerate(self.target.kinds)]
        self.clang.run(self.clang.arguments(self.target, [header, *kinds, "-I", ".", *flags]), self.stencils)


@dataclass(frozen=True, slots=True)
class Strategy:
    """How each immediate of a placement is written: 0 a literal, 1 a relocation, 2 a number that LLVM does not see."""

    modes: tuple[int, ...]

    def expressions(self, immediates: Sequence[Immediate], sample: int) -> dict[str, str]:
        """The C of each immediate's position."""
        result = {}
        for mode, each in zip(self.modes, immediates):
            if mode == 0:
                result[each.position] = f"(s64)({each.literals[sample]})"
            elif mode == 1:
                unsigned = "(u32)" if each.name == "U32" else ""
                result[each.position] = f"{unsigned}HOLE32({each.hole})"
            else:
                result[each.position] = f"HOLE64({each.hole})"
        return result

    def samples(self, immediates: Sequence[Immediate]) -> int:
        """How many literals of each immediate must be compiled."""
        return 2 if 0 in self.modes else 1

    def sampled(self, immediates: Sequence[Immediate]) -> list[Immediate]:
        """The immediates that are literals."""
        return [each for mode, each in zip(self.modes, immediates) if mode == 0]


def strategies(immediates: Sequence[Immediate], target: Target) -> list[Strategy]:
    """All strategies, those that give the shortest code first. Fields that are no whole bytes have to be sampled."""
    if target.sample_kinds is None:
        return [Strategy((0,) * len(immediates))]
    modes = sorted(itertools.product(range(3), repeat=len(immediates)), key=lambda each: (sum(each), each))
    return [Strategy(each) for each in modes]


@dataclass(slots=True)
class Compiled:
    """What became of a unit of placements."""

    codes: dict[Key, Code]
    functions: int  # compiled, samples and fallbacks included
    errors: dict[str, str]  # by op: the first placement that no strategy gives a stencil for, and why


def compile_placements(compiler: Compiler, name: str, placements: Sequence[Placement]) -> Compiled:
    """The stencils of a unit of placements. BuildError if clang refuses the C."""
    writer = Writer(compiler.target)
    pending = [(p, writer.immediates(p)) for p in placements]
    result = Compiled({}, 0, {})
    even = _even(compiler, f"{name}_even", writer, pending)
    attempt = 0
    while pending:
        functions = _compile(compiler, f"{name}_{attempt}", writer, pending, attempt, even)
        result.functions += len(functions)
        failed = []
        for p, immediates in pending:
            try:
                code = _extract(compiler, p, immediates, attempt, functions)
            except BuildError as error:
                if p.variant is None:  # an op can do without families
                    result.errors.setdefault(p.op.row.method, f"{p.describe(compiler.target)}: {error}")
                continue
            if code is None and attempt + 1 < len(strategies(immediates, compiler.target)):
                failed.append((p, immediates))
            elif code is None:
                names = ", ".join(f"{each.position} of class {each.name}" for each in immediates)
                result.errors.setdefault(
                    p.op.row.method, f"{p.describe(compiler.target)}: no field holds {names}: {_shown(functions, p)}"
                )
            else:
                result.codes[p.key] = code
        pending = failed
        attempt += 1
    return result


def _shown(functions: Mapping[str, Function], p: Placement) -> str:
    """The code of the samples, for a message."""
    return " and ".join(each.code.hex(" ") for name, each in functions.items() if name.startswith(p.label + "_"))


Pending = Sequence[tuple[Placement, Sequence[Immediate]]]


def _even(compiler: Compiler, name: str, writer: Writer, pending: Pending) -> frozenset[Group]:
    """The groups whose instructions have the same sizes whichever registers they have, without the flags that see to
    it: on riscv64, `c.mv` takes all registers, `c.and` takes few. Seen with short registers only, and with another one
    at each position. A unit has whole groups.
    """
    general = [each for each in pending if each[0].is_general(compiler.target)]
    if not general:
        return frozenset()
    text = _source(writer, general, attempt=0, samples=1)
    functions = compiler.functions(name, text)
    even = set()
    for group, members in itertools.groupby((p for p, _ in general), lambda p: p.group):
        rows = list(members)
        codes = [compiler.target.decode(functions[f"{p.label}_0"].code) for p in rows]
        sizes = {tuple(instruction.size for instruction in code) for code in codes}
        long = [p.long_positions(compiler.target) for p in rows]
        if len(sizes) == 1 and frozenset() in long and frozenset().union(*long) == rows[0].positions:
            even.add(group)
    return frozenset(even)


def _source(writer: Writer, part: Pending, attempt: int, samples: int = 2) -> str:
    """C of placements, with at most so many samples of each."""
    text = [PRELUDE]
    text += [f'#include "{source}"\n' for source in sorted({p.op.source.path for p, _ in part})]
    for p, immediates in part:
        strategy = strategies(immediates, writer.target)[attempt]
        for sample in range(min(strategy.samples(immediates), samples)):
            text.append(writer.function(p, str(sample), strategy.expressions(immediates, sample)))
    return "".join(text)


def _compile(
    compiler: Compiler, name: str, writer: Writer, pending: Pending, attempt: int, even: frozenset[Group]
) -> dict[str, Function]:
    functions: dict[str, Function] = {}
    general: list[tuple[Placement, Sequence[Immediate]]] = []
    special: list[tuple[Placement, Sequence[Immediate]]] = []
    for each in pending:
        p = each[0]
        (general if p.is_general(compiler.target) and p.group not in even else special).append(each)
    for part, flags, suffix in ((special, (), ""), (general, compiler.target.general_flags, "_general")):
        if part:
            functions |= compiler.functions(name + suffix, _source(writer, part, attempt), arguments(flags))
    return functions


def _extract(
    compiler: Compiler,
    p: Placement,
    immediates: Sequence[Immediate],
    attempt: int,
    functions: Mapping[str, Function],
) -> Code | None:
    """The stencil of a placement; None if this strategy gives none but another may. BuildError if it was the last."""
    strategy = strategies(immediates, compiler.target)[attempt]
    samples = [functions[f"{p.label}_{sample}"] for sample in range(strategy.samples(immediates))]
    merged = merge_samples(samples, strategy.sampled(immediates), compiler.target) if len(samples) > 1 else samples[0]
    if merged is None:
        return None
    try:
        return extract(merged, compiler.target, _rules(compiler, p, immediates))
    except BuildError:
        if strategy == strategies(immediates, compiler.target)[-1]:
            raise
        return None


def _rules(compiler: Compiler, p: Placement, immediates: Sequence[Immediate]) -> Rules:
    row = p.op.row
    low_half_only = row.shape == Shape.TABLE or (row.shape == Shape.MAGIC and row.result_type == Type.i32)
    for each in immediates:
        number = "ABC".find(each.position)
        is_i32 = 0 <= number < len(row.operand_types) and row.operand_types[number] == Type.i32
        low_half_only |= is_i32 or each.name == "U32"
    return Rules(
        indirect_jump=row.shape == Shape.TABLE,
        frame=not p.all_in_registers(compiler.target) or row.shape == Shape.MAGIC,
        low_half_only=low_half_only,
        narrow=frozenset(each.hole for each in immediates if each.name == "I8"),
        routines=compiler.routines,
    )


def compile_controls(compiler: Compiler, source: str, names: Sequence[str]) -> dict[str, Code]:
    """The hand-written stencils. BuildError names the one that breaks a rule, or that is missing."""
    compiled = compiler.functions("control", f'{PRELUDE}#include "{source}"\n')
    # Numbers of functions and places of traps are the only immediates that are not sign-extended.
    rules = Rules(hand_written=True, indirect_jump=True, low_half_only=True, routines=compiler.routines)
    result = {}
    for name in names:
        if name not in compiled:
            raise BuildError(f"{source}: CONTROL({name}) was not compiled: is it static?")
        try:
            result[name] = extract(compiled[name], compiler.target, rules)
        except BuildError as error:
            raise BuildError(f"{source}: control stencil {error}") from None
    return result
