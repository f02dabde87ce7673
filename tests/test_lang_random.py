"""The example of a language: random programs mean the same, interpreted and compiled."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lang_support import EDGES, compile_eagerly, interpreted, ran


class Writer:
    """Writes programs that end, of every kind of value, and with errors in some."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loops = 0
        self.callees = ["max"]

    def number(self) -> str:
        pick = self.random.random()
        if pick < 0.6:
            return str(self.random.randint(-3, 9))
        if pick < 0.75:
            return self.random.choice(["0.5", "2.0", "-1.25"])
        if pick < 0.9:
            return str(self.random.choice(EDGES))
        return self.random.choice(["true", "false", "a[i0 % 3]" if self.loops else "a[1]"])

    def expression(self, names: list[str], depth: int = 2) -> str:
        pick = self.random.random()
        if depth == 0 or pick < 0.25:
            return self.random.choice(names) if self.random.random() < 0.7 else self.number()
        left, right = self.expression(names, depth - 1), self.expression(names, depth - 1)
        if pick < 0.75:
            return f"({left} {self.random.choice('+-*+-*&|^')} {right})"
        if pick < 0.85:
            return f"({left} {self.random.choice(['//', '%', '/'])} {self.random.choice(['3', '8', '(-7)', right])})"
        if pick < 0.9:
            return f"({left} {self.random.choice(['<', '<=', '==', '!=', '>'])} {right})"
        if pick < 0.95:
            return f"{self.random.choice(self.callees)}({left}, {right})"
        return f"({left} {self.random.choice(['and', 'or'])} {right})"

    def statement(self, names: list[str], depth: int) -> str:
        pick = self.random.random()
        if pick < 0.5 or depth == 0:
            return f"{self.random.choice(names)} = {self.expression(names)}"
        if pick < 0.6:
            return f"a[{self.expression(names, 1)} % 3] = {self.expression(names, 1)}"
        if pick < 0.8:
            return (f"if {self.expression(names, 1)} {{ {self.block(names, depth - 1)} }} "
                    f"else {{ {self.block(names, depth - 1)} }}")  # fmt: skip
        if pick < 0.95:
            counter = f"i{self.loops}"
            self.loops += 1
            body = self.block([*names, counter], depth - 1)
            self.loops -= 1
            return f"for {counter} in 0..{self.random.choice([3, 7])} {{ {body} }}"
        return f"print({self.random.choice(names)})"

    def block(self, names: list[str], depth: int) -> str:
        return "\n".join(self.statement(names, depth) for _ in range(self.random.randint(1, 3)))

    def program(self) -> str:
        bodies = []
        for name in ("f0", "f1"):
            bodies.append(self.expression(["p", "q", "c"]))
            self.callees.append(name)
        return f"""
let a = [1, 2, 3]
let c = 1
fn f0(p, q) {{ return {bodies[0]} }}
fn f1(p, q) {{ if p == 3 {{ c = q }}
return {bodies[1]} }}
let x = 1
let y = 2
let z = 0.5
fn step(x, y, z) {{
{self.block(["x", "y", "z"], 3)}
return x }}
for i0 in 0..12 {{
{self.block(["x", "y", "z"], 3)}
let s = step(x, y, i0)
if s == s {{ x = s }}
if x == 0 {{ x = i0 }}
if abs(x) > 100000000000000000000 {{ x = 5 }}
if abs(y) > 1000000000000000000000000000000 {{ y = 2 }}
}}
print(x, y, z, a, c)
"""


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from((2, 12, 24)))
def test_random_programs_agree(seed: int, rounds: int) -> None:
    """After 2 rounds places are compiled at once, after 12 calls are watched first, after 24 rounds are tried, too."""
    text = Writer(seed).program()
    with pytest.MonkeyPatch.context() as patch:
        compile_eagerly(patch, rounds)
        expected = interpreted(text)
        found = ran(text)[0]
    assert found == expected, text
