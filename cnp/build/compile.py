"""Compiles placements to stencils, many to a clang run: samples literals first, and falls back to relocations."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from cnp.build.clang import Clang
from cnp.build.elf import Function, functions_of, read_object
from cnp.build.extract import Code, Rules, extract
from cnp.build.functions import PRELUDE, Immediate, Writer
from cnp.build.placements import Group, Key, Placement
from cnp.build.sample import merge_samples, read_sample
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
    """The stencils of a unit of placements: all have floats, or none has. BuildError if clang refuses the C."""
    unit = Unit(compiler, name, Writer(compiler.target, any(p.has_floats(compiler.target) for p in placements)))
    pending = [(p, unit.writer.immediates(p)) for p in placements]
    result = Compiled({}, 0, {})
    unit.find_even(pending)
    attempt = 0
    while pending:
        merged = unit.merged(pending, attempt)
        failed = []
        for p, immediates in pending:
            try:
                code = _extract(compiler, p, immediates, attempt, merged[p.label])
            except BuildError as error:
                if p.variant is None:  # an op can do without families
                    result.errors.setdefault(p.op.row.method, f"{p.describe(compiler.target)}: {error}")
                continue
            if code is None and attempt + 1 < len(strategies(immediates, compiler.target)):
                failed.append((p, immediates))
            elif code is None:
                names = ", ".join(f"{each.position} of class {each.name}" for each in immediates)
                result.errors.setdefault(
                    p.op.row.method, f"{p.describe(compiler.target)}: no field holds {names}: {unit.shown(p)}"
                )
            else:
                result.codes[p.key] = code
        pending = failed
        attempt += 1
    result.functions = unit.compiled
    return result


Pending = Sequence[tuple[Placement, Sequence[Immediate]]]


@dataclass(slots=True)
class Unit:
    """What clang has made of some placements so far."""

    compiler: Compiler
    name: str
    writer: Writer
    functions: dict[str, Function] = field(default_factory=dict)  # of the last attempt
    even: Set[Group] = frozenset()
    compiled: int = 0  # functions, those of all attempts

    def find_even(self, pending: Pending) -> None:
        """Find the groups whose instructions have the same sizes whichever registers they have, without the flags that
        see to it: on riscv64, `c.mv` takes all registers, `c.and` takes few. Seen with short registers only, and with
        another one at each position. A unit has whole groups.

        A few placements of a group mostly tell that it is none of those; only where they do not are all compiled.
        """
        target = self.compiler.target
        general = [each for each in pending if each[0].is_general(target)]
        self.even = {p.group for p, _ in general}
        for chosen in (_few(general, target), general):
            self._compile([each for each in chosen if each[0].group in self.even], 0)
            self.even = {
                group
                for group, members in itertools.groupby((p for p, _ in chosen), lambda p: p.group)
                if group in self.even and _is_even([(p, self.functions[f"{p.label}_0"]) for p in members], target)
            }
        uneven = [p.label for p, _ in general if p.group not in self.even]
        for label in uneven:
            self.functions.pop(f"{label}_0", None)

    def merged(self, pending: Pending, attempt: int) -> dict[str, Function | None]:
        """By placement's label, its function with references where literals are; None where they are not in fields.

        Of placements with the same immediates that differ in registers alone the first shows where the fields are; the
        others are compiled with the first sample alone, and with all where this leaves a doubt. That the second would
        not have given other instructions is seen when registers' fields are learned: families want all codes alike, and
        else a code that differs from what most agree on is not taken.
        """
        if attempt:
            self.functions.clear()
        target = self.compiler.target
        kinds = {p.label: (p.group, *((each.position, each.name) for each in immediates)) for p, immediates in pending}
        first = {kind: label for label, kind in reversed(kinds.items())}
        leaders = [each for each in pending if first[kinds[each[0].label]] == each[0].label]
        others = [each for each in pending if first[kinds[each[0].label]] != each[0].label]
        self._compile(pending, attempt, full=frozenset(first.values()))
        result = {p.label: self._merge(p, immediates, attempt) for p, immediates in leaders}
        doubtful = []
        for p, immediates in others:
            like = result[first[kinds[p.label]]]
            sampled = strategies(immediates, target)[attempt].sampled(immediates)
            result[p.label] = like and read_sample(self.functions[f"{p.label}_0"], like, sampled, target)
            if result[p.label] is None:
                doubtful.append((p, immediates))
        self._compile(doubtful, attempt, full=frozenset(p.label for p, _ in doubtful))
        return result | {p.label: self._merge(p, immediates, attempt) for p, immediates in doubtful}

    def shown(self, p: Placement) -> str:
        """The code of the samples, for a message."""
        names = [name for name in self.functions if name.startswith(p.label + "_")]
        return " and ".join(self.functions[name].code.hex(" ") for name in names)

    def _merge(self, p: Placement, immediates: Sequence[Immediate], attempt: int) -> Function | None:
        strategy = strategies(immediates, self.compiler.target)[attempt]
        samples = [self.functions[f"{p.label}_{sample}"] for sample in range(strategy.samples(immediates))]
        sampled = strategy.sampled(immediates)
        return merge_samples(samples, sampled, self.compiler.target) if len(samples) > 1 else samples[0]

    def _compile(self, part: Pending, attempt: int, full: Container[str] = ()) -> None:
        """Compile first samples, or all samples of the placements whose labels are in `full`, but for what there is."""
        target = self.compiler.target
        missing: dict[bool, list[str]] = {False: [], True: []}
        for p, immediates in part:
            strategy = strategies(immediates, target)[attempt]
            is_general = p.is_general(target) and p.group not in self.even
            for sample in range(strategy.samples(immediates) if p.label in full else 1):
                if f"{p.label}_{sample}" not in self.functions:
                    expressions = strategy.expressions(immediates, sample)
                    missing[is_general].append(self.writer.function(p, str(sample), expressions))
        sources = "".join(f'#include "{path}"\n' for path in sorted({p.op.source.path for p, _ in part}))
        for is_general, functions in missing.items():
            if functions:
                text = "".join([self.writer.prelude, sources, *functions])
                flags = arguments([*self.writer.flags, *(target.general_flags if is_general else ())])
                made = self.compiler.functions(f"{self.name}_{self.compiled}", text, flags)
                self.functions |= made
                self.compiled += len(made)


def _few(general: Pending, target: Target) -> Pending:
    """Of each group, a placement with every set of positions whose registers not all instructions take."""
    seen = {(p.group, p.long_positions(target)): (p, immediates) for p, immediates in general}
    return list(seen.values())


def _is_even(members: Sequence[tuple[Placement, Function]], target: Target) -> bool:
    sizes = {tuple(each.size for each in target.decode(function.code)) for _, function in members}
    long = [p.long_positions(target) for p, _ in members]
    return len(sizes) == 1 and frozenset() in long and frozenset().union(*long) == members[0][0].positions


def _extract(
    compiler: Compiler, p: Placement, immediates: Sequence[Immediate], attempt: int, merged: Function | None
) -> Code | None:
    """The stencil of a placement; None if this strategy gives none but another may. BuildError if it was the last."""
    if merged is None:
        return None
    try:
        return extract(merged, compiler.target, _rules(compiler, p, immediates))
    except BuildError:
        if attempt + 1 == len(strategies(immediates, compiler.target)):
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
