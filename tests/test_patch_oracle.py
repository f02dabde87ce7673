"""Every patch kind of every target against other encoders: clang's assembler and lld; and as disassemblers read it."""

from __future__ import annotations

import functools
import io
import random
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_rows import ROWS, Row
from toolchain import need_clang, need_linker, need_objdump

from cnp.stencil.patching import patch
from cnp.target import TARGETS
from cnp.target.patch import PAGE, KindFlag, PatchKind

capstone = pytest.importorskip("capstone")

START = 1 << 32  # of what is linked: whatever is two GiB away is an address, too
ADDRESSES = 1 << 64
NOT_FROM_ZERO = {"c_shift6", "c_left6"}
"""Kinds of instructions that are others with a zero, which assemblers refuse."""
HEADS = {"riscv64": ".option norelax\n.option norvc\n"}

ALL = [each for each in ROWS if each.target in TARGETS]
each_row = pytest.mark.parametrize("row", ALL, ids=str)


@dataclass(frozen=True)
class Field:
    """Where a value goes, from the start of the code of its row; `place` is what distances count from."""

    offset: int
    kind: PatchKind
    place: int

    def given(self, symbol: int, at: int) -> int:
        """What the field is given for a symbol where the code is at an address."""
        place = at + self.place
        if self.kind.flags & KindFlag.PAGES and self.kind.pc_relative:
            return (symbol + self.kind.bias & -PAGE) - (place & -PAGE)
        return symbol - place if self.kind.pc_relative else symbol


def fields_of(row: Row) -> list[Field]:
    """The product's own tables say which."""
    target = TARGETS[row.target]
    if not row.relocations:
        kinds = {each.name: each for each in target.kinds}
        return [Field(row.offset, kinds[row.kind], row.offset)]
    found = {each.name: each for each in target.relocations.values()}
    first = row.relocations[0][0]
    return [Field(at + offset, kind, first) for at, name in row.relocations for offset, kind in found[name].fields]


def ends(row: Row) -> tuple[int, int, int]:
    """Lowest and highest value that the oracle and the fields take, and what it has to be a multiple of."""
    kinds = [each.kind for each in fields_of(row)]
    limits = [row.takes or (-(1 << 63), (1 << 64) - 1), *((each.low, each.high) for each in kinds)]
    return max(low for low, _ in limits), min(high for _, high in limits), max(each.scale for each in kinds)


def values(row: Row) -> list[int]:
    """Both ends, what is next to them, zero, where lower halves change their sign, and some at random."""
    if row.values:
        return list(row.values)
    low, high, scale = ends(row)
    choose = random.Random(str(row))
    found = [low, low + scale, high - scale, high, 0, scale, -scale]
    found += [sign * 0x800 + step for sign in (1, -1) for step in (-scale, 0, scale)]
    found += [choose.randint(low, high) // scale * scale for _ in range(8)]
    found += [choose.randint(low, high) // scale * scale >> choose.randrange(60) for _ in range(8)]
    return [each for each in dict.fromkeys(found) if low <= each <= high and each % scale == 0]


# ---- the assembler and the linker


class Refused(Exception):
    """By the assembler or the linker."""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def text_of(path: Path) -> bytes:
    section: Any = ELFFile(io.BytesIO(path.read_bytes())).get_section_by_name(".text")
    return bytes(section.data())


def assemble(target: str, source: str, into: Path) -> Path:
    record = TARGETS[target]
    (into / "a.s").write_text(f"{HEADS.get(target, '')}.globl _start\n_start:\n{source}\n")
    run(*need_clang().arguments(record, ["-c", str(into / "a.s"), "-o", str(into / "a.o")]))
    return into / "a.o"


@functools.cache
def bare(row: Row) -> bytes:
    """The code of a row that is linked, with nothing in its fields."""
    with tempfile.TemporaryDirectory() as name:
        return text_of(assemble(row.target, row.code(0), Path(name)))


def oracle(row: Row, wanted: Sequence[int]) -> list[bytes]:
    """The code of a row for each value, all from one file. Refused if there is none."""
    with tempfile.TemporaryDirectory() as name:
        into = Path(name)
        if not row.relocations:
            made = text_of(assemble(row.target, "\n".join(map(row.code, wanted)), into))
            size = len(made) // len(wanted)
        else:
            size = len(bare(row))
            lines, symbols = [], []
            for number, value in enumerate(wanted):
                lines.append(f"at{number}: {row.code(0)}")
                for at, relocation in row.relocations:
                    symbol = f"at{number}" if relocation in row.of_label else f"v{number}"
                    lines.append(f".reloc at{number}+{at}, {relocation}, {symbol}")
                symbols.append(f"--defsym=v{number}={symbol_for(row, value, START + size * number) % ADDRESSES:#x}")
            assembled = assemble(row.target, "\n".join(lines), into)
            run(*need_linker(), "--no-relax", f"-Ttext={START:#x}", assembled, "-o", into / "a", *symbols)
            made = text_of(into / "a")
        if len(made) != size * len(wanted):
            raise Refused("a jump goes elsewhere first, or the instruction is longer")
        return [made[at : at + size] for at in range(0, len(made), size)]


def symbol_for(row: Row, value: int, at: int) -> int:
    """A row's value is a distance where any of its fields is one."""
    return value + next((at + each.place for each in fields_of(row) if each.kind.pc_relative), 0)


def head_of(kind: PatchKind) -> list[int]:
    """A row of Library.kinds."""
    numbers = [number for each in kind.segments for number in (each.start, each.bits, each.to, each.flags)]
    return [kind.flags, kind.width, kind.bias, kind.scale, kind.low, kind.high, *numbers]


def patched(row: Row, code: bytes, value: int, at: int = START) -> bytes:
    data = bytearray(code)
    for each in fields_of(row):
        patch(data, each.offset, head_of(each.kind), each.given(symbol_for(row, value, at), at))
    return bytes(data)


def encoded(row: Row, code: bytes, value: int, at: int = START) -> bytes:
    """The same by PatchKind.encode, into fields that are cleared before."""
    data = bytearray(code)
    for each in fields_of(row):
        kind, end = each.kind, each.offset + each.kind.width
        word = int.from_bytes(data[end - kind.width : end].rjust(4, b"\0"), "little") & ~kind.mask
        word |= kind.encode(each.given(symbol_for(row, value, at), at))
        data[end - kind.width : end] = word.to_bytes(4, "little")[4 - kind.width :]
    return bytes(data)


@each_row
def test_fields_are_as_the_oracle_writes_them(row: Row) -> None:
    wanted = values(row)
    made = oracle(row, wanted)
    assert len(set(made)) > 1
    size = len(made[0])
    for number, (value, code) in enumerate(zip(wanted, made)):
        at = START + size * number
        for other in (made[number - 1], made[0]):
            assert patched(row, other, value, at).hex() == code.hex(), value
            assert encoded(row, other, value, at).hex() == code.hex(), value


def is_refused(row: Row, value: int) -> bool:
    """Whether the oracle takes a value not at all, or in another instruction."""
    try:
        (made,) = oracle(row, [value])
        (like,) = oracle(row, values(row)[:1])
    except Refused:
        return True
    kept = bytearray(like)
    for each in fields_of(row):
        end = each.offset + each.kind.width
        mask = each.kind.mask.to_bytes(4, "little")[4 - each.kind.width :]
        for at, cleared in zip(range(end - each.kind.width, end), mask):
            kept[at] = like[at] & ~cleared | made[at] & cleared
    return bytes(kept) != made


@each_row
def test_the_oracle_refuses_what_is_one_past(row: Row) -> None:
    low, high, scale = ends(row)
    low, high = row.takes or (low, high)
    if row.checks_range and not row.values and (low > -(1 << 63) or high < (1 << 64) - 1):
        assert is_refused(row, low - scale) and is_refused(row, high + scale)
        if scale > 1 and row.checks_alignment:
            assert is_refused(row, scale // 2 + scale)


@pytest.mark.parametrize("kind", [pytest.param(k, id=f"{t.name}-{k.name}") for t in TARGETS.values() for k in t.kinds])
def test_what_does_not_fit_is_refused(kind: PatchKind) -> None:
    for value in (kind.low - 1, kind.low - kind.scale, kind.high + 1, kind.high + kind.scale):
        with pytest.raises(OverflowError):
            kind.encode(value)
        with pytest.raises(OverflowError):
            patch(bytearray(8), 0, head_of(kind), value)
    for value in {kind.low + step for step in range(1, kind.scale)}:
        with pytest.raises(ValueError):
            kind.encode(value)
        with pytest.raises(OverflowError):
            patch(bytearray(8), 0, head_of(kind), value)
    data = bytearray(b"\xff" * 12)
    patch(data, 4, head_of(kind), kind.low)
    assert data[:4] + data[4 + kind.width :] == b"\xff" * (12 - kind.width)


@pytest.mark.parametrize("name", TARGETS)
def test_every_kind_and_every_relocation_has_an_oracle(name: str) -> None:
    target, rows = TARGETS[name], [each for each in ALL if each.target == name]
    assert {each.name for each in target.kinds} == {field.kind.name for row in rows for field in fields_of(row)}
    linked = {relocation for row in rows for _, relocation in row.relocations}
    assert linked == {each.name for each in target.relocations.values()}
    reached: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        low, high, _ = ends(row)
        for field in fields_of(row) if row.checks_range and not row.values else ():
            reached.setdefault(field.kind.name, []).append((low, high))
    for kind in target.kinds:
        if kind.checked and kind.name in reached:
            found = reached[kind.name]
            whole = min(low for low, _ in found), max(high for _, high in found)
            assert (kind.name, whole) == (kind.name, (kind.low + (kind.name in NOT_FROM_ZERO), kind.high))


# ---- what reads code


def numbers_by_capstone(target: str, code: bytes) -> list[int]:
    """Immediates and displacements of what is decoded at address 0, where a distance is an address."""
    architecture, *modes = TARGETS[target].capstone.split()
    engine = capstone.Cs(getattr(capstone, architecture), sum(getattr(capstone, mode) for mode in modes))
    engine.detail = True
    decoded = list(engine.disasm(code, 0))
    assert sum(each.size for each in decoded) == len(code)
    operands = [operand for each in decoded for operand in each.operands]
    taken = {capstone.CS_OP_IMM: lambda each: each.imm, capstone.CS_OP_MEM: lambda each: each.mem.disp}
    return [taken[each.type](each) for each in operands if each.type in taken]


def numbers_by_objdump(target: str, code: bytes) -> list[int]:
    with tempfile.TemporaryDirectory() as name:
        made = assemble(target, f".byte {','.join(map(str, code))}", Path(name))
        lines = run(need_objdump(), "-d", "--no-show-raw-insn", made).splitlines()
    texts = [each.partition(":")[2].partition("<")[0] for each in lines if re.match(r" +[0-9a-f]+:", each)]
    return [int(found, 0) for text in texts for found in re.findall(r"(?<![\w$.])-?(?:0x[0-9a-f]+|\d+)", text)]


def numbers(target: str, code: bytes) -> list[int]:
    if hasattr(capstone, TARGETS[target].capstone.split()[0]):
        return numbers_by_capstone(target, code)
    return numbers_by_objdump(target, code)


@each_row
def test_what_was_patched_is_read(row: Row) -> None:
    low, high, scale = ends(row)
    code = bare(row) if row.relocations else oracle(row, values(row)[:1])[0]
    fast = hasattr(capstone, TARGETS[row.target].capstone.split()[0])
    steps = st.integers(-(-low // scale), high // scale).map(lambda each: each * scale)
    drawn = st.sampled_from(row.values) if row.values else steps | st.sampled_from(values(row))

    @settings(max_examples=60 if fast else 4, deadline=None, database=None, derandomize=True)
    @given(drawn)
    def check(value: int) -> None:
        found = numbers(row.target, patched(row, code, value, 0))
        assert row.reads(found or [0], value), (value, found)

    check()
