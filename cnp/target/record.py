"""What a target is: one record of data and a few functions over bytes; nothing else in cnp knows an architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cnp.types import Type


@dataclass(frozen=True, slots=True)
class PatchKind:
    """How one field of code is filled in."""

    width: int  # bytes of the field
    signed: bool  # the processor sign-extends the field, so its value must fit a signed number
    pc_relative: bool = False  # the field holds value + addend - address of the field
    high_half: bool = False  # the field holds bits 32 to 63 of value + addend


@dataclass(frozen=True, slots=True)
class RelocationKind:
    """An ELF relocation type: the fields it fills in, as offsets from where it applies."""

    name: str
    fields: tuple[tuple[int, PatchKind], ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the extractor needs to know of one machine instruction."""

    offset: int
    size: int
    jump: bool = False  # to an address that its displacement field gives
    condition: int | None = None  # of a jump, in the target's own numbering; None is always
    displacement: int | None = None  # of a jump: from the end of the instruction
    field: int = 0  # of a jump: where its displacement starts, from the start of the instruction
    returns: bool = False
    indirect_jump: bool = False
    calls: bool = False
    frame: int | None = 0  # bytes that it adds to the stack; None if it sets the stack pointer otherwise


class Decoder(Protocol):
    """Splits code into instructions. ValueError at one that it does not know."""

    def __call__(self, code: bytes) -> list[Instruction]: ...


@dataclass(frozen=True, slots=True)
class JumpEncoding:
    """Jumps to an address that is not known yet: bytes before the field, by condition (None is always)."""

    opcodes: Mapping[int | None, bytes]
    kind: PatchKind
    addend: int  # what the field's kind must be given so that the jump arrives


@dataclass(frozen=True, slots=True)
class Flag:
    """A compiler flag and why it is there."""

    text: str  # one argument, or several with spaces between
    reason: str


def arguments(flags: Iterable[Flag]) -> list[str]:
    """The flags as arguments of a command line."""
    return [argument for flag in flags for argument in flag.text.split()]


@dataclass(frozen=True, slots=True)
class Target:
    """One architecture."""

    name: str
    triple: str  # of clang
    clang_cpu: str  # the flag that sets the baseline processor, as clang spells it
    zig_triple: str
    zig_cpu: str
    header: str  # below stencils/
    flags: tuple[Flag, ...]
    core_flags: tuple[Flag, ...]
    integer_registers: tuple[str, ...]  # hardware names of r0, r1, ...
    float_registers: tuple[str, ...]  # hardware names of f0, f1, ...
    frame_register: str
    elf_machine: str
    relocations: Mapping[int, RelocationKind]
    decode: Decoder
    invert: Callable[[int], int]  # the condition that holds when this one does not
    long_jump: JumpEncoding
    short_jump: JumpEncoding | None
    # Rewrite an instruction with a 32-bit immediate to one of 8 bits; and a load of an immediate into a register that
    # is not in the set, with the instruction after it that uses it, to one instruction. None where it cannot be done.
    narrow_immediate: Callable[[bytes, int], bytes | None]
    fold_immediate: Callable[[bytes, bytes, frozenset[int]], tuple[bytes, int] | None]
    register_numbers: Mapping[str, int]  # hardware numbers of integer_registers and frame_register
    padding: tuple[bytes, ...]  # padding[n]: n bytes that do nothing
    three_address: frozenset[str]  # ops whose destination the processor can choose freely
    three_address_immediate: frozenset[str]  # the same where the second operand is an immediate
    # Loads and stores at base + (index << scale), where scale is 0 or the logarithm of what is accessed: how many
    # classes of constant offsets they take beside, 0 without such addresses, 1 for none, 2 for those of class I8 too.
    indexed_offsets: int
    add_scales: tuple[int, ...]  # shifts that an addition can apply to its second operand
    # Assembly of a jump to the address in operand %0, or "" where clang makes a tail call by itself. On x86-64 it
    # cannot: the registers that such a call may use for the address are all arguments.
    indirect_jump: str
    float_constraint: str  # of inline assembly: any float register
    convention_order: tuple[str, ...]  # registers of the convention's integer arguments, first to last
    # How compiled code calls compiled code, as stencils/control.c has it, in numbers of guest registers.
    integer_arguments: tuple[int, ...]
    integer_result: int
    float_result: int
    scratch_registers: tuple[int, ...]  # guest registers that multiplication to twice the width overwrites
    features: tuple[str, ...]  # of the processor, that code for this target uses, as /proc/cpuinfo spells them
    missing_features: Callable[[], tuple[str, ...]]  # those that this machine lacks

    def registers(self, type: Type) -> int:
        """How many registers hold values of a type."""
        return len(self.float_registers if type.is_float else self.integer_registers)
