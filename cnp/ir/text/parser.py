"""Turns the text form into functions.

Two passes: the first reads the headers, so that functions may call one another in any order, the second the bodies.
The grammar is in cnp/ir/text/__init__.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cnp.errors import UserError
from cnp.ir.function import Extern, Function, extern
from cnp.ir.text.body import Body
from cnp.ir.text.lexer import Kind, Line
from cnp.ir.text.module import Module
from cnp.ir.text.numbers import parse_number
from cnp.ir.verifier import find, message
from cnp.types import PARAMETER_TYPES, ParameterType, Type


def parse(text: str, filename: str = "<text>", verify: bool = True, functions: type[Function] = Function) -> Module:
    """Read a whole file. ParseError with file, line and column for what cannot be read or is not well formed.

    With verify=False, functions that can be read but are not well formed are returned as well. `functions` is the class
    to make: that of an extension library, so that its ops can be read, too.
    """
    module = Module(filename)
    sources = list(_split(module, text, functions))
    callables: dict[str, Function | Extern] = {**module, **module.externs}
    for source in sources:
        body = Body(source.function, source.parameters, callables)
        for line in source.lines:
            body.read(line)
        module.lines[source.function.name] = [line.number for line in body.places]
        if verify:
            _verify(source, body.places)
    return module


class _Source(NamedTuple):
    """What the first pass finds of a function."""

    function: Function
    parameters: list[str]  # their names
    header: Line
    lines: list[Line]  # between the header and `end`


def _verify(source: _Source, places: Sequence[Line]) -> None:
    finding = find(source.function)
    if finding.code:
        line = places[finding.op] if places else source.header
        line.refuse(message(source.function, *finding), line.tokens[0].column)


def _split(module: Module, text: str, functions: type[Function]) -> Iterator[_Source]:
    """Declare every function and extern in `module`, and yield the functions with the lines of their bodies."""
    current: _Source | None = None
    line = Line("", 1, module.filename)
    for number, content in enumerate(text.splitlines(), 1):
        line = Line(content, number, module.filename)
        if line.is_empty:
            continue
        if current is not None:
            if line.peek().text == "func" and line.peek(1).kind in (Kind.NAME, Kind.STRING):
                line.unexpected("an op, or the 'end' of the function before the next one")
            if line.peek(1).text != ":" and line.accept("end"):  # a label may be called so
                line.expect_end()
                yield current
                current = None
            else:
                current.lines.append(line)
        elif line.accept("func"):
            function, parameters = _function(line, functions)
            _declare(module, line, function.name)
            module[function.name] = function
            current = _Source(function, parameters, line, [])
        elif line.accept("extern"):
            callee = _extern(line)
            _declare(module, line, callee.name)
            module.externs[callee.name] = callee
        elif line.peek().text == "callback":
            line.refuse("a callback is a Python object, which a text cannot name: cnp.callback makes one", 1)
        else:
            line.unexpected("'func' or 'extern'")
    if current is not None:
        line.fail("found the end of the file", "an op, or the 'end' of the function", 1)


def _declare(module: Module, line: Line, name: str) -> None:
    if name in module or name in module.externs:
        token = line.tokens[1]
        line.fail(f"found a second {name!r}", "a name that no other function or extern has", token.column)


def _function(line: Line, functions: type[Function]) -> tuple[Function, list[str]]:
    name = line.expect_name("a name")
    types: list[ParameterType] = []
    named: list[str] = []
    line.expect("(")
    while not line.accept(")"):
        if types:
            line.expect(",")
        token = line.expect_kind(Kind.NAME, Kind.REGISTER, accepted="a parameter's name, or ')'")
        if token.text in named:
            line.fail(f"found a second parameter {token.text!r}", "another name", token.column)
        named.append(token.text)
        line.expect(":")
        types.append(_parameter_type(line))
    result = _result(line)
    line.expect_end("'->' and a result type, or the end of the line" if result is None else "the end of the line")
    try:
        return functions(name, types, result), named
    except UserError as error:
        line.refuse(error, line.tokens[0].column)


def _extern(line: Line) -> Extern:
    name = line.expect_name("a name")
    types: list[ParameterType] = []
    line.expect("(")
    while not line.accept(")"):
        if types:
            line.expect(",")
        types.append(_parameter_type(line))
    result, token = _result(line), line.tokens[1]
    address: int | float | str = name
    if line.accept("="):
        token = line.expect_kind(Kind.NUMBER, accepted="an address")
        address = parse_number(token.text, Type.i64)
        line.expect_end()
    line.expect_end("'=' and an address, or the end of the line")
    if isinstance(address, float):
        line.fail(f"found {token}", "an address: an integer", token.column)
    try:
        return extern(address, types, result, name)
    except UserError as error:
        line.refuse(error, token.column)


def _parameter_type(line: Line) -> ParameterType:
    token = line.peek()
    if token.text not in PARAMETER_TYPES:
        line.unexpected("one of " + " ".join(PARAMETER_TYPES))
    return PARAMETER_TYPES[line.take().text]


def _result(line: Line) -> Type | None:
    if not line.accept("->"):
        return None
    if line.peek().text not in ("i32", "i64", "f32", "f64"):
        line.unexpected("one of i32 i64 f32 f64")
    return Type[line.take().text]
