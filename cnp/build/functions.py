"""Writes the C of a placement: one small function, named so that op and placement can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnp.build.placements import Placement, Variant
from cnp.build.table import SHIFT
from cnp.errors import TrapKind
from cnp.stencil.model import OpFlag, Shape
from cnp.stencil.words import Form
from cnp.target.flags import NO_FLOATS_FLAGS
from cnp.target.record import Flag, Target
from cnp.types import Type

HOLES = (
    "IMMEDIATE_A", "IMMEDIATE_B", "IMMEDIATE_C", "SLOT_D", "SLOT_A", "SLOT_B", "SLOT_C", "OFFSET", "TABLE", "COUNT",
    "MULTIPLIER", "DIVISOR",
)  # fmt: skip
"""Holes that the generated functions, or the bodies of MAGIC ops, may use."""

PRELUDE = (
    '#include "cnp.h"\n#include "context.h"\n'
    + "".join(f"CNP_HOLE({hole});\n" for hole in HOLES)
    + "".join(
        f"CNP_CONVENTION struct cnp_result {name}(CNP_PARAMETERS);\n"
        for name in ("NEXT", "TARGET", "CALLEE", *(f"EXIT_{kind.name}" for kind in TrapKind))
    )
    + "typedef i32 i32_slot __attribute__((may_alias));\ntypedef i64 i64_slot __attribute__((may_alias));\n"
    "typedef f32 f32_slot __attribute__((may_alias));\ntypedef f64 f64_slot __attribute__((may_alias));\n"
    "typedef CNP_CONVENTION struct cnp_result (*continuation)(CNP_PARAMETERS);\n"
    "static inline f64 cnp_f64_of(i64 bits) { return ((union { i64 from; f64 to; }){bits}).to; }\n"
    "static inline f32 cnp_f32_of(i64 bits) { return ((union { i32 from; f32 to; }){(i32)bits}).to; }\n"
)
"""What every generated file, and control.c, is preceded by."""

_OFFSETS = {Shape.LOAD: "B", Shape.STORE: "C"}
"""Position of the constant offset."""
_POSITIONS = "DABC"


@dataclass(frozen=True, slots=True)
class Immediate:
    """An operand of a placement that is an immediate: its position, its class, and the literals that sample it."""

    position: str  # A, B or C; or that of a sampled slot: SLOT_D, SLOT_A, ...
    hole: str
    name: str  # of the class
    pattern: int  # as in the class
    literals: tuple[int, ...]
    may_shift: bool  # clang may add or subtract one, which the class leaves room for


def _hidden(register: str, type: Type, role: str = "") -> str:
    """A register as an operand.

    Where a == b, LLVM would pass on a copy of a in place of b, at the price of a move. An annotation hides from it that
    the operand is the register, and is gone before instructions are selected. Different roles hide that two operands
    are the same register.
    """
    return f'({type.name})__builtin_annotation({register}, "{role}")'


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the functions of placements for one target: of those with floats, or of those without."""

    target: Target
    has_floats: bool

    @property
    def prelude(self) -> str:
        """What is in front of the op sources."""
        return ("" if self.has_floats else "#define CNP_NO_FLOATS\n") + PRELUDE

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Of clang, beside the target's."""
        return () if self.has_floats else NO_FLOATS_FLAGS

    def immediates(self, p: Placement) -> list[Immediate]:
        """The immediates of a placement that may be sampled."""
        found = []
        for position in "ABC":
            number = self._class(p, position)
            if number is None:
                continue
            each = self.target.classes[number]
            is_count = position == "B" and (SHIFT.fullmatch(p.op.function) or p.op.row.shape == Shape.MAGIC)
            literals = self.target.samples(each.name, "SHIFT" if is_count else position)
            if literals:
                shifts = bool(p.op.row.flags & OpFlag.COMPARISON)
                found.append(Immediate(position, self._hole(p, position), each.name, each.pattern, literals, shifts))
        return found + self._slots(p)

    def _slots(self, p: Placement) -> list[Immediate]:
        """The frame offsets of a placement, where these are sampled."""
        name = self.target.sampled_slots
        if not name:
            return []
        text = self._body(p, {})
        holes = [f"SLOT_{position}" for position in _POSITIONS if f"HOLE32(SLOT_{position})" in text]
        return [Immediate(hole, hole, name, 0, self.target.samples(name, hole), False) for hole in holes]

    def function(self, p: Placement, variant: str, immediates: Mapping[str, str]) -> str:
        """The C of a placement; `immediates` gives the expression of each immediate position."""
        head = f"CNP_STENCIL({p.label}_{variant})"
        if self.target.typed_registers:
            head = f"struct cnp_result {p.label}_{variant}({self._parameters(p)})"
        return f"{head} {{ {self._body(p, immediates)} }}\n"

    def _types(self, p: Placement) -> dict[str, str]:
        """The C type of each register. Where registers are typed, that of what a placement keeps in it, if that is of
        one type."""
        target = self.target
        types = {f"r{n}": "i64" for n in range(target.named[0])}
        if self.has_floats:
            types |= {f"f{n}": "f64" for n in range(target.named[1])}
        if not target.typed_registers:
            return types
        held: dict[str, set[Type]] = {}
        for position, type in zip("ABC", p.op.row.operand_types):
            register = self._register(p, position)
            if register is not None:
                held.setdefault(register, set()).add(Type.i64 if p.op.function.endswith("_select") else type)
        result = self._result_register(p) if p.op.source.result is not None and p.op.row.shape != Shape.BRANCH else None
        if result is not None and p.op.source.result is not None:
            held.setdefault(result, set()).add(p.op.source.result)
        for register, kinds in held.items():
            if kinds == {Type.i32}:
                types[register] = "s32"
            elif Type.f32 in kinds and (kinds == {Type.f32} or p.op.row.operand_types[0] == Type.f32):
                types[register] = "f32"
        return types

    def _parameters(self, p: Placement) -> str:
        return ", ".join(f"{type} {register}" for register, type in self._types(p).items())

    def _go(self, p: Placement, to: str) -> str:
        """C that goes on somewhere with every register as it is."""
        if not self.target.typed_registers:
            return f"CNP_GO({to});"
        types = self._types(p)
        cast = f"((struct cnp_result (*)({', '.join(types.values())})){to})"
        return f"__attribute__((musttail)) return {cast}({', '.join(types)});"

    def _body(self, p: Placement, immediates: Mapping[str, str]) -> str:
        row, source = p.op.row, p.op.source
        if row.shape == Shape.TABLE:
            return (
                f"u32 i_ = {self._source(p, 'A', immediates)}; u32 n_ = (u32)HOLE32(COUNT); if (i_ > n_) i_ = n_; "
                f"char *table_ = ADDRESS_OF(TABLE); i64 to_ = (i64)(table_ + ((s32 *)table_)[i_]); {self._jump_to(p)}"
            )
        call = f"{p.op.function}({self._arguments(p, immediates)}, &trap_)"
        declare = self._break_dependency(p) + "enum trap trap_ = NO_TRAP; "
        if row.shape == Shape.BRANCH:
            test = "!" if p.op.negated else ""
            return (
                f"{declare}i32 d_ = {call}; {self._exits(p)}if ({test}d_) {self._go(p, 'TARGET')} {self._go(p, 'NEXT')}"
            )
        if source.result is None:
            return f"{declare}{call}; {self._exits(p)}{self._go(p, 'NEXT')}"
        result = f"{declare}{source.result.name} d_ = {call}; {self._exits(p)}"
        return f"{result}{self._store_result(p, immediates)} {self._go_on(p)}"

    def _go_on(self, p: Placement) -> str:
        """C that goes on behind the stencil."""
        scratch = [f"r{n}" for n in self.target.scratch_registers if f"r{n}" != self._result_register(p)]
        if p.form != Form.SCRATCH or not scratch:
            return self._go(p, "NEXT")
        return f"{{ i64 {', '.join(scratch)}; CNP_GO(NEXT); }}"

    def _break_dependency(self, p: Placement) -> str:
        """C that makes clang aware that a float destination holds something.

        On x86-64 sqrtsd and cvtsi2sd wait for their destination, because they keep its upper half; clang clears it
        first where it knows of something to wait for.
        """
        register = self._result_register(p) if p.form == Form.FREE and p.op.row.alternatives[0] > 1 else None
        if register is None or not register.startswith("f") or register == self._register(p, "A"):
            return ""
        if not self.target.float_constraint:
            return ""
        return f'__asm__ volatile("" : : "{self.target.float_constraint}"({register})); '

    def _jump_to(self, p: Placement) -> str:
        """C that goes on at the address `to_` with every register where it is."""
        target = self.target
        if not target.indirect_jump:
            return self._go(p, "((continuation)to_)")
        names = dict(zip(target.integer_registers, (f"r{n}" for n in range(len(target.integer_registers)))))
        names[target.frame_register] = "frame"
        pins = [(f"(i64){names[register]}", "i64", register) for register in target.convention_order]
        pins += [(f"f{n}", "f64", register) for n, register in enumerate(target.float_registers)]
        declarations = "".join(
            f'register {type} p{n}_ __asm__("{register}") = {value}; ' for n, (value, type, register) in enumerate(pins)
        )
        constraints = {"i64": "r", "f64": target.float_constraint}
        inputs = ", ".join(f'"{constraints[type]}"(p{n}_)' for n, (_, type, _) in enumerate(pins))
        jump = f'__asm__ volatile("{target.indirect_jump}" : : "r"(to_), {inputs});'
        return f"{declarations}{jump} __builtin_unreachable();"

    def _exits(self, p: Placement) -> str:
        """C that leaves on a trap. Nothing but the frame is needed then: undefined registers need not be restored. But
        clang would make zeros of those whose signs it has to extend."""
        types = self._types(p).items()
        undefined = "".join(f"{type} {register}; " for register, type in types if type != "s32")
        return "".join(
            f"if (trap_ == {kind.name}) {{ {undefined}{self._go(p, f'EXIT_{kind.name}')} }} "
            for kind in p.op.source.traps
        )

    def _arguments(self, p: Placement, immediates: Mapping[str, str]) -> str:
        shape = p.op.row.shape
        if shape == Shape.LOAD:
            return self._address(p, "A", immediates.get("B"), immediates)
        if shape == Shape.STORE:
            address = self._address(p, "B", immediates.get("C"), immediates)
            value = self._source(p, "A", immediates)
            return ", ".join(address if each is None else value for each in p.op.source.operands)
        if p.variant:
            return f"{self._source(p, 'A', immediates)}, {self._shifted_index(p, p.variant, immediates)}"
        values = [self._source(p, position, immediates) for position in "ABC"[: len(p.op.row.operand_types)]]
        return ", ".join(f"(ptr){v}" if type is None else v for type, v in zip(p.op.source.operands, values))

    def _address(self, p: Placement, position: str, offset: str | None, immediates: Mapping[str, str]) -> str:
        terms = [self._source(p, position, immediates)]
        if p.variant:
            terms.append(self._shifted_index(p, p.variant, immediates))
        number = self._class(p, "ABC"[len(p.op.row.operand_types)])
        if number is not None:
            each = self.target.classes[number]
            terms.append(offset or f"(s64){self.target.holes.get(each.name, 'HOLE32')}(OFFSET)")
        return f"(ptr)({' + '.join(terms)})"

    def _shifted_index(self, p: Placement, variant: Variant, immediates: Mapping[str, str]) -> str:
        number = p.registers[2]
        if number < self.target.registers(Type.i64):
            index = _hidden(f"r{number}", Type.i64, "index")
        else:
            index = self._kept_apart(p, f"*(i64_slot *){self._slot('SLOT_C', immediates)}")
        return f"({index} << {variant.scale})"

    def _kept_apart(self, p: Placement, slot: str) -> str:
        """A slot's value that must not be loaded into the register of the result, which is not a field there."""
        register = None if p.op.source.result is None else self._result_register(p)
        if register is None or not register.startswith("r"):
            return slot
        return f'({{ i64 kept_ = {slot}; __asm__("" : "+r"(kept_) : "r"({register})); kept_; }})'

    def _alternative(self, p: Placement, position: str) -> int:
        return {"A": p.a, "B": p.b, "C": p.c}[position]

    def _groups(self, p: Placement, position: str) -> int:
        """How many of a position's alternatives are registers; -1 if it takes immediates only."""
        number = "ABC".index(position)
        types = p.op.row.operand_types
        if number >= len(types) or (p.op.row.shape == Shape.MAGIC and position == "B"):
            return -1
        if p.form == Form.FREE_IMMEDIATE and position == "B":
            return -1
        return len(self.target.register_groups(types[number]))

    def _register(self, p: Placement, position: str) -> str | None:
        number = "ABC".index(position)
        if p.variant:
            alternative = self._alternative(p, position)
            register = alternative if alternative < self.target.registers(Type.i64) else -1
            first = p.registers[0] if position == "A" and p.op.row.shape == Shape.STORE else register
            register = -1 if position == "A" and p.variant.immediate else first
        else:
            register = p.registers[1 + number]
        if register < 0 or number >= len(p.op.row.operand_types):
            return None
        return f"{'f' if p.op.row.operand_types[number].is_float else 'r'}{register}"

    def _class(self, p: Placement, position: str) -> int | None:
        """The number of an immediate's class; None if the operand is no immediate."""
        number = "ABC".index(position)
        if p.variant and position == _OFFSETS.get(p.op.row.shape):
            return p.variant.offset
        rank = self._alternative(p, position) - self._groups(p, position) - 1
        mask = p.op.row.classes[number]
        if p.form == Form.REVERSED and position == "A":
            mask = p.op.row.reversed_class
        if p.variant:
            rank = 0 if position == "A" and p.variant.immediate else -1
        if rank < 0 or not mask:
            return None
        for _ in range(rank):
            mask &= mask - 1
        return (mask & -mask).bit_length() - 1

    def _hole(self, p: Placement, position: str) -> str:
        return "OFFSET" if position == _OFFSETS.get(p.op.row.shape) else f"IMMEDIATE_{position}"

    def _slot(self, name: str, immediates: Mapping[str, str]) -> str:
        """The address of a frame slot."""
        return f"(frame + {immediates.get(name) or f'HOLE32({name})'})"

    def _source(self, p: Placement, position: str, immediates: Mapping[str, str]) -> str:
        """The C expression of an operand."""
        type = p.op.row.operand_types["ABC".index(position)]
        register = self._register(p, position)
        if register is not None:
            if type == Type.f32:
                return f"{register}" if self.target.typed_registers else f"cnp_get_f32({register})"
            if type.is_float:
                return register
            return _hidden(register, type)
        number = self._class(p, position)
        if number is None:
            slot = f"*({type.name}_slot *){self._slot(f'SLOT_{position}', immediates)}"
            return self._kept_apart(p, slot) if p.variant else slot
        each = self.target.classes[number]
        if each.low == each.high == 0 and not each.pattern:
            return "0"
        if each.is_slot:
            return f"(i64)(frame + HOLE32({self._hole(p, position)}))"
        hole = self._hole(p, position)
        if type.is_float:
            return f"HOLE_{type.name.upper()}({hole})"
        macro = self.target.holes.get(each.name, "HOLE64")
        return f"({type.name}){immediates.get(position) or f'{macro}({hole})'}"

    def _result_register(self, p: Placement) -> str | None:
        """The register that the result goes to, or None if that is a slot."""
        if p.form == Form.SLOT_RESULT:
            return None
        if p.form in (Form.TIED, Form.SCRATCH):
            return self._register(p, "A")
        if p.form == Form.REVERSED:
            return self._register(p, "B")
        type = p.op.source.result
        assert type is not None
        return None if p.registers[0] < 0 else f"{'f' if type.is_float else 'r'}{p.registers[0]}"

    def _store_result(self, p: Placement, immediates: Mapping[str, str]) -> str:
        type = p.op.source.result
        assert type is not None
        register = self._result_register(p)
        typed = self.target.typed_registers
        if register is not None:
            if typed and type.is_float:
                return self._store_float(p, register, type)
            if type == Type.f32:
                return f"{register} = cnp_put_f32(d_);"
            if type == Type.i32:
                return f"{register} = (i64)(s64)(s32)d_;" if typed else f"{register} = (i64){self._narrow(p)};"
            return f"{register} = d_;"
        slot, old = "SLOT_D", None
        if p.form in (Form.TIED, Form.SCRATCH):
            slot, old = "SLOT_A", p.op.row.operand_types[0]
        elif p.form == Form.REVERSED:
            slot, old = "SLOT_B", p.op.row.operand_types[1]
        address = self._slot(slot, immediates)
        if typed and type in (Type.i32, Type.f32):  # whole, as a register is kept and loaded
            boxed = "(i64)(s64)(s32)d_" if type == Type.i32 else "CNP_BOX_F32(d_)"
            return f"*({'i64' if type == Type.i32 else 'f64'}_slot *){address} = {boxed};"
        # A slot holds an i32 as a register does, zero-extended; where one was already, its upper half is zero.
        wide = type == Type.i32 and old != Type.i32
        return f"*({'i64' if wide else type.name}_slot *){address} = {self._narrow(p) if wide else 'd_'};"

    def _narrow(self, p: Placement) -> str:
        """A result of 32 bits about to be extended. clang would widen the op itself, and with it an immediate whose
        field is learned from samples; an annotation keeps them apart."""
        sampled = self.target.sample_kinds is None and any(self._class(p, each) is not None for each in "ABC")
        return '__builtin_annotation(d_, "")' if sampled else "d_"

    def _store_float(self, p: Placement, register: str, type: Type) -> str:
        """C that leaves a float in a register; one of another type than C takes the register for, unseen by C."""
        seen = self._types(p)[register]
        if seen == type.name:
            return f"{register} = d_;"
        name = self.target.float_registers[int(register[1:])]
        return (
            f'register {type.name} from_ __asm__("{name}") = d_; register {seen} to_ __asm__("{name}"); '
            f'__asm__("" : "=f"(to_) : "f"(from_)); {register} = to_;'
        )
