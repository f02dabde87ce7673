"""Turns a resolved syntax tree into bytecode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import bytecode as bc
from . import tree
from .bytecode import Prototype, Steps
from .heat import Heat
from .tree import Function, Node, Variable

_ARITHMETIC = {
    "+": bc.ADD, "-": bc.SUB, "*": bc.MUL, "/": bc.DIV, "//": bc.FLOOR_DIV, "%": bc.MOD, "&": bc.AND, "|": bc.OR,
    "^": bc.XOR, "<<": bc.SHL, ">>": bc.SHR, "<": bc.LT, "<=": bc.LE, "==": bc.EQ, "!=": bc.NE,
}  # fmt: skip
_JUMPS = {  # if so, if not
    "<": (bc.JUMP_LT, bc.JUMP_NOT_LT), "<=": (bc.JUMP_LE, bc.JUMP_NOT_LE),
    "==": (bc.JUMP_EQ, bc.JUMP_NE), "!=": (bc.JUMP_NE, bc.JUMP_EQ),
}  # fmt: skip
_SWAPPED = {">": "<", ">=": "<="}


class _Label:
    """A place in the code; `at` is set when it is known."""

    def __init__(self) -> None:
        self.at = -1


class Emitter:
    """Emits one function. `hot`: with an instruction at each place where compiled code may take over. `steps`: with one
    that counts there."""

    def __init__(
        self,
        function: Function,
        builtins: dict[str, object],
        hot: bool,
        steps: Steps | None,
        outer: Emitter | None = None,
    ) -> None:
        self.function = function
        self.builtins = builtins
        self.hot = hot
        self.steps = steps
        self.outer = outer
        self.prototype = Prototype(function.name, len(function.parameters))
        self.registers: dict[Variable, int] = {}  # a captured variable's holds its cell
        self.constants: dict[tuple[type, str, object], int] = {}
        self.code: list[tuple[int, int | _Label | Heat | Steps, int | _Label, int]] = []
        self.free = 0
        self.loops: list[tuple[_Label, _Label]] = []  # where continue and break go

    def emit(self) -> Prototype:
        """The prototype, those of inner functions within it."""
        prototype, function = self.prototype, self.function
        for variable in function.captures:
            prototype.captures.append(self._capture(variable))
        for variable in function.parameters:
            self.registers[variable] = self._register()
        if self.outer is not None:  # the program itself runs once
            self._begin(function.line)
        for variable in function.parameters:
            if variable.captured:
                register = self.registers[variable]
                self._add(function.line, bc.NEW_CELL, register, register, not variable.assigned)
        self._statements(function.body)
        line = function.body[-1].line if function.body else function.line
        self._add(line, bc.RETURN, self._constant(None))
        self._finish()
        return prototype

    def _finish(self) -> None:
        prototype = self.prototype
        for op, *operands in self.code:
            settled = [self._settled(each, role) for each, role in zip(operands, bc.OPERANDS[op])]
            prototype.code.append((op, *settled))
        prototype.finish()

    def _settled(self, operand: Any, role: str) -> Any:
        if isinstance(operand, _Label):
            return operand.at
        if role == "s":
            return operand
        if operand < 0 and role != "n":  # constants follow the registers, which are counted only now
            return self.prototype.registers - 1 - operand
        return operand

    # Small things.

    def _add(self, line: int, op: int, a: int | _Label | Heat | Steps = 0, b: int | _Label = 0, c: int = 0) -> None:
        self.code.append((op, a, b, c))
        self.prototype.lines.append(line)

    def _place(self, label: _Label) -> None:
        label.at = len(self.code)

    def _begin(self, line: int) -> None:
        """At the start of a function, and of a round."""
        if self.hot:
            self._add(line, bc.HOT, Heat(len(self.code)))
        self._step(line)

    def _step(self, line: int) -> None:
        if self.steps is not None:
            self._add(line, bc.STEP, self.steps)

    def _register(self, count: int = 1) -> int:
        first = self.free
        self.free += count
        self.prototype.registers = max(self.prototype.registers, self.free)
        return first

    def _constant(self, value: object) -> int:
        """A negative number that _finish turns into the constant's place."""
        key = (type(value), repr(value) if isinstance(value, float) else "", value)  # -0.0 is not 0.0
        if key not in self.constants:
            self.constants[key] = -1 - len(self.prototype.constants)
            self.prototype.constants.append(value)
        return self.constants[key]

    def _capture(self, variable: Variable) -> tuple[bool, int]:
        assert self.outer is not None  # only the program has none, and it captures nothing
        if variable.owner is self.outer.function:
            return True, self.outer.registers[variable]
        return False, self.outer.function.captures.index(variable)

    # Statements.

    def _statements(self, body: Sequence[Node]) -> None:
        free = self.free
        for each in body:
            if isinstance(each, tree.Declare):
                assert each.variable is not None
                register = self.registers[each.variable] = self._register()
                if each.variable.captured:
                    final = not each.variable.assigned
                    self._add(each.line, bc.NEW_CELL, register, self._constant(None), final)
                else:
                    self._add(each.line, bc.MOVE, register, self._constant(None))
        for each in body:
            self._statement(each)
        self.free = free

    def _statement(self, node: Node) -> None:
        free = self.free
        method: Callable[[Node], None] = getattr(self, f"_do_{type(node).__name__.lower()}")
        method(node)
        if not isinstance(node, tree.Let):
            self.free = free

    def _do_let(self, node: tree.Let) -> None:
        assert node.variable is not None
        register = self._register()
        if node.variable.captured:
            value = self._expression(node.value)
            self._add(node.line, bc.NEW_CELL, register, value, not node.variable.assigned)
        else:
            self._into(register, node.value)
        self.registers[node.variable] = register
        self.free = register + 1

    def _do_declare(self, node: tree.Declare) -> None:
        assert node.variable is not None
        self._assign(node.line, node.variable, node.function)

    def _do_assign(self, node: tree.Assign) -> None:
        assert node.target.variable is not None
        self._assign(node.line, node.target.variable, node.value)

    def _assign(self, line: int, variable: Variable, value: Node) -> None:
        if variable.owner is not self.function:
            self._add(line, bc.SET_UP, self.function.captures.index(variable), self._expression(value))
        elif variable.captured:
            self._add(line, bc.SET_CELL, self.registers[variable], self._expression(value))
        else:
            self._into(self.registers[variable], value)

    def _do_store(self, node: tree.Store) -> None:
        array = self._expression(node.target.array)
        index = self._expression(node.target.index)
        self._add(node.line, bc.STORE, array, index, self._expression(node.value))

    def _do_evaluate(self, node: tree.Evaluate) -> None:
        self._expression(node.value)

    def _do_block(self, node: tree.Block) -> None:
        self._statements(node.body)

    def _do_return(self, node: tree.Return) -> None:
        value = self._constant(None) if node.value is None else self._expression(node.value)
        self._add(node.line, bc.RETURN, value)

    def _do_leave(self, node: tree.Leave) -> None:
        self._add(node.line, bc.JUMP, self.loops[-1][node.word == "break"])

    def _do_if(self, node: tree.If) -> None:
        otherwise, end = _Label(), _Label()
        self._branch(node.condition, otherwise, unless=True)
        self._statement(node.then)
        if node.otherwise is not None:
            self._add(node.line, bc.JUMP, end)
        self._place(otherwise)
        if node.otherwise is not None:
            self._statement(node.otherwise)
        self._place(end)

    def _do_while(self, node: tree.While) -> None:
        body, test, end = _Label(), _Label(), _Label()
        self._add(node.line, bc.JUMP, test)
        self._place(body)
        self._begin(node.line)
        self._loop(node.body, test, end)
        self._place(test)
        self._branch(node.condition, body, unless=False)
        self._place(end)

    def _do_for(self, node: tree.For) -> None:
        assert node.variable is not None
        first = self._register(3)
        body, step, end = _Label(), _Label(), _Label()
        self._into(first, node.first)
        self._into(first + 1, node.end)
        self._add(node.line, bc.FOR_PREPARE, first, end)
        if self.hot:
            self._add(node.line, bc.ENTER, Heat(len(self.code)), first)
        self._place(body)
        self._step(node.line)
        self.registers[node.variable] = first + 2
        if node.variable.captured:
            register = self.registers[node.variable] = self._register()
            self._add(node.line, bc.NEW_CELL, register, first + 2, not node.variable.assigned)
        self._loop(node.body, step, end)
        self._place(step)
        self._add(node.line, bc.FOR, first, body)
        self._place(end)

    def _loop(self, body: tree.Block, again: _Label, end: _Label) -> None:
        self.loops.append((again, end))
        self._statement(body)
        self.loops.pop()

    # Expressions.

    def _expression(self, node: Node) -> int:
        """Emit a value; the register that has it, which may be a variable's or a constant."""
        if isinstance(node, tree.Literal):
            return self._constant(node.value)
        if isinstance(node, tree.Name):
            if node.variable is None:
                return self._constant(self.builtins[node.name])
            if node.variable.owner is self.function and not node.variable.captured:
                return self.registers[node.variable]
        target = self._register()
        self._into(target, node)
        return target

    def _into(self, target: int, node: Node) -> None:
        """Emit a value into a register. It is written last, so the value may be computed from what it held."""
        free = self.free
        match node:
            case tree.Literal():
                self._add(node.line, bc.MOVE, target, self._constant(node.value))
            case tree.Name():
                self._name(target, node)
            case tree.Unary():
                op = bc.NEG if node.operator == "-" else bc.NOT
                self._add(node.line, op, target, self._expression(node.operand))
            case tree.Binary():
                self._binary(target, node)
            case tree.Logical():
                self._logical(target, node)
            case tree.Call():
                base = self._consecutive([node.callee, *node.arguments])
                self._add(node.line, bc.CALL, target, base, len(node.arguments))
            case tree.Index():
                array = self._expression(node.array)
                self._add(node.line, bc.INDEX, target, array, self._expression(node.index))
            case tree.Array():
                base = self._consecutive(node.items)
                self._add(node.line, bc.ARRAY, target, base, len(node.items))
            case tree.Function():
                self._add(node.line, bc.CLOSURE, target, len(self.prototype.inner))
                self.prototype.inner.append(Emitter(node, self.builtins, self.hot, self.steps, self).emit())
        self.free = free

    def _consecutive(self, nodes: Sequence[Node]) -> int:
        base = self._register(len(nodes))
        for register, each in enumerate(nodes, base):
            self._into(register, each)
        return base

    def _name(self, target: int, node: tree.Name) -> None:
        variable = node.variable
        if variable is None:
            self._add(node.line, bc.MOVE, target, self._constant(self.builtins[node.name]))
        elif variable.owner is not self.function:
            self._add(node.line, bc.GET_UP, target, self.function.captures.index(variable))
        else:
            op = bc.GET_CELL if variable.captured else bc.MOVE
            self._add(node.line, op, target, self.registers[variable])

    def _operands(self, node: tree.Binary) -> tuple[str, int, int]:
        left, right = self._expression(node.left), self._expression(node.right)
        if node.operator in _SWAPPED:
            return _SWAPPED[node.operator], right, left
        return node.operator, left, right

    def _binary(self, target: int, node: tree.Binary) -> None:
        operator, left, right = self._operands(node)
        self._add(node.line, _ARITHMETIC[operator], target, left, right)

    def _logical(self, target: int, node: tree.Logical) -> None:
        end = _Label()
        value = self._register()  # not the target, which the right side may read
        self._into(value, node.left)
        self._add(node.line, bc.JUMP_IF_NOT if node.operator == "and" else bc.JUMP_IF, end, value)
        self._into(value, node.right)
        self._place(end)
        self._add(node.line, bc.MOVE, target, value)

    def _branch(self, node: Node, target: _Label, *, unless: bool) -> None:
        """Emit a jump that is taken if the condition holds, or unless it does."""
        free = self.free
        if isinstance(node, tree.Unary) and node.operator == "not":
            self._branch(node.operand, target, unless=not unless)
        elif isinstance(node, tree.Logical):
            if (node.operator == "and") == unless:
                self._branch(node.left, target, unless=unless)
                self._branch(node.right, target, unless=unless)
            else:
                past = _Label()
                self._branch(node.left, past, unless=not unless)
                self._branch(node.right, target, unless=unless)
                self._place(past)
        elif isinstance(node, tree.Binary) and _SWAPPED.get(node.operator, node.operator) in _JUMPS:
            operator, left, right = self._operands(node)
            self._add(node.line, _JUMPS[operator][unless], target, left, right)
        else:
            op = bc.JUMP_IF_NOT if unless else bc.JUMP_IF
            self._add(node.line, op, target, self._expression(node))
        self.free = free
