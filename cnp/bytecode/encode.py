"""A table's declaration -> the structures that cnp_walk reads."""

from __future__ import annotations

import ctypes

from cnp.bytecode.instruction import Instruction, Prefix, pages
from cnp.bytecode.operands import Exit, Field, Registers, Variable, within
from cnp.bytecode.parts import Varint
from cnp.bytecode.template import Template
from cnp.errors import UserError
from cnp.ir.packed import bits_of
from cnp.ir.verifier import check_number
from cnp.runtime.guest_layout import (
    NO_FIELD,
    EntryKind,
    FieldFlag,
    GuestBank,
    GuestEntry,
    GuestField,
    GuestInstruction,
    GuestOperand,
    GuestPage,
    GuestPart,
    GuestTable,
    GuestTarget,
    OperandKind,
    Relation,
)
from cnp.types import Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cnp.bytecode.instruction import Page
    from cnp.ir.function import CalledOp
    from cnp.ir.optable import OpRow, OpTable


_PLAIN = {
    OperandKind.REGISTER_FIELD: OperandKind.PLAIN_REGISTER,
    OperandKind.CONSTANT_FIELD: OperandKind.PLAIN_CONSTANT,
}


class Encoder:
    """Collects rows; `table` is what they make, and lives as long as this does."""

    def __init__(self, page: Page, first: Sequence[Registers], stack: Registers | None, op_table: OpTable) -> None:
        self.op_table = op_table
        self.stack = stack
        self.files: list[Registers] = []
        self.fields: list[Field] = []
        self._field_rows: list[GuestField] = []
        self.callees: list[Any] = []
        self.exits: list[Exit] = []
        self.cells: list[Any] = []  # that templates name
        self.flag = Variable(Type.i64, "what an assumption's cell has")
        self._constants: list[int] = []
        self._numbers: dict[int, int] = {}  # of files, exits and cells, by id
        self._field_numbers: dict[tuple[int, int | None], int] = {}  # by id, and the part that it is in
        self._rows = {row.method: row for row in op_table.rows.values()}
        self._pages: list[GuestPage] = []
        self._entries: list[GuestEntry] = []
        self._instructions: list[GuestInstruction] = []
        self._targets: list[GuestTarget] = []
        self._parts: list[GuestPart] = []
        self._operands: list[GuestOperand] = []
        for file in first:
            self.bank(file)
        every = pages(page)
        self.called = {name.replace(".", "_", 1): each for name, each in op_table.called.items()}
        self.callees = _callees(every, self.called)
        self.callee_base = len(self.callees)
        for each in every:
            self._add_page(each, every)
        for exit in self.exits:
            for file in exit.files:
                if file is not stack:
                    self.bank(file)
        if stack is not None:
            self._numbers.pop(id(stack), None)
            if stack in self.files:
                raise UserError("table: the operand stack is used as a file too; accepted: registers of its own")
            self.bank(stack)
        banks = [self._bank(file) for file in self.files]
        self._arrays = [
            _array(GuestField, self._field_rows),
            _array(GuestPage, self._pages),
            _array(GuestEntry, self._entries),
            _array(GuestInstruction, self._instructions),
            _array(GuestTarget, self._targets),
            _array(GuestPart, self._parts),
            _array(GuestOperand, self._operands),
            _array(GuestBank, banks),
            _array(ctypes.c_uint64, self._constants),
        ]
        self.table = GuestTable(
            *map(ctypes.addressof, self._arrays), len(self._constants), len(banks), stack is not None, 0
        )

    # -- what templates refer to

    def row(self, method: Any) -> OpRow | None:
        """The row of an op by its method's name."""
        return self._rows.get(method)

    def bank(self, file: Registers) -> int:
        """The number of a file of registers."""
        return self._number(self.files, file)

    def field(self, field: Field, part: int | None = None) -> int:
        """The number of a field, or of one that is in a part of an instruction."""
        key = id(field), part
        if key not in self._field_numbers:
            self._field_numbers[key] = within("table: fields", len(self.fields), 0, NO_FIELD - 1)
            self.fields.append(field)
            self._field_rows.append(_field(field, part))
        return self._field_numbers[key]

    def exit(self, exit: Exit) -> int:
        """The number of an exit."""
        return self._number(self.exits, exit)

    def cell(self, cell: Any) -> int:
        """The number of a cell that a template names."""
        return self._number(self.cells, cell)

    def callee(self, callee: Any) -> int:
        """The number of a callee that a template names."""
        return next(number for number, each in enumerate(self.callees) if each is callee)

    def constant(self, bits: int) -> int:
        """The number of a constant."""
        if bits not in self._constants:
            self._constants.append(bits)
        return self._constants.index(bits)

    def _number(self, rows: list[Any], each: Any) -> int:
        if id(each) not in self._numbers:
            self._numbers[id(each)] = len(rows)
            rows.append(each)
        return self._numbers[id(each)]

    # -- rows

    def _add_page(self, page: Page, every: list[Page]) -> None:
        first = len(self._entries)
        count = max(page.instructions, default=-1) + 1
        self._entries += [GuestEntry(EntryKind.UNKNOWN) for _ in range(count)]
        self._pages.append(GuestPage(self.field(page.opcode), first, count))
        for opcode, each in page.instructions.items():
            if isinstance(each, Prefix):
                collected = NO_FIELD if each.collects is None else self.field(each.collects)
                number = every.index(each.page or page)
                entry = GuestEntry(EntryKind.PREFIX, each.length, collected, number)
            else:
                kind = EntryKind.INSTRUCTION_IN_PARTS if each.then else EntryKind.INSTRUCTION
                entry = GuestEntry(kind, 0, 0, self._add_instruction(page, opcode, each))
            self._entries[first + opcode] = entry

    def _add_instruction(self, page: Page, opcode: int, instruction: Instruction) -> int:
        place = f"instruction {instruction.name!r} (opcode {opcode:#x})"
        length = instruction.length or page.length
        if length is None:
            raise UserError(f"{place}: it has no length; accepted: its own, or one of its page")
        if length < page.opcode.end:
            raise UserError(f"{place}: length {length}; accepted: at least {page.opcode.end}, where its opcode ends")
        made = Template(self, instruction, length, place)
        row = GuestInstruction(
            len(self._operands), len(made.words), made.n_ops, made.n_constants, made.n_labels, len(made.targets),
            len(self._targets), length, made.ends, len(instruction.then), made.needs, made.change, made.most,
            made.n_exits, len(self._parts),
        )  # fmt: skip
        self._instructions.append(row)
        self._operands += _with_runs([self._operand(*each) for each in made.words])
        for field, relative_to, depth, part in made.targets:
            relation = Relation[relative_to.upper()]
            self._targets.append(GuestTarget(field, relation, part is not None, depth, part or 0))
        self._parts += made.parts
        return len(self._instructions) - 1

    def _operand(self, kind: OperandKind, type: int, field: int, value: int) -> GuestOperand:
        row = self._field_rows[field] if kind in _PLAIN else None
        if row is not None and row.flags & FieldFlag.IN_PART and kind is OperandKind.REGISTER_FIELD:
            return GuestOperand(OperandKind.PART_REGISTER, type, field, value, row.part)
        if row is None or row.bits > 32 or row.flags & ~(FieldFlag.SIGNED if kind is OperandKind.CONSTANT_FIELD else 0):
            return GuestOperand(kind, type, field, value)
        value = value or row.flags << row.bits - 1
        return GuestOperand(_PLAIN[kind], type, field, value, row.offset, row.shift, 0, row.mask)

    def _bank(self, file: Registers) -> GuestBank:
        if file.initial is None:
            return GuestBank(file.type)
        if check_number(file.type, file.initial):
            raise UserError(f"{file!r}: initial value {file.initial!r}; accepted: a number that is an {file.type}")
        return GuestBank(file.type, True, 0, self.constant(bits_of(file.type, file.initial)))


def _with_runs(operands: list[GuestOperand]) -> list[GuestOperand]:
    """The same, where heads say how many plain registers follow."""
    run = 0
    for each in reversed(operands):
        each.run = run if each.kind == OperandKind.HEAD else 0
        run = run + 1 if each.kind == OperandKind.PLAIN_REGISTER else 0
    return operands


def _callees(every: Sequence[Page], called: Mapping[str, CalledOp]) -> list[Any]:
    """What the templates call, each once: by call ops, or by ops that are called."""
    found: list[Any] = []
    for page in every:
        for instruction in page.instructions.values():
            for op in instruction.ops if isinstance(instruction, Instruction) else ():
                is_call = len(op) > 2 and op[0] == "call" and not isinstance(op[2], Field)
                callee = op[2] if is_call else called.get(op[0]) if op and isinstance(op[0], str) else None
                if callee is not None and not any(each is callee for each in found):
                    found.append(callee)
    return found


def _field(field: Field, part: int | None) -> GuestField:
    flags = FieldFlag.SIGNED * field.signed | FieldFlag.EXTENDED * field.extended
    flags |= FieldFlag.BIG_ENDIAN * (field.order == "big" and field.size > 1)
    flags |= FieldFlag.VARINT * isinstance(field, Varint) | FieldFlag.IN_PART * (part is not None)
    flags |= FieldFlag.SCALED * ((field.scale, field.bias) != (1, 0))
    mask = (1 << field.bits) - 1
    return GuestField(
        field.bias, mask, field.scale, field.offset, field.size, field.shift, field.bits, flags, part or 0
    )


def _array(type: Any, rows: Sequence[Any]) -> Any:
    return (type * max(len(rows), 1))(*rows)
