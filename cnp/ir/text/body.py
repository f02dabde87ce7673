"""Turns the lines of one function's body into its ops."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from cnp.errors import UserError
from cnp.ir.function import Extern, Function, Label, Register
from cnp.ir.optable import CODE_NAMES, Code, Operand, Role
from cnp.ir.signature import operands_of
from cnp.ir.text.lexer import Kind, Line, Token
from cnp.ir.text.numbers import parse_number
from cnp.types import Type

_CODES = {name: int(code) for code, name in CODE_NAMES.items() if code != Code.PLACE}


class Body:
    """Reads a function's lines one by one. `places` has the line of every op."""

    def __init__(
        self, function: Function, parameters: Sequence[str], callables: Mapping[str, Function | Extern]
    ) -> None:
        self.function = function
        self.callables = callables
        self.registers: dict[str, Register] = dict(zip(parameters, function.params))
        self.labels: dict[str, Label] = {}
        self.places: list[Line] = []
        for name, register in self.registers.items():
            if not name.startswith("%"):
                function.name_register(register, name)

    def read(self, line: Line) -> None:
        """Read one line: registers, labels, or an op. ParseError if it is none of these."""
        first = line.peek()
        if line.peek(1).text == ":" and first.kind in (Kind.NAME, Kind.LABEL):
            self._emit(line, (int(Code.PLACE), self._label(line)))
            line.expect(":")
        elif line.accept("reg"):
            self._declare_registers(line)
        elif line.accept("label"):
            self._declare_labels(line)
        elif first.text == "exit":
            reason = "a side exit leads to a Python object, which a text cannot name: Function.exit makes one"
            line.refuse(reason, first.column)
        elif line.accept("call"):
            self._emit(line, self._call(line))
        elif line.accept("branch_table"):
            self._emit(line, self._branch_table(line))
        else:
            self._emit(line, self._op(line))
        line.expect_end()

    def _emit(self, line: Line, op: tuple[Any, ...]) -> None:
        self.places.append(line)
        self.function._emit(op)

    # -- declarations

    def _declare_registers(self, line: Line) -> None:
        tokens = [self._new_name(line, Kind.REGISTER)]
        while line.accept(","):
            tokens.append(self._new_name(line, Kind.REGISTER))
        line.expect(":")
        if line.peek().text not in ("i32", "i64", "f32", "f64"):
            line.unexpected("one of i32 i64 f32 f64")
        type = Type[line.take().text]
        for token in tokens:
            if token.text in self.registers:
                line.fail(f"found a second register {token.text!r}", "another name", token.column)
            name = token.text if token.kind is Kind.NAME else None
            self.registers[token.text] = self.function.reg(type, name)

    def _declare_labels(self, line: Line) -> None:
        self._label(line)
        while line.accept(","):
            self._label(line)

    @staticmethod
    def _new_name(line: Line, anonymous: Kind) -> Token:
        return line.expect_kind(Kind.NAME, anonymous, accepted="a register's name")

    # -- ops

    def _op(self, line: Line) -> tuple[Any, ...]:
        """Any op whose operands are a plain list."""
        code = self._code(line)
        op: tuple[Any, ...] = (code,)
        if code == Code.RET and line.peek().kind is not Kind.END:
            type = self.function.result
            return (*op, self._source(line, Operand(Role.SOURCE, "value", type)))
        if code == Code.RET:
            return op
        count = len(operands_of(self.function, op) or ())
        for index in range(count):
            # Asked again for every operand: what move and select take follows from their destination.
            expected = (operands_of(self.function, op) or ())[index]
            if expected.role is Role.OFFSET and line.peek().kind is Kind.END:
                return (*op, 0)
            if index:
                line.expect(",")
            op = (*op, self._operand(line, expected))
        return op

    def _code(self, line: Line) -> int:
        token = line.expect_kind(Kind.NAME, accepted="an op, a label and ':', 'reg', or 'end'")
        name = token.text
        if name == "branch":
            name += " " + line.expect_kind(Kind.NAME, accepted="a comparison").text
        rows = self.function.op_table.by_name
        if name in rows:
            return rows[name].code
        if name in _CODES:
            return _CODES[name]
        close = difflib.get_close_matches(name, [*rows, *_CODES], n=3)
        line.fail(f"found {name!r}, which is no op", ", ".join(close) or "an op's public name", token.column)

    def _operand(self, line: Line, expected: Operand) -> Any:
        if expected.role is Role.LABEL:
            return self._label(line)
        if expected.role is Role.DESTINATION:
            return self._register(line)
        if expected.role is Role.OFFSET:
            return self._number(line, None, "an offset: a number")
        if expected.role is Role.CONSTANT:
            return self._number(line, expected.type, "a number")
        return self._source(line, expected)

    def _call(self, line: Line) -> tuple[Any, ...]:
        """`call d, name(arguments)`, or without `d,`."""
        d: Register | None = None
        if line.peek(1).text != "(" and line.peek().kind is not Kind.STRING:
            d = self._register(line)
            line.expect(",")
        token = line.peek()
        callee = self.callables.get(line.expect_name("the name of a function or extern"))
        if callee is None:
            names = ", ".join(self.callables)
            line.fail(f"found {token}, which is no function or extern of this file", names, token.column)
        params = callee.params if isinstance(callee, Extern) else callee.parameter_types
        arguments: list[Any] = []
        line.expect("(")
        while not line.accept(")"):
            if arguments:
                line.expect(",")
            type = params[len(arguments)].register_type if len(arguments) < len(params) else None
            arguments.append(self._source(line, Operand(Role.ARGUMENT, "argument", type)))
        try:
            self.function.call(d, callee, *arguments)
        except UserError as error:
            line.refuse(error, token.column)
        return tuple(self.function._ops.pop())

    def _branch_table(self, line: Line) -> tuple[Any, ...]:
        """`branch_table index, [labels], default`."""
        index = self._source(line, Operand(Role.SOURCE, "index", Type.i32))
        line.expect(",")
        line.expect("[")
        labels: list[Label] = []
        while not line.accept("]"):
            if labels:
                line.expect(",")
            labels.append(self._label(line))
        line.expect(",")
        return (int(Code.TABLE), index, self._label(line), *labels)

    # -- operands

    def _label(self, line: Line) -> Label:
        """A label, which comes into being where it is first mentioned."""
        token = line.expect_kind(Kind.NAME, Kind.LABEL, accepted="a label")
        label = self.labels.get(token.text)
        if label is None:
            label = self.function.label(token.text if token.kind is Kind.NAME else None)
            self.labels[token.text] = label
        return label

    def _register(self, line: Line) -> Register:
        token = line.expect_kind(Kind.NAME, Kind.REGISTER, accepted="a register")
        register = self.registers.get(token.text)
        if register is None:
            close = difflib.get_close_matches(token.text, self.registers, n=3)
            accepted = ", ".join(close or list(self.registers)[:8]) or "a register declared by 'reg' before"
            line.fail(f"found {token}, which is no register declared before", accepted, token.column)
        return register

    def _source(self, line: Line, expected: Operand) -> Any:
        if line.peek().kind is Kind.NUMBER:
            return self._number(line, expected.type, "a number")
        if line.peek().kind not in (Kind.NAME, Kind.REGISTER):
            line.unexpected("a register or a number")
        return self._register(line)

    def _number(self, line: Line, type: Type | None, accepted: str) -> int | float:
        token = line.expect_kind(Kind.NUMBER, accepted=accepted)
        try:
            return parse_number(token.text, type)
        except (ValueError, OverflowError) as error:
            line.refuse(f"{token} cannot be read: {error}", token.column)
