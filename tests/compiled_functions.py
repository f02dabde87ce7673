"""Functions as if clang had compiled them, and what extracting them says."""

from __future__ import annotations

import pytest

from cnp.build.elf import Function, Reference
from cnp.build.extract import Rules, extract
from cnp.errors import BuildError
from cnp.target.x86_64 import TARGET as X86_64

KINDS = {each.name: each for each in X86_64.kinds}
REL8, REL32, IMM8 = KINDS["rel8"], KINDS["rel32"], KINDS["imm8"]
CLASS = {each.name: 1 << number for number, each in enumerate(X86_64.classes)}
PLT32, ABSOLUTE_32S, ABSOLUTE_32, ABSOLUTE_64, ABSOLUTE_16 = 4, 11, 10, 1, 12


def function(code: str, *references: tuple[int, int, str, int]) -> Function:
    """A function of these bytes, with references (offset, type, symbol, addend)."""
    return Function("it", bytes.fromhex(code), tuple(Reference(*each) for each in references))


def jump(offset: int, symbol: str) -> tuple[int, int, str, int]:
    return (offset, PLT32, symbol, -4)


def refusal(it: Function, rules: Rules | None = None) -> str:
    with pytest.raises(BuildError) as caught:
        extract(it, X86_64, rules or Rules())
    return str(caught.value)
