"""Descriptions -> Python, for numba: a local variable for every register and a line for every op.

As far as the benches go: i64 arithmetic and comparisons, and loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnp.bench.figure import Unavailable
from cnp.bench.peers.description import Description, Op
from cnp.bench.peers.structure import Loop, structured
from cnp.types import Type

_SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
_RELATIONS = {"eq": "==", "ne": "!=", "lt_s": "<", "gt_s": ">", "le_s": "<=", "ge_s": ">="}
_CONDITIONS = {f"branch i64.{name}": symbol for name, symbol in _RELATIONS.items()}


def _infix(symbol: str) -> Callable[..., str]:
    return lambda d, a, b: f"{d} = {a} {symbol} {b}"


def _rem_s(d: str, a: str, b: str) -> str:
    """Python's remainder has the sign of the divisor."""
    return f"t = {a} % {b}; t -= {b} if t != 0 and ({a} < 0) != ({b} < 0) else 0; {d} = t"


_LINES: dict[str, Callable[..., str]] = {
    **{f"i64.{name}": _infix(symbol) for name, symbol in _SYMBOLS.items()},
    "i64.rem_s": _rem_s,
    "i64.const": lambda d, a: f"{d} = {a}",
    "move": lambda d, a: f"{d} = {a}",
    "ret": lambda *value: f"return {''.join(value)}",
}


def translate(description: Description) -> str:
    """A function named like the symbol. Unavailable for an op that has no line here."""
    if any(each is not Type.i64 for each in description.registers):
        raise Unavailable(f"{description.name}: only functions of i64 are translated to Python")
    table = [f"r{number}" for number in range(len(description.registers))]
    table += [str(each.value) for each in description.constants]
    lines = [f"def {description.symbol}({', '.join(table[: len(description.parameters)])}):"]
    _append(lines, " ", structured(description), table, None)
    return "\n".join([*lines, ""])


def _append(lines: list[str], indent: str, items: Sequence[Op | Loop], table: Sequence[str], loop: Loop | None) -> None:
    append, known = lines.append, _LINES
    for item in items:
        if isinstance(item, Loop):
            append(f"{indent}while True:")
            _append(lines, f"{indent} ", item.body, table, item)
            continue
        name, places, pick = item
        line = known.get(name)
        if line is not None:
            append(indent + line(*pick(table)))
        elif name in _CONDITIONS and loop is not None and places[-1] in (loop.head, loop.done):
            a, b = table[places[0]], table[places[1]]
            append(f"{indent}if {a} {_CONDITIONS[name]} {b}: {'break' if places[-1] == loop.done else 'continue'}")
        else:
            raise Unavailable(f"op {name} is not translated to Python")
