"""Instructions as a disassembler shows them -> what a decoder has to say of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cnp.target.record import Instruction


def number(text: str) -> int:
    """A number that a disassembler may have written as the unsigned 64-bit number with the same bits."""
    value = int(text, 0)
    return value - (1 << 64) if value >= 1 << 63 else value


@dataclass(frozen=True)
class Seen:
    """An instruction as a disassembler shows it."""

    offset: int
    size: int
    name: str
    operands: str

    @property
    def words(self) -> list[str]:
        """Its registers and numbers."""
        return re.findall(r"[\w.-]+", self.operands)

    @property
    def number(self) -> int:
        """The last operand; of a branch, where it goes."""
        return number(self.words[-1])


Facts = tuple[int, int, str, "int | None", bool, "int | None"]
"""Offset, size, what it does to control, the destination, whether that depends, and the frame."""


def facts(each: Instruction) -> Facts:
    kinds = {"jump": each.jump, "return": each.returns, "indirect": each.indirect_jump, "call": each.calls}
    kind = " ".join(name for name, holds in kinds.items() if holds)
    destination = None if each.displacement is None else each.offset + each.size + each.displacement
    return each.offset, each.size, kind, destination, each.condition is not None, each.frame


def aarch64(seen: list[Seen]) -> Iterator[Facts]:
    for each in seen:
        kind = {"bl": "call", "blr": "call", "br": "indirect", "ret": "return", "b": "jump"}.get(each.name, "")
        if re.match(r"b\.|cbn?z$|tbn?z$", each.name):
            kind = "jump"
        depends = kind == "jump" and each.name not in ("b", "b.al", "b.nv")
        destination = each.number if kind == "jump" else None
        yield each.offset, each.size, kind, destination, depends, aarch64_frame(each)


def aarch64_frame(each: Seen) -> int | None:
    if post := re.search(r"\[sp\], (#(\S+)|x\d+)$", each.operands):
        return -number(post[2]) if post[2] else None
    if pre := re.search(r"\[sp, #(\S+)\]!$", each.operands):
        return -number(pre[1])
    if adjustment := re.fullmatch(r"sp, sp, #(\w+)(?:, lsl #(\d+))?", each.operands):
        amount = int(adjustment[1], 0) << int(adjustment[2] or 0)
        return {"add": -amount, "sub": amount}.get(each.name)
    writes = each.name in ("add", "sub", "mov", "and", "orr", "eor") and re.match("w?sp,", each.operands)
    return None if writes and each.operands != "sp, sp" else 0


def risc(seen: list[Seen]) -> Iterator[Facts]:
    """RISC-V as capstone shows it and LoongArch as llvm-objdump does: registers and branches are spelled alike."""
    skip = False
    for each, after in itertools.zip_longest(seen, seen[1:]):
        if skip:
            skip = False
            continue
        offset, size, words = each.offset, each.size, each.words
        if after and (far := far_jump(each, after)):
            kind, distance = far
            skip = True
            yield offset, size + after.size, kind, offset + distance if kind == "jump" else None, False, 0
        elif linked := register_jump(each):
            link, base, distance = linked
            kind = "call" if link == "ra" else "return" if base == "ra" and not distance else "indirect"
            yield offset, size, kind, None, False, 0
        elif each.name in ("b", "j", "c.j", "bl", "jal"):
            kind = "call" if each.name in ("bl", "jal") else "jump"
            yield offset, size, kind, offset + each.number if kind == "jump" else None, False, 0
        elif re.match(r"(c\.)?bc?(eq|ne|lt|le|ge|gt)", each.name):
            yield offset, size, "jump", offset + each.number, True, 0
        elif (
            words[:1] != ["sp"]
            or (each.name == "mv" and words == ["sp", "sp"])
            or re.match(r"(c\.)?s[bhwd](sp)?$|st(ptr|x)?\.", each.name)
        ):
            yield offset, size, "", None, False, 0
        else:
            adds = re.fullmatch(r"(c\.)?addi(16sp|\.d)?", each.name) and (len(words) == 2 or words[1] == "sp")
            yield offset, size, "", None, False, -each.number if adds else None


def register_jump(each: Seen) -> tuple[str, str, int] | None:
    """What it links, the register that it goes to, and what it adds to that."""
    words = each.words
    if each.name == "ret":
        return "zero", "ra", 0
    if each.name not in ("jr", "c.jr", "jalr", "c.jalr", "jirl"):
        return None
    if len(words) == 1:
        return "ra" if each.name in ("jalr", "c.jalr") else "zero", words[0], 0
    return words[0], words[1], int(words[2], 0)


def far_jump(each: Seen, after: Seen) -> tuple[str, int] | None:
    """Its kind and its distance, if two instructions are one jump that reaches far."""
    shift, linked = {"auipc": 12, "pcaddu18i": 18}.get(each.name), register_jump(after)
    base = each.words[:1]
    if shift is None or linked is None or linked[1] != base[0] or base[0] == "sp" or after.size == 2:
        return None
    count = 32 - 12 if shift == 12 else 20
    high = each.number - (1 << count if each.number >> (count - 1) == 1 else 0)
    if linked[0] == "ra" == base[0]:
        return "call", 0
    return ("jump", (high << shift) + linked[2]) if linked[0] == "zero" else None
