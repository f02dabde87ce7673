"""What a target is: one record of data and a few functions over bytes; nothing else in cnp knows an architecture."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cnp.target.immediate import ImmediateClass
from cnp.target.patch import PatchKind, RelocationKind
from cnp.types import Type


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
class JumpForm:
    """A jump to an address that is not known yet: code that ends in the field, which is zero."""

    code: bytes
    kind: PatchKind
    addend: int = 0  # what the field must be given so that the jump arrives


class Role(enum.Enum):
    """What an immediate is for: a target says which classes it may be of."""

    OPERAND = "the last operand of an op or of a fused branch"
    REVERSED = "the first operand, where the destination is the second"
    MOVE = "what a register is set to"
    SHIFT = "a count"
    BASE = "the address of a load or store"
    OFFSET = "the constant offset of a load or store"
    INDEXED_OFFSET = "the same, beside an index"
    STORED = "what is stored"
    INDEXED_STORED = "the same, at an address with an index"


@dataclass(frozen=True, slots=True)
class Access:
    """The op an immediate belongs to, as far as that matters."""

    op: str  # i64_add
    type: Type  # of the immediate; of a shift, what is shifted
    bytes: int = 0  # that a load or store accesses


@dataclass(frozen=True, slots=True)
class Flag:
    """A compiler flag and why it is there."""

    text: str  # one argument, or several with spaces between
    reason: str


@dataclass(frozen=True, slots=True)
class LandingPads:
    """What object files need beside the marks themselves for a processor to check where indirect jumps arrive."""

    flags: tuple[Flag, ...]  # of clang, which then marks C functions, too
    property: int  # GNU property of files whose code is marked throughout: its type,
    bits: int  # and its value


def arguments(flags: Iterable[Flag]) -> list[str]:
    """The flags as arguments of a command line."""
    return [argument for flag in flags for argument in flag.text.split()]


LIMITS = {
    "reach": "bytes within which jumps, loads of constants and jump tables reach everything of a function",
    "slot_reach": "frame offsets below it are part of an instruction; 0: all are",
    "first_slot": "offset of a frame's first slot: what is in front of it keeps the return address",
    "c_arguments": "integer arguments that the C convention passes in registers",
    "wide_bits": "an integer constant of more bits than these is worth a register in a loop",
    "most_repeated": "instructions of a short straight loop that does two rounds between jumps back; 0 for none",
    "aligns_loops": "1 if it pays that loops begin at a multiple of 16 bytes, or lie in one line of the cache",
    "longest_padding": "bytes of the longest row of the padding",
    "words": "1 if every instruction has four bytes, 0 otherwise",
    "extends_signs": "1 if an i32 lies in a register sign-extended, 0 if zero-extended",
    "pools": "1 if wide immediates and constants lie behind a function's code, where a distance reaches them",
    "reaches_far": "1 if the short form of a branch reaches farther than a signed byte",
}
"""Numbers that the core wants to know of a target, by name."""


@dataclass(frozen=True, slots=True)
class Target:
    """One architecture. LIMITS says what its `limits` are."""

    name: str
    triple: str  # of clang
    clang_cpu: str  # the flags that set the baseline processor, as clang spells them
    zig_triple: str
    zig_cpu: str
    header: str  # below stencils/
    flags: tuple[Flag, ...]
    core_flags: tuple[Flag, ...]
    general_flags: tuple[Flag, ...]  # beside the others, where code must not depend on which registers it has
    integer_registers: tuple[str, ...]  # hardware names of r0, r1, ...
    float_registers: tuple[str, ...]  # hardware names of f0, f1, ...
    frame_register: str
    elf_machine: str
    landing_pads: LandingPads | None  # None where processors check nothing, or clang cannot mark C functions yet
    capstone: str  # its constants for the architecture and, if there are any, for modes
    relocations: Mapping[int, RelocationKind]
    kinds: tuple[PatchKind, ...]  # all there are
    decode: Decoder
    invert: Callable[[int], int]  # the condition that holds when this one does not
    jumps: Callable[[int | None], tuple[JumpForm, ...]]  # of a condition (None is always), from the farthest on
    jump_addend: int  # of relocations of jumps that clang writes
    # Immediates: the classes, the narrowest first; which of them, by name, an op takes; and values to sample each with,
    # by operand position: no power of two nor next to one, nothing else that a cheaper instruction could produce, and
    # at each position other ones, so that two fields cannot be confused.
    classes: tuple[ImmediateClass, ...]
    immediates: Callable[[Role, Access], tuple[str, ...]]
    samples: Callable[[str, str], tuple[int, ...]]  # class, position
    holes: Mapping[str, str]  # by class, the macro of the header that makes a number of an immediate; else HOLE64
    # By class, the kind of its field where code is any row of bytes; None where an instruction's end is a field's too.
    sample_kinds: Mapping[str, str] | None
    sampled_slots: str  # the class of frame offsets if they are sampled like immediates, else "": they are relocations
    # Rewrite an instruction with a 32-bit immediate to one of 8 bits; and a load of an immediate into a register that
    # is not in the set, with the instruction after it that uses it, to one instruction. None where it cannot be done.
    narrow_immediate: Callable[[bytes, int], bytes | None] | None
    fold_immediate: Callable[[bytes, bytes, frozenset[int]], tuple[bytes, int] | None] | None
    register_numbers: Mapping[str, int]  # hardware numbers of integer_registers and frame_register
    # Registers that share stencils, by file, as guest numbers: their hardware numbers are fields of instructions, which
    # the build learns. None where the build compiles every register.
    groups: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]] | None
    named: tuple[int, int]  # how many integer and float registers C can name; the rest are known by their fields alone
    typed_registers: bool  # an i32 is kept sign-extended and an f32 boxed, as the C convention passes them
    padding: tuple[bytes, ...]  # padding[n]: n bytes that do nothing, or b"" where there are none
    three_address: frozenset[str] | None  # ops whose destination the processor can choose freely; None is all of them
    three_address_immediate: frozenset[str]  # the same where the second operand is an immediate
    # Loads and stores at base + (index << scale), where scale is 0 or the logarithm of what is accessed: how many
    # classes of constant offsets they take beside, 0 without such addresses, 1 for none, 2 for one more.
    indexed_offsets: int
    add_scales: tuple[int, ...]  # shifts that an addition can apply to its second operand
    # Assembly of a jump to the address in operand %0, or "" where clang makes a tail call by itself. On x86-64 it
    # cannot: the registers that such a call may use for the address are all arguments.
    indirect_jump: str
    float_users: frozenset[str]  # ops without floats for which clang takes float registers: it counts ones in vectors
    float_constraint: str  # of inline assembly: any float register
    convention_order: tuple[str, ...]  # registers of the convention's integer arguments, first to last; () is C's
    # How compiled code calls compiled code, as stencils/control.c has it, in numbers of guest registers.
    integer_arguments: tuple[int, ...]
    integer_result: int
    float_result: int
    scratch_registers: tuple[int, ...]  # guest registers that multiplication to twice the width overwrites
    limits: Mapping[str, int]  # see LIMITS
    features: tuple[str, ...]  # of the processor, that code for this target uses, as /proc/cpuinfo spells them
    missing_features: Callable[[], tuple[str, ...]]  # those that this machine lacks

    def registers(self, type: Type) -> int:
        """How many registers hold values of a type."""
        return len(self.float_registers if type.is_float else self.integer_registers)

    def register_groups(self, type: Type) -> tuple[tuple[int, ...], ...]:
        """The registers that hold values of a type, those that share stencils together."""
        if self.groups is None:
            return tuple((number,) for number in range(self.registers(type)))
        return self.groups[type.is_float]

    def call_relocation(self, kind: str) -> tuple[int, int] | None:
        """Type of the ELF relocation that fills in the fields of a call, the first of which is of this patch kind; and
        where that field is, from the offset the relocation names. None if it is another one of them. KeyError if there
        is no such relocation.
        """
        for number, each in self.relocations.items():
            for index, (offset, field) in enumerate(each.fields if each.of_call else ()):
                if field.name == kind:
                    return None if index else (number, offset)
        raise KeyError(kind)

    def class_mask(self, role: Role, access: Access) -> int:
        """Bit per class that an immediate may be of."""
        names = self.immediates(role, access)
        return sum(1 << number for number, each in enumerate(self.classes) if each.name in names)
