"""Writes the C of every operand placement: one small function each, named so that op and placement can be read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cnp.build.table import BuildOp, form_alternatives, form_size
from cnp.errors import TrapKind
from cnp.stencil.model import Form, ImmediateClass, OpFlag, Shape
from cnp.target.record import Target
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

# Literals that stand for an immediate while its class is sampled: no power of two nor next to one, no 3, 5 or 9, nor
# anything else that a cheaper instruction could produce. Each position has literals of its own, so that two fields
# cannot be confused. Signs differ where the class has both; U32 has one above and one below 2^31.
LITERALS: Mapping[ImmediateClass, Mapping[str, tuple[int, int]]] = {
    ImmediateClass.I8: {"A": (107, -109), "B": (103, -101), "C": (83, -91)},
    ImmediateClass.U32: {"A": (0x5B7D3F17, 0x9A6C57B1), "B": (0x5A7C3D19, 0x9B6D55B3), "C": (0x597B3B1D, 0x9C6E53B5)},
    ImmediateClass.I32: {
        "A": (0x15A7C3D9, -0x25B9E7C3),
        "B": (0x16A8C5DB, -0x26BAE9C5),
        "C": (0x17A9C7DD, -0x27BBEBC7),
    },
}
_OFFSETS = {Shape.LOAD: "B", Shape.STORE: "C"}
"""Position of the constant offset."""
SHIFT_LITERALS = (13, 22)
"""Literals of a shift's count: valid for 32 bits."""


Key = tuple[int, int, int, "tuple[int, int, int] | None"]
"""Of a placement: its op's code, its form, its index, and the registers if it is one of a family."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What the placements of a family have in common."""

    scale: int  # the index is shifted by so much
    offset: ImmediateClass | None
    immediate: bool  # the value that is stored is one


@dataclass(frozen=True, slots=True)
class Placement:
    """One placement of one op: the alternative of each operand, numbered as in the library."""

    op: BuildOp
    form: Form
    index: int  # within the form; or the number of a family of the op
    d: int
    a: int
    b: int
    c: int
    variant: Variant | None = None  # of a family; then the index is in a register
    registers: tuple[int, int, int] = (0, 0, 0)  # of a family: at each position

    def all_in_registers(self, target: Target) -> bool:
        """Whether no operand is in the frame or an immediate: others may be short of scratch registers."""
        if self.variant and self.registers[2] >= target.registers(Type.i64):
            return False
        row, source = self.op.row, self.op.source
        if row.alternatives[0] > 1 and source.result is not None and self.d >= target.registers(source.result):
            return False
        operands = zip(row.operand_types, (self.a, self.b, self.c))
        return all(alternative < target.registers(type) for type, alternative in operands)

    def describe(self, target: Target) -> str:
        """`i64_add FREE (d=r1, a=slot, b=alternative 12), integer.c:8`, for messages."""
        row = self.op.row
        places = []
        if form_alternatives(self.op, self.form)[0] > 1 and self.op.source.result is not None:
            places.append(_place("d", self.d, self.op.source.result, target))
        for letter, type, alternative in zip("abc", row.operand_types, (self.a, self.b, self.c)):
            places.append(_place(letter, alternative, type, target))
        return f"op {row.method}, form {self.form.name} ({', '.join(places)}), {self.op.source.place}"

    @property
    def label(self) -> str:
        """The name of its C functions, up to the variant."""
        family = "_".join(["", *map(str, self.registers)]) if self.variant else ""
        return f"{self.op.row.method}__{int(self.form)}_{self.index}{family}"

    @property
    def key(self) -> Key:
        """What it is kept under."""
        return self.op.row.code, int(self.form), self.index, self.registers if self.variant else None


def _hidden(register: str, type: Type, role: str = "") -> str:
    """A register as an operand.

    Where a == b, LLVM would pass on a copy of a in place of b, at the price of a move. An annotation hides from it that
    the operand is the register, and is gone before instructions are selected. Different roles hide that two operands
    are the same register.
    """
    return f'({type.name})__builtin_annotation({register}, "{role}")'


def _place(letter: str, alternative: int, type: Type, target: Target) -> str:
    registers = target.registers(type)
    if alternative < registers:
        return f"{letter}={'f' if type.is_float else 'r'}{alternative}"
    return f"{letter}=slot" if alternative == registers else f"{letter}=immediate {alternative - registers - 1}"


def enumerate_placements(op: BuildOp) -> Iterator[Placement]:
    """Every placement of an op that is compiled, form by form, in index order."""
    for form in Form:
        if form_size(op, form):
            _, n_a, n_b, n_c = form_alternatives(op, form)
            for index in range(form_size(op, form)):
                rest, c = divmod(index, n_c)
                rest, b = divmod(rest, n_b)
                d, a = divmod(rest, n_a)
                if canonical_index(op, form, index) == index:
                    yield Placement(op, form, index, d, a, b, c)


def canonical_index(op: BuildOp, form: Form, index: int) -> int:
    """The placement whose stencil serves this one: a commutative op with a and b exchanged needs one, not two."""
    row = op.row
    if form != Form.FREE or not row.flags & OpFlag.COMMUTATIVE:
        return index
    _, n_a, n_b, _ = form_alternatives(op, form)
    rest, b = divmod(index, n_b)
    d, a = divmod(rest, n_a)
    return (d * n_a + b) * n_b + a if b < a else index


@dataclass(frozen=True, slots=True)
class Immediate:
    """An operand of a placement that is an immediate: its position, class, and the literals that sample it."""

    position: str
    hole: str
    mask: ImmediateClass
    literals: tuple[int, ...]  # empty if it is never sampled


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the functions of placements for one target."""

    target: Target

    def immediates(self, p: Placement) -> list[Immediate]:
        """The immediates of a placement that may be sampled."""
        found = []
        for position in "ABC":
            mask = self._class(p, position)
            if mask is None or mask not in LITERALS:
                continue
            literals = LITERALS[mask][position]
            if position == "B" and p.op.row.classes[1] == ImmediateClass.I8:
                literals = SHIFT_LITERALS
            found.append(Immediate(position, self._hole(p, position), mask, literals))
        return found

    def function(self, p: Placement, variant: str, immediates: Mapping[str, str]) -> str:
        """The C of a placement; `immediates` gives the expression of each immediate position."""
        return f"CNP_STENCIL({p.label}_{variant}) {{ {self._body(p, immediates)} }}\n"

    def _body(self, p: Placement, immediates: Mapping[str, str]) -> str:
        row, source = p.op.row, p.op.source
        if row.shape == Shape.TABLE:
            return (
                f"u32 i_ = {self._source(p, 'A', immediates)}; u32 n_ = (u32)HOLE32(COUNT); if (i_ > n_) i_ = n_; "
                f"i64 to_ = ((i64 *)HOLE64(TABLE))[i_]; {self._jump_to()}"
            )
        call = f"{p.op.function}({self._arguments(p, immediates)}, &trap_)"
        declare = self._break_dependency(p) + "enum trap trap_ = NO_TRAP; "
        if row.shape == Shape.BRANCH:
            test = "!" if p.op.negated else ""
            return f"{declare}i32 d_ = {call}; {self._exits(p)}if ({test}d_) CNP_GO(TARGET); CNP_GO(NEXT);"
        if source.result is None:
            return f"{declare}{call}; {self._exits(p)}CNP_GO(NEXT);"
        result = f"{declare}{source.result.name} d_ = {call}; {self._exits(p)}"
        return f"{result}{self._store_result(p)} {self._go_on(p)}"

    def _go_on(self, p: Placement) -> str:
        """C that goes on behind the stencil."""
        scratch = [f"r{n}" for n in self.target.scratch_registers if f"r{n}" != self._result_register(p)]
        if p.form != Form.SCRATCH or not scratch:
            return "CNP_GO(NEXT);"
        return f"{{ i64 {', '.join(scratch)}; CNP_GO(NEXT); }}"

    def _break_dependency(self, p: Placement) -> str:
        """C that makes clang aware that a float destination holds something.

        On x86-64 sqrtsd and cvtsi2sd wait for their destination, because they keep its upper half; clang clears it
        first where it knows of something to wait for.
        """
        register = self._result_register(p) if p.form == Form.FREE and p.op.row.alternatives[0] > 1 else None
        if register is None or not register.startswith("f") or register == self._register(p, "A"):
            return ""
        return f'__asm__ volatile("" : : "{self.target.float_constraint}"({register})); '

    def _jump_to(self) -> str:
        """C that goes on at the address `to_` with every register where it is."""
        target = self.target
        if not target.indirect_jump:
            return "CNP_GO(((continuation)to_));"
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
        """C that leaves on a trap. Nothing but the frame is needed then: undefined registers need not be restored."""
        target = self.target
        integers = ", ".join(f"r{n}" for n in range(len(target.integer_registers)))
        floats = ", ".join(f"f{n}" for n in range(len(target.float_registers)))
        return "".join(
            f"if (trap_ == {kind.name}) {{ i64 {integers}; f64 {floats}; CNP_GO(EXIT_{kind.name}); }} "
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
            return f"{self._source(p, 'A', immediates)}, {self._shifted_index(p, p.variant)}"
        return ", ".join(self._source(p, position, immediates) for position in "ABC"[: len(p.op.row.operand_types)])

    def _address(self, p: Placement, position: str, offset: str | None, immediates: Mapping[str, str]) -> str:
        terms = [self._source(p, position, immediates)]
        if p.variant:
            terms.append(self._shifted_index(p, p.variant))
        if offset:
            terms.append(offset)
        return f"(ptr)({' + '.join(terms)})"

    def _shifted_index(self, p: Placement, variant: Variant) -> str:
        number = p.registers[2]
        if number < self.target.registers(Type.i64):
            index = _hidden(f"r{number}", Type.i64, "index")
        else:
            index = self._kept_apart(p, "*(i64_slot *)(frame + HOLE32(SLOT_C))")
        return f"({index} << {variant.scale})"

    def _kept_apart(self, p: Placement, slot: str) -> str:
        """A slot's value that must not be loaded into the register of the result, which is not a field there."""
        register = None if p.op.source.result is None else self._result_register(p)
        if register is None or not register.startswith("r"):
            return slot
        return f'({{ i64 kept_ = {slot}; __asm__("" : "+r"(kept_) : "r"({register})); kept_; }})'

    def _alternative(self, p: Placement, position: str) -> int:
        return {"A": p.a, "B": p.b, "C": p.c}[position]

    def _registers(self, p: Placement, position: str) -> int:
        """How many of a position's alternatives are registers; -1 if it takes immediates only."""
        number = "ABC".index(position)
        types = p.op.row.operand_types
        if number >= len(types) or (p.op.row.shape == Shape.MAGIC and position == "B"):
            return -1
        if p.form == Form.FREE_IMMEDIATE and position == "B":
            return -1
        return self.target.registers(types[number])

    def _register(self, p: Placement, position: str) -> str | None:
        alternative = self._alternative(p, position)
        if alternative >= self._registers(p, position):
            return None
        return f"{'f' if p.op.row.operand_types['ABC'.index(position)].is_float else 'r'}{alternative}"

    def _class(self, p: Placement, position: str) -> ImmediateClass | None:
        number = "ABC".index(position)
        if p.variant and position == _OFFSETS.get(p.op.row.shape):
            return p.variant.offset
        rank = self._alternative(p, position) - self._registers(p, position) - 1
        mask = p.op.row.classes[number]
        if p.form == Form.REVERSED and position == "A":
            mask = p.op.reversed_class
        if rank < 0 or not mask:
            return None
        for _ in range(rank):
            mask &= mask - 1
        return ImmediateClass(mask & -mask)

    def _hole(self, p: Placement, position: str) -> str:
        return "OFFSET" if position == _OFFSETS.get(p.op.row.shape) else f"IMMEDIATE_{position}"

    def _source(self, p: Placement, position: str, immediates: Mapping[str, str]) -> str:
        """The C expression of an operand."""
        type = p.op.row.operand_types["ABC".index(position)]
        register = self._register(p, position)
        if register is not None:
            if type == Type.f32:
                return f"cnp_get_f32({register})"
            if type.is_float:
                return register
            return _hidden(register, type)
        mask = self._class(p, position)
        if mask is None:
            slot = f"*({type.name}_slot *)(frame + HOLE32(SLOT_{position}))"
            return self._kept_apart(p, slot) if p.variant else slot
        if mask == ImmediateClass.ZERO:
            return "0"
        value = immediates.get(position) or f"HOLE64({self._hole(p, position)})"
        return f"cnp_{type.name}_of({value})" if type.is_float else f"({type.name}){value}"

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
        return None if p.d >= self.target.registers(type) else f"{'f' if type.is_float else 'r'}{p.d}"

    def _store_result(self, p: Placement) -> str:
        type = p.op.source.result
        assert type is not None
        register = self._result_register(p)
        if register is not None:
            if type == Type.f32:
                return f"{register} = cnp_put_f32(d_);"
            return f"{register} = (i64)d_;" if type == Type.i32 else f"{register} = d_;"
        slot, old = "SLOT_D", None
        if p.form in (Form.TIED, Form.SCRATCH):
            slot, old = "SLOT_A", p.op.row.operand_types[0]
        elif p.form == Form.REVERSED:
            slot, old = "SLOT_B", p.op.row.operand_types[1]
        # A slot holds an i32 as a register does, zero-extended; where one was already, its upper half is zero.
        wide = type == Type.i32 and old != Type.i32
        return f"*({'i64' if wide else type.name}_slot *)(frame + HOLE32({slot})) = d_;"
