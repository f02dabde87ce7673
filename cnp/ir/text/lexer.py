"""Turns one line of the text form into tokens."""

from __future__ import annotations

import enum
import json
import re
from typing import NamedTuple, NoReturn

from cnp.errors import ParseError


class Kind(enum.Enum):
    """What a token is; the value is how messages name it."""

    NAME = "a name"
    NUMBER = "a number"
    STRING = "a quoted name"
    REGISTER = "an unnamed register"  # %3
    LABEL = "an unnamed label"  # @3
    MARK = "a mark"
    END = "the end of the line"


class Token(NamedTuple):
    """A piece of a line; `column` counts characters from 1."""

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        return self.kind.value if self.kind is Kind.END else repr(self.text)


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<END> ;.* | $ )
    | (?P<NUMBER> [+-]? (?: nan (?: :0x[0-9a-fA-F]+ )? (?![\w.]) | inf (?![\w.])
                          | 0x (?: [0-9a-fA-F]+ \.? [0-9a-fA-F]* | \.[0-9a-fA-F]+ ) (?: [pP][+-]?\d+ )?
                          | (?: \d[\d_]* (?: \.\d* )? | \.\d+ ) (?: [eE][+-]?\d+ )? ) )
    | (?P<NAME> [A-Za-z_][A-Za-z0-9_.]* )
    | (?P<STRING> "(?: [^"\\] | \\. )*" )
    | (?P<REGISTER> %\d+ )
    | (?P<LABEL> @\d+ )
    | (?P<MARK> -> | [,:()\[\]=] )
    )""",
    re.VERBOSE,
)


def is_plain_name(name: str) -> bool:
    """Whether a name can be written without quotes."""
    match = _TOKEN.match(name)
    return match is not None and match.lastgroup == "NAME" and match.end() == len(name) and match.start("NAME") == 0


class Line:
    """The tokens of one line, and how far reading them has come."""

    def __init__(self, text: str, number: int, filename: str) -> None:
        """ParseError at the first character that starts no token."""
        self.number = number
        self.filename = filename
        self.tokens = list(self._tokens(text))
        self._next = 0

    def _tokens(self, text: str) -> list[Token]:
        tokens: list[Token] = []
        position = 0
        kind = None
        while kind != "END":
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                column = len(text) - len(text[position:].lstrip()) + 1
                self.fail(f"found {text[column - 1]!r}", "a name, a number, a mark, or ; and a comment", column)
            kind = match.lastgroup
            tokens.append(Token(Kind[kind], match[kind], match.start(kind) + 1))
            position = match.end()
        return tokens

    @property
    def is_empty(self) -> bool:
        return self.tokens[0].kind is Kind.END

    def peek(self, ahead: int = 0) -> Token:
        """The token that comes next, or `ahead` later; the end of the line comes again and again."""
        at = self._next + ahead
        return self.tokens[at if at < len(self.tokens) else -1]

    def take(self) -> Token:
        """The next token, which is then behind us."""
        token = self.peek()
        self._next += 1
        return token

    def accept(self, mark: str) -> bool:
        """Take the next token if it is this mark or word."""
        token = self.peek()
        if token.text != mark or token.kind is Kind.STRING:
            return False
        self._next += 1
        return True

    def expect(self, mark: str) -> None:
        """Take this mark. ParseError if it is not there."""
        if not self.accept(mark):
            self.unexpected(repr(mark))

    def expect_kind(self, *kinds: Kind, accepted: str) -> Token:
        """Take a token of one of these kinds. ParseError if there is another."""
        if self.peek().kind not in kinds:
            self.unexpected(accepted)
        return self.take()

    def expect_name(self, accepted: str) -> str:
        """Take the name of a function or extern: as it is, or any text in the quotes of JSON."""
        token = self.expect_kind(Kind.NAME, Kind.STRING, accepted=accepted)
        if token.kind is Kind.NAME:
            return token.text
        try:
            return str(json.loads(token.text))
        except ValueError:
            self.fail(f"found {token}", "a name in quotes, escaped as in JSON", token.column)

    def expect_end(self, accepted: str = "the end of the line") -> None:
        """ParseError if tokens are left."""
        if self.peek().kind is not Kind.END:
            self.unexpected(accepted)

    def unexpected(self, accepted: str) -> NoReturn:
        """Raise the ParseError about the next token."""
        self.fail(f"found {self.peek()}", accepted, self.peek().column)

    def fail(self, found: str, accepted: str, column: int) -> NoReturn:
        """Raise a ParseError at a column of this line."""
        self.refuse(f"{found}; accepted: {accepted}", column)

    def refuse(self, reason: object, column: int) -> NoReturn:
        """Raise a ParseError that gives this reason at a column of this line."""
        raise ParseError(f"{self.filename}:{self.number}:{column}: {reason}") from None
