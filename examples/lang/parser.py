"""Turns tokens into a syntax tree, by recursive descent; operators by precedence climbing."""

from __future__ import annotations

from . import tree
from .errors import SyntaxFault
from .lexer import Token, tokens
from .tree import Node

_PRECEDENCE = {
    "or": 1, "and": 2, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "|": 5, "^": 6, "&": 7, "<<": 8, ">>": 8,
    "+": 9, "-": 9, "*": 10, "/": 10, "//": 10, "%": 10,
}  # fmt: skip
_NOT, _NEGATIVE = 3, 11
_DEPTH = 100  # of nesting: what Python's own stack bears with ease
_CONSTANTS = {"true": True, "false": False, "nil": None}


def parse(text: str) -> tree.Function:
    """The program as a function without parameters. SyntaxFault naming what was found where it cannot be."""
    return _Parser(text).program()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._at = 0
        self._nesting = 0
        self._functions = 0
        self._loops = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _accept(self, *kinds: str) -> Token | None:
        return self._next() if self._token.kind in kinds else None

    def _expect(self, kind: str, where: str) -> Token:
        if self._token.kind != kind:
            raise self._unexpected(f"expected {kind} {where}")
        return self._next()

    def _unexpected(self, what: str) -> SyntaxFault:
        kind = "the end of the line" if self._token.kind == "newline" else self._token.kind
        return SyntaxFault(self._token.line, f"{what}, found {kind}")

    def _skip(self) -> None:
        while self._accept("newline", ";"):
            pass

    def _deeper(self, line: int) -> None:
        self._nesting += 1
        if self._nesting > _DEPTH:
            raise SyntaxFault(line, f"nested too deep; accepted: {_DEPTH} levels")

    # Statements.

    def program(self) -> tree.Function:
        body = self._statements("end")
        return tree.Function(1, "main", [], body)

    def _statements(self, end: str) -> list[Node]:
        found: list[Node] = []
        self._skip()
        while self._token.kind != end:
            found.append(self._statement())
            if self._token.kind not in ("newline", ";", end):
                raise self._unexpected("expected the end of the statement")
            self._skip()
        return found

    def _block(self) -> tree.Block:
        line = self._expect("{", "before a block").line
        self._deeper(line)
        body = self._statements("}")
        self._nesting -= 1
        self._next()
        return tree.Block(line, body)

    def _statement(self) -> Node:
        token = self._token
        line = token.line
        if token.kind == "let":
            self._next()
            name = str(self._expect("name", "after let").value)
            self._expect("=", "after the name")
            return tree.Let(line, name, self._expression())
        if token.kind == "fn" and self._tokens[self._at + 1].kind == "name":
            self._next()
            name = str(self._next().value)
            return tree.Declare(line, self._function(line, name))
        if token.kind == "if":
            return self._if()
        if token.kind == "while":
            self._next()
            condition = self._expression()
            return tree.While(line, condition, self._loop_body())
        if token.kind == "for":
            return self._for()
        if token.kind == "return":
            self._next()
            if not self._functions:
                raise SyntaxFault(line, "return outside a function")
            value = None if self._token.kind in ("newline", ";", "}", "end") else self._expression()
            return tree.Return(line, value)
        if token.kind in ("break", "continue"):
            self._next()
            if not self._loops:
                raise SyntaxFault(line, f"{token.kind} outside a loop")
            return tree.Leave(line, token.kind)
        if token.kind == "{":
            return self._block()
        return self._assignment()

    def _if(self) -> Node:
        line = self._next().line
        condition = self._expression()
        then = self._block()
        otherwise: Node | None = None
        if self._accept("else"):
            self._deeper(line)
            otherwise = self._if() if self._token.kind == "if" else self._block()
            self._nesting -= 1
        return tree.If(line, condition, then, otherwise)

    def _for(self) -> Node:
        line = self._next().line
        name = str(self._expect("name", "after for").value)
        self._expect("in", "after the name")
        first = self._expression()
        self._expect("..", "between first and end")
        end = self._expression()
        return tree.For(line, name, first, end, self._loop_body())

    def _loop_body(self) -> tree.Block:
        self._loops += 1
        body = self._block()
        self._loops -= 1
        return body

    def _assignment(self) -> Node:
        line = self._token.line
        target = self._expression()
        operator = self._accept("=", "+=", "-=", "*=")
        if operator is None:
            return tree.Evaluate(line, target)
        value = self._expression()
        if isinstance(target, tree.Name):
            if operator.kind != "=":
                value = tree.Binary(line, operator.kind[0], tree.Name(line, target.name), value)
            return tree.Assign(line, target, value)
        if isinstance(target, tree.Index) and operator.kind == "=":
            return tree.Store(line, target, value)
        raise SyntaxFault(line, f"{operator.kind} cannot assign to this; accepted: a name, with = also array[index]")

    # Expressions.

    def _expression(self, least: int = 1) -> Node:
        self._deeper(self._token.line)
        left = self._operand()
        while True:
            operator = self._token
            precedence = _PRECEDENCE.get(operator.kind, 0)
            if precedence < least or not precedence:
                break
            self._next()
            right = self._expression(precedence + 1)
            made = tree.Logical if operator.kind in ("and", "or") else tree.Binary
            left = made(operator.line, operator.kind, left, right)
        self._nesting -= 1
        return left

    def _operand(self) -> Node:
        token = self._accept("-", "not")
        if token is None:
            return self._postfix(self._primary())
        operand = self._expression(_NEGATIVE if token.kind == "-" else _NOT)
        if token.kind == "-" and isinstance(operand, tree.Literal) and type(operand.value) in (int, float):
            return tree.Literal(token.line, -operand.value)  # type: ignore[operator]
        return tree.Unary(token.line, token.kind, operand)

    def _postfix(self, node: Node) -> Node:
        while True:
            token = self._accept("(", "[")
            if token is None:
                return node
            if token.kind == "(":
                node = tree.Call(token.line, node, self._list(")"))
            else:
                node = tree.Index(token.line, node, self._expression())
                self._expect("]", "after the index")

    def _list(self, end: str) -> list[Node]:
        items: list[Node] = []
        while not self._accept(end):
            items.append(self._expression())
            if not self._accept(",") and self._token.kind != end:
                raise self._unexpected(f"expected , or {end}")
        return items

    def _primary(self) -> Node:
        token = self._next()
        if token.kind in ("int", "float", "string"):
            return tree.Literal(token.line, token.value)
        if token.kind in _CONSTANTS:
            return tree.Literal(token.line, _CONSTANTS[token.kind])
        if token.kind == "name":
            return tree.Name(token.line, str(token.value))
        if token.kind == "(":
            inner = self._expression()
            self._expect(")", "after the expression")
            return inner
        if token.kind == "[":
            return tree.Array(token.line, self._list("]"))
        if token.kind == "fn":
            return self._function(token.line, "fn")
        self._at -= token.kind != "end"
        raise self._unexpected("expected an expression")

    def _function(self, line: int, name: str) -> tree.Function:
        self._expect("(", "before parameters")
        names: list[str] = []
        while not self._accept(")"):
            names.append(str(self._expect("name", "among parameters").value))
            if not self._accept(",") and self._token.kind != ")":
                raise self._unexpected("expected , or )")
        loops, self._loops = self._loops, 0
        self._functions += 1
        body = self._block().body
        self._functions -= 1
        self._loops = loops
        return tree.Function(line, name, names, body)
