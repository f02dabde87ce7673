"""Functions with many loops, or with much in one, as a pass may meet them that looks at pairs: for whether it does."""

from __future__ import annotations

from collections.abc import Callable

from cnp import Function, Label, Register, i32, i64


def _overlapping(f: Function, n: int) -> None:
    """Each loop ends behind the head of the next one, before that one ends."""
    (a, _), labels = f.params, [f.label() for _ in range(n)]
    for each in labels:
        f.place(each)
        f.i64_add(a, a, 1)
    for each in labels:
        f.branch_i64_eqz(a, each)


def _nested(f: Function, n: int) -> None:
    (a, _), labels = f.params, [f.label() for _ in range(n)]
    for each in labels:
        f.place(each)
        f.i64_add(a, a, 1)
    for each in reversed(labels):
        f.i64_add(a, a, 1)
        f.branch_i64_eqz(a, each)


def _continues(f: Function, n: int) -> None:
    """Loops within one, which goes on from behind each of them."""
    (a, _), head = f.params, f.label()
    f.place(head)
    for _ in range(n):
        inner: Label = f.label()
        f.place(inner)
        f.i64_add(a, a, 1)
        f.branch_i64_nez(a, inner)
        f.branch_i64_eqz(a, head)


def _far_uses(f: Function, n: int) -> None:
    """Values alive across most of a loop."""
    (a, b), head = f.params, f.label()
    made: list[Register] = [f.reg(i64) for _ in range(n)]
    f.place(head)
    for number, each in enumerate(made):
        f.i64_xor(each, b, number)
    for each in made:
        f.i64_add(a, a, each)
    f.branch_i64_nez(a, head)


def _copies(f: Function, n: int) -> None:
    """The same two values, made again and again in a loop that does not change what they are made of."""
    (a, b), head, t, u = f.params, f.label(), f.reg(i64), f.reg(i64)
    f.place(head)
    for _ in range(n):
        f.i64_mul(t, b, b)
        f.i64_xor(u, t, 5)
        f.i64_add(a, a, u)
    f.branch_i64_nez(a, head)


def _states(f: Function, n: int) -> None:
    """An interpreter's loop with its table at the end: all states are led back to, and set what was set in front."""
    (a, b), states, again, state = f.params, [f.label() for _ in range(n)], f.label(), f.reg(i32)
    set_first = [f.reg(i64) for _ in range(8)]
    for number, each in enumerate(set_first):
        f.i64_add(each, a, number)
    f.i32_wrap_i64(state, b)
    f.jump(again)
    for number, label in enumerate(states):
        f.place(label)
        f.i64_add(set_first[number % 8], set_first[(number + 1) % 8], set_first[(number + 2) % 8])
        f.i32_add(state, state, 1)
        f.jump(again)
    f.place(again)
    done = f.label()
    f.branch_table(state, states, done)
    f.place(done)
    f.i64_xor(a, set_first[0], set_first[1])


_BODIES: dict[str, Callable[[Function, int], None]] = {
    "overlapping": _overlapping,
    "nested": _nested,
    "continues": _continues,
    "far_uses": _far_uses,
    "copies": _copies,
    "states": _states,
}
SHAPES = tuple(_BODIES)


def make(shape: str, n: int) -> Function:
    """A function of that shape with n loops, values, or copies: two to five ops for each."""
    f = Function(shape, params=[i64, i64], result=i64)
    _BODIES[shape](f, n)
    f.ret(f.params[0])
    return f
