"""The guide's stack machine and bytecode of anybody's: it is refused, with its offset, before any of it runs; what is
accepted runs alike interpreted and compiled. The table refuses all that the machine's own check does."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
from conftest import LIBRARY
from stackvm_support import EAGER, ITEMS, NEVER, is_at_rest

import cnp
from cnp.bytecode import Table
from examples.stackvm.__main__ import TEXT
from examples.stackvm.check import check
from examples.stackvm.code import INSTRUCTION, MOST_PARAMETERS, Function, GuestError, Op, assemble
from examples.stackvm.machine import Machine
from examples.stackvm.tier import TieredMachine

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

OTHERS = "function at i = get i item return\nfunction two a b = get a return\n"
ARITIES = [1, 2, 1]
PUSH, RETURN = (Op.PUSH, 0, 1), (Op.RETURN, 0, 0)


def code(*rows: tuple[int, int, int], tail: bytes = b"") -> bytearray:
    return bytearray(b"".join(INSTRUCTION.pack(*row) for row in rows) + tail)


@pytest.mark.parametrize(
    ("bytecode", "message"),
    [
        (code(), "0: 0 bytes; accepted: instructions of 4"),
        (code(PUSH, tail=b"\x0b\0\0"), "4: 3 bytes; accepted: instructions of 4"),
        (code((0, 0, 0), RETURN), "0: there is no instruction 0"),
        (code(PUSH, RETURN, (255, 0, 0)), "8: there is no instruction 255"),
        (code((Op.GET, 2, 0), RETURN), "0: local 2; accepted: one of 2"),
        (code(PUSH, (Op.SET, 255, 0), RETURN), "4: local 255; accepted: one of 2"),
        (code(PUSH, (Op.ITEM, 1, 0), RETURN), "4: operand 1, and function 0 has 1 parameters; accepted: 0, and 1"),
        (code(PUSH, (Op.JUMP, 0, 3), RETURN), "4: jump to instruction 3; accepted: 2 to 2"),
        (code(PUSH, (Op.JUMP, 0, 1), RETURN), "4: jump to instruction 1; accepted: 2 to 2"),
        (code((Op.JUMP, 0, -1), PUSH, RETURN), "0: jump to instruction -1; accepted: 1 to 2"),
        (code(PUSH, PUSH, (Op.UNLESS_LESS, 0, 0), PUSH, RETURN), "8: jump to instruction 0; accepted: 3 to 4"),
        (code((Op.LOOP, 0, -32768), PUSH, RETURN), "0: jump to instruction -32768; accepted: 0 to 0"),
        (code((Op.LOOP, 0, 1), PUSH, RETURN), "0: jump to instruction 1; accepted: 0 to 0"),
        (code(PUSH, (Op.CALL, 3, 1), RETURN), "4: function 3; accepted: one of 3"),
        (code(PUSH, (Op.CALL, 1, 1), RETURN), "4: 1 arguments; accepted: 2"),
        (code(PUSH, (Op.CALL, 1, -1), RETURN), "4: -1 arguments; accepted: 2"),
        (code(PUSH, (Op.CALL, 1, 2), RETURN), "4: it takes 2 values from the stack; accepted: up to 1"),
        (code(PUSH, (Op.ADD, 0, 0), RETURN), "4: it takes 2 values from the stack; accepted: up to 1"),
        (code(RETURN), "0: it takes 1 values from the stack; accepted: up to 0"),
        (code(PUSH, PUSH), "4: it goes on past the last; accepted there: a jump, or return"),
        (
            code(PUSH, (Op.LOOP, 0, 0)),
            "4: it leaves 1 values on the stack; accepted: 0, as others do",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_offset(stackvm_table: Table, bytecode: bytearray, message: str) -> None:
    good = assemble(OTHERS + "function f a = get a return")
    bad = Function("bad", 1, 2, bytecode)
    for kind in (Machine, lambda functions: TieredMachine(stackvm_table, functions)):
        with pytest.raises(GuestError, match=rf"^bad, offset {re.escape(message)}$"):
            kind([*good[:2], bad])
        machine: Any = kind(good)
        functions = list(machine.functions)
        with pytest.raises(GuestError, match=r"^bad, offset "):
            machine.define(2, bad)
        assert machine.functions == functions and machine.call(2, [7]) == 7


def test_parameters(stackvm_table: Table) -> None:
    """A cell has as many as its function had at first."""
    names = " ".join(f"a{n}" for n in range(MOST_PARAMETERS))
    arguments = "push 5 get a push 1 " + "get a " * (MOST_PARAMETERS - 3)
    text = f"{OTHERS}function f {names} = get a2 return function g a = {arguments} call f {MOST_PARAMETERS} return"
    machine = TieredMachine(stackvm_table, assemble(text), (), EAGER)
    assert [machine.call(3, [n]) for n in range(5)] == [1] * 5
    for bad, message in (
        (Function("bad", 8, 8, code(PUSH, RETURN)), "bad: 8 parameters, 8 locals; accepted: up to 7, which are locals"),
        (Function("bad", 2, 1, code(PUSH, RETURN)), "bad: 2 parameters, 1 locals; accepted: up to 7, which are locals"),
        (
            Function("bad", -1, 1, code(PUSH, RETURN)),
            "bad: -1 parameters, 1 locals; accepted: up to 7, which are locals",
        ),
    ):
        with pytest.raises(GuestError, match=f"^{message}$"):
            TieredMachine(stackvm_table, [bad])
    with pytest.raises(GuestError, match=r"^f: 1 parameters; accepted: 7, as before$"):
        machine.define(2, assemble("function f a = get a return")[0])
    assert machine.call(3, [2]) == 1


def test_what_the_table_has_no_room_for_is_interpreted(stackvm_table: Table) -> None:
    deep = code(*[PUSH] * 65, *[(Op.ADD, 0, 0)] * 64, RETURN)
    machine = TieredMachine(stackvm_table, [*assemble(OTHERS), Function("deep", 0, 0, deep)], (), EAGER)
    assert [machine.call(2, []) for _ in range(5)] == [65] * 5
    error = machine.tiers[machine.functions[2]].error
    assert isinstance(error, cnp.BytecodeError)
    assert str(error).startswith("function 'deep', offset 256 (opcode 0x1 push): the operand stack grows to 65")


# ---- bytecode that was changed at random


def mutated(r: random.Random, good: bytes) -> bytearray:
    """A program of which some bytes, or operands, are others, or some instructions are elsewhere, or gone."""
    made = bytearray(good)
    for _ in range(r.choice((1, 1, 2, 3))):
        at = r.randrange(len(made) // INSTRUCTION.size) * INSTRUCTION.size if len(made) >= INSTRUCTION.size else 0
        way = r.randrange(6)
        if way == 0 and made:
            made[r.randrange(len(made))] = r.randrange(256)
        elif way == 1:
            made[at : at + INSTRUCTION.size] = INSTRUCTION.pack(r.randrange(1, 12), r.randrange(3), r.randrange(9))
        elif way == 2:
            del made[at : at + INSTRUCTION.size]
        elif way == 3:
            made[at:at] = INSTRUCTION.pack(r.randrange(1, 12), r.randrange(3), r.randrange(-1, 9))
        elif way == 4:
            del made[r.randrange(len(made) + 1) :]
        elif made[at : at + 1] in (bytes([Op.UNLESS_LESS]), bytes([Op.LOOP]), bytes([Op.JUMP])):
            made[at + 2 : at + 4] = r.randrange(len(made) // INSTRUCTION.size + 1).to_bytes(2, "little")
    return made


KIND = re.compile(r"offset \d+: (?:it |-?\d+ )?(\w+)")
KINDS = {"arguments", "bytes", "function", "goes", "jump", "leaves", "local", "operand", "takes", "there"}
OURS = {"arguments", "function", "jump", "local", "operand"}
"""What the machine alone refuses: jumps that would not be counted; operands where nothing leads to."""


def refusals(machine: TieredMachine, function: Function) -> tuple[str, str]:
    """What the machine says of a function, and what the table; nothing of what they accept."""
    ours, theirs = "", ""
    try:
        check(function, ARITIES)
    except GuestError as error:
        ours = str(error)
    try:
        machine.translate(function).compile()
    except cnp.CnpError as error:
        theirs = str(error)
    return ours, theirs


def test_any_bytecode_is_refused_or_runs(stackvm_table: Table) -> None:
    r = random.Random(5)
    judge = TieredMachine(stackvm_table, assemble(OTHERS + "function f a = get a return"), ITEMS)
    programs = [bytes(each.code) for each in assemble(TEXT)]
    seen: Counter[str] = Counter()
    kinds = set()
    for number in range(1500):
        function = Function("f", 1, 3, mutated(r, r.choice(programs)))
        for at in range(0, len(function.code) - 3, INSTRUCTION.size):
            if function.code[at] == Op.CALL and r.random() < 0.9:  # what it calls is there, so that more is accepted
                function.code[at : at + 4] = INSTRUCTION.pack(Op.CALL, 2, 1)
            elif function.code[at] == Op.MUL:  # squares of squares would take more time than any number of rounds
                function.code[at] = Op.ADD
        ours, theirs = refusals(judge, function)
        about = f"{number}: {ours}; {theirs}: {function.code.hex(' ', 4)}"
        if not ours:
            assert not theirs, about
            seen[run(stackvm_table, function, r)] += 1
            continue
        found = KIND.search(ours)
        assert found, about
        if theirs:
            kinds.add(found[1])
        else:
            assert found[1] in OURS, about
        seen["refused"] += 1
    assert kinds == KINDS and min(seen["ran"], seen["refused"], seen["stopped"]) > 50, seen


def run(table: Table, function: Function, r: random.Random) -> str:
    """Calls of a function that was accepted, interpreted alone and compiled, must agree, or have no end."""
    arguments = [r.choice((0, 1, 3, -1, 2**62, -(3**50))) for _ in range(4)]
    outcomes: list[list[Any]] = []
    for policy in (NEVER, EAGER):
        machine = TieredMachine(table, [*assemble(OTHERS), function], ITEMS, policy)
        found: list[Any] = []
        for argument in arguments:
            try:
                with cnp.fuel(300):
                    found.append(machine.call(2, [argument]))
            except GuestError as error:
                found.append(str(error))
            except (cnp.Trap, RecursionError) as error:
                found.append(type(error))
            assert is_at_rest(machine)
        assert machine.call(1, [7, 8]) == 7
        outcomes.append(found)
    pairs = list(zip(*outcomes))
    ends = [pair for pair in pairs if not any(isinstance(each, type) for each in pair)]
    assert all(a == b for a, b in ends), f"{function.code.hex(' ', 4)}: {arguments}: {outcomes}"
    return "ran" if len(ends) == len(pairs) else "stopped"
