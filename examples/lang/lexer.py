"""Turns text into tokens. A line's end is a token where a statement may end there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .errors import SyntaxFault

KEYWORDS = frozenset(
    [
        "and",
        "break",
        "continue",
        "else",
        "false",
        "fn",
        "for",
        "if",
        "in",
        "let",
        "nil",
        "not",
        "or",
        "return",
        "true",
        "while",
    ]
)
_PATTERN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
      | (?P<int>\d+)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<sign>\.\.|//|<<|>>|[-+*]=|[=!<>]=|[-+*/%&|^<>=(){}\[\],;])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_DIGITS = 4000  # that Python reads without being asked to


class Token(NamedTuple):
    """`kind` is a sign or keyword itself, or one of: name, int, float, string, newline, end."""

    kind: str
    value: object
    line: int


def tokens(text: str) -> Iterator[Token]:
    """All tokens, the last of kind `end`. SyntaxFault for a character that starts none."""
    line, position, brackets = 1, 0, [""]
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise SyntaxFault(line, f"unexpected character {text[position]!r}")
        position = match.end()
        kind, word = match.lastgroup, match.group()
        if kind == "newline":
            if brackets[-1] not in "([" or not brackets[-1]:  # within these a statement cannot end
                yield Token("newline", None, line)
            line += 1
        elif kind == "sign":
            _follow(brackets, word)
            yield Token(word, None, line)
        elif kind == "name":
            yield Token(word if word in KEYWORDS else "name", word, line)
        elif kind == "int":
            if len(word) > _DIGITS:
                raise SyntaxFault(line, f"a number of {len(word)} digits; accepted: up to {_DIGITS}")
            yield Token("int", int(word), line)
        elif kind == "float":
            yield Token("float", float(word), line)
        elif kind == "string":
            yield Token("string", _unescaped(word[1:-1], line), line)
    yield Token("end", None, line)


def _follow(brackets: list[str], sign: str) -> None:
    if sign in "([{":
        brackets.append(sign)
    elif sign in ")]}" and len(brackets) > 1:
        brackets.pop()


def _unescaped(text: str, line: int) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise SyntaxFault(line, f'there is no escape \\{match[1]}; accepted: \\n \\t \\" \\\\')
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", replace, text)
