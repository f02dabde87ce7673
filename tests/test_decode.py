"""The decoders of foreign targets see in clang's code what capstone (or, where it is too old, llvm-objdump) sees."""

from __future__ import annotations

import importlib
import itertools
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import capstone
import decode_sources as sources
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st
from seen_instructions import Facts, Seen, aarch64, facts, risc
from toolchain import need_clang, need_objdump

from cnp.target import TARGETS
from cnp.target.record import Instruction

UNKNOWN = "<unknown>"


@dataclass(frozen=True)
class Case:
    """A target: how to compile for it, and how to read what a disassembler says of it."""

    name: str
    flags: tuple[str, ...]
    forms: str  # assembly of what clang seldom emits
    opposites: str  # a pair of branches to x a line
    unknown: str  # a word, in hexadecimal, and what it is, a line
    classify: Callable[[list[Seen]], Iterator[Facts]]
    nop: int
    stack_pointer: int
    register_fields: tuple[int, ...]  # their lowest bits
    disassembler: tuple[str, ...]  # capstone's names of the architecture and its modes

    def decode(self, code: bytes) -> list[Instruction]:
        return self.module.decode(code)  # type: ignore[no-any-return]

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"cnp.target.{self.name}_decode")

    @property
    def pairs(self) -> list[list[str]]:
        return [line.split("; ") for line in self.opposites.split("\n") if line]


CASES = (
    Case(
        "aarch64",
        ("-march=armv8-a", "-mno-outline-atomics"),
        sources.AARCH64_FORMS,
        sources.AARCH64_OPPOSITES,
        sources.AARCH64_UNKNOWN,
        aarch64,
        0xD503201F,
        31,
        (0, 5, 16),
        ("CS_ARCH_ARM64", "CS_MODE_ARM"),
    ),
    Case(
        "riscv64",
        ("-march=rv64gc", "-mno-relax"),
        sources.RISCV64_FORMS,
        sources.RISCV64_OPPOSITES,
        sources.RISCV64_UNKNOWN,
        risc,
        0x00000013,
        2,
        (7, 15),
        ("CS_ARCH_RISCV", "CS_MODE_RISCV64", "CS_MODE_RISCVC"),
    ),
    Case(
        "loongarch64",
        ("-march=la64v1.0",),
        sources.LOONGARCH64_FORMS,
        sources.LOONGARCH64_OPPOSITES,
        sources.LOONGARCH64_UNKNOWN,
        risc,
        0x03400000,
        3,
        (0, 5),
        ("CS_ARCH_LOONGARCH", "CS_MODE_LOONGARCH64"),
    ),
)
every_target = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def build(case: Case, directory: Path, text: str, suffix: str, *flags: str) -> tuple[Path, bytes]:
    """The object file of a source, and its code."""
    source, made = directory / f"source{suffix}", directory / "made.o"
    source.write_text(text)
    clang, words = need_clang(), [*case.flags, *flags, "-c", str(source), "-o", str(made)]
    clang.run(clang.arguments(TARGETS[case.name], words), directory)
    with made.open("rb") as stream:
        return made, ELFFile(stream).get_section_by_name(".text").data()


def disassemble(case: Case, made: Path, code: bytes) -> list[Seen]:
    """What capstone sees; llvm-objdump where capstone does not know the target."""
    if all(hasattr(capstone, name) for name in case.disassembler):
        return disassemble_with_capstone(case, code)
    command = [need_objdump(), "-d", "--section=.text", made]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^ +(\w+): ((?:\w\w )+) +\t(\S+)(?:\t([^<\n]*?))?(?: <.*)?$", text, re.MULTILINE)
    return [Seen(int(at, 16), len(data.split()), name, operands) for at, data, name, operands in rows]


def disassemble_with_capstone(case: Case, code: bytes) -> list[Seen]:
    architecture, *modes = (getattr(capstone, name) for name in case.disassembler)
    engine = capstone.Cs(architecture, sum(modes))
    found: list[Seen] = []
    while (at := sum(each.size for each in found[-1:]) + (found[-1].offset if found else 0)) < len(code):
        each = next(engine.disasm(code[at : at + 4], at, 1), None)
        found.append(Seen(at, each.size, each.mnemonic, each.op_str) if each else Seen(at, 4, UNKNOWN, ""))
    return found


def check(case: Case, made: Path, code: bytes) -> list[Instruction]:
    decoded, seen = case.decode(code), disassemble(case, made, code)
    assert UNKNOWN not in [each.name for each in seen]
    assert [facts(each) for each in decoded] == list(case.classify(seen))
    return decoded


@every_target
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Oz"])
@pytest.mark.parametrize("flags", [(), ("-fno-jump-tables",)], ids=["tables", "jumps"])
def test_compiled_code(case: Case, level: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    decoded = check(case, *build(case, tmp_path, sources.PAGE, ".c", level, *flags))
    assert sum(each.returns for each in decoded) > 10
    assert sum(each.calls for each in decoded) > 15
    assert any(each.jump and each.condition is not None for each in decoded)
    assert any(each.frame and each.frame > 0 for each in decoded) and any(each.frame is None for each in decoded)
    if level != "-O0":
        assert any(each.indirect_jump for each in decoded)


@every_target
def test_rare_forms(case: Case, tmp_path: Path) -> None:
    check(case, *build(case, tmp_path, case.forms, ".s"))


@every_target
def test_random_words(case: Case, tmp_path: Path) -> None:
    """What the decoder and the disassembler both know is the same to both."""
    generator, words = random.Random(case.name), []
    _, code = build(case, tmp_path, case.forms, ".s")
    forms = [int.from_bytes(code[each.offset : each.offset + 4], "little") for each in case.decode(code)]
    while len(words) < 20_000:
        word = generator.getrandbits(32)
        if generator.random() < 0.7:  # one to three bits away from a form
            word = generator.choice(forms)
            for low in generator.sample(range(32), generator.randrange(1, 4)):
                word ^= 1 << low
        for low in generator.sample(case.register_fields, generator.randrange(3)):
            word = word & ~(31 << low) | generator.choice((0, case.stack_pointer)) << low
        try:
            instruction, *more = case.decode(word.to_bytes(4, "little"))
        except ValueError:
            continue
        if not more:  # two compressed ones
            words.append((word, instruction))
    text = "".join(f".4byte {word}\n" for word, _ in words)
    seen = disassemble(case, *build(case, tmp_path, text, ".s"))
    assert len(seen) == len(words)
    known = 0
    for (word, instruction), each in zip(words, seen):
        if each.name != UNKNOWN:
            known += 1
            moved = replace(instruction, offset=each.offset)
            assert [facts(moved)] == list(case.classify([each])), f"{word:#010x} {each}"
    assert known > 10_000


@pytest.mark.skipif(not hasattr(capstone, "CS_ARCH_RISCV"), reason="NOT TESTED: there is no capstone that knows RISC-V")
def test_every_compressed_instruction() -> None:
    case = next(case for case in CASES if case.name == "riscv64")
    for word in range(1 << 16):
        if word & 3 == 3:
            continue
        code = word.to_bytes(2, "little")
        (each,) = disassemble_with_capstone(case, code)
        try:
            decoded = [facts(instruction) for instruction in case.decode(code)]
        except ValueError:
            reserved = each.name in (UNKNOWN, "c.unimp") or (each.name == "c.lui" and each.number == 0)
            assert reserved, f"{word:#06x} {each}"
            continue
        if each.name == UNKNOWN:  # not to every capstone: hints, which would set the zero register
            assert word >> 7 & 31 == 0 and decoded == [(0, 2, "", None, False, 0)], f"{word:#06x}"
        else:
            assert decoded == list(case.classify([each])), f"{word:#06x} {each}"


@every_target
def test_invert(case: Case, tmp_path: Path) -> None:
    for pair in case.pairs:
        conditions = []
        for text in pair:
            (branch,) = case.decode(build(case, tmp_path, f"x: {text}\n", ".s")[1])
            assert branch.displacement == -branch.size
            conditions.append(branch.condition)
        one, two = conditions
        assert (case.module.invert(one), case.module.invert(two)) == (two, one), pair


@every_target
def test_a_condition_is_the_branch_without_its_displacement(case: Case, tmp_path: Path) -> None:
    for text in itertools.chain(*case.pairs):
        far = build(case, tmp_path, f"{text}\n.skip 200\nx:\n.skip 200\n{text}\n", ".s")[1]
        size = (len(far) - 400) // 2
        (forward,), (backward,) = case.decode(far[:size]), case.decode(far[-size:])
        assert (forward.displacement, backward.displacement) == (200, -200 - size)
        assert forward.condition == backward.condition
        (again,) = case.decode((forward.condition or 0).to_bytes(4, "little"))
        assert (again.condition, again.displacement) == (forward.condition, -4)


def test_a_compressed_branch_has_the_condition_of_the_wide_one() -> None:
    case = next(case for case in CASES if case.name == "riscv64")
    for number in range(8):
        for distance in (0, 0x1C7C):  # no bit of the displacement, and every one
            for half, wide in ((0xC001, 0x00040063), (0xE001, 0x00041063)):  # c.beqz s0 and beqz s0, and of bnez
                (each,) = case.decode((half | number << 7 | distance & ~0x380).to_bytes(2, "little"))
                assert each.condition == wide | number << 15


@every_target
def test_unknown_instructions_are_refused(case: Case) -> None:
    for word in re.findall(r"^\w+", case.unknown, re.MULTILINE):
        data = bytes.fromhex(word)[::-1]
        with pytest.raises(ValueError, match=f"unknown instruction {data.hex(' ')} at offset 0"):
            case.decode(data)


@every_target
def test_code_that_ends_within_an_instruction_is_refused(case: Case) -> None:
    nop = case.nop.to_bytes(4, "little")
    assert [each.offset for each in case.decode(nop * 2)] == [0, 4]
    for cut in (1, 2, 3):
        with pytest.raises(ValueError, match="the instruction at offset 4 is cut off"):
            case.decode((nop * 2)[:-cut])


def test_only_the_unknown_instruction_is_shown() -> None:
    case = next(case for case in CASES if case.name == "riscv64")
    with pytest.raises(ValueError, match=r"^unknown instruction 00 80 at offset 2$"):
        case.decode(bytes.fromhex("0100 0080 0100"))


@every_target
@given(words=st.lists(st.integers(0, 2**32 - 1), max_size=4), cut=st.integers(0, 3))
def test_any_bytes_are_decoded_or_refused(case: Case, words: list[int], cut: int) -> None:
    code = b"".join(word.to_bytes(4, "little") for word in words)
    code = code[: len(code) - cut]
    try:
        decoded = case.decode(code)
    except ValueError as error:
        assert re.search(r"^(unknown )?(the )?instruction .*at offset \d+( is cut off)?$", str(error))
        return
    at = 0
    for each in decoded:
        assert each.offset == at
        at += each.size
    assert at == len(code)
