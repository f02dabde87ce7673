"""One instruction's ops -> the words of its template, each checked against what its op takes."""

from __future__ import annotations

from cnp.bytecode.guards import CellAddress, Step, changed_before, lowered
from cnp.bytecode.layout import Layout
from cnp.bytecode.operands import Element, Exit, Field, Peek, Target, pop, push
from cnp.bytecode.parts import Targets
from cnp.errors import UserError
from cnp.ir.function import callee_signature
from cnp.ir.optable import CODE_NAMES, Code, Operand, Role, operands_of_row
from cnp.ir.packed import CONSTANT, NO_OPERAND, bits_of
from cnp.ir.verifier import TERMINATORS, check_number
from cnp.runtime.guest_layout import OperandKind
from cnp.stencil.model import OpFlag, Shape
from cnp.types import Type

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cnp.bytecode.encode import Encoder
    from cnp.bytecode.instruction import Instruction
    from cnp.ir.function import CalledOp

Word = tuple[OperandKind, int, int, int]
"""Kind, type, field and value of a `struct guest_operand`."""

_METHODS = {name.replace(".", "_"): code for code, name in CODE_NAMES.items()}
_LABEL = Operand(Role.LABEL, "label")
_CONSTANTS = {Code.CONST32: Type.i32, Code.CONST64: Type.i64, Code.CONSTF32: Type.f32, Code.CONSTF64: Type.f64}
_DEPTH = 32767


def _call_of(called: CalledOp, operands: Sequence[Any]) -> list[Any]:
    """The operands of the call op that an op which is called stands for: those of its method."""
    d = [None] if called.result is None else [*operands[:1]] or [None]
    return [*d, called, *operands[called.result is not None :]]


class Template:
    """What an instruction becomes; `needs`, `change` and `most` are what it does to the operand stack."""

    def __init__(self, encoder: Encoder, instruction: Instruction, length: int, place: str) -> None:
        self._encoder = encoder
        self._place = place
        self._layout = Layout(encoder, instruction, length, place)
        self.parts = self._layout.rows
        self.words: list[Word] = []
        self.targets: list[tuple[int, str, int, int | None]] = []  # field, relative to what, depth, part if it is many
        self.n_constants = self.n_exits = 0
        self.change = self.needs = self.most = 0
        self._labels: dict[str | Exit, int] = {}
        self._steps: list[Step] = []
        code: int | None = None
        for number, op in enumerate(instruction.ops):
            self._place = f"{place}, op {number} ({op[0] if op else None})"
            self._steps.append(Step(op))
            for name, *operands in lowered(self._place, op, encoder.flag):
                called = encoder.called.get(name) if isinstance(name, str) else None
                code = Code.CALL if called else self._code(name)
                self._add(code, operands if called is None else _call_of(called, operands))
        self._place = place
        placed = [label for step in self._steps for label in step.places]
        labels = [each for each in self._labels if isinstance(each, str)]
        if sorted(placed) != sorted(labels):
            wrong = sorted({*placed} ^ {*labels} or {each for each in placed if placed.count(each) > 1})
            raise self._error(f"label {wrong[0]!r} is not placed once")
        changed = changed_before(self._steps)
        if changed is not None:
            exit, before = changed
            what = f"op {before} ({self._steps[before].name}) changes {self._steps[before].changes!r}"
            raise self._error(f"{what}, which the exit of op {exit} passes on as it was; accepted: exits first")
        self.n_ops = sum(word[0] is OperandKind.HEAD for word in self.words)
        self.n_labels = len(self._labels)
        self.ends = code in TERMINATORS

    def _error(self, text: str) -> UserError:
        return UserError(f"{self._place}: {text}")

    def _code(self, name: Any) -> int:
        if name in _METHODS:
            return _METHODS[name]
        row = self._encoder.row(name)
        if row is None or row.flags & OpFlag.HIDDEN:
            raise self._error("there is no such op; accepted: the name of a method of Function")
        return row.code

    def _add(self, code: int, operands: list[Any]) -> None:
        row = self._encoder.op_table.rows.get(code)
        if row is not None and row.shape in (Shape.LOAD, Shape.STORE) and len(operands) == 2:
            operands.append(0)
        expected = self._expected(code, operands)
        if len(operands) != len(expected):
            names = ", ".join(each.name for each in expected)
            raise self._error(f"{len(operands)} operands; accepted: {len(expected)} ({names})")
        if code == Code.PLACE and not isinstance(operands[0], str):
            raise self._found(repr(operands[0]), expected[0], "a str for a label of the template's own")
        counted = operands[:-1] if code == Code.TABLE and isinstance(operands[-1], Targets) else operands
        if len(counted) > _DEPTH:
            raise self._error(f"{len(counted)} operands; accepted: up to {_DEPTH}")
        self.words.append((OperandKind.HEAD, 0, 0, code | len(counted) << 16))
        before, pops = self.change, operands.count(pop)
        self.change -= pops
        taken = 0
        for number, (value, each) in enumerate(zip(operands, expected), 1):
            if isinstance(value, Targets):
                self.words.append(self._targets(value, each, number, number > len(counted) > 1))
                continue
            if value is pop:
                slot, taken = self.change + taken, taken + 1
            elif isinstance(value, Peek):
                slot = before - 1 - value.depth
            else:
                slot = self.change
            self.words.append(self._word(value, each, slot))
            if each.role is Role.DESTINATION and value is not None:
                file = value.file if isinstance(value, Element) else self._encoder.stack if slot < 0 else None
                self._steps[-1].changes = file
        if push in operands:
            self.change += 1
            self.most = max(self.most, self.change)
        if max(abs(self.change), self.needs) > _DEPTH:
            raise self._error(f"more than {_DEPTH} values on the operand stack")

    def _expected(self, code: int, operands: Sequence[Any]) -> Sequence[Operand]:
        if code in _CONSTANTS:
            return Operand(Role.DESTINATION, "d", _CONSTANTS[Code(code)]), Operand(
                Role.CONSTANT, "value", _CONSTANTS[Code(code)]
            )
        if code in (Code.PLACE, Code.JUMP):
            return (_LABEL,)
        if code in (Code.TRAP, Code.SAFEPOINT):
            return ()
        if code == Code.RET:
            return (Operand(Role.SOURCE, "value"),)[: len(operands)]
        if code == Code.TABLE:
            return Operand(Role.SOURCE, "index", Type.i32), *[_LABEL] * max(len(operands) - 1, 1)
        if code in (Code.MOVE, Code.SELECT):
            type = self._type(operands[0]) if operands else None
            sources = [Operand(Role.SOURCE, name, type) for name in "ab"[: 1 if code == Code.MOVE else 2]]
            condition = [Operand(Role.SOURCE, "condition", Type.i32)] if code == Code.SELECT else []
            return Operand(Role.DESTINATION, "d", type), *sources, *condition
        if code == Code.CALL:
            return self._expected_of_call(operands)
        return operands_of_row(self._encoder.op_table.rows[code])

    def _expected_of_call(self, operands: Sequence[Any]) -> Sequence[Operand]:
        callee: Any = operands[1] if len(operands) > 1 else None
        first = [Operand(Role.DESTINATION, "d"), Operand(Role.CALLEE, "callee")]
        if isinstance(callee, Field):  # what it takes is seen when the function is compiled
            return *first, *[Operand(Role.ARGUMENT, f"argument {k}") for k in range(len(operands) - 2)]
        signature = callee_signature(callee)
        if signature is None:
            raise self._error(f"{callee!r} cannot be called; accepted: a Function, a compiled one, an extern, a Field")
        _, params, result = signature
        if result is not None:
            first[0] = Operand(Role.DESTINATION, "d", result)
        elif operands[0] is not None:
            raise self._error("the callee has no result; accepted as destination: None")
        return *first, *[Operand(Role.ARGUMENT, f"argument {k}", type) for k, type in enumerate(params)]

    def _type(self, value: Any) -> Type | None:
        """Of a register, in whatever way it is given."""
        if isinstance(value, Element):
            return value.file.type
        stack = self._encoder.stack
        if value is pop or value is push or isinstance(value, Peek):
            if stack is None:
                raise self._error("the table has no operand stack; accepted: Table(..., stack=Registers(...))")
            return stack.type
        return None

    # -- one operand

    def _word(self, value: Any, expected: Operand, slot: int) -> Word:
        role = expected.role
        if role is Role.LABEL:
            return self._label(value, expected)
        if role is Role.CALLEE:
            if isinstance(value, Field):
                return OperandKind.CALLEE_FIELD, 0, self._field(value), self._encoder.callee_base
            return OperandKind.WORD, 0, 0, self._encoder.callee(value)
        if isinstance(value, CellAddress):
            return self._cell(value.cell)
        type = self._type(value)
        if type is None:
            if role is Role.OFFSET:
                return self._offset(value, expected)
            if role is Role.DESTINATION:
                if value is None and expected.name == "d":
                    return OperandKind.WORD, 0, 0, NO_OPERAND
                raise self._found(value, expected, "a register")
            return self._constant(value, expected)
        is_written, is_push = role is Role.DESTINATION, value is push
        if role in (Role.OFFSET, Role.CONSTANT) or is_push > is_written or (value is pop and is_written):
            raise self._found(value, expected, "push or peek" if is_written else "what can be read there")
        if expected.type is not None and type != expected.type:
            raise self._found(f"a register of type {type}", expected, f"one of type {expected.type}")
        return self._register(value, slot)

    def _found(self, value: Any, expected: Operand, accepted: str) -> UserError:
        return self._error(f"operand {expected.name}: found {value}; accepted: {accepted}")

    def _register(self, value: Any, slot: int) -> Word:
        if not isinstance(value, Element):
            self.needs = max(self.needs, -slot)
            return OperandKind.STACK, 0, 0, slot
        bank = self._encoder.bank(value.file)
        if isinstance(value.index, Field):
            return OperandKind.REGISTER_FIELD, 0, self._field(value.index), bank
        return OperandKind.REGISTER, 0, bank, value.index

    def _label(self, value: Any, expected: Operand) -> Word:
        if isinstance(value, str):
            return OperandKind.OWN_LABEL, 0, 0, self._labels.setdefault(value, len(self._labels))
        if isinstance(value, Exit):
            is_first = value not in self._labels
            self.n_exits += is_first
            label = self._labels.setdefault(value, len(self._labels))
            return OperandKind.EXIT, is_first, self._encoder.exit(value), label
        if not isinstance(value, Target):
            raise self._found(repr(value), expected, "a Target, an Exit, or a str for a label of the template's own")
        self.targets.append((self._field(value.field), value.relative_to, self.change, None))
        self.needs = max(self.needs, -self.change)
        return OperandKind.TARGET, 0, 0, len(self.targets) - 1

    def _targets(self, value: Targets, expected: Operand, position: int, is_last: bool) -> Word:
        part = self._layout.part(value)
        if not is_last or part is None:
            raise self._found(repr(value), expected, "as last label of a branch_table, Targets of its `then`")
        self.targets.append((self._encoder.field(value.each, part), value.relative_to, self.change, part))
        self.needs = max(self.needs, -self.change)
        return OperandKind.TARGETS, 0, position, len(self.targets) - 1

    def _cell(self, value: Any) -> Word:
        self.n_constants += 1
        if isinstance(value, Field):
            return OperandKind.CELL_FIELD, 0, self._field(value), 0
        return OperandKind.CELL, 0, 0, self._encoder.cell(value)

    def _offset(self, value: Any, expected: Operand) -> Word:
        if isinstance(value, Field):
            return OperandKind.OFFSET_FIELD, 0, self._field(value), 0
        if not isinstance(value, int) or not -(2**31) < value < 2**31:
            raise self._found(repr(value), expected, "an integer in (-2^31, 2^31) or a Field")
        return OperandKind.WORD, 0, 0, value

    def _constant(self, value: Any, expected: Operand) -> Word:
        type = expected.type
        if type is None:
            raise self._found(repr(value), expected, "a register: the type of a number is not known here")
        if isinstance(value, Field):
            if type.is_float and (value.bits != type.bits or (value.scale, value.bias) != (1, 0)):
                raise self._found(repr(value), expected, f"a Field of its {type.bits} bits, without scale and bias")
            self.n_constants += 1
            return OperandKind.CONSTANT_FIELD, type, self._field(value), 0
        if check_number(type, value):
            raise self._found(repr(value), expected, f"a register, a Field, or a number that is an {type}")
        return OperandKind.WORD, 0, 0, CONSTANT | self._encoder.constant(bits_of(type, value))

    def _field(self, field: Field) -> int:
        return self._layout.field(field, self._place)
